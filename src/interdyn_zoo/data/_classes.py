"""Classes of users' own data: whatever their names, they become 0, 1, 2."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from interdyn.errors import DataError


def numbered(train: Sequence[object], test: Sequence[object] | None = None, *, place: str) -> dict[str, Any]:
    """Return the fields of a `Dataset` about classes: ``targets``, ``n_classes`` and ``test``.

    Classes are numbered in the order of their sorted names; samples are those of ``train``, then those of ``test``.
    Without a test part ``test`` of the data set is None.

    Raises
    ------
    DataError
        If there are no samples, a class is neither a string nor a number, or a test sample has a class that no training
        sample has; ``place`` is the source, for errors.

    Examples
    --------
    >>> numbered(["dog", "cat"], ["cat"], place="my.csv")
    {'targets': array([1, 0, 0]), 'n_classes': 2, 'test': array([False, False,  True])}
    """
    if not len(train):
        raise DataError(f"{place} must contain samples for training; got none. Add some.")
    labels = (*train, *(test or ()))
    odd = next((label for label in labels if not isinstance(label, str | int | float) or label != label), None)
    if odd is not None:
        raise DataError(
            f"the class of each sample of {place} must be one string or number; got {odd!r}. Pass them in an array of "
            "shape (samples,), without gaps, not one-hot."
        )
    names = sorted(set(train), key=lambda name: (str(type(name)), name))
    number = {name: i for i, name in enumerate(names)}
    outside = next((label for label in labels if label not in number), None)
    if outside is not None:
        known = ", ".join(map(str, names[:12]))
        raise DataError(
            f"each test sample of {place} must have a class of the training part ({known}); got {outside!r}. "
            "Correct the label, or leave the sample out."
        )
    return {
        "targets": np.array([number[label] for label in labels], dtype=np.int64),
        "n_classes": len(names),
        "test": None if test is None else np.arange(len(labels)) >= len(train),
    }
