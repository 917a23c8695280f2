"""Rates of `online_verdict` with a verdict at every look: false alarms, planted onsets found, and how late.

Run: ./run bench online
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from _record import Record
from interdyn.dynamics import OnlineVerdict, online_verdicts
from planted_trajectories import Planted, two_phases, without_two_phases

QUIET = ("falling", "flat", "noise")  # trainings without a second phase


def alarm(planted: Planted) -> OnlineVerdict | None:
    """Return the first verdict that a second phase has begun."""
    return next((v for v in online_verdicts(planted.trajectory) if v.since is not None), None)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="trajectories of each sort")
    options = parser.parse_args()
    record = Record("online")
    for kind in QUIET:
        drawn = [p for p in without_two_phases(5 * options.count, seed=1) if p.kind == kind]
        rang = np.mean([alarm(p) is not None for p in drawn])
        record.add(f"{kind}: trainings with a false alarm at any look", float(rang), "share", n=10, batch=len(drawn))
    drawn = two_phases(options.count, seed=2)
    found = [(p, alarm(p)) for p in drawn]
    hits = [(p, v) for p, v in found if v is not None]
    record.add("planted onsets found", len(hits) / len(drawn), "share", n=10, batch=len(drawn))
    late = [(v.step + 1) / (p.boundary + 1) for p, v in hits]
    record.add("factor of steps from onset to alarm, median", float(np.median(late)), "times", n=10, batch=len(hits))
    early = np.mean([v.step < p.boundary for p, v in hits])
    record.add("alarms before the onset", float(early), "share", n=10, batch=len(hits))
    covered = np.mean([v.interval[0] <= p.boundary <= v.interval[1] for p, v in hits])
    record.add("90 % intervals at the alarm that cover the onset", float(covered), "share", n=10, batch=len(hits))
    record.write()


if __name__ == "__main__":
    main()
