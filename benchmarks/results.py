"""Keep finished runs under docs/results: numbers, figures, and one table over all of them.

For each run: ``summary.json``, the figures of the paper (order distributions at six steps, mean order and loss gap,
theory against the network at three steps) and the AND-only variant, in which the Möbius transform of the outputs alone
explains them. Without arguments only the table is written again, from the summaries that are there.

Run: ./run results [RUN ...]
"""

import argparse
import json
import re
from pathlib import Path

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from interdyn import plot, store
from interdyn.measurement import analyse
from interdyn.plot import run_view
from interdyn.transforms import and_from_values
from interdyn.values import Interactions

RESULTS = Path(__file__).parents[1] / "docs" / "results"
WIDE = 0.25  # an interval of the boundary wider than this share of the log axis decides nothing
HEAD = """# Results

Every line is a recipe of the library, run as its file says (`interdyn run NAME`; data by INTERDYN_DATA), on the machine
of the column *cost*. `./run results RUN ...` keeps a finished run here and writes this page. Numbers and figures of each
run are in the folder of its name.

- **boundary**: step at which phase 2 begins, with 90 % interval, of all steps; **gap**: step from which the loss gap grows.
- **distance**: mean total variation distance between the theory's and the network's order distribution over phase 2, with
  the mean of the 90 % intervals; beside it the same without noise, and for a one-parameter tilt of the final distribution.
- **noise**: rank correlation of the fitted noise level and the step over phase 2; -1 is a steady fall.
- **samples** test samples measured; **cost**: masked inputs, and minutes of training + forward passes + all else.

"""
COLUMNS = ("run", "mean order", "boundary", "gap", "distance", "no noise / tilt", "noise", "samples", "cost")


def and_only(run: store.Run) -> dict[str, dict]:
    """Return summary and analysis of a run when AND interactions alone explain the outputs exactly."""
    found = []
    for step in run.steps:
        measured = store.read_measurement(run, step, group="test")
        v = torch.from_numpy(measured.v)
        zero = torch.zeros_like(v)
        found.append(
            Interactions(
                and_from_values(v),
                zero,
                measured.unit,
                residual=zero,
                objective=zero[..., 0],
                gap=zero[..., 0],
                status=None,
                noise_bound=zero[..., 0],
            )
        )
    history = store.read_history(run)
    group = {"interactions": found, "sample_ids": measured.sample_ids.tolist()}
    losses = {name: [entry[name] for entry in history] for name in ("train_loss", "test_loss")}
    return analyse(list(run.steps), {"test": group}, **losses)


def draw(path: Path, size: tuple[float, float], *panels) -> None:
    """Write one figure of panels below one another."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for ax, panel in zip(axes, panels, strict=True):
        panel(ax)
    figure.savefig(path, dpi=80, facecolor="white")


def keep(folder: Path) -> None:
    """Keep one finished run."""
    run = store.open_run(folder)
    view, out = plot.load_run(folder), RESULTS / run.path.resolve().name
    out.mkdir(parents=True, exist_ok=True)
    alone = and_only(run)
    summary = store.read_summary(run) | {"and_only": and_only_numbers(alone["summary"])}
    environment = json.loads((folder / "env.json").read_text())
    summary["environment"] = {key: environment[key] for key in ("machine", "threads", "device", "packages")}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    (out / "recipe.toml").write_text((folder / "recipe.toml").read_text())
    alone = run_view(alone["summary"] | {"recipe": f"{run.recipe_name}, AND only"}, alone["analysis"])
    draw(out / "orders.png", (10, 3.2), lambda ax: plot.plot_order_distribution(view, ax=ax))
    draw(out / "phases.png", (8, 5.6), lambda ax: plot.plot_mean_order(view, ax=ax), lambda ax: plot.plot_loss_gap(view, ax=ax))  # fmt: skip
    draw(out / "theory.png", (8, 5.6), lambda ax: plot.plot_theory(view, ax=ax), lambda ax: plot.plot_theory_distance(view, ax=ax))  # fmt: skip
    draw(out / "and_only.png", (10, 5.6), lambda ax: plot.plot_order_distribution(alone, ax=ax), lambda ax: plot.plot_mean_order(alone, ax=ax))  # fmt: skip
    print(f"kept {out.relative_to(RESULTS.parents[1])}")


def and_only_numbers(summary: dict) -> dict:
    """Return the numbers of the AND-only variant that the table and its readers need."""
    phases = {key: summary["phases"][key] for key in ("status", "boundary_step", "interval")}
    return {"mean_order": summary["mean_order"], "phases": phases, "theory_summary": summary["theory_summary"]}


def row(name: str, s: dict) -> list[str]:
    """Return the cells of one run."""
    phases, theory, order = s["phases"], s["theory_summary"], s["mean_order"]
    known = [x for x in order if x is not None]
    minutes = sum(s["seconds"].values()) / 60
    parts = " + ".join(f"{s['seconds'][key] / 60:.1f}" for key in ("training", "forward_passes", "everything_else"))
    return [
        f"[{name}]({name}/)",
        f"{known[0]:.2f} → {min(known):.2f} → {known[-1]:.2f}" if known else "nothing salient",
        span(phases["boundary_step"], phases["interval"]) + f" of {s['steps'][-1]:.0f}",
        span(phases["gap_onset_step"], phases["gap_interval"]),
        "–" if theory["mean_tv_phase_2"] is None else "{mean_tv_phase_2:.3f} ({mean_tv_phase_2_low:.3f}–{mean_tv_phase_2_high:.3f})".format(**theory),
        "–" if theory["mean_tv_phase_2"] is None else "{mean_tv_null_sigma0:.3f} / {mean_tv_null_tilt:.3f}".format(**theory),
        "–" if theory["noise_rank_correlation"] is None else f"{theory['noise_rank_correlation']:.2f}",
        str(s["n_samples"]),
        f"{s['forward_passes']:,}; {minutes:.1f} min ({parts}), {s['environment']['threads']} threads",
    ]  # fmt: skip


def span(step, interval) -> str:
    """Return a step with its interval."""
    return "none" if step is None else f"{step:.0f} ({interval[0]:.0f}–{interval[1]:.0f})"


def sentence(s: dict) -> str:
    """Return in plain words what does and what does not appear."""
    phases, theory = s["phases"], s["theory_summary"]
    said = []
    if phases["found"]:
        share = phases["evidence"]["interval_share"]
        said.append("Two phases." if share <= WIDE else f"Two phases, but the interval of the boundary spans {share:.0%} of the log axis.")  # fmt: skip
    else:
        said.append(phases["status"])
    said.append(phases["agreement"] if phases["found"] else phases["gap_status"])
    distance = theory["mean_tv_phase_2"]
    if distance is not None and distance > 0.10:
        said.append(f"The theory misses: distance {distance:.3f} over phase 2.")
    elif distance is not None and distance >= theory["mean_tv_null_tilt"]:
        said.append("The theory is no nearer than a one-parameter tilt of the final distribution.")
    return " ".join(said)


def table() -> None:
    """Write the page from the summaries that are there."""
    found = {p.parent.name: json.loads(p.read_text()) for p in sorted(RESULTS.glob("*/summary.json"))}
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    lines += [f"| {' | '.join(row(name, s))} |" for name, s in found.items()]
    lines += ["", "## In words", ""]
    for name, s in found.items():
        lines.append(f"- **{name}**: {re.sub(r' +', ' ', sentence(s))}{remark(name)}")
    (RESULTS / "README.md").write_text(HEAD + "\n".join(lines) + "\n")


def remark(name: str) -> str:
    """Return what people found out about a run, from the file ``remark.md`` beside its summary."""
    path = RESULTS / name / "remark.md"
    return f" {' '.join(path.read_text().split())}" if path.exists() else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of finished runs")
    for folder in parser.parse_args().runs:
        keep(folder)
    RESULTS.mkdir(parents=True, exist_ok=True)
    table()


if __name__ == "__main__":
    main()
