"""``interdyn samples``."""

from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from interdyn.measurement import SampleRow, SampleTable


def samples(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    step: Annotated[int | None, typer.Option(help="Look at this step; by default the last that is measured.")] = None,
    one_look: Annotated[
        bool, typer.Option("--one-look", help="Scores of that step alone, not a mean over the looks up to it.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print all of it, for programs.")] = False,
) -> None:
    """Print the samples of a run one by one: orders, cancellation, over-fitting score, who looks memorised.

    Example: [bold]interdyn samples interdyn-demo --step 519[/bold]
    """
    from interdyn.measurement import History
    from interdyn.store import json_bytes

    found = History.read(run).samples(step, history=not one_look)
    if json_:
        content = {"step": found.step, "looks": list(found.looks), "learned_at": found.learned_at}
        content["sentence"] = found.sentence
        typer.echo(json_bytes({**content, "samples": [asdict(row) for row in found]}).decode(), nl=False)
        return
    Console().print(_table(found))
    typer.echo(found.sentence)
    for row in found:
        if row.flagged:
            typer.echo(f"{row.group} {row.sample_id}: {row.sentence}")


def _table(found: "SampleTable") -> Table:
    """Return one line for each sample, training samples first, the most suspicious first."""
    title = f"{len(found)} samples at step {found.step}"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)  # narrow enough for 80 columns
    for name in ("group", "sample", "label", "output", "order", "cancels", "score", "rank", "flag"):
        table.add_column(name, justify="left" if name == "group" else "right", no_wrap=True)
    for row in found:
        table.add_row(*_cells(row))
    return table


def _cells(row: "SampleRow") -> tuple[str, ...]:
    score = "-" if isnan(row.score) else f"{row.score:+.2f} ± {row.score_high - row.score:.2f}"
    rank = "-" if row.rank is None else f"{row.rank} ({row.rank_low}-{row.rank_high})"
    label = "-" if row.label is None else str(row.label)
    numbers = (f"{row.output:+.2f}", f"{row.mean_order:.2f}", f"{row.cancelling:.2f}")
    return (row.group, str(row.sample_id), label, *numbers, score, rank, "yes" if row.flagged else "")
