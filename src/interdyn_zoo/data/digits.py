"""Handwritten digits, 1,797 real images of 8x8 pixels, shipped inside scikit-learn."""

import numpy as np

from interdyn.errors import missing_extra
from interdyn.recipes import Dataset, dataset


@dataset("digits")
def digits(*, seed: int) -> Dataset:  # noqa: ARG001  the same images for every seed
    """Return the digits, pixels in [0, 1], shape ``(1797, 1, 8, 8)``.

    Source: UCI "Optical Recognition of Handwritten Digits", test part (Alpaydin and Kaynak, 1998).

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise missing_extra("scikit-learn", "data", "the data `digits`") from error
    images, labels = load_digits(return_X_y=True)
    return Dataset(inputs=(images / 16).astype(np.float32).reshape(-1, 1, 8, 8), targets=labels, n_classes=10)
