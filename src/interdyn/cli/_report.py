"""``interdyn report``."""

from pathlib import Path
from typing import Annotated

import typer


def report(run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Write report.html and the figures of a finished run again.

    Example: [bold]interdyn report interdyn-demo[/bold]
    """
    from interdyn.report import write_report
    from interdyn.store import open_run, read_summary

    read_summary(open_run(run))  # says how far an unfinished run is, and how to finish it
    typer.echo(f"Look at: {write_report(run)}")
