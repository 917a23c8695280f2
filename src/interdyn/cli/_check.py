"""``interdyn check``."""

from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


def check(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Rebuild damaged files where possible, and remove leftovers of killed processes."
        ),
    ] = False,
) -> None:
    """Read every file of a run and list those that are damaged, missing or left over.

    Exits with 1 if there are any.

    Example: **interdyn check interdyn-demo --repair**
    """
    from interdyn.store import check_run

    found = check_run(run, repair=repair)
    for finding in found:
        say(finding)
    left = sum(not finding.mended for finding in found)
    if left:
        say(f"{left} {'file is' if left == 1 else 'files are'} damaged, missing or left over.")
        raise typer.Exit(1)
    say("All files are intact.")
