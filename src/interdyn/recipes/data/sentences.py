"""Sentences under INTERDYN_DATA: SST-2 with BERT's vocabulary."""

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interdyn.errors import RecipeError, missing_extra
from interdyn.game import words
from interdyn.recipes._dataset import Dataset
from interdyn.recipes._registry import dataset
from interdyn.recipes._root import find_data

_PARTS = ("sentences", "phrases")


@dataset("sst2")
def sst2(*, seed: int, part: str = "sentences", max_length: int = 32) -> Dataset:  # noqa: ARG001
    """Return SST-2 as tokens of BERT's vocabulary, shape ``(samples, max_length)``, 0 being padding; two classes.

    ``part`` is ``"sentences"`` (6,920 for training) or ``"phrases"`` (67,349, as in GLUE); the 572 sentences of the
    development part are the test part. ``parts`` are the meaningful words; a sentence without any is not measured.

    Files ``sst2/train_sentences.tsv.gz`` or ``sst2/train_phrases.tsv.gz``, ``sst2/dev.tsv.gz`` (columns ``sentence``
    and ``label``) and ``bert_vocab/vocab.txt``. Source: Socher et al. (2013); Wang et al. (2019); Devlin et al. (2019).

    Raises
    ------
    DataError
        If a file is missing.
    RecipeError
        If there is no such part, or sentences are cut to fewer than four tokens.
    MissingExtraError
        If transformers is not installed.
    """
    if part not in _PARTS or max_length < 4:
        raise RecipeError(
            f"the data `sst2` need `part` one of {', '.join(_PARTS)} and `max_length` 4 or more; got {part!r} and "
            f"{max_length}. Correct `data.options`."
        )
    train, dev, vocabulary = find_data(
        "sst2",
        f"sst2/train_{part}.tsv.gz",
        "sst2/dev.tsv.gz",
        "bert_vocab/vocab.txt",
        source="https://gluebenchmark.com and https://github.com/google-research/bert",
    )
    learned, seen = _read(train), _read(dev)
    rows = learned + seen
    tokenizer = wordpiece(vocabulary)
    inputs, parts = tokens([sentence for sentence, _ in rows], tokenizer, max_length)
    return Dataset(
        inputs,
        np.array([label for _, label in rows]),
        2,
        test=np.arange(len(rows)) >= len(learned),
        parts=parts,
        measurable=np.asarray((parts >= 0).any(axis=1)),
        mask_value=float(tokenizer.mask_token_id),
    )


def _read(path: Path) -> list[tuple[str, int]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(line["sentence"], int(line["label"])) for line in lines]


def wordpiece(vocabulary: Path) -> Any:
    """Return BERT's uncased tokenizer with the vocabulary of a file.

    Raises
    ------
    MissingExtraError
        If transformers is not installed.
    """
    try:
        from transformers import BertTokenizer
    except ImportError as error:
        raise missing_extra("transformers", "hf", "sentences as data") from error
    entries = vocabulary.read_text(encoding="utf-8").splitlines()
    return BertTokenizer(vocab={entry: i for i, entry in enumerate(entries)}, do_lower_case=True)


def tokens(sentences: Sequence[str], tokenizer: Any, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens and the number of the meaningful word of each, both of shape ``(sentences, length)``.

    Padding is token 0; its part is -1, as are those of stop-words and punctuation.
    """
    read = words(tokenizer, sentences, max_length=length, allow_empty=True)
    width = read.input_ids.shape[1]
    ids = np.zeros((len(sentences), length), dtype=np.int64)
    parts = np.full((len(sentences), length), -1, dtype=np.int64)
    ids[:, :width] = np.where(read.attention_mask.numpy() > 0, read.input_ids.numpy(), 0)
    parts[:, :width] = read.parts.numpy()
    return ids, parts
