"""Rates of the finder by cell: kept in ``docs/results/finder.json`` as they come, and the page made of them.

A stopped run continues where it was; several may run at once, on different cells.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from filelock import FileLock

from _courses import ONLINE, PHASES, Cell, cells
from _tables import lines, share_interval, wrapped
from interdyn._numbers import percent
from interdyn.dynamics import _finder
from interdyn.dynamics._axis import time_axis
from interdyn.values import Trajectory

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "finder.json"
PAGE = RESULTS.with_suffix(".md")
COUNT = 400
MOST_FALSE = 33  # of 400
LEAST_COVERED, ENOUGH = 0.85, 200  # share of stretches with the truth, from this number on
ENDS = {"end of fall covers": "end of the fall", "start of rise covers": "start of the rise"}
Rates = dict[str, dict[str, dict[str, float | None]]]
CELL = ("shape", "noise", "n", "spacing", "window", "rise", "fall")
TITLE = "# How reliable is the verdict on the two phases?"
HEAD = f"""Each cell has {COUNT} simulated curves of the mean order, with noise of 0.08 orders per measurement (three
times it late or early, 0.4 of it elsewhere); `benchmarks/_courses.py` has the shapes, noises and spacings. *rise* and
*fall* are in orders. *kept*: curves of kept runs, changed to fall only, with their own residuals. *window* 3: three
nearby steps in each measurement. *phases*: verdicts on finished runs; *online*: a verdict at every measurement.
*covers*: the share of intervals that contain the true place. This page is written by `./run bench phases online`.
"""


def main(bench: str, text: str, measure: Callable[[Cell, int, int], dict[str, float | None]], words: str) -> None:
    """Measure the cells of a list that are not kept yet, or those named, and write the page."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of names of cells, in quotes; all without")
    parser.add_argument("--count", type=int, default=COUNT, help="curves in a cell; another number is not kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="also cells that are kept")
    options = parser.parse_args()
    for cell in cells(text):
        if options.names and not any(name in cell.name for name in options.names):
            continue
        if not options.again and options.count == COUNT and cell.name in kept_rates().get(bench, {}):
            continue
        start = time.perf_counter()
        row = measure(cell, options.count, options.seed)
        said = " ".join(f"{key} {value:.3g}" for key, value in row.items() if value is not None)
        print(f"{cell.name}: {said} ({time.perf_counter() - start:.0f} s)", flush=True)
        if options.count == COUNT:
            with FileLock(Path(tempfile.gettempdir()) / "interdyn-finder.lock"):
                kept = kept_rates()
                kept.setdefault(bench, {})[cell.name] = row
                RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(kept_rates()), encoding="utf-8")  # also where nothing was measured now


def numbers_of(trajectory: Trajectory) -> np.ndarray:
    """Return the number of the measurement of each step."""
    return np.arange(len(trajectory.steps)) if trajectory.window is None else trajectory.window


def can_be_two(trajectory: Trajectory) -> bool:
    """Return whether a verdict is worth its time: in a posterior with one prior variance alone two phases have a fifth.

    Of 122 verdicts on courses that raised alarms, with 0.58 and more each, none is lost by that.
    """
    with mock.patch.object(_finder, "VARIANCES", np.array([1e3])):
        found = _finder.posterior(time_axis(trajectory.steps), trajectory.mean_order, numbers_of(trajectory))
    both = (found.pairs < found.pairs.max()).all(axis=0)
    return float(found.weight.sum(axis=(0, 1))[both].sum()) > 0.2


def kept_rates() -> Rates:
    """Return the rates that are kept, by bench and cell."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}


def page(kept: Rates) -> str:
    asked = {
        bench: [(cell, kept[bench][cell.name]) for cell in cells(text) if cell.name in kept.get(bench, {})]
        for bench, text in (("phases", PHASES), ("online", ONLINE))
    }
    parts = [
        f"{TITLE}\n",
        *wrapped(_answer(kept)),
        "",
        HEAD,
        "## The worst cells by kind of noise\n",
        *_by_noise(asked),
    ]
    for bench, rows in asked.items():
        for true, title in (
            (False, f"## {bench}: no second phase, no growing gap"),
            (True, f"## {bench}: a second phase, or a growing gap"),
        ):
            some = [(cell, row) for cell, row in rows if cell.true is true]
            keys = list(dict.fromkeys(key for _, row in some for key in row))
            shown = [[*cell.name.split(), *(_said(row.get(key)) for key in keys)] for cell, row in some]
            parts += [f"\n{title}\n", *lines([*CELL, *keys], shown)]
    return "\n".join(parts) + "\n"


def places_covered(kept: Rates) -> dict[tuple[str, str], float]:
    """Return the share of intervals that contain the true place, by cell and place, with `ENOUGH` verdicts or more."""
    return {
        (cell.name, key): share
        for cell in cells(PHASES)
        if ((row := kept.get("phases", {}).get(cell.name, {})).get("found") or 0) >= ENOUGH / COUNT
        for key in ENDS
        if (share := row.get(key)) is not None and not cell.shape.startswith("gap")
    }


def _answer(kept: Rates) -> str:
    """Return the answer to the question of the page: the worst cells, and what is required of them."""
    false = max(row["false of 400"] or 0 for rows in kept.values() for row in rows.values() if "false of 400" in row)
    low, high = (COUNT * end for end in share_interval(false / COUNT, COUNT))
    met = high <= MOST_FALSE
    said = (
        f"In the worst cell, {false:.0f} of {COUNT} verdicts report what is not there (95 % interval {low:.0f} to "
        f"{high:.0f}; {MOST_FALSE} are allowed). "
    )
    stretches = [
        (row["stretch covers"], row["found"])
        for row in kept["phases"].values()
        if (row.get("found") or 0) >= ENOUGH / COUNT and row.get("stretch covers") is not None
    ]
    covered, found = min(stretches)
    claimed = COUNT * found
    low, high = share_interval(covered, claimed)
    said += (
        f"In the worst cell with {ENOUGH} verdicts or more, {covered * claimed:.0f} of {claimed:.0f} reported "
        "boundaries contain both the end of the fall and the start of the rise "
        f"({covered:.3g}; 95 % interval {low:.2f} to {high:.2f}; {LEAST_COVERED:g} is required). "
    )
    if not (met and low >= LEAST_COVERED):
        said += f"With {COUNT} simulations a cell, it is not established that both requirements are met. "
    worst = {}
    for (cell, key), share in places_covered(kept).items():
        worst[key] = min(worst.get(key, (1.0, "")), (share, cell))
    ends = " and ".join(f"the {ENDS[key]} in {percent(share)} (`{cell}`)" for key, (share, cell) in worst.items())
    return (
        f"{said}The 90 % intervals of single places cover less: in the worst cells they contain {ends} of the "
        "verdicts. Rely on the boundary as a stretch, from the low end of the first interval to the high end of the "
        "second, not on the interval of one place."
    )


def _by_noise(asked: dict[str, list[tuple[Cell, dict[str, float | None]]]]) -> list[str]:
    """Return a table of the largest share of false claims, and the smallest one covered of `ENOUGH` claims or more."""
    shown, places = [], ("stretch covers", "end of fall covers", "start of rise covers")
    for noise in dict.fromkeys(cell.noise for rows in asked.values() for cell, _ in rows):
        some = {bench: [row for cell, row in rows if cell.noise == noise] for bench, rows in asked.items()}
        false = (max((row.get("false of 400", -1) for row in rows), default=-1) / COUNT for rows in some.values())
        claims = [row for row in some["phases"] if row.get("found", 0) >= ENOUGH / COUNT]
        covered = (min((row[key] for row in claims if row.get(key) is not None), default=None) for key in places)
        shown.append([noise, *(_said(share if share >= 0 else None) for share in false), *map(_said, covered)])
    return lines(["noise", "false, finished runs", "false, while training", *places], shown)


def _said(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"
