"""``interdyn compare``."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two or more finished runs.")],
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("comparison.html"),
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Treat runs of one recipe as its seeds: draw mean and range.")
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write one page that compares finished runs.

    Example: **interdyn compare runs/a runs/b --open**
    """
    from interdyn.report import write_comparison

    page = write_comparison(runs, out, seeds=seeds)
    say(f"Report: {page}")
    if open_:
        webbrowser.open(page.resolve().as_uri())
