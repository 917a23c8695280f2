"""Rates of the finder by cell: kept in ``docs/results/finder.json`` as they come, and the page made of them.

A run that was stopped goes on where it was; several may run at once, on different cells.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from _courses import ONLINE, PHASES, Cell, cells

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "finder.json"
PAGE = RESULTS.with_suffix(".md")
COUNT = 400
MOST_FALSE = 33  # of 400
LEAST_COVERED = 0.85
HEAD = f"""# The finder, calibrated

Made by `./run bench phases online`: {COUNT} planted courses a cell, noise of 0.08 orders a measurement (three times it
late or early, 0.4 of it elsewhere), shapes, noises and spacings of `benchmarks/_courses.py`; rise and fall in orders.
*kept*: courses of kept runs, made to fall only, with their own residuals. Window 3: three near-by steps in each
measurement. At most {MOST_FALSE} false claims of {COUNT} are allowed in any cell, and where there are 200 claims or
more, {LEAST_COVERED:.0%} of the boundary's stretches must hold both the end of the fall and the start of the rise.
"""


def main(bench: str, text: str, measure: Callable[[Cell, int, int], dict[str, float | None]], words: str) -> None:
    """Measure the cells of a list that are not kept yet, or those named, and write the page."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of names of cells, in quotes; all without")
    parser.add_argument("--count", type=int, default=COUNT, help="courses in a cell; another number is not kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="also cells that are kept")
    options = parser.parse_args()
    for cell in cells(text):
        if options.names and not any(name in cell.name for name in options.names):
            continue
        if not options.again and options.count == COUNT and cell.name in _kept().get(bench, {}):
            continue
        start = time.perf_counter()
        row = measure(cell, options.count, options.seed)
        said = " ".join(f"{key} {value:.3g}" for key, value in row.items() if value is not None)
        print(f"{cell.name}: {said} ({time.perf_counter() - start:.0f} s)", flush=True)
        if options.count == COUNT:
            with FileLock(Path(tempfile.gettempdir()) / "interdyn-finder.lock"):
                kept = _kept()
                kept.setdefault(bench, {})[cell.name] = row
                RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
                PAGE.write_text(_page(kept), encoding="utf-8")


def _kept() -> dict[str, dict[str, dict[str, float | None]]]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}


def _page(kept: dict[str, dict[str, dict[str, float | None]]]) -> str:
    parts = [HEAD]
    for bench, text in (("phases", PHASES), ("online", ONLINE)):
        rows = [(cell, kept[bench][cell.name]) for cell in cells(text) if cell.name in kept.get(bench, {})]
        for true, title in ((False, f"## {bench}: nothing is there"), (True, f"## {bench}: something is there")):
            some = [(cell, row) for cell, row in rows if cell.true is true]
            if not some:
                continue
            columns = list(dict.fromkeys(key for _, row in some for key in row))
            parts.append(f"{title}\n")
            parts.append(
                "| " + " | ".join(("shape", "noise", "n", "spacing", "window", "rise", "fall", *columns)) + " |"
            )
            parts.append("|---" * (7 + len(columns)) + "|")
            for cell, row in some:
                numbers = ("" if row.get(key) is None else f"{row[key]:.3g}" for key in columns)
                parts.append("| " + " | ".join((*cell.name.split(), *numbers)) + " |")
            parts.append("")
    return "\n".join(parts)
