"""``interdyn export``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


class Format(StrEnum):
    """Formats of an exported run."""

    ZARR = "zarr"
    NETCDF = "netcdf"
    PARQUET = "parquet"
    CSV = "csv"


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    to: Annotated[
        Format, typer.Option("--to", help="zarr or netcdf: arrays with named axes. parquet or csv: long tables.")
    ],
    out: Annotated[Path | None, typer.Option(help="New or empty folder. Default: RUN-FORMAT.")] = None,
) -> None:
    """Write all measurements of a run in a format that other programs read.

    Example: **interdyn export interdyn-demo --to parquet**
    """
    from interdyn.exports import export_run

    folder = run.with_name(f"{run.resolve().name}-{to}") if out is None else out
    for path in export_run(run, to=to, out=folder):
        say(path)
