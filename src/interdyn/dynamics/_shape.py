"""Does a series fall, and does it rise? Tests against the nearest course that does not."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from interdyn.dynamics._curve import CurvePosterior
from interdyn.dynamics._monotone import falling_fit, shape_residuals


class TurnTest(NamedTuple):
    """P-values of "falls at first" and of "rises at last"."""

    fall: float
    rise: float


def turn_test(y: Float[np.ndarray, " checkpoints"], posterior: CurvePosterior, *, rng: np.random.Generator) -> TurnTest:
    r"""Test whether a falling-then-rising course explains ``y`` better than one that only rises, or only falls.

    $$D = \mathrm{RSS}(\text{monotone}) - \mathrm{RSS}(\text{falling, then rising})$$

    The null course of the rise is the best non-increasing fit to ``y``, of the fall the best non-decreasing one; each
    replicate adds the noise and the sampling deviation of one draw of the posterior, so that the uncertainty of the
    noise level counts too. Two phases need both p-values small.

    Cost: two batches of monotone fits, ``O(checkpoints)`` passes over ``draws`` series.
    """
    seen = shape_residuals(y[None])
    error = rng.standard_normal(posterior.sampling.shape) * posterior.noise_std[:, None] + posterior.sampling
    only_falls = shape_residuals(falling_fit(y) + error)
    only_rises = shape_residuals(error - falling_fit(-y))

    def p_value(null: Float[np.ndarray, " draws"], observed: Float[np.ndarray, "1"]) -> float:
        return float((1 + np.count_nonzero(null >= observed)) / (len(null) + 1))

    return TurnTest(
        fall=p_value(only_rises.rising - only_rises.falling_then_rising, seen.rising - seen.falling_then_rising),
        rise=p_value(only_falls.falling - only_falls.falling_then_rising, seen.falling - seen.falling_then_rising),
    )
