"""Sentences under INTERDYN_DATA: SST-2, AG News, MNLI, with BERT's vocabulary."""

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interdyn.errors import DataError, RecipeError, missing_extra
from interdyn.game import words
from interdyn.recipes import Dataset, dataset
from interdyn_zoo.data._classes import numbered
from interdyn_zoo.data._root import find_data, reads_files

_BERT = "https://github.com/google-research/bert"
_LONGEST = 4096  # tokens
_PARTS = ("sentences", "phrases")
_SEEN = ("dev", "test")


@dataset("sst2")
@reads_files
def sst2(
    *,
    seed: int,  # noqa: ARG001
    part: str = "sentences",
    test: str = "dev",
    max_length: int = 32,
    first: int | None = None,
) -> Dataset:
    """Return SST-2 as tokens of BERT's vocabulary, shape ``(samples, max_length)``, 0 being padding; two classes.

    ``part`` is ``"sentences"`` (6,920 for training) or ``"phrases"`` (67,349, as in GLUE); the test part is ``"dev"``
    (572 sentences) or ``"test"`` (1,821); with ``first`` only that many of either. ``parts`` are the meaningful words;
    a sentence without any is not measured.

    Files ``sst2/train_sentences.tsv.gz`` or ``sst2/train_phrases.tsv.gz``, ``sst2/dev.tsv.gz`` or ``sst2/test.tsv.gz``
    (columns ``sentence`` and ``label``) and ``bert_vocab/vocab.txt``. Source: Socher et al. (2013); Wang et al. (2019);
    Devlin et al. (2019).

    Raises
    ------
    DataError
        If a file is missing.
    RecipeError
        If there is no such part, sentences are cut to fewer than four tokens, or none is read.
    MissingExtraError
        If transformers is not installed.
    """
    if first is not None and first < 1:
        raise RecipeError(f"`data.options.first` must be 1 or more; got {first}. Leave it out to read all sentences.")
    if part not in _PARTS or test not in _SEEN or max_length < 4:
        raise RecipeError(
            f"the data `sst2` need `part` one of {', '.join(_PARTS)}, `test` one of {', '.join(_SEEN)}, `max_length` 4 "
            f"or more; got {part!r}, {test!r} and {max_length}. Correct `data.options`."
        )
    train, dev, vocabulary = find_data(
        "sst2",
        f"sst2/train_{part}.tsv.gz",
        f"sst2/{test}.tsv.gz",
        "bert_vocab/vocab.txt",
        source=f"https://gluebenchmark.com and {_BERT}",
    )
    return coded(_read(train)[:first], _read(dev)[:first], vocabulary, max_length)


@dataset("ag-news")
@reads_files
def ag_news(*, seed: int, max_length: int = 48) -> Dataset:  # noqa: ARG001
    """Return AG News as tokens of BERT's vocabulary, shape ``(127600, max_length)``: title and text; four classes.

    Files ``ag_news/train.csv`` and ``ag_news/test.csv`` (class 1 to 4, title, text; no header) and
    ``bert_vocab/vocab.txt``. Source: Zhang, Zhao, LeCun (2015).

    Raises
    ------
    DataError
        If a file is missing or a line is not as described.
    MissingExtraError
        If transformers is not installed.
    """
    source = "https://huggingface.co/datasets/fancyzhx/ag_news (or the authors' archive) and " + _BERT
    *parts, vocabulary = find_data(
        "ag-news", "ag_news/train.csv", "ag_news/test.csv", "bert_vocab/vocab.txt", source=source
    )
    learned, seen = ([(f"{title} {text}", label) for label, title, text in _lines(path, 3)] for path in parts)
    return coded(learned, seen, vocabulary, max_length)


@dataset("mnli")
@reads_files
def mnli(*, seed: int, part: str = "matched", max_length: int = 64) -> Dataset:  # noqa: ARG001
    """Return MNLI as tokens of BERT's vocabulary, shape ``(samples, max_length)``; three classes.

    A sample is ``[CLS] premise [SEP] hypothesis [SEP]``, each cut to half of ``max_length``. ``part`` is the
    development part that is the test part, ``"matched"`` or ``"mismatched"``.

    Files ``mnli/train.tsv``, ``mnli/dev_matched.tsv`` or ``mnli/dev_mismatched.tsv`` (columns ``sentence1``,
    ``sentence2``, ``gold_label``) and ``bert_vocab/vocab.txt``. Source: Williams, Nangia, Bowman (2018), in the form of
    GLUE.

    Raises
    ------
    DataError
        If a file is missing.
    RecipeError
        If there is no such part.
    MissingExtraError
        If transformers is not installed.
    """
    if part not in ("matched", "mismatched"):
        raise RecipeError(f'`data.options.part` must be "matched" or "mismatched"; got {part!r}.')
    train, dev, vocabulary = find_data(
        "mnli",
        "mnli/train.tsv",
        f"mnli/dev_{part}.tsv",
        "bert_vocab/vocab.txt",
        source=f"https://gluebenchmark.com and {_BERT}",
    )
    columns = ("sentence1", "sentence2", "gold_label")
    learned, seen = ([row for row in _columns(path, columns) if row[2] != "-"] for path in (train, dev))
    return coded(
        [((first, second), label) for first, second, label in learned],
        [((first, second), label) for first, second, label in seen],
        vocabulary,
        max_length,
    )


def coded(
    learned: Sequence[tuple[Any, object]],
    seen: Sequence[tuple[Any, object]] | None,
    vocabulary: Path,
    max_length: int,
    *,
    place: str = "the sentences",
) -> Dataset:
    """Return sentences, or pairs of them, and their classes as a data set; ``place`` is their source, for errors.

    Raises
    ------
    DataError
        If there are none, or a test sentence has a class that training does not have.
    MissingExtraError
        If transformers is not installed.
    """
    if not 4 <= max_length <= _LONGEST:
        raise RecipeError(f"`data.options.max_length` must be 4 to {_LONGEST} tokens; got {max_length}. Use 48.")
    answers = numbered(*([label for _, label in part] for part in (learned, seen) if part is not None), place=place)
    tokenizer = _wordpiece(vocabulary)
    texts = [text for text, _ in (*learned, *(seen or ()))]
    if isinstance(texts[0], str):
        inputs, parts = _tokens(texts, tokenizer, max_length)
    else:
        inputs, parts = _pairs(texts, tokenizer, max_length)
    return Dataset(
        inputs,
        parts=parts,
        measurable=np.asarray((parts >= 0).any(axis=1)),
        mask_value=float(tokenizer.mask_token_id),
        vocabulary=tuple(vocabulary.read_text(encoding="utf-8").splitlines()),
        **answers,
    )


def _pairs(pairs: Sequence[tuple[str, str]], tokenizer: Any, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens and parts of ``[CLS] first [SEP] second [SEP]``; words of the second follow those of the first."""
    first, first_parts = _tokens([a for a, _ in pairs], tokenizer, length // 2)
    second, second_parts = _tokens([b for _, b in pairs], tokenizer, length // 2 + 1)
    inputs, parts = np.zeros((len(pairs), length), dtype=np.int64), np.full((len(pairs), length), -1, dtype=np.int64)
    for row in range(len(pairs)):
        used, more = int((first[row] > 0).sum()), int((second[row] > 0).sum()) - 1  # the second loses its [CLS]
        end, shift = used + more, int(first_parts[row].max()) + 1
        inputs[row, :end] = np.concatenate([first[row, :used], second[row, 1 : more + 1]])
        later = second_parts[row, 1 : more + 1]
        parts[row, :end] = np.concatenate([first_parts[row, :used], np.where(later >= 0, later + shift, -1)])
    return inputs, parts


def _read(path: Path) -> list[tuple[str, str]]:
    return [(sentence, label) for sentence, label in _columns(path, ("sentence", "label"))]


def _columns(path: Path, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return columns of a tab-separated table, with a header and without quotes."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        lacking = [name for name in names if name not in (lines.fieldnames or ())]
        if lacking:
            raise DataError(
                f"{path} must have the columns {', '.join(names)}; got {', '.join(lines.fieldnames or ())}. "
                "Download it again."
            )
        return [tuple(line[name] for name in names) for line in lines]


def _lines(path: Path, n: int) -> list[list[str]]:
    """Return the cells of a table without header, ``n`` in each line."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    wrong = next((i for i, row in enumerate(rows) if len(row) != n), None)
    if wrong is not None or not rows:
        got = "an empty file" if wrong is None else f"{len(rows[wrong])} in line {wrong + 1}"
        raise DataError(f"each line of {path} must have {n} cells; got {got}. Download it again.")
    return rows


def _wordpiece(vocabulary: Path) -> Any:
    """Return BERT's uncased tokenizer with the vocabulary of a file."""
    try:
        from transformers import BertTokenizer
    except ImportError as error:
        raise missing_extra("transformers", "hf", "sentences as data") from error
    entries = vocabulary.read_text(encoding="utf-8").splitlines()
    return BertTokenizer(vocab={entry: i for i, entry in enumerate(entries)}, do_lower_case=True)


def _tokens(sentences: Sequence[str], tokenizer: Any, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens and the index of the meaningful word of each, both of shape ``(sentences, length)``.

    Padding is token 0; its part is -1, as are those of stop words and punctuation.
    """
    read = words(tokenizer, sentences, max_length=length, allow_empty=True)
    width = read.input_ids.shape[1]
    ids = np.zeros((len(sentences), length), dtype=np.int64)
    parts = np.full((len(sentences), length), -1, dtype=np.int64)
    ids[:, :width] = np.where(read.attention_mask.numpy() > 0, read.input_ids.numpy(), 0)
    parts[:, :width] = read.parts.numpy()
    return ids, parts
