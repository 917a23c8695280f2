"""``interdyn verdicts``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


def verdicts(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    json_: Annotated[bool, typer.Option("--json", help="Print all of it, for programs.")] = False,
) -> None:
    """Print what was known at each look, from the looks up to it alone: phase, loss gap, harm; then on the whole.

    Example: [bold]interdyn verdicts interdyn-demo[/bold]
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
        say(f"The whole training, judged once. {whole.sentence}")
