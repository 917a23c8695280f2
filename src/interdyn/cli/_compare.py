"""``interdyn compare``."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two or more finished runs.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("comparison.html"),
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Runs of one recipe are seeds of it: drawn as mean and range.")
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write one page that sets finished runs beside each other.

    Example: [bold]interdyn compare runs/a runs/b --open[/bold]
    """
    from interdyn.report import write_comparison

    page = write_comparison(runs, out, seeds=seeds)
    say(f"Look at: {page}")
    if open_:
        webbrowser.open(page.resolve().as_uri())
