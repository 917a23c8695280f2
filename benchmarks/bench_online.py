"""Rates of `online_verdict` with a verdict at every measurement: false alarms, second phases found, and how late.

Run: ./run bench online, or benchmarks/bench_online.py "flat ar0.8" for some cells.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices

import numpy as np

from _calibration import can_be_two, main, numbers_of
from _courses import ONLINE, draw
from interdyn.dynamics import MIN_STEPS, online_verdict


def alarm(trajectory):
    """Return the first verdict that a second phase has begun; the later ones are not asked for.

    It takes two measurements in a row: every other one is judged, its neighbours only where it sees a rise.
    """
    numbers = numbers_of(trajectory)

    def judged(number, before=None):
        return online_verdict(trajectory.first(int((numbers <= number).sum())), before=before)

    for number in range(MIN_STEPS, numbers[-1] + 1, 2):
        known = trajectory.first(int((numbers <= number).sum()))
        if can_be_two(known) and (here := judged(number)).rising:
            for second, before in ((number, judged(number - 1)), (number + 1, here)):
                if second <= numbers[-1] and (said := judged(second, before)).since is not None:
                    return said
    return None


def measure(cell, count, seed):
    """Return the rates of one cell."""
    rang, late, early, covered = [], [], [], []
    for course, rng in draw(cell, count, seed):
        said = alarm(course.trajectory(rng))
        rang.append(said is not None)
        if said is not None and cell.true:
            low, high, at = course.axis([*said.interval, said.step])
            start = course.truth[1]
            covered.append(low <= start <= high)
            early.append(at < start)
            unit = course.steps[course.steps > 0][0]
            began = np.expm1(start * np.log1p(course.steps[-1] / unit)) * unit
            late.append((said.step + unit) / (began + unit))
    if not cell.true:
        return {"false of 400": float(np.sum(rang)) * 400 / count}
    return {
        "found": float(np.mean(rang)),
        "factor of steps to the alarm": float(np.median(late)),
        "alarms before the rise": float(np.mean(early)),
        "start of rise covers": float(np.mean(covered)),
    }


if __name__ == "__main__":
    main("online", ONLINE, measure, __doc__)
