"""``interdyn samples``."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from interdyn.cli._say import cell, say


def samples(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    step: Annotated[int | None, typer.Option(help="Step to show. Default: the last measured step.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Print the samples of a run: mean order, cancellation, score, and which ones look mislabelled.

    Example: **interdyn samples interdyn-demo --step 519**
    """
    from interdyn.measurement import History
    from interdyn.store import json_bytes

    history = History.read(run)
    if history.damage:
        say(f"interdyn: {history.damage}", err=True)
    found = history.samples(step)
    if json_:
        content = found.to_json()
        content["samples"] = content.pop("rows")
        say(json_bytes(content).decode(), nl=False)
        return
    table = Table(title=f"{len(found)} samples at step {found.step}", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for name in found.HEADS:  # narrow enough for 80 columns
        table.add_column(name, justify="left" if name == "group" else "right", no_wrap=True)
    for row in found:
        table.add_row(*map(cell, row.cells()))
    Console().print(table)
    say(found.sentence)
    for row in found:
        if row.flagged:
            say(f"{row.group} {row.sample_id}: {row.sentence}")
