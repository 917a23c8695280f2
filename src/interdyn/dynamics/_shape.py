"""Does a series fall, and does it rise? Tests against the nearest course that does not."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from interdyn.dynamics._curve import CurvePosterior
from interdyn.dynamics._monotone import falling_fit, prefix_residuals, shape_residuals

LEVEL_POINTS = 6  # a shorter stretch would hide a sharp turn


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
    error = _errors(posterior, rng)
    seen, null = shape_residuals(y[None]), shape_residuals(error - falling_fit(-y))
    fall = _p_value(null.rising - null.falling_then_rising, seen.rising - seen.falling_then_rising)
    return TurnTest(fall, _rise(y, error))


def rise_test(y: Float[np.ndarray, " checkpoints"], posterior: CurvePosterior, *, rng: np.random.Generator) -> float:
    """Return the p-value of "rises at last" alone, as `turn_test` does."""
    return _rise(y, _errors(posterior, rng))


def _errors(posterior: CurvePosterior, rng: np.random.Generator) -> Float[np.ndarray, "draws checkpoints"]:
    white = rng.standard_normal(posterior.sampling.shape)
    return np.asarray(white * posterior.noise_std[:, None] + posterior.sampling)


def _rise(y: Float[np.ndarray, " checkpoints"], error: Float[np.ndarray, "draws checkpoints"]) -> float:
    seen, null = shape_residuals(y[None]), shape_residuals(falling_fit(y) + error)
    return _p_value(null.falling - null.falling_then_rising, seen.falling - seen.falling_then_rising)


def _p_value(null: Float[np.ndarray, " draws"], observed: Float[np.ndarray, "1"]) -> float:
    return float((1 + np.count_nonzero(null >= observed)) / (len(null) + 1))


def level_bound(points: int) -> float:
    """Return the 80 % quantile of what a falling-then-rising fit explains of ``points`` level points of noise 1.

    A fit to simulated quantiles from 6 to 40 points, where it errs by less than 0.2.

    Examples
    --------
    >>> round(level_bound(6), 2)
    5.16
    """
    return 4.267 * float(np.log(points)) - 2.483


def level_stretch(
    x: Float[np.ndarray, " checkpoints"], y: Float[np.ndarray, " checkpoints"], place: float
) -> tuple[float, float]:
    """Return the ends of all stretches around ``place`` that cannot be told from level ground; ``y`` has noise 1.

    A curve drawn through the noise of a plateau has its lowest point at some dip; the true course has none. A
    stretch of at least `LEVEL_POINTS` checkpoints counts when falling then rising explains no more of it than of pure
    noise (`level_bound`). Without one, the ends are ``place`` itself.

    Examples
    --------
    >>> x = np.arange(11.0)
    >>> level_stretch(x, np.array([90.0, 60, 30, 0, 1, 0, 0, 1, 0, 50, 90]), 5.0)
    (3.0, 8.0)
    """
    n, low, high = len(y), place, place
    y = y - y.mean()  # the sums of squares then lose no digits
    first = np.arange(n)
    ahead = prefix_residuals(y[np.minimum(first[:, None] + first, n - 1)])  # [i, m]: m points from i on, falling
    back = prefix_residuals(y[np.maximum(first[:, None] - first, 0)])  # [j, m]: m points up to j, rising
    total, squares = (np.concatenate([[0.0], np.cumsum(column)]) for column in (y, y**2))
    bound = np.array([level_bound(m) for m in range(1, n + 1)])
    for i in np.flatnonzero(x <= place):
        ends = np.flatnonzero((x >= place) & (first >= i + LEVEL_POINTS - 1))
        if not ends.size:
            break  # the later ones have still fewer points
        m = ends - i + 1
        rest = np.maximum(m[:, None] - np.arange(m[-1] + 1), 0)  # rising points, for each number of falling ones
        turning = (ahead[i, : m[-1] + 1] + back[ends[:, None], rest]).min(axis=1)  # more than m falling are no better
        explained = squares[ends + 1] - squares[i] - (total[ends + 1] - total[i]) ** 2 / m - turning
        level = ends[explained <= bound[m - 1]]
        if level.size:
            low, high = min(low, float(x[i])), max(high, float(x[level[-1]]))
    return low, high
