"""Sentences as players: words with all their tokens, without stop words, punctuation and special tokens."""

import re
import unicodedata
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Int64
from torch import Tensor

from interdyn.errors import InputError, InputWarning

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
"""English words that are not players by default: function words, except negations."""

Span: TypeAlias = tuple[int, int]

# The class of each character: `w` letters and digits, `u` those of scripts without spaces between words, `m` marks that
# combine with the preceding character, `j` what may occur inside a word, or a space.
_WORD = re.compile(r"w[wm]*(?:j[wm]+)*|u[um]*")
_JOINERS = "'\u2019.-\u00b7\u05f3\u05f4\u2010\u2011"  # of Catalan and Hebrew, too
_INVISIBLE = "\u00ad\u200c\u200d\u2060"  # soft hyphen, joiner and non-joiner of Persian and Indic scripts
_NO_SPACES = (  # Thai, Lao, Myanmar, Khmer, Tai; Javanese and Balinese; kana and Han
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x1B00, 0x1B7F)),
    *((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x9FFF), (0xA980, 0xA9FF)),
    *((0xAA60, 0xAADF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFF)),
)
_APOSTROPHE = re.compile(r"['\u2019]")


@dataclass(frozen=True)
class Words:
    """Tokenised sentences and the word of each token.

    Attributes
    ----------
    input_ids, attention_mask
        What the model takes, shape ``(sentences, tokens)``, padded to the longest sentence.
    parts
        Index of the meaningful word each token belongs to, from 0 in each sentence; -1 for stop words, punctuation,
        special tokens and padding. Same shape; see `choose_parts`.
    words
        The meaningful words of each sentence, as written there.
    mask_token_id
        The token that replaces a masked word: the baseline.
    token_type_ids
        Which text of a pair each token belongs to; None if the tokenizer does not provide it.
    """

    input_ids: Int64[Tensor, "sentences tokens"]
    attention_mask: Int64[Tensor, "sentences tokens"]
    parts: Int64[Tensor, "sentences tokens"]
    words: tuple[tuple[str, ...], ...]
    mask_token_id: int
    token_type_ids: Int64[Tensor, "sentences tokens"] | None = None

    @property
    def batch(self) -> dict[str, Tensor]:
        """The sentences by name, as a network of ``transformers`` takes them; what `interdyn.measure` takes as inputs.

        Examples
        --------
        >>> ids = torch.tensor([[-1, 0, 1]])
        >>> list(Words(ids, ids, ids, (("dog", "bites"),), mask_token_id=0).batch)
        ['input_ids', 'attention_mask']
        """
        more = {} if self.token_type_ids is None else {"token_type_ids": self.token_type_ids}
        return {"input_ids": self.input_ids, "attention_mask": self.attention_mask, **more}

    def names_of(self, feature_mask: Int64[Tensor, "sentences tokens"]) -> tuple[tuple[str, ...], ...]:
        """Return the words that are players of a mask made by `choose_parts` from ``parts``, a row for each sentence.

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
    sentences: Sequence[str] | Sequence[tuple[str, str]],
    *,
    stop_words: Collection[str] = STOP_WORDS,
    mask_token: str | None = None,
    max_length: int | None = None,
    allow_empty: bool = False,
    segment: Callable[[str], Iterable[str]] | None = None,
) -> Words:
    """Tokenise sentences and find their meaningful words.

    Parameters
    ----------
    tokenizer
        A fast tokenizer of Hugging Face ``transformers``.
    sentences
        The sentences, or pairs of them.
    stop_words
        Words, in lower case, that are not players; nor are their contractions, such as ``it's`` from ``it`` and ``s``.
        Those with ``not`` (``can't``) are negations, and are players.
    mask_token
        Token that replaces those of a masked word; the tokenizer's own mask token by default.
    max_length
        Longest sentence in tokens; longer ones are truncated.
    allow_empty
        Accept sentences without any meaningful word; all their ``parts`` are -1, and they cannot be measured.
    segment
        A function that returns the words of a text in order, such as ``jieba.lcut``; punctuation among them is ignored.

    Raises
    ------
    InputError
        If the tokenizer provides no positions or has no such token or none for padding, if the mask token is the
        padding token, or if a sentence has no meaningful word.

    Warns
    -----
    InputWarning
        If the mask token is also the padding token.

    Notes
    -----
    A word is a run of letters and digits with the marks that combine with them, and with ``'``, ``.`` or ``-`` inside;
    special tokens written out in a sentence are not words. In scripts without spaces between words (Chinese, Japanese,
    Thai, Lao, Khmer, Myanmar) each token is a word. Source: paper, appendix on text: ten random meaningful words,
    masked by [MASK].
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"`tokenizer` must be a fast one, which provides token positions; got {type(tokenizer).__name__}. "
            "Load it with use_fast=True."
        )
    mask_id = _mask_id(tokenizer, mask_token)
    texts = _texts(sentences)
    if tokenizer.pad_token is None and len(texts) > 1:
        raise InputError(
            f"several sentences need a padding token; got a {type(tokenizer).__name__} without one. Set one that the "
            "model ignores, for example: tokenizer.pad_token = tokenizer.eos_token"
        )
    coded = tokenizer(
        *(list(side) for side in zip(*texts, strict=True)),
        padding=len(texts) > 1,
        truncation=max_length is not None,
        max_length=max_length,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    parts, named = [], []
    for row, text in enumerate(texts):
        tokens = _tokens_of(coded, row, text, set(tokenizer.all_special_tokens))
        spans = [_word_spans(t, [span for _, s, span in tokens if s == side], segment) for side, t in enumerate(text)]
        row_parts, found = _parts_of(text, spans, tokens, stop_words)
        if not found and not allow_empty:
            raise InputError(
                f"each sentence needs a word that is not a stop word; got none in sentence {row}, "
                f"{' '.join(text)[:60]!r}. Leave it out, or pass fewer `stop_words`."
            )
        parts.append([row_parts.get(token, -1) for token in range(len(coded["input_ids"][row]))])
        named.append(found)
    types = torch.tensor(coded["token_type_ids"]) if "token_type_ids" in coded else None
    ids, attention = torch.tensor(coded["input_ids"]), torch.tensor(coded["attention_mask"])
    return Words(ids, attention, torch.tensor(parts), tuple(named), mask_id, types)


def _texts(sentences: Any) -> list[tuple[str, ...]]:
    """Return each sentence as a tuple of one text, or of the two of a pair."""
    if isinstance(sentences, str) or not isinstance(sentences, Iterable):
        raise InputError("`sentences` must be a list of at least one string; got one string. Write it as [text].")
    texts = [(text,) if isinstance(text, str) else text for text in sentences]
    if not texts:
        raise InputError("`sentences` must be a list of at least one string; got none. Write it as [text].")
    for text in texts:
        pair = isinstance(text, tuple | list) and len(text) in (1, 2) and all(isinstance(side, str) for side in text)
        if not pair or len(text) != len(texts[0]):
            raise InputError(
                f"`sentences` must all be strings, or all pairs of strings; got {text!r:.60}. Write a pair as (first, "
                "second)."
            )
    return [tuple(text) for text in texts]


def _tokens_of(coded: Any, row: int, text: tuple[str, ...], special: Collection[str]) -> list[tuple[int, int, Span]]:
    """Return the tokens of one sentence that belong to words: their index, text and span."""
    out = []
    marks = zip(coded["offset_mapping"][row], coded["special_tokens_mask"][row], coded.sequence_ids(row), strict=True)
    for token, ((start, stop), mark, side) in enumerate(marks):
        if mark or stop <= start or side is None or text[side][start:stop].strip() in special:
            continue
        out.append((token, side, (start, stop)))
    return out


def _parts_of(
    text: tuple[str, ...],
    spans: Sequence[Sequence[Span]],
    tokens: Sequence[tuple[int, int, Span]],
    stop_words: Collection[str],
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Return the index of the meaningful word of each token that belongs to one, and these words."""
    kept: dict[tuple[int, Span], int] = {}
    parts: dict[int, int] = {}
    for token, side, (start, stop) in tokens:
        word = next((span for span in spans[side] if start < span[1] and stop > span[0]), None)
        if word is not None and not _is_stop_word(text[side][slice(*word)], stop_words):
            parts[token] = kept.setdefault((side, word), len(kept))
    return parts, tuple(text[side][slice(*span)] for side, span in kept)


def _class_of(char: str) -> str:
    if unicodedata.category(char)[0] == "M" or char in _INVISIBLE:
        return "m"
    if char.isalnum():
        return "u" if any(first <= ord(char) <= last for first, last in _NO_SPACES) else "w"
    return "j" if char in _JOINERS else " "


def _word_spans(text: str, tokens: Sequence[Span], segment: Callable[[str], Iterable[str]] | None) -> list[Span]:
    """Return the spans of the words of a text; in scripts without spaces each token is one."""
    classes = "".join(_class_of(char) for char in text)
    if segment is not None:
        return _given_spans(text, classes, segment)
    out: list[Span] = []
    for found in _WORD.finditer(classes):
        out += [found.span()] if found.group()[0] == "w" else _pieces(classes, found.span(), tokens)
    return out


def _pieces(classes: str, run: Span, tokens: Sequence[Span]) -> list[Span]:
    """Return a run of a script without spaces cut where tokens begin, but not within a character and its marks."""
    begin, end = run
    inside = sorted({start for start, _ in tokens if begin < start < end and classes[start] != "m"})
    cuts = [at for at in inside if not any(start < at < stop for start, stop in tokens)]
    return list(zip([begin, *cuts], [*cuts, end], strict=True))


def _given_spans(text: str, classes: str, segment: Callable[[str], Iterable[str]]) -> list[Span]:
    out, at = [], 0
    for word in segment(text):
        start = text.find(word, at) if isinstance(word, str) else -1
        if start < 0:
            raise InputError(
                f"`segment` must return the words of a text as they occur there, in order; got {word!r:.60}. Return "
                "parts of the text."
            )
        at = start + len(word)
        if any(kind in "wu" for kind in classes[start:at]):
            out.append((start, at))
    return out


def _is_stop_word(word: str, stop_words: Collection[str]) -> bool:
    """Return whether a word is one of ``stop_words`` or a contraction of such words; those with ``n't`` are not."""
    pieces = _APOSTROPHE.split(word.lower())
    return word.lower() in stop_words or (pieces[-1] != "t" and all(piece in stop_words for piece in pieces))


def _mask_id(tokenizer: Any, mask_token: str | None) -> int:
    if mask_token is not None and mask_token == tokenizer.pad_token:
        warnings.warn(
            f"`mask_token` should differ from the padding token, or a network that searches for the end of the "
            f"sequence reads another position once words are masked; got {mask_token!r} for both. Pass another "
            "token, for example that of a space.",
            InputWarning,
            stacklevel=3,
        )
    if mask_token is None:
        if tokenizer.mask_token_id is None:
            raise InputError(
                f"a masked word needs a token to replace it; got a {type(tokenizer).__name__} without [MASK]. Pass "
                "one as `mask_token`, for example the one for unknown words."
            )
        return int(tokenizer.mask_token_id)
    found = tokenizer.convert_tokens_to_ids(mask_token)
    if found is None or (found == tokenizer.unk_token_id and mask_token != tokenizer.unk_token):
        raise InputError(f"`mask_token` must be in the tokenizer's vocabulary; got {mask_token!r}, which is not.")
    return int(found)
