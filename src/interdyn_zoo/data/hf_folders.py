"""Data sets saved to disk by Hugging Face ``datasets``."""

from typing import Any

import numpy as np

from interdyn.errors import DataError, RecipeError, missing_extra
from interdyn.recipes import Dataset, dataset
from interdyn_zoo.data._classes import numbered
from interdyn_zoo.data._root import own_path, reads_files
from interdyn_zoo.data.image_files import picture
from interdyn_zoo.data.sentences import coded

_TEST = ("test", "validation", "dev")


@dataset("hf-dataset")
@reads_files
def hf_dataset(
    *,
    seed: int,  # noqa: ARG001
    path: str,
    label: str = "label",
    text: str | None = None,
    vocabulary: str = "bert_vocab/vocab.txt",
    max_length: int = 32,
    image: str | None = None,
    size: int = 32,
    grey: bool = False,
) -> Dataset:
    """Return what ``save_to_disk`` of Hugging Face ``datasets`` wrote: texts or images, and their classes.

    Parameters
    ----------
    path
        The folder. A part ``test`` (or ``validation``) is the test part; without one it is drawn.
    label
        Column of the classes; samples without one (-1) are left out.
    text, vocabulary, max_length
        Column of the texts; file with BERT's vocabulary; tokens a text is truncated to.
    image, size, grey
        Column of the images; they are cropped to their central square and scaled to ``size x size``; one channel.

    Returns
    -------
    Dataset
        Tokens of shape ``(samples, max_length)`` with the meaningful words as parts, or images of shape ``(samples, 3
        or 1, size, size)``.

    Raises
    ------
    DataError
        If the folder is not such a data set, a column is missing, or a test class is not in training.
    RecipeError
        If not exactly one of ``text`` and ``image`` is named.
    MissingExtraError
        If datasets (or transformers, or pillow) is not installed.
    """
    if (text is None) == (image is None):
        raise RecipeError(
            "`data.options` of `hf-dataset` must name the column `text` or the column `image`; got "
            f"{'both' if text else 'neither'}. For example: --set data.options.text=sentence"
        )
    column = text or image or ""
    root = own_path(path, what="a folder written by save_to_disk", folder=True)
    learned, seen = (
        [(row[column], row[label]) for row in part if row[label] not in (-1, None)]
        for part in _parts(root, (column, label))
    )
    if text:
        words = own_path(vocabulary, what="a vocabulary of BERT")
        return coded(learned, seen or None, words, max_length, place=str(root))
    answers = numbered([given for _, given in learned], [given for _, given in seen] or None, place=str(root))
    return Dataset(np.stack([picture(cell, size, grey=grey) for cell, _ in learned + seen]), **answers)


def _parts(root: Any, columns: tuple[str, ...]) -> tuple[Any, Any]:
    """Return the rows of the training and the test part."""
    try:
        import datasets
    except ImportError as error:
        raise missing_extra("datasets", "hf", "data sets of Hugging Face") from error
    try:
        read = datasets.load_from_disk(str(root))
    except (FileNotFoundError, ValueError, OSError) as error:
        raise DataError(f"{root} must be a folder written by save_to_disk; got: {error}. Save it again.") from error
    if not isinstance(read, datasets.DatasetDict):
        train, test = read, ()
    else:
        if "train" not in read:
            raise DataError(f"{root} must have the part `train`; got {', '.join(read)}. Save it with one.")
        train, test = read["train"], next((read[name] for name in _TEST if name in read), ())
    lacking = next((name for name in columns if name not in train.column_names), None)
    if lacking:
        raise DataError(
            f"{root} must have the column `{lacking}`; got {', '.join(train.column_names)}. Name one of them "
            "in `data.options`."
        )
    return train, test
