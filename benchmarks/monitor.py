"""Is the monitor worth trusting? Its verdicts on trainings whose truth is known, beside patience and weightwatcher.

For each finished run of a recipe in ``benchmarks/monitor``: what was said at each look, from the run's directory; the
training once more with losses after every epoch, for the truth and for patience on a validation set; weightwatcher on
the stored networks. Figures go to ``docs/results/monitor``, and from all that are there the page
``docs/results/monitor.md`` is written.

Run: for name in clean noise-10 noise-20 noise-40 people few decay stopped one-pass small; do
         ./run interdyn run benchmarks/monitor/$name.toml --out runs/$name; done
     ./run monitor runs/*                  (needs INTERDYN_DATA; without arguments only the page)
"""

import argparse
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from _tables import course, lines, number, span
from interdyn import store
from interdyn.dynamics import HIGH_ORDER, MIN_STEPS, Onset, find_gap_onset, find_harm, find_pattern, pattern_signal
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


def first(steps: Sequence[float], found: Iterable[Onset]) -> dict[str, Any]:
    """Return when an onset was first said, and since when it is said to be."""
    at, onset = next(((i, onset) for i, onset in enumerate(found) if onset.found), (0, None))
    if onset is None:
        return {"said": None, "since": None, "interval": None}
    interval = None if onset.interval is None else list(onset.interval)
    return {"said": steps[at], "since": onset.step, "interval": interval}


def harmed(fine: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return when harm was first said by the losses of the validation set, which patience sees, too."""
    steps, loss = np.array(fine["steps"], float), np.array(fine["validation"])
    counts = range(MIN_STEPS, len(steps) + 1)
    return first([float(steps[n - 1]) for n in counts], (find_harm(steps[:n], loss[:n]) for n in counts))


def pattern(history: History) -> dict[str, Any] | None:
    """Return the signal of `find_pattern` at each look and when it first rang; None without training samples."""
    if "train" not in history.groups:
        return None
    steps = np.array(history.together, float)
    seen = [history.seen(step, "train") for step in history.together]
    high = np.array([one.spectrum.strength[:, HIGH_ORDER - 1 :].sum(axis=1).mean() for one in seen])
    effect = np.array([one.effect for one in seen])
    found = [find_pattern(steps[:n], high[:n], effect[:n]) for n in range(1, len(steps) + 1)]
    signal = [None if np.isnan(r) else float(r) for r in pattern_signal(high, effect)]
    return {"signal": signal, **first(steps.tolist(), found)}


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
    history = History.read(run)
    seen, verdicts, fine = history.trajectory(), history.verdicts(), losses(recipe)
    content = {
        "name": recipe.name,
        "description": recipe.description,
        "n_samples": seen.strength.shape[1],
        "looks": seen.steps.tolist(),
        "mean_order": seen.mean_order.tolist(),
        "stages": [str(v.stage) for v in verdicts],
        "phase_2": first([v.step for v in verdicts], [v.phase_2 for v in verdicts]),
        "pattern": pattern(history),
        "last": verdicts[-1].sentence,
        "patience": patience(fine),
        "weightwatcher": spectral(run, recipe),
        "fine": fine,
    }
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{recipe.name}.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    print(f"kept {recipe.name}: {content['last']}")


# -- the page ----------------------------------------------------------------------------------------

HEAD = """# Is the monitor worth trusting?

Written by `./run monitor RUN ...` from finished runs of the recipes in `benchmarks/monitor`, trainings whose truth is
known. Half of the test samples are the test; harm and patience see the other half, after every epoch; harm is judged
anew each time the page is written. Phases, pattern and weightwatcher see the measurements of the run. False alarms
and delays in simulated trainings: [the finder](finder.md), [harm](harm.md).

- **test loss**: the step at which it is least, of all steps, and how far it ends above that, as the median of five
  evaluations. It *rises* where it ends a tenth above its minimum: there training harms.
- **gap**: step from which the gap between test and training loss grows, with 90 % interval.
- **phase 2**: the look at which the second phase was first said to have begun, and since when, with its 90 % interval.
- **harm**: the evaluation at which `find_harm` first said that training harms, and since when.
- **pattern**: the look at which the signal of `find_pattern`, on 8 training samples and without any held-out loss, had
  exceeded 1.3 twice in a row, and its largest value; *not measured* in runs without training samples.
- **patience**: where five evaluations without a lower loss end the training.
- **weightwatcher**: the first look with a layer of alpha below 2, which it calls over-trained; least alpha of the run.

"""


def table(kept: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for k in kept:
        true = k["truth"]
        total = k["fine"]["steps"][-1]
        rises = f"{true['least_at']} of {total}; ends {true['end'] / true['least'] - 1:+.0%}"
        gap = span(true["gap_onset"], true["gap_interval"]) if true["gap_grows"] else "does not grow"
        spectrum = k["weightwatcher"]
        least = number(spectrum["least_alpha"], 2)
        rows.append(
            (
                k["name"],
                course(k["mean_order"]),
                rises,
                gap,
                since(k["phase_2"]),
                since(k["harm"]),
                signal(k["pattern"]),
                number(k["patience"]["stops_at"], 0),
                f"{number(spectrum['alarm'], 0)} ({least})",
            )
        )
    columns = ("run", "mean order", "test loss", "gap", "phase 2", "harm", "pattern", "patience", "weightwatcher")
    return lines(columns, rows)


def since(said: Mapping[str, Any]) -> str:
    """Return when an onset was first said, and since when."""
    return "none" if said["said"] is None else f"{said['said']:.0f}, since {span(said['since'], said['interval'])}"


def signal(found: Mapping[str, Any] | None) -> str:
    """Return when the pattern was first said, and the largest value of its signal."""
    if found is None:
        return "not measured"
    return f"{number(found['said'], 0)} ({max(r for r in found['signal'] if r is not None):.1f})"


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
            at(k, k["phase_2"]["since"]),
            at(k, k["harm"]["said"]),
            at(k, k["patience"]["best"]),
            at(k, k["patience"]["stops_at"]),
            f"{k['truth']['end'] / k['truth']['least']:.2f}",
        )
        for k in kept
    ]
    return lines(
        ("run", "begin of phase 2", "harm said", "patience's best", "patience's stop", "end of training"), rows
    )


def counts(kept: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the sentences that count alarms, leads and lags."""
    out = []
    overfit = [k for k in kept if k["truth"]["rises"]]
    quiet = [k for k in kept if not k["truth"]["rises"] and not k["truth"]["gap_grows"]]
    between = [k for k in kept if not k["truth"]["rises"] and k["truth"]["gap_grows"]]
    measured = [k for k in kept if k["pattern"] is not None]
    ways = {
        "harm": lambda k: k["harm"]["said"],
        "phase 2": lambda k: k["phase_2"]["said"],
        "patience": lambda k: k["patience"]["stops_at"],
        "weightwatcher": lambda k: k["weightwatcher"]["alarm"],
    }
    if len(measured) == len(kept):
        ways["pattern"] = lambda k: k["pattern"]["said"]
    else:
        out.append(f"- The pattern was measured in {len(measured)} of {len(kept)} runs.")
    for title, group in (
        ("the test loss rises, so that training harms", overfit),
        ("the gap grows but the test loss does not rise", between),
        ("neither grows", quiet),
    ):
        alarms = ", ".join(f"{name} {sum(way(k) is not None for k in group)}" for name, way in ways.items())
        names = f" ({', '.join(k['name'] for k in group)})" if group else ""
        out.append(f"- Alarms in the {len(group)} runs in which {title}{names}: {alarms}.")
    leads = {
        name: [factor(way(k), k["truth"]["least_at"]) for k in overfit if way(k) is not None]
        for name, way in ways.items()
    }
    leads["the begin of phase 2"] = [
        factor(k["phase_2"]["since"], k["truth"]["least_at"]) for k in overfit if k["phase_2"]["since"] is not None
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
    both = [
        (k["phase_2"]["interval"], k["truth"]["gap_interval"])
        for k in kept
        if k["phase_2"]["interval"] and k["truth"]["gap_grows"]
    ]
    meet = sum(one[0] <= other[1] and other[0] <= one[1] for one, other in both)
    if both:
        out.append(f"- The begin of phase 2 meets that of the gap's growth in {meet} of {len(both)} runs with both.")
    return out


def factor(step: float, least: float) -> float:
    return (step + 1) / (least + 1)


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
            ("harm", k["harm"]["said"], "#d55e00", "-"),
            ("patience", k["patience"]["stops_at"], "#000000", ":"),
            ("weightwatcher", k["weightwatcher"]["alarm"], "#009e73", "--"),
        )
        for _, step, colour, style in marks:
            if step is not None:
                axis.axvline(step + 1, color=colour, linestyle=style)
        if k["phase_2"]["interval"] is not None:
            axis.axvspan(*(s + 1 for s in k["phase_2"]["interval"]), color="#d55e00", alpha=0.15, lw=0)
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
    names = ("mean order", "test loss", "harm is said", "begin of phase 2, 90 %", "patience stops", "weightwatcher")
    figure.legend(handles, names, loc="outside lower center", ncols=6, frameon=False)
    figure.savefig(KEPT / "courses.svg", metadata={"Date": None})


def page() -> None:
    """Write the page from everything that is kept."""
    kept = [json.loads((KEPT / f"{name}.json").read_text()) for name in ORDER if (KEPT / f"{name}.json").exists()]
    if not kept:
        raise SystemExit(f"no run is kept in {KEPT}; name finished runs of the recipes in benchmarks/monitor")
    for k in kept:
        k["truth"], k["harm"] = truth(k["fine"]), harmed(k["fine"])
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
