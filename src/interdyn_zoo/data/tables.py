"""Two real tables shipped inside scikit-learn."""

from typing import Any

import numpy as np

from interdyn.errors import missing_extra
from interdyn.recipes import Dataset, dataset


def _bundled(loader: str, name: str) -> Dataset:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise missing_extra("scikit-learn", "data", f"the data `{name}`") from error
    table: Any = getattr(datasets, loader)()
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
    return _bundled("load_breast_cancer", "breast_cancer")


@dataset("wine")
def wine(*, seed: int) -> Dataset:  # noqa: ARG001  the same rows for every seed
    """Return 178 wines, 13 columns, 3 classes.

    Source: UCI "Wine" (Aeberhard and Forina, 1992).

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    return _bundled("load_wine", "wine")
