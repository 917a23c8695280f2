"""Sentences as players: a word with all its tokens; stop-words, punctuation and special tokens are none."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from interdyn.errors import InputError

_ENGLISH = """
a about above after again all along also am an and any are as at be because been before being below
between both but by can could d did do does doing down during each either else ever few for from
further get gets got had has have having he her here hers herself him himself his how i if in into
is it its itself just ll m may me might more most much must my myself now of off on once one only
onto or other our ours ourselves out over own re s same shall she should since so some such t than
that the their theirs them themselves then there these they this those though through to too toward
under until up upon us ve very was we were what when where whether which while who whom whose why
will with within would you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_ENGLISH.split())
"""English words that are no players by default: function words, but no negations."""

_WORD = re.compile(r"[^\W_]+(?:['\u2019.\-][^\W_]+)*")
_APOSTROPHE = re.compile(r"['\u2019]")


@dataclass(frozen=True)
class Words:
    """Tokenised sentences and the word of each token.

    Attributes
    ----------
    input_ids, attention_mask
        What the model takes, shape ``(sentences, tokens)``, padded to the longest sentence.
    parts
        Number of the meaningful word each token belongs to, counted from 0 in each sentence; -1 for stop-words,
        punctuation, special tokens and padding. Same shape; see `choose_parts`.
    words
        The meaningful words of each sentence, as they are written there.
    mask_token_id
        The token that stands for a masked word: the baseline.
    """

    input_ids: Int64[Tensor, "sentences tokens"]
    attention_mask: Int64[Tensor, "sentences tokens"]
    parts: Int64[Tensor, "sentences tokens"]
    words: tuple[tuple[str, ...], ...]
    mask_token_id: int

    def names_of(self, feature_mask: Int64[Tensor, "sentences tokens"]) -> tuple[tuple[str, ...], ...]:
        """Return the words that are players of a mask which `choose_parts` made of ``parts``, a row for each sentence.

        Examples
        --------
        >>> parts = torch.tensor([[-1, 0, 1, 1, 2]])
        >>> text = Words(parts, parts, parts, (("dog", "bites", "man"),), mask_token_id=0)
        >>> text.names_of(torch.tensor([[-1, 0, -1, -1, 1]]))
        (('dog', 'man'),)
        """
        rows = []
        for ids, parts, written in zip(feature_mask.tolist(), self.parts.tolist(), self.words, strict=True):
            part = dict(zip(ids, parts, strict=True))
            rows.append(tuple(written[part[player]] for player in sorted(part) if player >= 0))
        return tuple(rows)


def words(
    tokenizer: Any,
    sentences: Sequence[str],
    *,
    stop_words: Collection[str] = STOP_WORDS,
    mask_token: str | None = None,
    max_length: int | None = None,
    allow_empty: bool = False,
) -> Words:
    """Tokenise sentences and find their meaningful words.

    Parameters
    ----------
    tokenizer
        A fast tokenizer of Hugging Face ``transformers``.
    sentences
        The texts.
    stop_words
        Words, in lower case, that are no players; nor are contractions of them, as ``it's`` of ``it`` and ``s``. Those
        with ``not`` (``can't``) are negations, and players.
    mask_token
        Token that replaces those of a masked word; the tokenizer's own mask token by default.
    max_length
        Longest sentence in tokens; what is beyond is cut off.
    allow_empty
        Accept sentences without any meaningful word; all their ``parts`` are -1, and they cannot be measured.

    Raises
    ------
    InputError
        If the tokenizer gives no positions, has no such token or none for padding, or a sentence has no meaningful
        word.

    Notes
    -----
    A word is a run of letters and digits, with ``'``, ``.`` or ``-`` inside; special tokens that are written out in a
    sentence are none. Source: paper, appendix on text: ten random meaningful words, masked by [MASK].
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"`tokenizer` must be a fast one, which tells where its tokens stand; got {type(tokenizer).__name__}. "
            "Load it with use_fast=True."
        )
    mask_id = _mask_id(tokenizer, mask_token)
    if not sentences or isinstance(sentences, str):
        got = "one text" if sentences else "none"
        raise InputError(f"`sentences` must be a list of at least one text; got {got}. Write it as [text].")
    if tokenizer.pad_token is None and len(sentences) > 1:
        raise InputError(
            f"several sentences need a token for padding; got a {type(tokenizer).__name__} without one. Name one that "
            "the model ignores, for example: tokenizer.pad_token = tokenizer.eos_token"
        )
    coded = tokenizer(
        list(sentences),
        padding=len(sentences) > 1,
        truncation=max_length is not None,
        max_length=max_length,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    parts: list[list[int]] = []
    written, named = set(tokenizer.all_special_tokens), []
    for row, sentence in enumerate(sentences):
        spans = [m.span() for m in _WORD.finditer(sentence) if not _is_stop_word(m.group(), stop_words)]
        kept: dict[int, int] = {}
        parts.append([-1] * len(coded["input_ids"][0]))
        marks = zip(coded["offset_mapping"][row], coded["special_tokens_mask"][row], strict=True)
        for token, ((start, stop), special) in enumerate(marks):
            if special or stop <= start:
                continue
            word = next((i for i, (a, b) in enumerate(spans) if start < b and stop > a), None)
            if word is not None and sentence[start:stop].strip() not in written:
                parts[row][token] = kept.setdefault(word, len(kept))
        if not kept and not allow_empty:
            raise InputError(
                f"each sentence needs a word that is no stop-word; got none in sentence {row}, {sentence[:60]!r}. "
                "Leave it out, or pass fewer `stop_words`."
            )
        named.append(tuple(sentence[slice(*spans[i])] for i in kept))
    ids, attention = torch.tensor(coded["input_ids"]), torch.tensor(coded["attention_mask"])
    return Words(ids, attention, torch.tensor(parts), tuple(named), mask_id)


def _is_stop_word(word: str, stop_words: Collection[str]) -> bool:
    """Return whether a word is one of ``stop_words`` or a contraction of such words; those with ``n't`` are none."""
    pieces = _APOSTROPHE.split(word.lower())
    return word.lower() in stop_words or (pieces[-1] != "t" and all(piece in stop_words for piece in pieces))


def _mask_id(tokenizer: Any, mask_token: str | None) -> int:
    if mask_token is None:
        if tokenizer.mask_token_id is None:
            raise InputError(
                f"a masked word needs a token to stand for it; got a {type(tokenizer).__name__} without [MASK]. Pass "
                "one as `mask_token`, for example the one for unknown words."
            )
        return int(tokenizer.mask_token_id)
    found = tokenizer.convert_tokens_to_ids(mask_token)
    if found is None or (found == tokenizer.unk_token_id and mask_token != tokenizer.unk_token):
        raise InputError(f"`mask_token` must be in the tokenizer's vocabulary; got {mask_token!r}, which is not.")
    return int(found)
