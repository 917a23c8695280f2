"""``interdyn verdicts``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


def verdicts(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    json_: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Print the verdict at each measurement of a run: phase, loss gap and harm.

    Each verdict uses only the measurements up to its step. For a finished training, the verdict on all of it follows.

    Example: **interdyn verdicts interdyn-demo**
    """
    from interdyn.measurement import History
    from interdyn.store import json_bytes

    history = History.read(run)
    if history.damage:
        say(f"interdyn: {history.damage}", err=True)
    found = history.verdicts()
    if json_:
        say(json_bytes({"verdicts": [asdict(verdict) for verdict in found]}).decode(), nl=False)
        return
    for verdict in found:
        say(verdict.sentence)
    if history.over and (whole := history.verdict()) is not None and whole.sentence != found[-1].sentence:
        say(f"The whole training: {whole.sentence}")
