"""Is the monitor worth trusting? Its verdicts on trainings whose truth is known, beside patience and weightwatcher.

For each finished run of a recipe in ``benchmarks/monitor``: what was said at each look, from the run's directory; the
training once more with losses after every epoch, for the truth and for patience on a validation set; weightwatcher on
the stored networks. Figures go to ``docs/results/monitor``, and from all that are there, with the rows of
``bench_online.py`` and ``bench_mislabelled.py``, the page ``docs/results/monitor.md`` is written.

Run: for name in clean noise-10 noise-20 noise-40 people few decay stopped one-pass small; do
         ./run interdyn run benchmarks/monitor/$name.toml --out runs/$name; done
     ./run monitor runs/*                  (needs INTERDYN_DATA; without arguments only the page)
"""

import argparse
import csv
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from _record import RESULTS
from _tables import course, lines, number, span
from interdyn import store
from interdyn.dynamics import OnlineVerdict, Stage, find_gap_onset, online_verdicts
from interdyn.measurement import History
from interdyn.recipes import Recipe, Trainer, build_model, load_recipe, load_samples, load_weights

PAGE = Path(__file__).parents[1] / "docs" / "results" / "monitor.md"
KEPT = PAGE.with_suffix("")
PATIENCE = 5  # evaluations without a lower validation loss
RISES = 1.1  # a test loss that ends so many times its minimum or higher has risen
TOO_SMALL = 2.0  # weightwatcher: a layer whose alpha is smaller is over-trained
ORDER = ("clean", "noise-10", "noise-20", "noise-40", "people", "few", "decay", "stopped", "one-pass", "small")


def losses(recipe: Recipe) -> dict[str, list[float]]:
    """Train again; return steps and losses after every epoch, of short trainings forty times.

    Half of the test samples are the test, the other half the validation set that patience sees.
    """
    samples = load_samples(recipe.data)
    trainer, size = Trainer(recipe, samples), recipe.training.batch_size
    per_epoch = -(-len(samples.train_ids) // size)
    total = per_epoch * recipe.training.epochs
    every = per_epoch if recipe.training.epochs >= 20 else max(1, total // 40)
    half = np.random.default_rng(0).permutation(samples.test_ids)
    parts = {"test": half[: len(half) // 2], "validation": half[len(half) // 2 :], "train": samples.train_ids[:2000]}
    out: dict[str, list[float]] = {"steps": [], **{name: [] for name in parts}}
    for step in (*range(0, total, every), total):
        trainer.advance(step)
        trainer.network.eval()
        out["steps"].append(step)
        for name, ids in parts.items():
            labels = samples.given if name == "train" else samples.targets
            out[name].append(
                loss(trainer.network, samples.inputs[torch.from_numpy(ids)], labels[torch.from_numpy(ids)])
            )
    return out


@torch.no_grad()
def loss(network: torch.nn.Module, inputs: torch.Tensor, target: torch.Tensor) -> float:
    z = torch.cat([network(part) for part in torch.split(inputs, 500)])
    return float(torch.nn.functional.cross_entropy(z, target))


def truth(fine: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return where the test loss is least, whether it rises after that, and where the gap starts to grow."""
    test = np.array(fine["test"])
    smooth = smoothed(test)
    least = int(smooth.argmin())
    gap = find_gap_onset(np.array(fine["steps"], float), np.array(fine["train"]), test)
    return {
        "least_at": fine["steps"][least],
        "least": float(smooth[least]),
        "end": float(smooth[-1]),
        "rises": bool(smooth[-1] >= RISES * smooth[least]),
        "gap_grows": gap.found,
        "gap_onset": gap.step,
        "gap_interval": gap.interval,
    }


def smoothed(test: np.ndarray) -> np.ndarray:
    """Return the median of each evaluation and the two on either side, of those there are."""
    return np.array([np.median(test[max(i - 2, 0) : i + 3]) for i in range(len(test))])


def patience(fine: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return when training with patience on the validation loss stops, and its best step."""
    validation, best = fine["validation"], 0
    for i, value in enumerate(validation):
        if value < validation[best]:
            best = i
        elif i - best >= PATIENCE:
            return {"stops_at": fine["steps"][i], "best": fine["steps"][best]}
    return {"stops_at": None, "best": fine["steps"][best]}


def said(found: Sequence[OnlineVerdict]) -> dict[str, Any]:
    """Return the first alarm and what it says."""
    alarm = next((v for v in found if v.stage is Stage.OVER_FITTING), None)
    stages = [str(v.stage) for v in found]
    if alarm is None:
        return {"alarm": None, "since": None, "interval": None, "stages": stages, "last": found[-1].sentence}
    interval = None if alarm.interval is None else list(alarm.interval)
    return {
        "alarm": alarm.step,
        "since": alarm.since,
        "interval": interval,
        "stages": stages,
        "last": found[-1].sentence,
    }


def spectral(run: store.Run, recipe: Recipe) -> dict[str, Any]:
    """Return weightwatcher's first look with a layer that it calls over-trained, and its least alpha."""
    import weightwatcher

    for name in ("weightwatcher", "powerlaw"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    samples = load_samples(recipe.data)
    least, first = np.inf, None
    for step in run.steps:
        checkpoint = store.read_checkpoint(run, step)
        assert checkpoint is not None
        network = build_model(recipe.model, shape=samples.shape, n_outputs=samples.n_outputs, seed=0)
        load_weights(network, checkpoint.weights)
        alpha = weightwatcher.WeightWatcher(model=network).analyze(plot=False)["alpha"].to_numpy(float)
        alpha = alpha[np.isfinite(alpha) & (alpha > 0)]  # layers that it could not fit have none
        if len(alpha):
            least = min(least, float(alpha.min()))
            if first is None and alpha.min() < TOO_SMALL:
                first = step
    return {"alarm": first, "least_alpha": None if np.isinf(least) else least}


def keep(folder: Path) -> None:
    """Measure one run and write its figures."""
    run = store.open_run(folder)
    recipe = load_recipe(folder / "recipe.toml")
    seen = History.read(run).trajectory()
    fine = losses(recipe)
    content = {
        "name": recipe.name,
        "description": recipe.description,
        "n_samples": seen.strength.shape[1],
        "looks": seen.steps.tolist(),
        "mean_order": seen.mean_order.tolist(),
        "ours": said(online_verdicts(seen)),
        "alone": said(online_verdicts(replace(seen, train_loss=None, test_loss=None))),
        "patience": patience(fine),
        "weightwatcher": spectral(run, recipe),
        "fine": fine,
    }
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{recipe.name}.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    print(f"kept {recipe.name}: {content['ours']['last']}")


# -- the page ----------------------------------------------------------------------------------------

HEAD = """# Is the monitor worth trusting?

Written by `./run monitor RUN ...` from finished runs of the recipes in `benchmarks/monitor`, trainings whose truth is
known. Our verdicts are those that `interdyn verdicts RUN` prints: at each look from the looks up to it. All of these
runs have the split of version 0.1, in which mean orders are higher; they have not been run again since.

- **test loss**: the step at which it is least, of all steps, and how far it ends above that; of half of the test
  samples, as the median of five evaluations. It *rises* where it ends a tenth above its minimum.
- **gap**: step from which the gap between test and training loss grows, with 90 % interval.
- **ours**: the look at which "over-fitting has begun" was first said, and since when, with its 90 % interval;
  **alone**: the look at which it would have been said without any losses.
- **patience**: where five evaluations without a lower loss on the other half of the test samples end the training.
- **weightwatcher**: the first look with a layer of alpha below 2, which it calls over-trained; least alpha of the run.

"""


def table(kept: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for k in kept:
        true, ours = k["truth"], k["ours"]
        total = k["fine"]["steps"][-1]
        rises = f"{true['least_at']} of {total}; ends {true['end'] / true['least'] - 1:+.0%}"
        gap = span(true["gap_onset"], true["gap_interval"]) if true["gap_grows"] else "does not grow"
        first = (
            "none" if ours["alarm"] is None else f"{ours['alarm']:.0f}, since {span(ours['since'], ours['interval'])}"
        )
        spectrum = k["weightwatcher"]
        least = number(spectrum["least_alpha"], 2)
        rows.append(
            (
                k["name"],
                course(k["mean_order"]),
                rises,
                gap,
                first,
                number(k["alone"]["alarm"], 0),
                number(k["patience"]["stops_at"], 0),
                f"{number(spectrum['alarm'], 0)} ({least})",
            )
        )
    columns = ("run", "mean order", "test loss", "gap", "ours", "alone", "patience", "weightwatcher")
    return lines(columns, rows)


def at(k: Mapping[str, Any], step: float | None) -> str:
    """Return the test loss at the evaluation nearest to a step, in units of its minimum."""
    if step is None:
        return "never"
    near = int(np.argmin(np.abs(np.log1p(k["fine"]["steps"]) - np.log1p(step))))
    return f"{smoothed(np.array(k['fine']['test']))[near] / k['truth']['least']:.2f}"


def cost(kept: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table of what stopping costs: test loss over its minimum."""
    rows = [
        (
            k["name"],
            at(k, k["ours"]["since"]),
            at(k, k["ours"]["alarm"]),
            at(k, k["patience"]["best"]),
            at(k, k["patience"]["stops_at"]),
            f"{k['truth']['end'] / k['truth']['least']:.2f}",
        )
        for k in kept
    ]
    return lines(("run", "our onset", "our alarm", "patience's best", "patience's stop", "end of training"), rows)


def counts(kept: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the sentences that count alarms, leads and lags."""
    out = []
    overfit = [k for k in kept if k["truth"]["rises"]]
    quiet = [k for k in kept if not k["truth"]["rises"] and not k["truth"]["gap_grows"]]
    between = [k for k in kept if not k["truth"]["rises"] and k["truth"]["gap_grows"]]
    ways = {
        "ours": lambda k: k["ours"]["alarm"],
        "ours without losses": lambda k: k["alone"]["alarm"],
        "patience": lambda k: k["patience"]["stops_at"],
        "weightwatcher": lambda k: k["weightwatcher"]["alarm"],
    }
    for title, group in (
        ("the test loss rises", overfit),
        ("the gap grows but the test loss does not rise", between),
        ("neither grows, so that any alarm is false", quiet),
    ):
        alarms = ", ".join(f"{name} {sum(way(k) is not None for k in group)}" for name, way in ways.items())
        names = f" ({', '.join(k['name'] for k in group)})" if group else ""
        out.append(f"- Alarms in the {len(group)} runs in which {title}{names}: {alarms}.")
    leads = {
        name: [factor(way(k), k["truth"]["least_at"]) for k in overfit if way(k) is not None]
        for name, way in ways.items()
    }
    leads["our onset"] = [
        factor(k["ours"]["since"], k["truth"]["least_at"]) for k in overfit if k["ours"]["since"] is not None
    ]
    leads["start of the gap"] = [
        factor(k["truth"]["gap_onset"], k["truth"]["least_at"]) for k in overfit if k["truth"]["gap_onset"] is not None
    ]
    for name, found in leads.items():
        if found:
            out.append(
                f"- Steps of {name} over those of the least test loss, where that rises: median "
                f"{np.median(found):.2f}, from {min(found):.2f} to {max(found):.2f} ({len(found)} runs)."
            )
    overlap = [k for k in kept if k["ours"]["interval"] and k["truth"]["gap_interval"] and k["truth"]["gap_grows"]]
    meet = sum(
        k["ours"]["interval"][0] <= k["truth"]["gap_interval"][1]
        and k["truth"]["gap_interval"][0] <= k["ours"]["interval"][1]
        for k in overlap
    )
    out.append(f"- The interval of our onset meets that of the gap's in {meet} of {len(overlap)} runs that have both.")
    return out


def factor(step: float, least: float) -> float:
    return (step + 1) / (least + 1)


def simulated() -> list[str]:
    """Return the rates on simulated trainings, of `bench_online.py`."""
    return lines(("quantity", "value", "of"), [(r["quantity"], r["value"], r["batch"]) for r in rows("online")])


def rows(prefix: str) -> list[dict[str, str]]:
    """Return the newest row of each quantity of the benchmarks whose names begin so."""
    with RESULTS.open(newline="") as file:
        found = [row for row in csv.DictReader(file) if row["benchmark"].split()[0] == prefix]
    return list({(row["benchmark"], row["quantity"]): row for row in found}.values())


def picture(kept: Sequence[Mapping[str, Any]]) -> None:
    """Draw mean order and test loss of every run, with the alarms."""
    figure = Figure(figsize=(11, 2.3 * -(-len(kept) // 3)), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(-(-len(kept) // 3), 3, squeeze=False).ravel()
    for axis, k in zip(axes, kept, strict=False):
        axis.plot(np.array(k["looks"]) + 1, k["mean_order"], color="#0072b2", marker=".", label="mean order")
        right = axis.twinx()
        right.plot(np.array(k["fine"]["steps"]) + 1, k["fine"]["test"], color="#999999", label="test loss")
        marks = (
            ("our alarm", k["ours"]["alarm"], "#d55e00", "-"),
            ("patience", k["patience"]["stops_at"], "#000000", ":"),
            ("weightwatcher", k["weightwatcher"]["alarm"], "#009e73", "--"),
        )
        for _, step, colour, style in marks:
            if step is not None:
                axis.axvline(step + 1, color=colour, linestyle=style)
        if k["ours"]["interval"] is not None:
            axis.axvspan(*(s + 1 for s in k["ours"]["interval"]), color="#d55e00", alpha=0.15, lw=0)
        axis.set(xscale="log", title=k["name"], xlabel="step + 1", ylabel="mean order")
        right.set_ylabel("test loss", color="#777777")
    for axis in axes[len(kept) :]:
        axis.set_axis_off()
    handles = [
        Line2D([], [], color="#0072b2", marker="."),
        Line2D([], [], color="#999999"),
        Line2D([], [], color="#d55e00"),
        Line2D([], [], color="#d55e00", alpha=0.15, lw=8),
        Line2D([], [], color="#000000", linestyle=":"),
        Line2D([], [], color="#009e73", linestyle="--"),
    ]
    names = ("mean order", "test loss", "our alarm", "our onset, 90 %", "patience stops", "weightwatcher")
    figure.legend(handles, names, loc="outside lower center", ncols=6, frameon=False)
    figure.savefig(KEPT / "courses.svg", metadata={"Date": None})


def page() -> None:
    """Write the page from everything that is kept."""
    kept = [json.loads((KEPT / f"{name}.json").read_text()) for name in ORDER if (KEPT / f"{name}.json").exists()]
    if not kept:
        raise SystemExit(f"no run is kept in {KEPT}; name finished runs of the recipes in benchmarks/monitor")
    for k in kept:
        k["truth"] = truth(k["fine"])
    picture(kept)
    text = [
        HEAD.rstrip(),
        "",
        *table(kept),
        "",
        "![Mean order, test loss and alarms of every run](monitor/courses.svg)",
        "",
    ]
    text += ["## Leads, lags, false alarms", "", *counts(kept), ""]
    text += [
        "## What stopping there costs",
        "",
        "Test loss at a step over its minimum; 1 is best.",
        "",
        *cost(kept),
        "",
    ]
    text += ["## False alarms and delay, simulated", ""]
    text += ["Trainings with a known boundary or without one, a verdict at every look: `./run bench online`.", ""]
    text += [*simulated(), ""]
    remark = KEPT / "remark.md"
    if remark.exists():
        text += ["## What this says", "", remark.read_text().rstrip(), ""]
    PAGE.write_text("\n".join(text))


def main() -> None:
    """Keep the runs that are named, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for folder in options.runs:
        keep(folder)
    page()


if __name__ == "__main__":
    main()
