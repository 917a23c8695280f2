"""The verdict at a look, from everything seen up to it."""

from time import perf_counter

import numpy as np

from interdyn.dynamics import OnlineVerdict, latest_verdict
from interdyn.values import Trajectory


def verdict_after(trajectory: Trajectory, looks: int) -> OnlineVerdict:
    """Return the verdict that the first ``looks`` steps of a trajectory allow."""
    return latest_verdict(trajectory.first(looks))


def verdict_seconds(samples: int, orders: int) -> float:
    """Return how long a verdict takes, by a trial on ten looks at nothing in particular."""
    strength = np.random.default_rng(0).random((10, samples, orders))
    begun = perf_counter()
    verdict_after(Trajectory(np.arange(10.0), strength, None, None, ""), 10)
    return perf_counter() - begun
