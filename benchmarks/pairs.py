"""The nine pairs of network and data of the paper: settings are tried, frozen, and then run over seeds.

1. ``trial``: every variant of ``benchmarks/studies/pairs`` on a seed that no kept run has, with 4 samples and 10
   windows. Pairs without a file there keep their recipes. A line of JSON for each goes to ``trials.jsonl`` in the
   folder of the runs.
2. ``freeze``: of each pair the variant whose fall and rise are most probable by the finder; those within 0.05 of the
   best count as equal, and the one with the least noise between measurements is taken. ``--use PAIR=VARIANT``
   overrules. Choices go to ``frozen.json``, a line for each trial to ``tried.md``. The recipes of the library must then
   be changed to them by hand; the test of docs/results says where they differ.
3. ``final``: recipes with the frozen settings, over their seeds; each finished run is kept under docs/results.
   ``--recipes small`` are five small ones over five seeds, ``rest`` all others once; or name them.

Runs that are finished are not made again. A run that fails is told, and the others go on.

Run: python benchmarks/pairs.py {trial,freeze,final} [--workers N] [--device auto] [--runs DIR]
"""

import argparse
import json
import multiprocessing
import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import results
from interdyn import store
from interdyn._numbers import percent
from interdyn.recipes import load_recipe, load_study, planned, recipes, run_recipe

STUDIES = Path(__file__).parent / "studies" / "pairs"
SMALL = ("game-and-or", "digits-mlp", "digits-cnn", "wine-mlp", "breast-cancer-mlp")
DEAR = ("vgg11-cifar10",)  # above 30 minutes on one core
EQUAL = 0.05  # of the probability of a fall and a rise
LONGEST_FIRST = ("bert-medium-sst2", "dgcnn-shapenet", "vgg16-cifar10", "vgg11-cifar10", "bert-tiny-sst2")


def seeds_of(name: str) -> int:
    """Return over how many seeds a recipe is kept."""
    if name in SMALL:
        return 5
    return 1 if name not in results.PAIRS else 2 if name in DEAR else 3


def placed(device: str) -> dict[str, str]:
    """Return the settings that put a run on a device; none for the CPU, where every recipe is by itself."""
    return {} if device == "cpu" else {"training.device": device}


def outcome(folder: Path) -> dict[str, Any]:
    """Return the numbers of a finished run by which settings are judged."""
    result = store.read_result(store.open_run(folder))
    shown = result.windows.mean_order["test"] if result.windows else result.first.mean_order
    steps = result.windows.steps if result.windows else result.steps
    phases, evidence, told = (
        result.phases,
        result.phases.evidence,
        None if result.prediction is None else result.prediction.overall,
    )
    return {
        "mean_order": [[int(s), round(float(v), 3)] for s, v in zip(steps, shown.value, strict=True)],
        "status": phases.status,
        "two_phases": evidence["two_phases"],
        "noise": evidence["noise_std"],
        "established": phases.found,
        "fall": evidence["fall"],
        "rise": evidence["rise"],
        "fall_ends": [phases.fall_ends, phases.fall_ends_interval],
        "rise_starts": [phases.rise_starts, phases.rise_starts_interval],
        "gap_onset": [phases.gap_onset_step, phases.gap_interval],
        "best": None if told is None else list(told.best),
        "train_accuracy": None if result.train_accuracy is None else float(result.train_accuracy[-1]),
        "test_accuracy": None if result.test_accuracy is None else float(result.test_accuracy[-1]),
    }


def make(recipe: str, changes: Mapping[str, Any], folder: Path, *, keep: bool) -> dict[str, Any]:
    """Make one run, in whatever process, and return what it found."""
    begun = perf_counter()
    run_recipe(load_recipe(recipe, changes=dict(changes)), folder)
    if keep:
        results.keep(folder)
    return outcome(folder) | {"minutes": round((perf_counter() - begun) / 60, 2)}


def trial_jobs(runs: Path, device: str) -> list[tuple[str, dict[str, Any], Path, str]]:
    """Return recipe, settings, folder and variant of every trial."""
    out = []
    for file in sorted(STUDIES.glob("*.toml")):
        study = load_study(file)
        for run in planned(study):
            changes = {**run.settings, "training.seed": run.seed} | placed(device)
            out.append((study.recipe, changes, runs / "trials" / study.recipe / run.folder, run.variant))
    return out


def final_jobs(runs: Path, device: str, names: Iterable[str]) -> list[tuple[str, dict[str, Any], Path, str]]:
    """Return recipe, settings, folder and variant of every run that is kept."""
    path, out = runs / "frozen.json", []
    frozen = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        chosen = frozen.get(name, {"variant": "", "set": {}})
        for seed in range(seeds_of(name)):
            changes = {**chosen["set"], "training.seed": seed} | placed(device)
            out.append((name, changes, runs / "final" / f"{name}--seed-{seed}", chosen["variant"]))
    return out


def run_all(jobs: list[tuple[str, dict[str, Any], Path, str]], lines: Path, workers: int, *, keep: bool) -> int:
    """Make runs, so many at a time, and write a line for each as it ends; return how many failed."""
    order = {name: at for at, name in enumerate(LONGEST_FIRST)}
    jobs = sorted(jobs, key=lambda job: order.get(job[0], len(order)))
    lines.parent.mkdir(parents=True, exist_ok=True)
    failed = 0
    with TemporaryDirectory() as folder:  # compiles the loops once, for all processes
        run_recipe(load_recipe("game-and-or", smoke=True), folder)
    spawn = multiprocessing.get_context("spawn")  # a graphics card stands no fork
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool, lines.open("a") as file:
        handed = {pool.submit(make, *job[:3], keep=keep): job for job in jobs}
        for count, future in enumerate(as_completed(handed), start=1):
            recipe, changes, folder, variant = handed[future]
            told: dict[str, Any] = {"recipe": recipe, "variant": variant, "set": changes, "folder": str(folder)}
            if problem := future.exception():  # others go on
                told |= {"failed": f"{type(problem).__name__}: {problem}"}
            else:
                told |= future.result()
            failed += problem is not None
            print(json.dumps(told), file=file, flush=True)
            said = told.get("failed") or f"{told['status']} ({told['minutes']} min)"
            print(f"{count} of {len(jobs)}: {recipe} {variant}: {said}", flush=True)
    return failed


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the last line of each run that did not fail."""
    told = [json.loads(line) for line in path.read_text().splitlines()]
    return list({one["folder"]: one for one in told if "failed" not in one}.values())


def choose(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the trial by whose settings a pair is run.

    Examples
    --------
    >>> told = [(0.9, 0.3), (0.87, 0.1), (0.2, 0.0)]
    >>> choose([{"two_phases": probability, "noise": noise} for probability, noise in told])
    {'two_phases': 0.87, 'noise': 0.1}
    """
    best = max(one["two_phases"] for one in trials)
    return min((one for one in trials if one["two_phases"] >= best - EQUAL), key=lambda one: one["noise"])


def freeze(runs: Path, use: Mapping[str, str]) -> None:
    """Choose the settings of every pair, and write them down beside what was tried."""
    trials, frozen, rows = read_lines(runs / "trials.jsonl"), {}, []
    of_variant = {
        (file.stem, one["name"]): one["set"]
        for file in STUDIES.glob("*.toml")
        for one in tomllib.loads(file.read_text())["variant"]
    }
    for name in results.PAIRS:
        tried = [one for one in trials if one["recipe"] == name]
        if not tried:
            print(f"{name}: nothing was tried; its recipe stays as it is")
            continue
        taken = next(one for one in tried if one["variant"] == use[name]) if name in use else choose(tried)
        frozen[name] = {"variant": taken["variant"], "set": of_variant[name, taken["variant"]]}
        print(f"{name}: {taken['variant']} {frozen[name]['set']}")
        rows += [tried_row(one, of_variant[name, one["variant"]], taken is one) for one in tried]
    (runs / "frozen.json").write_text(json.dumps(frozen, indent=1) + "\n")
    (runs / "tried.md").write_text("\n".join(rows) + "\n")


def tried_row(trial: Mapping[str, Any], settings: Mapping[str, Any], taken: bool) -> str:
    """Return the line of docs/results/tried.md about a trial."""
    orders = [value for _, value in trial["mean_order"]]
    told = " ".join(f"`{key}={value}`" for key, value in settings.items()) or "as it was"
    found = (
        f"{orders[0]:.2f} → {min(orders):.2f} → {orders[-1]:.2f}; fall and rise {percent(trial['two_phases'])} probable"
    )
    return f"| `{trial['recipe']}` | {told} | {found}, noise {trial['noise']:.2f}{'; **taken**' if taken else ''} |"


def wanted(names: list[str]) -> list[str]:
    """Return the recipes that are meant, with ``small`` and ``rest`` for many."""
    groups: dict[str, Callable[[], Iterable[str]]] = {
        "pairs": lambda: results.PAIRS,
        "small": lambda: SMALL,
        "rest": lambda: [name for name in recipes() if name not in (*results.PAIRS, *SMALL)],
    }
    return [one for name in names for one in (groups[name]() if name in groups else [name])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("trial", "freeze", "final"))
    parser.add_argument("--recipes", nargs="+", default=["pairs"], help="pairs, small, rest, or names")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "pairs", help="folder of the runs")
    parser.add_argument("--use", nargs="*", default=[], help="PAIR=VARIANT for freeze")
    asked = parser.parse_args()
    if asked.task == "freeze":
        freeze(asked.runs, dict(one.split("=", 1) for one in asked.use))
        return
    names = wanted(asked.recipes)
    if asked.task == "trial":
        jobs = [job for job in trial_jobs(asked.runs, asked.device) if job[0] in names]
        sys.exit(run_all(jobs, asked.runs / "trials.jsonl", asked.workers, keep=False) > 0)
    failed = run_all(final_jobs(asked.runs, asked.device, names), asked.runs / "final.jsonl", asked.workers, keep=True)
    results.write_page()
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
