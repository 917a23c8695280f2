"""Tables in users' own files: CSV and Parquet, with strings and missing values."""

import csv
import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from interdyn.errors import DataError, missing_extra
from interdyn.recipes import Dataset, dataset
from interdyn_zoo.data._classes import numbered
from interdyn_zoo.data._root import own_path, reads_files

_GAPS = ("", "?", "nan", "na", "n/a", "null")  # in lower or upper case


@dataset("table")
@reads_files
def table(*, seed: int, path: str, target: str, regression: bool = False) -> Dataset:  # noqa: ARG001
    """Return the rows of a table: ``.csv`` (also with ``;``) or ``.tsv``, with or without gzip, or ``.parquet``.

    Parameters
    ----------
    path
        The file, with the names of the columns in its first line.
    target
        Column of the classes, or of the numbers to predict.
    regression
        The target contains numbers instead of classes.

    Returns
    -------
    Dataset
        One feature for a numeric column, and one more that marks its missing values if it has any, which are filled by
        the mean; one for each distinct string in a column of strings, a missing value being one of them. Missing values
        are empty cells, ``?``, ``NA`` and ``NaN``. ``parts`` are the columns.

    Raises
    ------
    DataError
        If the file is not such a table, has no such column, or a cell of a numeric column is not a number.
    MissingExtraError
        If pyarrow is not installed (.parquet only).

    Notes
    -----
    A column is numeric when the first or half of its filled cells are numbers; a cell that is not is then refused.
    """
    return coded_table(own_path(path, what="a table"), target=target, regression=regression)


def coded_table(path: Path, *, target: str, regression: bool) -> Dataset:
    """Return the rows of the table at ``path``; see `table`."""
    header, rows = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"the columns of the table {path} need distinct names; got two `{twice}`. Rename one.")
    if target not in header:
        raise DataError(f"the table {path} must have the column `{target}`; got {', '.join(header)}. Name one of them.")
    columns = {column: [row[place] for row in rows] for place, column in enumerate(header)}
    last = columns.pop(target)
    if not last or any(_is_gap(cell) for cell in last):
        gap = next((f"no value in row {i + 2}" for i, cell in enumerate(last) if _is_gap(cell)), "no rows")
        raise DataError(f"each row of {path} must have its `{target}`; got {gap}. Fill it, or leave the row out.")
    coded = [_coded(column, cells) for column, cells in columns.items()]
    if not coded:
        raise DataError(f"the table {path} must have a column besides `{target}`; got none. Name another target.")
    answers: dict[str, Any] = {"n_classes": None}
    answers |= {"targets": _numbers(target, last)} if regression else numbered(last, place=str(path))
    blocks, categories = zip(*coded, strict=True)
    parts = np.repeat(np.arange(len(coded)), [len(of) for of in categories])
    return Dataset(
        np.concatenate(blocks, axis=1),
        parts=np.broadcast_to(parts, (len(rows), len(parts))),
        names=tuple(columns),
        categories=tuple(category for of in categories for category in of),
        **answers,
    )


def _csv(path: Path) -> tuple[list[str], list[list[str]]]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = "\t" if ".tsv" in path.suffixes else max(",;\t", key=first.count)
            header, *rows = list(csv.reader(file, delimiter=delimiter)) or [[]]
    except (UnicodeDecodeError, OSError, EOFError, csv.Error) as error:
        raise DataError(f"{path} must be a text table in UTF-8; got {error}. Save it again.") from error
    while rows and not rows[-1]:  # empty lines at the end
        rows.pop()
    short = next((i for i, row in enumerate(rows) if len(row) != len(header)), None)
    if short is not None:
        raise DataError(
            f"each row of {path} must have {len(header)} cells; got {len(rows[short])} in row {short + 2}. Correct it."
        )
    return header, rows


def _parquet(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "tables", "tables from .parquet files") from error
    try:
        read = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise DataError(f"{path} must be a table in Parquet; got {error}. Write it again.") from error
    cells = [["" if cell is None else str(cell) for cell in column.to_pylist()] for column in read.columns]
    return list(read.column_names), [list(row) for row in zip(*cells, strict=True)]


def _coded(name: str, cells: list[str]) -> tuple[Float32[np.ndarray, "rows features"], list[str]]:
    """Return a numeric column, with an indicator of missing values if there are any; one of strings as 0 and 1.

    With what each feature stands for: a category, or ``""`` for a number.

    A missing value in a column of strings is a value of its own; one in a numeric column becomes the mean of the rest.
    """
    filled = [cell for cell in cells if not _is_gap(cell)]
    numbers = [_is_number(cell) for cell in filled]
    if not any(numbers[:1]) and 2 * sum(numbers) < max(1, len(filled)):
        categories = sorted(set(cells))
        place = {category: i for i, category in enumerate(categories)}
        codes = np.eye(len(categories), dtype=np.float32)[[place[cell] for cell in cells]]
        return codes, [category or "missing" for category in categories]
    values = _numbers(name, cells)
    gap = np.isnan(values)
    values[gap] = values[~gap].mean()
    columns = [values, gap] if gap.any() else [values]
    return np.stack(columns, axis=1).astype(np.float32), ["", "missing"][: len(columns)]


def _numbers(name: str, cells: list[str]) -> np.ndarray:
    """Return a numeric column, NaN for its missing values."""
    wrong = next((i for i, cell in enumerate(cells) if not _is_gap(cell) and not _is_number(cell)), None)
    if wrong is not None:
        raise DataError(
            f"the column `{name}` must contain numbers; got {cells[wrong]!r} in row {wrong + 2}. Correct the cell, or "
            "leave it empty."
        )
    return np.array([np.nan if _is_gap(cell) else float(cell) for cell in cells])


def _is_gap(cell: str) -> bool:
    return cell.strip().lower() in _GAPS


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
