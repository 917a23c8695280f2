"""How much the outcome depends on each choice that the paper leaves open, from the stored outputs of finished runs.

The outputs on masked inputs are read from the run; the split, the salience or the merge of order one is done otherwise,
and the whole analysis again. The mask of the players not drawn cannot be changed afterwards: pass a second run, made
with ``--set players.others=mask``, as ``RUN=OTHER``.

Run: ./run fidelity RUN [RUN=OTHER ...]
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from _tables import and_alone, course, lines, number, span
from interdyn import store
from interdyn.measurement import analyse
from interdyn.sparsify import split

PAGE = Path(__file__).parents[1] / "docs" / "results" / "fidelity.md"
COLUMNS = ("choice", "mean order", "boundary", "distance to theory", "noise", "mean gap of the split")
HEAD = """# How much each open choice matters

Written by `./run fidelity RUN ...` from the stored outputs of the runs; [fidelity](../fidelity.md) says what the paper
states on each. The first line of a table is the run as its recipe says; every other line changes one choice.

"""
OWN = {"tol": 3e-3}
MAX = {"salience": 0.05, "salience_rule": "max"}


def variants(sgd_steps: int) -> dict[str, tuple[Callable, dict, dict]]:
    """Return name -> (function from outputs to interactions, its options, options of the analysis)."""
    return {
        "as the recipe": (split, OWN, {}),
        "bound 0.04": (split, OWN | {"noise_bound": 0.04}, {}),
        "bound 0.05": (split, OWN | {"noise_bound": 0.05}, {}),
        "order one not merged": (split, OWN | {"merge_order_one": False}, {}),
        "AND only": (and_alone, {}, {}),
        "the laboratory's solver": (split, {"solver": "sgd-paper", "max_iter": sgd_steps}, {}),
        "salience 0.05 of the strongest": (split, OWN, MAX),
    }


def cells(name: str, summary: dict, gap: float) -> list[str]:
    """Return one line of the table."""
    phases, theory = summary["phases"], summary["theory_summary"]
    return [
        name,
        course(summary["mean_order"]),
        span(phases["boundary_step"], phases["interval"]),
        number(theory["mean_tv_phase_2"], 3),
        number(theory["noise_rank_correlation"], 2),
        f"{gap:.1e}",
    ]


def table(folder: Path, masked: Path | None, sgd_steps: int) -> list[str]:
    """Return the lines of one run."""
    run = store.open_run(folder)
    measured = [store.read_measurement(run, step, group="test") for step in run.steps]
    history = store.read_history(run)
    losses = {name: [entry[name] for entry in history] for name in ("train_loss", "test_loss")}
    rows = []
    for name, (explain, options, analysis) in variants(sgd_steps).items():
        found = [explain(torch.from_numpy(m.v), **options) for m in measured]
        group = {"interactions": found, "sample_ids": measured[0].sample_ids.tolist()}
        result = analyse(list(run.steps), {"test": group}, **losses, options=analysis)
        rows.append(cells(name, result["summary"], result["summary"]["solver"]["mean_gap"]))
        print(" | ".join(rows[-1]), flush=True)
    if masked is not None:
        other = store.read_summary(store.open_run(masked))
        rows.append(cells("players not drawn masked", other, other["solver"]["mean_gap"]))
        print(" | ".join(rows[-1]))
    return [f"## {run.recipe_name}", "", *lines(COLUMNS, rows), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="folder of a finished run, or RUN=OTHER")
    parser.add_argument("--sgd-steps", type=int, default=20_000, help="steps of the laboratory's solver")
    options = parser.parse_args()
    page = []
    for pair in options.runs:
        folder, _, masked = pair.partition("=")
        print(folder)
        page += table(Path(folder), Path(masked) if masked else None, options.sgd_steps)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(HEAD + "\n".join(page))


if __name__ == "__main__":
    main()
