"""``interdyn check``."""

from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


def check(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Write anew what other files tell; remove what killed writers have left."),
    ] = False,
) -> None:
    """Read every file of a run and tell which are damaged or lacking; exit with 1 when there are any.

    Example: [bold]interdyn check interdyn-demo --repair[/bold]
    """
    from interdyn.store import check_run

    found = check_run(run, repair=repair)
    for finding in found:
        say(finding)
    left = sum(not finding.mended for finding in found)
    if left:
        say(f"{left} files are damaged, lacking or left over.")
        raise typer.Exit(1)
    say("All files are whole.")
