"""The verdict at a look, from everything seen up to it."""

from time import perf_counter

import numpy as np

from interdyn.dynamics import OnlineVerdict, online_verdict
from interdyn.values import Trajectory


def verdict_after(trajectory: Trajectory, looks: int) -> OnlineVerdict:
    """Return the verdict that the first ``looks`` steps of a trajectory allow.

    Only whether the look before saw a rise matters besides, so two tests are enough.
    """
    before = online_verdict(trajectory.first(looks - 1)) if looks > 1 else None
    return online_verdict(trajectory.first(looks), before=before)


def verdict_seconds(samples: int, orders: int) -> float:
    """Return how long a verdict takes, by a trial on ten looks at nothing in particular."""
    strength = np.random.default_rng(0).random((10, samples, orders))
    begun = perf_counter()
    verdict_after(Trajectory(np.arange(10.0), strength, None, None, ""), 10)
    return perf_counter() - begun
