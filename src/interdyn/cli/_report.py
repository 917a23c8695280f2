"""``interdyn report``."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or of a tracked training.")],
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write report.html and the figures of a finished run, or of a tracked training that was stopped.

    Example: **interdyn report interdyn-demo --open**
    """
    from interdyn.cli._execute import write_page
    from interdyn.store import has_result, open_run, read_result

    found = open_run(run)
    if found.open_ended and not has_result(found):
        from interdyn.tracking import summarise

        summarise(run)
    read_result(found)  # reports how far an unfinished run is, and how to finish it
    page = write_page(run)
    say(f"Report: {page}")
    if open_:
        webbrowser.open(page.resolve().as_uri())
