"""Rates of `find_phases` on planted trajectories: coverage, missed and false boundaries, by noise and by turn.

Run: ./run bench phases
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices; times are of one core

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from _record import Record
from interdyn.dynamics import PhaseStatus, find_phases
from planted_trajectories import NOISE, NULLS, TURNS, two_phases, without_two_phases

LEVELS = (None, 0.02, 0.05, 0.10, 0.20)  # None: log-uniform within NOISE, the stated noise
HEAD = (
    f"{'noise':>10} {'kind':>9} {'count':>6} {'found':>7} {'no verdict':>11} {'coverage':>9} "
    f"{'width':>6} {'error':>6} {'ms':>5}"
)


def measure(planted):
    """Return one row for each trajectory: kind, found, no verdict, covered, width, error."""
    rows, start = [], time.perf_counter()
    for p in planted:
        phases = find_phases(p.trajectory)
        covered, width, error = np.nan, np.nan, np.nan
        if phases.found and p.boundary is not None:
            covered = float(phases.interval[0] <= p.boundary <= phases.interval[1])
            width = phases.evidence.interval_share
            error = abs(np.log((phases.boundary_step + 1) / (p.boundary + 1)))
        rows.append((p.kind, phases.found, phases.status == PhaseStatus.NO_VERDICT, covered, width, error))
    return rows, (time.perf_counter() - start) / len(rows)


def keep(record, title, rows, seconds):
    """Add the rates that are promised: those at the stated noise."""
    numbers = np.array([r[1:4] for r in rows], dtype=float)
    found, none, covered = numbers.T
    many = {"n": 10, "batch": len(rows)}
    record.add(f"{title}: boundary found", found.mean(), "share", **many)
    record.add(f"{title}: no verdict", none.mean(), "share", **many)
    if title == "two phases":
        record.add(f"{title}: 90 % intervals that cover the boundary", np.nanmean(covered), "share", **many)
    record.add(f"{title}: time of one call", seconds * 1e3, "ms", **many)


def line(name, kind, rows, seconds):
    numbers = np.array([r[1:] for r in rows], dtype=float)
    found = numbers[numbers[:, 0] > 0]
    known = len(found) and not np.isnan(found[:, 2]).all()
    coverage, width, error = (
        (f"{found[:, 2].mean():.1%}", f"{np.median(found[:, 3]):.1%}", f"{np.median(found[:, 4]):.2f}")
        if known
        else ("", "", "")
    )
    return (
        f"{name:>10} {kind:>9} {len(rows):>6} {numbers[:, 0].mean():>7.1%} {numbers[:, 1].mean():>11.1%} "
        f"{coverage:>9} {width:>6} {error:>6} {seconds * 1e3:>5.0f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="trajectories with, and as many without two phases")
    parser.add_argument("--seed", type=int, default=2025)
    args = parser.parse_args()
    record, kept = Record("phases"), {}
    print("coverage and width of 90 % intervals, width as a share of the log axis, error in log steps (median)")
    print(f"`stated`: noise of the mean order, common to all samples, between {NOISE[0]} and {NOISE[1]} orders a step")
    print(HEAD)
    for noise in LEVELS:
        name = "stated" if noise is None else f"{noise:.2f}"
        for make, kinds, title in ((two_phases, TURNS, "two"), (without_two_phases, NULLS, "none")):
            rows, seconds = measure(make(args.count, seed=args.seed + (title == "none"), noise=noise))
            print(line(name, title, rows, seconds))
            if noise is None:
                kept["two phases" if title == "two" else "without two phases"] = rows, seconds
            for kind in kinds if noise is None else ():
                print(line("", kind, [r for r in rows if r[0] == kind], seconds))
    print("at the stated noise:")
    for title, (rows, seconds) in kept.items():
        keep(record, title, rows, seconds)
    record.write()


if __name__ == "__main__":
    main()
