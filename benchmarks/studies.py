"""Keep finished studies under docs/results/studies, and write the page over all of them.

The ``study.json`` of each study is copied; the page docs/results/studies.md and a figure of each study, mean order and
losses by step, are written from everything that is kept. Without folders only the page is written again.

Run: ./run studies [RUNS_OF_A_STUDY ...]      (folders of `interdyn study FILE`, as runs/label-noise)
"""

import argparse
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

import _contrasts
from _tables import lines
from interdyn.recipes import StudyResult, StudyRun

PAGE = Path(__file__).parents[1] / "docs" / "results" / "studies.md"
KEPT = PAGE.with_suffix("")
DRAWN = 8  # variants of a figure; of more the first and the last of those sorted by their end
HEAD = """# Studies

**What do data, labels, optimisers and seeds change in the interactions that networks learn, and how sure is that?**
"""
ABOUT = """Each study is a file in `benchmarks/studies` and runs with one command ([studies](../howto/studies.md)).
Its numbers are in [studies](studies/); `interdyn verify docs/results/studies/NAME.json` checks its claims. Numbers
are means over seeds with 95 % intervals by Student's t. Claims were written before the runs, those of grokking,
shortcut and double-descent after a trial of seed 0; claims that do not hold are kept. This page is written by
`./run studies`.
"""


def course(runs: Sequence[StudyRun], name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return steps and the mean of a column over seeds, at the steps of the first; None where a run has none."""
    if any(name not in run.course for run in runs):
        return None
    steps = np.array(runs[0].course["steps"], float)
    at = np.log1p(steps)
    rows = []
    for run in runs:
        own = np.log1p(np.array(run.course["steps"], float))
        rows.append(np.interp(at, own, np.array(run.course[name], float)))
    return steps, np.mean(rows, axis=0)


def panel(ax: Axes, named: dict[str, list[StudyRun]], column: str, dash: str = "-") -> None:
    for place, (name, runs) in enumerate(named.items()):
        if (found := course(runs, column)) is not None:
            ax.plot(found[0] + 1, found[1], dash, color=f"C{place % 10}", label=name, lw=1.4)
    ax.set(xscale="log", xlabel="step + 1")


def draw(result: StudyResult, path: Path) -> None:
    """Draw mean order and losses of the variants, to the same bytes for the same numbers."""
    named = result.by_variant
    if len(named) > DRAWN:
        ends = {name: np.mean([run.values["end_mean_order"] or np.nan for run in runs]) for name, runs in named.items()}
        ranked = sorted(named, key=lambda name: ends[name])
        chosen = {*ranked[: DRAWN // 2], *ranked[-DRAWN // 2 :]}
        named = {name: runs for name, runs in named.items() if name in chosen}
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    left, middle, right = figure.subplots(1, 3)
    panel(left, named, "mean_order")
    panel(middle, named, "test_loss")
    panel(middle, named, "train_loss", ":")
    panel(right, named, "test_accuracy")
    left.set(title="mean order")
    middle.set(title="test loss; training loss dotted", yscale="log")
    right.set(title="test accuracy")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    with rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


def section(result: StudyResult, name: str) -> list[str]:
    """Return what the page says of one study."""
    study = result.study
    missing = len(result.runs) - len(result.finished)
    told = [
        f"## {name}",
        "",
        f"**{study.question}** {len(result.finished)} runs of `{Path(study.recipe).stem}`"
        + (f"; {missing} of the planned runs are missing" if missing else "")
        + f". Command: `interdyn study benchmarks/studies/{name}.toml`.",
        "",
    ]
    for heading, columns, rows in reversed(result.tables()):
        told += [f"{heading}:", "", *lines(columns, rows), ""]
    told += [f"![Mean order, losses and accuracy by step: {name}](studies/{name}.svg)", ""]
    remark = KEPT / f"{name}.md"
    return [*told, remark.read_text().rstrip(), ""] if remark.exists() else told


def met(result: StudyResult) -> tuple[int, int, int]:
    """Return how many claims a study makes, how many hold, and of how many of these the whole interval meets them."""
    claims, whole = result.claims(), 0
    for asked, one in zip(result.study.claim, claims, strict=True):
        low, high = one.got.low, one.got.high
        inside = low is not None and high is not None
        inside = inside and (asked.min is None or low >= asked.min) and (asked.max is None or high <= asked.max)
        whole += one.holds and inside
    return len(claims), sum(one.holds for one in claims), whole


def page() -> None:
    """Write the page from everything that is kept."""
    results = {file.stem: StudyResult.from_json(json.loads(file.read_text())) for file in sorted(KEPT.glob("*.json"))}
    for name, result in results.items():
        draw(result, KEPT / f"{name}.svg")
    made, held, whole = np.sum([met(result) for result in results.values()], axis=0)
    counted = (
        "These replacements change the mean order at the end in the same direction on every data set: "
        f"{_contrasts.always(_contrasts.by_data(results, 'end_mean_order'))}. "
        f"{sum(len(one.finished) for one in results.values())} runs of {len(results)} studies. {held} of {made} "
        f"claims hold by their mean, {whole} of these by their complete interval; with two or three seeds an "
        "interval is wide, and a claim on a spread has none."
    )
    text = [line for name, result in results.items() for line in section(result, name)]
    PAGE.write_text("\n".join([HEAD, *textwrap.wrap(counted, 120), "", ABOUT, *_contrasts.section(results), *text]))


def main() -> None:
    """Keep the studies that are named, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    KEPT.mkdir(exist_ok=True)
    for folder in parser.parse_args().folders:
        told = json.loads((folder / "study.json").read_text())
        result = StudyResult.from_json(told)  # without the digest, which is of the file in the run
        (KEPT / f"{result.study.name}.json").write_text(json.dumps(result.to_json(), separators=(",", ":")) + "\n")
    page()


if __name__ == "__main__":
    main()
