"""A run as files for other programs."""

import shutil
from collections.abc import Callable
from pathlib import Path

from interdyn import store
from interdyn._arguments import choice, file_path
from interdyn.errors import InputError, StorageError
from interdyn.exports._tables import library, run_to_pandas, run_to_xarray


def export_run(run: store.Run | str | Path, *, to: str, out: str | Path) -> list[Path]:
    """Write everything that a run has measured into a new folder, and return the files.

    Parameters
    ----------
    run
        A run, finished or not, or its folder.
    to
        ``"zarr"`` or ``"netcdf"``: a data set of `run_to_xarray` for each group; ``"parquet"`` or ``"csv"``: the tables
        of `run_to_pandas`.
    out
        The folder; it must be new or empty. A failed export leaves nothing there.

    Raises
    ------
    InputError
        If the format is unknown or the folder is not empty.
    StorageError
        If writing failed.
    IncompleteRunError, NotARunError, SchemaError, MissingExtraError
        As `run_to_xarray`.
    """
    choice(to, "to", tuple(FORMATS))
    folder = file_path(out, "out")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"an export needs a new or empty folder; got {folder}, which is not empty. Choose another.")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        names = FORMATS[to](run, part)
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    except OSError as error:
        why = str(error).rstrip(".")
        raise StorageError(f"the export could not be written to {folder}: {why}. Nothing is left there.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [folder / name for name in names]


def _zarr(run: store.Run | str | Path, folder: Path) -> list[str]:
    sets = run_to_xarray(run)
    library("zarr", "zarr")
    for name, data in sets.items():
        data.to_zarr(folder / f"{name}.zarr", zarr_format=2)  # strings have no stable specification in format 3
    return [f"{name}.zarr" for name in sets]


def _netcdf(run: store.Run | str | Path, folder: Path) -> list[str]:
    sets = run_to_xarray(run)
    library("h5py", "NetCDF")
    for name, data in sets.items():
        data.to_netcdf(folder / f"{name}.nc", engine="h5netcdf")
    return [f"{name}.nc" for name in sets]


def _parquet(run: store.Run | str | Path, folder: Path) -> list[str]:
    tables = run_to_pandas(run)
    library("pyarrow", "Parquet")
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return [f"{name}.parquet" for name in tables]


def _csv(run: store.Run | str | Path, folder: Path) -> list[str]:
    tables = run_to_pandas(run)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return [f"{name}.csv" for name in tables]


FORMATS: dict[str, Callable[[store.Run | str | Path, Path], list[str]]] = {
    "zarr": _zarr,
    "netcdf": _netcdf,
    "parquet": _parquet,
    "csv": _csv,
}
"""The formats in which a run can be written."""
