"""Folders of NumPy files as the authors' code writes them."""

from pathlib import Path
from tokenize import TokenError

import numpy as np
import torch
from jaxtyping import Float, Int64

from interdyn._arguments import file_path, native_array, real_array
from interdyn.errors import DataError, ShapeError
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Interactions, n_players_from_size

_NEEDED = ("rewards", "Iand", "Ior")


def read_laboratory(folder: str | Path, *, unit: str = "") -> Interactions:
    """Return the interactions in a folder with ``rewards.npy``, ``Iand.npy``, ``Ior.npy`` and, usually, ``masks.npy``.

    There, player 0 is the most significant bit of a row's number; here, the least significant. ``masks.npy`` (rows of
    Booleans, shape ``(2**n, n)``), if present, gives the subset of each row, in any order; without it the rows count up
    in binary. Arrays have shape ``(2**n,)`` or ``(samples, 2**n)``.

    Returns
    -------
    Interactions
        Float64. ``residual`` is ``rewards`` minus the explanation, ``noise_bound`` its largest absolute value; there is
        no certificate, so ``gap`` is NaN.

    Raises
    ------
    DataError
        If a file is missing.
    ShapeError
        If shapes do not fit each other, or masks are not all subsets.
    """
    path = file_path(folder, "folder")
    missing = [f"{name}.npy" for name in _NEEDED if not (path / f"{name}.npy").is_file()]
    if missing:
        raise DataError(
            f"a folder of the authors' code contains rewards.npy, Iand.npy, Ior.npy; got no "
            f"{', '.join(missing)} in {path}."
        )
    tables = {name: real_array(_loaded(path / f"{name}.npy"), name) for name in _NEEDED}
    shapes = {table.shape for table in tables.values()}
    if len(shapes) != 1:
        raise ShapeError(f"rewards, Iand and Ior must have one shape; got {sorted(map(str, shapes))} in {path}.")
    n = n_players_from_size(next(iter(shapes))[-1], "rewards")
    place = _places(path / "masks.npy", n)
    v, i_and, i_or = (torch.from_numpy(_moved(tables[name], place)) for name in _NEEDED)
    i_and[..., 0] += i_or[..., 0]  # the constant is kept among the AND interactions
    i_or[..., 0] = 0.0
    residual = v - values_from_and(i_and) - values_from_or(i_or)
    objective = i_and.abs().sum(-1) + i_or.abs().sum(-1)
    return Interactions(
        i_and=i_and,
        i_or=i_or,
        unit=unit,
        residual=residual,
        objective=objective,
        gap=torch.full_like(objective, torch.nan),
        status=np.full(objective.shape, "read from a folder; no certificate"),
        noise_bound=residual.abs().amax(-1),
        settings={"source": path.name},
    )


def _loaded(file: Path) -> np.ndarray:
    try:
        read = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError, TokenError) as error:
        raise DataError(f"{file} must be a complete NumPy array; got {error}. Copy or create it again.") from error
    if not isinstance(read, np.ndarray) or not read.ndim:
        raise DataError(f"{file} must be an array with one value for each subset; got another. Create it again.")
    return read


def _places(masks: Path, n: int) -> Int64[np.ndarray, " subsets"]:
    """Return the subset of each row."""
    if not masks.is_file():
        rows = np.arange(2**n)
        return np.asarray(sum(((rows >> (n - 1 - i)) & 1) << i for i in range(n)) + 0 * rows, dtype=np.int64)
    present = native_array(_loaded(masks), "masks").astype(bool)
    if present.shape != (2**n, n):
        raise ShapeError(f"masks must have shape {(2**n, n)}, one row for each subset; got {present.shape}.")
    place = present @ (1 << np.arange(n))
    if len(np.unique(place)) != 2**n:
        raise ShapeError(f"masks must contain every subset of {n} players once; got {len(np.unique(place))} of {2**n}.")
    return np.asarray(place, dtype=np.int64)


def _moved(
    table: Float[np.ndarray, "*batch subsets"], place: Int64[np.ndarray, " subsets"]
) -> Float[np.ndarray, "*batch subsets"]:
    out = np.empty_like(table)
    out[..., place] = table
    return out
