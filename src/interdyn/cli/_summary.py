"""``interdyn summary``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from interdyn.cli._say import cell, say

if TYPE_CHECKING:
    import numpy as np

    from interdyn.values import RunResult


def summary(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    json_: Annotated[bool, typer.Option("--json", help="Print summary.json instead of a table.")] = False,
) -> None:
    """Print the results of a finished run.

    Example: **interdyn summary interdyn-demo --json**
    """
    from interdyn.store import json_bytes, read_result

    result = read_result(run)
    if json_:
        say(json_bytes(result.to_json()["summary"]).decode(), nl=False)
        return
    Console().print(_table(result))
    for sentence in _sentences(result):
        say(sentence)


def _table(result: "RunResult") -> Table:
    """Return one row for each checkpoint."""
    samples = f"{result.n_samples} sample{'' if result.n_samples == 1 else 's'}"
    title = f"{result.recipe}: {samples}, mean order of {result.game}"
    table = Table(title=cell(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    theory, orders = result.theory, None if result.first is None else result.first.mean_order
    columns = {
        "mean\norder": (None if orders is None else orders.value, ".3f"),
        "train\nloss": (result.train_loss, ".3f"),
        "test\nloss": (result.test_loss, ".3f"),
        "noise\nvariance": (None if theory is None else theory.noise_var.value, ".1e"),
        "theory\npredicts": (_correlation(result, best="theory"), ".3f"),
        "best\nrival": (_correlation(result, best="rival"), ".3f"),
        "distance\nof orders": (None if theory is None else theory.tv.value, ".3f"),
    }
    for name in ("step", *columns, "phase 2"):  # narrow enough for 80 columns
        table.add_column(name, justify="right", vertical="bottom", no_wrap=True)
    for i, step in enumerate(result.steps):
        cells = [_cell(None if array is None else array[i], style) for array, style in columns.values()]
        last = "reference" if theory and step == result.steps[-1] else ""
        table.add_row(f"{step:g}", *cells, "yes" if theory and theory.in_phase_2[i] else last)
    return table


def _correlation(result: "RunResult", *, best: str) -> "np.ndarray | None":
    """Return the correlation of the measured tables at each step with those predicted by the theory or a rival."""
    found = result.prediction
    if found is None or found.overall is None:
        return None
    return found.mechanisms[getattr(found.overall, best)].correlation.value


def _cell(value: float | None, style: str) -> str:
    return "-" if value is None or value != value else format(value, style)  # NaN is no number


def _sentences(result: "RunResult") -> list[str]:
    """Return the recommendation, the verdict, and the cost as text."""
    from interdyn.dynamics import recommend

    cost = ", ".join(f"{name.replace('_', ' ')} {value:.0f} s" for name, value in result.seconds.items())
    solver = result.solver
    return [
        str(recommend(result)),
        *result.verdict,
        *(() if result.windows is None else result.windows.sentences),
        f"Cost: {result.forward_passes or 0:,} forward passes; {cost}.",
        f"Solver: certified gap {_cell(solver.mean_gap, '.1e')} on average, {_cell(solver.max_gap, '.1e')} at most.",
    ]
