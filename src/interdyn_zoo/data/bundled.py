"""Real data shipped inside scikit-learn: handwritten digits and two tables."""

from typing import Any

import numpy as np

from interdyn.errors import missing_extra
from interdyn.recipes import Dataset, dataset


def _bundle(loader: str, name: str) -> Any:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise missing_extra("scikit-learn", "data", f"the data `{name}`") from error
    return getattr(datasets, loader)()


@dataset("digits")
def digits(*, seed: int) -> Dataset:  # noqa: ARG001  the same images for every seed
    """Return 1,797 handwritten digits, pixels in [0, 1], shape ``(1797, 1, 8, 8)``.

    Source: UCI "Optical Recognition of Handwritten Digits", test part (Alpaydin and Kaynak, 1998).

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    read = _bundle("load_digits", "digits")
    return Dataset(inputs=(read.data / 16).astype(np.float32).reshape(-1, 1, 8, 8), targets=read.target, n_classes=10)


def _table(loader: str, name: str) -> Dataset:
    table = _bundle(loader, name)
    return Dataset(
        inputs=table.data.astype(np.float32),
        targets=table.target,
        n_classes=len(table.target_names),
        names=tuple(map(str, table.feature_names)),
        class_names=tuple(map(str, table.target_names)),
    )


@dataset("breast_cancer")
def breast_cancer(*, seed: int) -> Dataset:  # noqa: ARG001  the same rows for every seed
    """Return 569 tumours, 30 columns, 2 classes.

    Source: UCI "Breast Cancer Wisconsin (Diagnostic)" (Street, Wolberg and Mangasarian, 1993).

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    return _table("load_breast_cancer", "breast_cancer")


@dataset("wine")
def wine(*, seed: int) -> Dataset:  # noqa: ARG001  the same rows for every seed
    """Return 178 wines, 13 columns, 3 classes.

    Source: UCI "Wine" (Aeberhard and Forina, 1992).

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    return _table("load_wine", "wine")
