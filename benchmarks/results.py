"""Keep finished runs under docs/results: numbers, figures, and one table over all of them.

For each run whose training has seed 0: ``summary.json``, the figures of the paper (order distributions at six steps,
mean order and loss gap, theory against the network at three steps) and the AND-only variant, in which the Möbius
transform of the outputs alone explains them. Of the same recipe with another seed: ``seed-N.json`` there, numbers
alone. Without arguments only the table is written again, from the summaries that are there.

Run: ./run results [RUN ...]
"""

import argparse
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from _calibration import kept_rates, places_covered
from _seeds import Kept, best_of, other_section, over_seeds, pairs_section, shown_order
from _tables import and_alone, course, lines, number, span, wrapped
from interdyn import plot, store
from interdyn._numbers import percent
from interdyn.measurement import analyse
from interdyn.values import RunResult

RESULTS = Path(__file__).parents[1] / "docs" / "results"
THEORIES = {"theory", "joint theory"}
WIDE = 0.25  # an interval of the boundary wider than this share of the log axis decides nothing
HEAD = """# Results

**Do the two phases of the paper appear, and does its theory predict them best?**

"""
ABOUT = """Each line is a recipe of the library, run unchanged (`interdyn run NAME`; data from `INTERDYN_DATA`). Its
folder has the numbers, the figures and the resolved recipe; `seed-N.json` has the numbers of the same training with
another seed. To add a finished run and rewrite this page: `./run results RUN ...`. To run the pairs over their seeds:
`./run pairs final`; small recipes over five seeds: `./run pairs final --recipes small`.

More questions: do other [choices of measuring](trust.md) change the findings? What do [seeds, optimisers and label
noise](studies.md) change? Do interactions [rank networks by their gap](complexity.md)? Does the [monitor](monitor.md)
detect harm?

"""
PAIRS = (  # of network and data in the paper
    "vgg11-mnist",
    "vgg11-cifar10",
    "vgg16-cifar10",
    "alexnet-cub",
    "vgg16-cub",
    "vgg16-tiny-imagenet",
    "bert-tiny-sst2",
    "bert-medium-sst2",
    "dgcnn-shapenet",
)
LEGEND = """## Every recipe, seed 0

- **mean order**, **gap**: as in the first table.
- **boundary**: middle of the stretch from the end of the fall to the start of the rise, on the log axis; in brackets
  from the low end of the former's 90 % interval to the high end of the latter's; of all steps.
- **prediction**: mean correlation, over phase 2, of the value tables that the theory predicts from the final network
  with the measured ones; after *of* the correlation of the tables of nearby steps (the ceiling), then that of the best
  rival ([prediction](../explanation/theory.md)).
- **distance**: mean total variation distance between the theory's and the network's order distribution over phase 2,
  with the mean of the 90 % intervals; then the same without noise, and for a one-parameter tilt of the final
  distribution. It distinguishes mechanisms poorly: seven of eight that are not the theory are as close.
- **noise**: rank correlation of the fitted noise level and the step over phase 2; -1 is a steady fall.
- **samples**: number of samples, and the shares of them whose own mean order falls up to the boundary (without one:
  up to the minimum), rises after it, and does both.
- **cost**: number of masked inputs; minutes of training, of forward passes and of everything else.
"""
COLUMNS = (
    "run",
    "mean order",
    "boundary",
    "gap",
    "prediction",
    "distance",
    "no noise",
    "tilt",
    "noise",
    "samples",
    "cost",
)


def and_only(run: store.Run) -> RunResult:
    """Return the result of a run when AND interactions alone explain the outputs exactly."""
    measured = [store.read_measurement(run, step, group="test") for step in run.steps]
    found = [and_alone(torch.from_numpy(m.v)) for m in measured]
    history = store.read_history(run)
    losses = {name: [entry[name] for entry in history] for name in ("train_loss", "test_loss")}
    group = {"interactions": found, "sample_ids": measured[0].sample_ids.tolist()}
    return analyse(list(run.steps), {"test": group}, **losses)


def share_of_samples(per_sample: np.ndarray, turn: int) -> dict[str, float]:
    """Return which share of the samples falls in mean order up to the turn, rises after it, and does both.

    ``per_sample`` is the mean order of each sample at each step, NaN where nothing is salient. Start, turn and end are
    means over three steps, since a single network is noisy.
    """

    def level(rows: np.ndarray) -> np.ndarray:
        known = np.isfinite(rows).sum(axis=0)
        return np.where(known > 0, np.nansum(rows, axis=0) / np.maximum(known, 1), np.nan)

    start, low, end = level(per_sample[:3]), level(per_sample[max(turn - 1, 0) : turn + 2]), level(per_sample[-3:])
    falls, rises = start > low, end > low
    return {"falls": float(falls.mean()), "rises": float(rises.mean()), "both": float((falls & rises).mean())}


def draw(path: Path, height: float, *panels: Callable[[Axes], object]) -> None:
    """Write one figure of panels below one another."""
    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    for ax, panel in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        panel(ax)
    figure.savefig(path, dpi=80, facecolor="white")


def keep(folder: Path) -> None:
    """Keep one finished run: with figures if the seed of its training is 0, else its numbers."""
    run = store.open_run(folder)
    recipe = (folder / "recipe.toml").read_text()
    told = tomllib.loads(recipe)
    scale, seed = told.get("scale", ""), told["training"]["seed"]
    out = RESULTS / "-".join([run.recipe_name, *([scale] if scale else [])])
    out.mkdir(parents=True, exist_ok=True)
    view = store.read_result(run)
    summary = view.to_json()["summary"] | {"scale": scale, "seed": seed, "settings": settings_of(told)}
    environment = json.loads((folder / "env.json").read_text())
    summary["environment"] = {key: environment[key] for key in ("machine", "threads", "device", "packages")}
    own = view.first.per_sample_mean_order
    lowest = int(np.nanargmin(view.first.mean_order.value))
    boundary = view.phases.boundary_step
    turn = lowest if boundary is None else int(np.abs(np.log1p(run.steps) - np.log1p(boundary)).argmin())
    summary["share_of_samples"] = share_of_samples(own, turn)
    if seed:
        store.write_json(out / f"seed-{seed}.json", summary)
        return
    alone = and_only(run)
    keys = ("mean_order", "phases", "theory_summary")
    summary["and_only"] = {key: alone.to_json()["summary"][key] for key in keys}
    store.write_json(out / "summary.json", summary)
    (out / "recipe.toml").write_text(recipe)
    draw_all(out, view, alone.model_copy(update={"recipe": f"{run.recipe_name}, AND only", "version": view.version}))
    print(f"kept {out.name}")


def settings_of(told: dict) -> str:
    """Return a hash of a recipe but for the seed of its training, its device and what it only says or expects."""
    left_out = {"name", "description", "expected"}
    kept = {key: value for key, value in told.items() if key not in left_out}
    kept["training"] = {key: value for key, value in told["training"].items() if key not in ("seed", "device")}
    return store.config_hash(kept)


def draw_all(out: Path, view: RunResult, single: RunResult) -> None:
    """Write the figures of a run, and of the same run with AND interactions alone."""
    draw(out / "orders.png", 3.2, lambda ax: plot.plot_order_distribution(view, ax=ax))
    draw(
        out / "phases.png",
        6.0,
        lambda ax: plot.plot_mean_order(view, ax=ax),
        lambda ax: plot.plot_loss_gap(view, ax=ax),
    )
    draw(
        out / "theory.png",
        6.0,
        lambda ax: plot.plot_theory(view, ax=ax),
        lambda ax: plot.plot_theory_distance(view, ax=ax),
    )
    draw(
        out / "and_only.png",
        6.0,
        lambda ax: _entitled(plot.plot_order_distribution(single, ax=ax), "AND only: ", pad=18),
        lambda ax: _entitled(plot.plot_mean_order(single, ax=ax), "AND only: ", pad=6),
    )


def _entitled(ax: Axes, before: str, *, pad: float) -> None:
    """Put words before the title of a panel."""
    ax.set_title(before + ax.get_title(loc="left"), loc="left", fontsize=10, pad=pad)


def row(name: str, s: dict) -> list[str]:
    """Return the cells of one run."""
    phases, theory = s["phases"], s["theory_summary"]
    low, high = (number(theory[f"mean_tv_phase_2_{end}"], 3) for end in ("low", "high"))
    minutes = [f"{s['seconds'][key] / 60:.1f}" for key in ("training", "forward_passes", "everything_else")]
    return [
        f"[{name}]({name}/)",
        course(shown_order(s)),
        f"{span(phases['boundary_step'], phases['interval'])} of {s['steps'][-1]:.0f}",
        span(phases["gap_onset_step"], phases["gap_interval"]),
        predicted(s),
        "none" if theory["mean_tv_phase_2"] is None else f"{theory['mean_tv_phase_2']:.3f} ({low} to {high})",
        number(theory["mean_tv_null_sigma0"], 3),
        number(theory["mean_tv_null_tilt"], 3),
        number(theory["noise_rank_correlation"], 2),
        f"{s['n_samples']}: {', '.join(percent(s['share_of_samples'][key]) for key in ('falls', 'rises', 'both'))}",
        f"{s['forward_passes']:,}; {', '.join(minutes)} min on {_cores(s['environment'])}",
    ]


def predicted(s: dict) -> str:
    """Return the theory's correlation of its ceiling, and its best rival's, over phase 2."""
    found = s["prediction"]["phase_2"] or s["prediction"]["whole"]
    if found is None or found["gain"] is None:
        return "none"
    ours, rival = (found["correlation"][found[side]] for side in ("theory", "rival"))
    where = "" if s["prediction"]["phase_2"] else ", all checkpoints"
    return f"{ours:.2f} of {number(found['ceiling'], 2)}, {found['rival']} {rival:.2f}{where}"


def _cores(environment: dict) -> str:
    threads = environment["threads"]
    where = "" if environment["device"] == "cpu" else f" and a {environment['device']}"
    return f"{threads} thread{'' if threads == 1 else 's'}{where}"


def sentence(s: dict) -> str:
    """Return in plain words what does and what does not appear."""
    phases, found = s["phases"], s.get("prediction") or {}
    said = [phases["status"]]
    weak = "boundary is weak" in phases["status"]  # which says the same
    if phases["found"] and not weak and phases["evidence"]["interval_share"] > WIDE:
        share = phases["evidence"]["interval_share"]
        said.append(f"The interval of the boundary spans {percent(share)} of the log axis: too wide to place it.")
    said.append(phases["agreement"] if phases["found"] else phases["gap_status"])
    if found.get("phase_2"):
        said.append(f"Over phase 2: {found['phase_2']['sentence']}")
    return " ".join(said)


def remark(name: str) -> str:
    """Return what people found out about a run, from the file ``remark.md`` in its folder."""
    path = RESULTS / name / "remark.md"
    return f" {' '.join(path.read_text().split())}" if path.exists() else ""


def answer(over: Mapping[str, Kept]) -> str:
    """Return the answer to the question of the page: who shows both phases, and where the theory is best."""
    both = [name for name, kept in over.items() if kept[0]["phases"]["found"]]
    ahead = [name for name in both if theory_ahead(over[name][0])]
    pairs = [name for name in over if name in PAIRS]
    steady = sum(all(s["phases"]["found"] for s in over[name].values()) for name in pairs)
    told = (
        f"Of {len(over)} recipes (seed 0), {len(both)} establish both phases. Of the {len(pairs)} pairs of network and "
        f"data of the paper among them, {steady or 'none'} establish both phases with every seed. In {len(ahead)} of "
        f"{len(both)} tests over phase 2, at 90 % and with one seed each, the theory predicts the value tables better "
        f"than every rival{'' if ahead else '.'}"
    )
    if ahead:
        told += f": {' '.join(margin(name, over[name]) for name in ahead)} In {len(both)} tests of mechanisms that are "
        told += f"equally good, about {0.05 * len(both):.1f} such results are expected by chance."
    if others := [name for name in over if name not in both and theory_ahead(over[name][0])]:
        n = len(over) - len(both)
        told += f" Of the {n} recipes without both phases, the theory is ahead in {len(others)} ({', '.join(others)}; "
        told += f"about {0.05 * n:.1f} by chance)."
    return "\n".join(wrapped(told)) + "\n\n"


def theory_ahead(s: Mapping[str, Any]) -> bool:
    """Return whether only the theory is among the best mechanisms."""
    best = set(best_of(s))
    return bool(best) and best <= THEORIES


def margin(name: str, kept: Kept) -> str:
    """Return by how much the theory is ahead in a recipe, and with how many other seeds and in which studies."""
    found = kept[0]["prediction"]["phase_2"]
    others = [theory_ahead(s) for seed, s in kept.items() if seed]
    said = [
        f"{name}, by {found['gain']:.4f} of correlation ({found['gain_low']:.4f} to {found['gain_high']:.4f}; with "
        f"{sum(others)} of {len(others)} other seeds"
    ]
    for path in sorted(RESULTS.glob("studies/*.json")):
        kept_study = json.loads(path.read_text())
        study, ahead = kept_study["study"], kept_study["variants"].get(name, {}).get("theory_ahead")
        if study["recipe"] == name and ahead:
            said.append(f"with {ahead['value'] * ahead['n']:.0f} of {ahead['n']} in the study {study['name']}")
    return f"{' and '.join(said)})."


def places() -> str:
    """Return in a sentence how often intervals of places contained them in simulations."""
    shares = places_covered(kept_rates())
    low, high = percent(min(shares.values())), percent(max(shares.values()))
    return (
        f"In simulations, 90 % intervals of the two ends of a boundary contained the true place in {low} to {high} of "
        "the verdicts, by cell ([the finder](finder.md))."
    )


def page() -> str:
    """Return the page made of the summaries that are there."""
    found = {p.parent.name: json.loads(p.read_text()) for p in sorted(RESULTS.glob("*/summary.json"))}
    over = {name: over_seeds(RESULTS / name) for name in found}
    said = [f"- **{name}**: {sentence(s)}{'' if name in PAIRS else remark(name)}" for name, s in found.items()]
    table = lines(COLUMNS, [row(name, s) for name, s in found.items()])
    rest = {name: kept for name, kept in over.items() if name not in PAIRS}
    pairs = pairs_section({name: over[name] for name in PAIRS if name in over}, places(), remark)
    parts = [*pairs, *other_section(rest), LEGEND, *table]
    parts += ["", "## What each run shows", "", "<!-- runs: begin -->", "", *said, "", "<!-- runs: end -->"]
    runs = [s for kept in over.values() for s in kept.values()]
    hours = sum(sum(s["seconds"].values()) for s in runs) / 3600
    cost = f"The {len(runs)} runs on this page took {hours:.1f} hours of one core.\n\n"
    return HEAD + answer(over) + ABOUT + cost + "\n".join(parts) + "\n"


def write_page() -> None:
    """Write the page."""
    (RESULTS / "README.md").write_text(page())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of finished runs")
    for folder in parser.parse_args().runs:
        keep(folder)
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_page()


if __name__ == "__main__":
    main()
