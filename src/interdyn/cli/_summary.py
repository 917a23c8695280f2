"""``interdyn summary``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table


def summary(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    json_: Annotated[bool, typer.Option("--json", help="Print summary.json itself, for programs.")] = False,
) -> None:
    """Print what a finished run found.

    Example: [bold]interdyn summary interdyn-demo --json[/bold]
    """
    from interdyn.store import json_bytes, open_run, read_summary

    content = read_summary(open_run(run))
    if json_:
        typer.echo(json_bytes(content).decode(), nl=False)
        return
    Console().print(_table(content))
    for sentence in _sentences(content):
        typer.echo(sentence)


def _table(content: Mapping[str, Any]) -> Table:
    """Return one row for each checkpoint."""
    title = f"{content['recipe']}: {content['n_samples']} samples, {content['n_players']} players"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for name in (
        "step",
        "mean order",
        "train loss",
        "test loss",
        "noise variance",
        "distance to theory",
        "phase 2",
    ):
        table.add_column(name, justify="right")
    theory = {row["step"]: row for row in content.get("theory") or ()}
    steps = content["steps"]
    columns = (content.get(key) or [None] * len(steps) for key in ("mean_order", "train_loss", "test_loss"))
    for step, order, train, test in zip(steps, *columns, strict=True):
        row = theory.get(step, {})
        table.add_row(
            f"{step:g}",
            *(_cell(value, ".3f") for value in (order, train, test)),
            _cell(row.get("noise_var"), ".1e"),
            _cell(row.get("tv_distance"), ".3f"),
            "yes" if row.get("in_phase_2") else "reference" if step == steps[-1] and theory else "",
        )
    return table


def _cell(value: float | None, style: str) -> str:
    return "-" if value is None else format(value, style)


def _sentences(content: Mapping[str, Any]) -> list[str]:
    """Return the verdict and the cost in words."""
    verdict = content.get("verdict") or []
    seconds = content["seconds"]
    cost = ", ".join(f"{name.replace('_', ' ')} {value:.0f} s" for name, value in seconds.items())
    solver = content.get("solver") or {}
    return [
        *([verdict] if isinstance(verdict, str) else verdict),
        f"Cost: {content['forward_passes']:,} forward passes; {cost}.",
        f"Solver: certified gap {_cell(solver.get('mean_gap'), '.1e')} on average, "
        f"{_cell(solver.get('max_gap'), '.1e')} at most.",
    ]
