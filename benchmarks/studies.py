"""Keep finished studies under docs/results/studies, and write the page over all of them.

The ``study.json`` of each study is copied; the page docs/results/studies.md and a figure of each study, mean order and
losses by step, are written from everything that is kept. Without folders only the page is written again.

Run: ./run studies [RUNS_OF_A_STUDY ...]      (folders of `interdyn study FILE`, as runs/label-noise)
"""

import argparse
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

import _contrasts
import _studied
from _tables import lines
from interdyn.recipes import CLAIM_LEGEND, StudyResult, StudyRun, tally

PAGE = Path(__file__).parents[1] / "docs" / "results" / "studies.md"
KEPT = PAGE.with_suffix("")
DRAWN = 8  # variants of a figure; of more the first and the last of those sorted by their end
HEAD = """# Studies

**What do data, labels, optimisers and seeds change in the interactions that networks learn, and how sure is that?**
"""
ABOUT = """Each study is a file in `benchmarks/studies` and runs with one command ([studies](../howto/studies.md)). Its
numbers are in [studies](studies/); `interdyn verify docs/results/studies/NAME.json` compares values with claims. Claims
were written before the runs, those of grokking, shortcut and double-descent after a trial of seed 0; all are kept. This
page is written by `./run studies`.

Numbers are means over seeds with 95 % intervals by Student's t, or of standard deviations by chi-square. Quantities
that are 0 or 1 in a run are written as "3 of 10" with Wilson's interval. "n = 6" is in a cell whose mean is over fewer
runs than the column `runs` says, since the others do not have the quantity; "-" is where no run has it. An interval by
Student's t can pass the limits of a quantity, such as an accuracy of 1. No interval is adjusted for the number of
claims and cells.
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
    other = "; ".join(_studied.changes(study))
    told = [
        f"## {name}",
        "",
        f"**{study.question}** {len(result.finished)} runs of `{_studied.recipe_name(study)}`"
        + (f", changed in all runs: {other}" if other else "")
        + (f"; {missing} of the planned runs are missing" if missing else "")
        + f". Command: `interdyn study benchmarks/studies/{name}.toml`.",
        "",
    ]
    for heading, columns, rows in reversed(result.tables()):
        told += [f"{heading}:", "", *lines(columns, rows), ""]
    told += [f"![Mean order, losses and accuracy by step: {name}](studies/{name}.svg)", ""]
    remark = KEPT / f"{name}.md"
    return [*told, remark.read_text().rstrip(), ""] if remark.exists() else told


def answer(results: Mapping[str, StudyResult]) -> str:
    """Return the first sentences of the page."""
    by = _contrasts.by_data(results, "end_mean_order")
    found = _contrasts.always(by)
    return (
        f"{len(found)} of {len(by)} replacements of one setting by another change the mean order at the end in the "
        f"same direction on every data set: {'; '.join(found) or 'none'}. {_contrasts.chance(results)}"
    )


def counted(results: Mapping[str, StudyResult]) -> str:
    """Return how many runs, data sets and claims there are, and what is established about the claims."""
    claims = [claim for result in results.values() for claim in result.claims()]
    runs = sum(len(one.finished) for one in results.values())
    return (
        f"{runs} runs of {len(results)} studies, on {_studied.data_sets([one.study for one in results.values()])}. "
        f"Of {len(claims)} claims {tally(claims)}. {CLAIM_LEGEND} Most studies have two or three seeds, whose "
        "intervals are wide."
    )


def page() -> None:
    """Write the page, and what is kept of each study, from everything that is kept."""
    files = sorted(KEPT.glob("*.json"))
    results = {file.stem: StudyResult.from_json(json.loads(file.read_text())) for file in files}
    for name, result in results.items():
        keep(result)
        draw(result, KEPT / f"{name}.svg")
    top = [
        line
        for text in (answer(results), _contrasts.in_low_orders(results), counted(results))
        for line in (*textwrap.wrap(text, 120, break_on_hyphens=False), "")
    ]
    text = [line for name, result in results.items() for line in section(result, name)]
    PAGE.write_text("\n".join([HEAD, *top, ABOUT, *_contrasts.section(results), *text]))


def keep(result: StudyResult) -> None:
    """Keep a study, its means and claims as they are computed now; without a digest, which is of the file in a run."""
    text = json.dumps(result.to_json(), separators=(",", ":"))
    (KEPT / f"{result.study.name}.json").write_text(text + "\n")


def main() -> None:
    """Keep the studies that are named, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    KEPT.mkdir(exist_ok=True)
    for folder in parser.parse_args().folders:
        keep(StudyResult.from_json(json.loads((folder / "study.json").read_text())))
    page()


if __name__ == "__main__":
    main()
