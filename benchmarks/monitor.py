"""Is the monitor worth trusting? Its signals and other monitors on trainings whose truth is known.

``run NAME ...`` does all of a training of ``benchmarks/monitor``: the run of the recipe and, for six of them, that of a
twin with another seed; the training once more, with losses after every epoch, for the truth and the other monitors; and
keeps the figures in ``docs/results/monitor``. An unfinished run is continued. ``page`` writes
``docs/results/monitor.md``, and its conclusion into ``docs/reading/verdict.md``, from all that is kept.

Run: ./run monitor run NAME ... [--out runs/monitor]     (needs INTERDYN_DATA; one thread; several at once are fine)
     ls benchmarks/monitor/*.toml | xargs -n1 basename -s .toml | xargs -n1 -P16 ./run monitor run
     ./run monitor page
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from _monitor_judged import judge
from _monitor_page import ORDER, conclusion, pattern_told, picture, text
from _monitor_series import first, least_alpha, ours, retrained
from interdyn import store
from interdyn.measurement import History
from interdyn.recipes import Recipe, load_recipe, run_recipe

RECIPES = Path(__file__).parent / "monitor"
PAGE = Path(__file__).parents[1] / "docs" / "results" / "monitor.md"
KEPT = PAGE.with_suffix("")
TOLD = PAGE.parents[1] / "reading" / "verdict.md"  # where users read which monitor does best at what
BEGIN, END = "<!-- monitor: begin -->\n", "<!-- monitor: end -->"
TWINS = ("noise-20", "digits-noise", "digits-decay", "cancer-noise", "magic-many", "german-long")


def done(recipe: Recipe, folder: Path) -> store.Run:
    """Return the finished run of a recipe; what is there already is not done again."""
    return run_recipe(recipe, folder, allow_code=True)


def keep(name: str, out: Path) -> None:
    """Do all of a training and write its figures."""
    began = time.process_time()
    recipe = load_recipe(RECIPES / f"{name}.toml")
    run, twin = done(recipe, out / name), None
    if name in TWINS:
        other = recipe.training.seed + 1
        twin = done(load_recipe(RECIPES / f"{name}.toml", changes={"training.seed": other}), out / f"{name}--twin")
    verdicts = History.read(run).verdicts()
    content: dict[str, Any] = {
        "name": recipe.name,
        "description": recipe.description,
        "task": recipe.data.name.rpartition(":")[2].removeprefix("shifted_").removeprefix("shortcut_"),
        **ours(run, twin),
        "stages": [str(v.stage) for v in verdicts],
        "phase_2": first((float(v.step), v.phase_2) for v in verdicts),
        "alpha": least_alpha(run, recipe),
        **retrained(recipe),
    }
    KEPT.mkdir(exist_ok=True)
    rows = [f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in content.items()]
    (KEPT / f"{name}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
    print(f"kept {name}, {time.process_time() - began:.0f} s of a core: {verdicts[-1].sentence}")


def page() -> None:
    """Write the page and its figure from everything that is kept."""
    kept = {path.stem: json.loads(path.read_text()) for path in sorted(KEPT.glob("*.json"))}
    if not kept:
        raise SystemExit(f"no training is kept in {KEPT}; do one: ./run monitor run digits-noise")
    ordered = [kept[name] for name in (*(n for n in ORDER if n in kept), *(n for n in kept if n not in ORDER))]
    for k in ordered:
        judge(k)
    missing = sorted({path.stem for path in RECIPES.glob("*.toml")} - set(kept))
    picture(ordered, KEPT / "courses.svg")
    PAGE.write_text(text(ordered, missing))
    before, rest = TOLD.read_text().split(BEGIN)
    TOLD.write_text(f"{before}{BEGIN}{conclusion(ordered, missing)}\n{END}{rest.split(END)[1]}")
    print(
        f"wrote {PAGE}, and its conclusion in {TOLD}. Where the documentation mentions `find_pattern`, write: an alarm"
    )
    print(pattern_told(ordered))


def main() -> None:
    """Keep the trainings that are named, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    running = tasks.add_parser("run", help="do all of some trainings and keep their figures")
    running.add_argument(
        "names", nargs="+", choices=sorted(path.stem for path in RECIPES.glob("*.toml")), metavar="NAME"
    )
    running.add_argument("--out", type=Path, default=Path("runs") / "monitor", help="folder of the runs")
    tasks.add_parser("page", help="write docs/results/monitor.md from all that is kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.task == "page":
        page()
        return
    for name in options.names:
        keep(name, options.out)


if __name__ == "__main__":
    main()
