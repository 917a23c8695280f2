"""Classes of data that people bring along: whatever they are called, they become 0, 1, 2."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from interdyn.errors import DataError


def numbered(train: Sequence[object], test: Sequence[object] = (), *, place: str) -> Int[np.ndarray, " samples"]:
    """Return the classes of training and test samples as numbers, in the order of their sorted names.

    Raises
    ------
    DataError
        If a test sample has a class that no training sample has; ``place`` says where it stands.

    Examples
    --------
    >>> numbered(["dog", "cat"], ["cat"], place="my.csv").tolist()
    [1, 0, 0]
    """
    names = sorted(set(train), key=lambda name: (str(type(name)), name))
    number = {name: i for i, name in enumerate(names)}
    outside = next((label for label in test if label not in number), None)
    if outside is not None:
        known = ", ".join(map(str, names[:12]))
        raise DataError(
            f"each test sample of {place} must have a class of the training part ({known}); got {outside!r}. "
            "Correct the label, or leave the sample out."
        )
    return np.array([number[label] for label in (*train, *test)], dtype=np.int64)
