"""How much the outcome depends on each choice that the paper leaves open, from finished runs.

The outputs on masked inputs are read from the run; the split, the salience or the merge of order one is changed,
and the complete analysis repeated. Masking or keeping the players that are not drawn changes the outputs themselves:
with ``--background`` the stored networks are measured again (needs the data, and as many forward passes as the run), or
a second run is given as ``RUN=OTHER``.

For a run of 40 checkpoints and 20 samples on one core: a minute or two for each split, ten for the
solver of the authors' code.

Run: ./run fidelity RUN [RUN=OTHER ...]
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from _tables import and_alone, course, lines, number, put, span
from interdyn import store
from interdyn.measurement import analyse, interactions, recorded
from interdyn.recipes import Recipe, build_model, load_recipe, load_samples, load_weights
from interdyn.recipes._measuring import choose_groups
from interdyn.sparsify import ORDER_WEIGHT, split
from interdyn.values import Interactions, RunResult

PAGE = Path(__file__).parents[1] / "docs" / "results" / "fidelity.md"
BOUNDS = (0.02, 0.04, 0.05)
COLUMNS = ("choice", "mean order", "boundary", "distance to theory", "noise", "moved", "mean gap of the split")
HEAD = """# How much does each choice matter that the paper leaves open?

In the runs below, a split into AND interactions alone moves the order distribution most (column *moved*), and merging
order one or not moves it least. The first line of a table is the run with its recipe; every other line changes
one choice. [Fidelity](../explanation/fidelity.md) lists what the paper states on each. `./run fidelity RUN ...` writes
a table from a finished run, which it needs: its numbers are kept in the table alone. A table has the boundaries of the
version of the finder that wrote it, so compare its lines with one another, not with other pages.

- **mean order**: at the start, its minimum, at the end.
- **boundary**: step at which phase 2 begins, with 90 % interval.
- **distance to theory**: mean total variation distance over phase 2; **noise**: rank correlation of fitted noise level
  and step.
- **moved**: mean over the checkpoints of the total variation distance between this order distribution and that of the
  first line.

"""


@dataclass(frozen=True)
class Variant:
    """One choice changed: interactions of each checkpoint, and options of the analysis."""

    name: str
    explain: Callable[[int, torch.Tensor], Interactions]  # step, outputs
    analysis: Mapping[str, Any]


def variants(run: store.Run, recipe: Recipe, *, sgd_steps: int, background: bool) -> Iterator[Variant]:
    """Yield the choices that differ from the recipe."""
    measured, own = recipe.measure, recipe.analysis.model_dump()
    options: dict[str, Any] = {
        key: getattr(measured, key)
        for key in ("noise_bound", "solver", "order_weight", "tol", "max_iter", "merge_order_one")
    }

    def by(**changes: Any) -> Callable[[int, torch.Tensor], Interactions]:
        return lambda _, v: split(v, **(options | changes))

    for bound in BOUNDS:
        if bound != measured.noise_bound:
            yield Variant(f"bound {bound}", by(noise_bound=bound), own)
    weight = 0.0 if measured.order_weight else ORDER_WEIGHT
    yield Variant(f"order weight {weight:g}", by(order_weight=weight), own)
    merged = measured.merge_order_one
    yield Variant(f"order one {'not ' if merged else ''}merged", by(merge_order_one=not merged), own)
    yield Variant("AND only", lambda _, v: and_alone(v), own)
    other = "admm" if measured.solver == "sgd-paper" else "sgd-paper"
    steps = sgd_steps if other == "sgd-paper" else None
    yield Variant(f"solver {other}", by(solver=other, max_iter=steps), own)
    strongest = {"salience": 0.05, "salience_rule": "max"}
    effect = {"salience": 0.03, "salience_rule": "mean-effect"}
    rule, name = (
        (strongest, "salience 0.05 of the strongest")
        if own["salience_rule"] == "mean-effect"
        else (effect, "salience 0.03 of the mean effect")
    )
    yield Variant(name, lambda step, _: interactions(_stored(run, step)), own | rule)
    if background and recipe.players.n is not None:
        name = "players not drawn masked" if recipe.players.others == "keep" else "players not drawn kept"
        yield Variant(name, _with_the_other_background(run, recipe), own)


def _stored(run: store.Run, step: int) -> store.Measurement:
    measurement = store.read_measurement(run, step, group="test")
    assert measurement is not None
    return measurement


def _with_the_other_background(run: store.Run, recipe: Recipe) -> Callable[[int, torch.Tensor], Interactions]:
    """Return a function that measures the stored network of a step again."""
    others = "mask" if recipe.players.others == "keep" else "keep"
    changed = recipe.model_copy(update={"players": recipe.players.model_copy(update={"others": others})})
    samples = load_samples(changed.data)
    group = choose_groups(changed, samples)[0]
    network = build_model(changed.model, shape=samples.shape, n_outputs=samples.n_outputs, seed=changed.training.seed)

    def explain(step: int, _: torch.Tensor) -> Interactions:
        checkpoint = store.read_checkpoint(run, step)
        assert checkpoint is not None
        load_weights(network, checkpoint.weights)
        return interactions(recorded(network, group, step=step))

    return explain


def outcome(run: store.Run, variant: Variant) -> RunResult:
    """Return the result of a run under one choice."""
    rows = [_stored(run, step) for step in run.steps]
    found = [variant.explain(m.step, torch.from_numpy(m.v)) for m in rows]
    history = store.read_history(run)
    losses = {name: [entry[name] for entry in history] for name in ("train_loss", "test_loss")}
    group = {"interactions": found, "sample_ids": rows[0].sample_ids.tolist()}
    return analyse(list(run.steps), {"test": group}, **losses, options=variant.analysis)


def moved(one: RunResult, other: RunResult) -> float:
    """Return the mean total variation distance of two courses of order distributions, over steps that both have."""
    a, b = (result.first.order_distribution.value for result in (one, other))
    distance = np.abs(a - b).sum(axis=1) / 2
    known = np.isfinite(distance)
    return float(distance[known].mean()) if known.any() else float("nan")


def cells(name: str, result: RunResult, first: RunResult) -> list[str]:
    """Return one line of the table."""
    phases, theory = result.phases, result.theory.overall
    return [
        name,
        course(result.first.mean_order.value),
        span(phases.boundary_step, phases.interval),
        number(theory.mean_tv_phase_2, 3),
        number(theory.noise_rank_correlation, 2),
        number(moved(result, first), 3),
        f"{result.solver.mean_gap:.1e}",
    ]


def table(folder: Path, masked: Path | None, *, sgd_steps: int, background: bool) -> list[str]:
    """Return the lines of one run."""
    run, recipe = store.open_run(folder), load_recipe(folder / "recipe.toml")
    first = store.read_result(run)
    rows = [cells(f"as the recipe (bound {recipe.measure.noise_bound:g})", first, first)]
    print(" | ".join(rows[-1]), flush=True)
    for variant in variants(run, recipe, sgd_steps=sgd_steps, background=background and masked is None):
        begun = perf_counter()
        rows.append(cells(variant.name, outcome(run, variant), first))
        print(" | ".join(rows[-1]), f"({perf_counter() - begun:.0f} s)", flush=True)
    if masked is not None:
        name = f"players not drawn: {load_recipe(masked / 'recipe.toml').players.others}"
        rows.append(cells(name, store.read_result(masked), first))
        print(" | ".join(rows[-1]), flush=True)
    return [f"## {run.recipe_name}", "", *lines(COLUMNS, rows), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", help="folder of a finished run, or RUN=OTHER; none: the head of the page")
    parser.add_argument("--sgd-steps", type=int, default=2_000, help="steps of the solver of the authors' code")
    parser.add_argument("--background", action="store_true", help="measure the stored networks with another background")
    options = parser.parse_args()
    put(PAGE, HEAD)
    for pair in options.runs:
        folder, _, masked = pair.partition("=")
        print(folder)
        other = Path(masked) if masked else None
        rows = table(Path(folder), other, sgd_steps=options.sgd_steps, background=options.background)
        put(PAGE, HEAD, "\n".join(rows))


if __name__ == "__main__":
    main()
