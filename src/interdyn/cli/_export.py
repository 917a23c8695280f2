"""``interdyn export``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


class Format(StrEnum):
    """How a run can be written."""

    ZARR = "zarr"
    NETCDF = "netcdf"
    PARQUET = "parquet"
    CSV = "csv"


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    to: Annotated[Format, typer.Option("--to", help="Arrays with named axes, or long tables.")],
    out: Annotated[
        Path | None, typer.Option(help="A new or empty folder; by default RUN with the format added to its name.")
    ] = None,
) -> None:
    """Write all that a run has measured for other programs.

    Example: [bold]interdyn export interdyn-demo --to parquet[/bold]
    """
    from interdyn.exports import export_run

    folder = run.with_name(f"{run.resolve().name}-{to}") if out is None else out
    for path in export_run(run, to=to, out=folder):
        say(path)
