"""Tables under INTERDYN_DATA: incomes, telescope showers, houses, bicycles, two of credits; columns are their parts."""

import csv
import gzip
from pathlib import Path

import numpy as np

from interdyn.errors import DataError
from interdyn.recipes._dataset import Dataset
from interdyn.recipes._registry import dataset
from interdyn.recipes._root import find_data


@dataset("adult")
def adult(*, seed: int) -> Dataset:  # noqa: ARG001  the same rows for every seed
    """Return census incomes: 31,561 rows, 14 columns, more than 50,000 dollars or not.

    File ``tabular/adult.csv.gz``. Source: Becker and Kohavi (1996), UCI.
    """
    return _table("adult", "income", "https://archive.ics.uci.edu/dataset/2/adult", n_classes=2)


@dataset("magic")
def magic(*, seed: int) -> Dataset:  # noqa: ARG001
    """Return telescope showers: 18,020 rows, 10 columns, gamma or hadron.

    File ``tabular/magic_gamma_telescope.csv.gz``. Source: Bock et al. (2004), UCI.
    """
    return _table("magic_gamma_telescope", "class", "https://archive.ics.uci.edu/dataset/159", n_classes=2)


@dataset("california")
def california(*, seed: int) -> Dataset:  # noqa: ARG001
    """Return house values: 19,640 rows, 8 columns, a regression.

    File ``tabular/california_housing.csv.gz``. Source: Pace and Barry (1997).
    """
    return _table("california_housing", "MedHouseVal", "https://www.dcc.fc.up.pt/~ltorgo/Regression", n_classes=None)


@dataset("bike")
def bike(*, seed: int) -> Dataset:  # noqa: ARG001
    """Return hourly bicycle rentals: 16,379 rows, 12 columns, a regression.

    File ``tabular/bike_sharing_hourly.csv.gz``. Source: Fanaee-T and Gama (2013), UCI.
    """
    return _table("bike_sharing_hourly", "count", "https://archive.ics.uci.edu/dataset/275", n_classes=None)


@dataset("german")
def german(*, seed: int) -> Dataset:  # noqa: ARG001
    """Return credits: 900 rows, 20 columns, good or bad.

    File ``tabular/german_credit.csv.gz``. Source: Hofmann (1994), UCI.
    """
    return _table("german_credit", "credit_class", "https://archive.ics.uci.edu/dataset/144", n_classes=2)


@dataset("heloc")
def heloc(*, seed: int) -> Dataset:  # noqa: ARG001
    """Return home-equity credits: 9,959 rows, 23 columns, bad or good; -7, -8 and -9 are special values.

    File ``tabular/heloc.csv.gz``. Source: FICO Explainable Machine Learning Challenge (2018); not to be passed on.
    """
    return _table(
        "heloc", "RiskPerformance", "https://community.fico.com/s/explainable-machine-learning-challenge", n_classes=2
    )


def _table(name: str, target: str, source: str, *, n_classes: int | None) -> Dataset:
    (path,) = find_data(name, f"tabular/{name}.csv.gz", source=source)
    header, rows = _read(path)
    if target not in header:
        raise DataError(f"the table {path} must have the column `{target}`; got {', '.join(header)}. Name it so.")
    table = {column: [row[place] for row in rows] for place, column in enumerate(header)}
    last = table.pop(target)
    coded = [_coded(column, cells) for column, cells in table.items()]
    if n_classes is None:
        targets = np.array(last, dtype=np.float32)
    else:
        classes = sorted(set(last))
        if len(classes) != n_classes:
            raise DataError(
                f"the table {path} must have {n_classes} classes in `{target}`; got {classes[:9]}. Correct it."
            )
        targets = np.array([classes.index(value) for value in last])
    parts = np.repeat(np.arange(len(coded)), [block.shape[1] for block in coded])
    return Dataset(
        np.concatenate(coded, axis=1),
        targets,
        n_classes,
        parts=np.broadcast_to(parts, (len(rows), len(parts))),
    )


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    short = next((i for i, row in enumerate(rows) if len(row) != len(header)), None)
    if short is not None:
        raise DataError(
            f"each row of {path} must have {len(header)} cells; got {len(rows[short])} in row {short + 2}. Correct it."
        )
    return header, rows


def _coded(name: str, cells: list[str]) -> np.ndarray:
    """Return a column of numbers as it is, with an indicator of gaps where there are any; one of words as 0 and 1.

    A column is of words when its first filled cell is no number. A gap in a column of words is a word of its own; a gap
    in one of numbers becomes the mean of the others.
    """
    filled = [cell for cell in cells if cell not in ("", "?")]
    if not filled or not _is_number(filled[0]):
        categories = sorted(set(cells))
        place = {category: i for i, category in enumerate(categories)}
        return np.eye(len(categories), dtype=np.float32)[[place[cell] for cell in cells]]
    wrong = next((i for i, cell in enumerate(cells) if cell not in ("", "?") and not _is_number(cell)), None)
    if wrong is not None:
        raise DataError(
            f"the column `{name}` must hold numbers; got {cells[wrong]!r} in row {wrong + 2}. Correct the cell, or "
            "leave it empty."
        )
    values = np.array([float(cell) if cell not in ("", "?") else np.nan for cell in cells])
    gap = np.isnan(values)
    values[gap] = values[~gap].mean()
    columns = [values, gap] if gap.any() else [values]
    return np.stack(columns, axis=1).astype(np.float32)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
