"""Rates of `find_phases` and `find_gap_onset` on planted courses: false claims, power beside version 0.1, coverage.

Run: ./run bench phases, or benchmarks/bench_phases.py "plateau ar0.8late" for some cells.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from _calibration import can_be_two, main
from _courses import PHASES, draw
from _versions import environment, sources_of_version_01
from interdyn.dynamics import find_gap_onset, find_phases

_OLD = """
import sys, numpy as np
from interdyn.dynamics import find_phases
from interdyn.values import Trajectory
drawn = np.load(sys.argv[1])
trajectories = (Trajectory(drawn[f"steps{i}"], drawn[f"strength{i}"]) for i in range(len(drawn) // 2))
print(np.mean([find_phases(t).found for t in trajectories]))
"""


def version_01(trajectories):
    """Return the share of trajectories in which version 0.1 finds two phases."""
    arrays = {f"{name}{i}": getattr(t, name) for i, t in enumerate(trajectories) for name in ("steps", "strength")}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "drawn.npz", **arrays)
        path = sources_of_version_01(Path(folder))
        run = subprocess.run(
            [sys.executable, "-c", _OLD, str(Path(folder) / "drawn.npz")],
            env=environment(path), capture_output=True, text=True, check=True,
        )  # fmt: skip
    return float(run.stdout)


def phases(cell, count, seed):
    """Return the rates of one cell."""
    found, single, rows, absent = [], [], [], []
    for course, rng in draw(cell, count, seed):
        trajectory = course.trajectory(rng)
        if not cell.true and not can_be_two(trajectory):
            found.append(False)
            continue
        said = find_phases(trajectory)
        found.append(said.found)
        if cell.true:
            single.append(course.trajectory(rng, single=True))
            absent.append(said.evidence.possible_rise < cell.rise)
        if said.found and cell.true:
            spans = [course.axis(span) for span in (said.interval, said.fall_ends.interval, said.rise_starts.interval)]
            rows.append(_covered(spans, course.truth))
    if not cell.true:
        return {"false of 400": float(np.sum(found)) * 400 / count}
    out = {"found": float(np.mean(found)), "bound below the rise": float(np.mean(absent)) if cell.rise else None}
    if cell.window > 1 and cell.noise == "iid":
        out["found by 0.1, single steps"] = version_01(single)
    names = ("stretch covers", "end of fall covers", "start of rise covers", "width")
    return out | dict(zip(names, (float(v) for v in np.mean(rows, axis=0)), strict=True)) if rows else out


def _covered(spans, truth):
    (low, high), fall, rise = spans
    within = (low <= truth[0] and truth[1] <= high, fall[0] <= truth[0] <= fall[1], rise[0] <= truth[1] <= rise[1])
    return (*(float(w) for w in within), high - low)


def gap(cell, count, seed):
    """Return the rates of one cell of loss gaps."""
    said = []
    for course, _ in draw(cell, count, seed):
        onset = find_gap_onset(course.steps, np.zeros_like(course.y), course.y)
        place = None if onset.interval is None else course.axis(onset.interval)
        said.append(
            (onset.found, np.nan if place is None or not cell.true else place[0] <= course.truth[1] <= place[1])
        )
    found, covered = np.array(said, float).T
    if not cell.true:
        return {"false of 400": float(found.sum()) * 400 / count}
    return {"found": float(found.mean()), "start of rise covers": float(np.nanmean(covered))}


def measure(cell, count, seed):
    """Return the rates of one cell."""
    return (gap if cell.shape.startswith("gap") else phases)(cell, count, seed)


if __name__ == "__main__":
    main("phases", PHASES, measure, __doc__)
