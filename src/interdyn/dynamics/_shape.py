"""Does a series fall, and does it rise? Tests against the nearest course that does not.

The least-squares non-increasing fit is found by pooling adjacent violators. Kept as a stack of blocks that grows
from left to right, one pass gives the residual of the fit to *every* prefix; the same pass over the reversed
series gives every suffix. A series that falls and then rises is a prefix and a suffix, so all candidates for
the turn are judged by adding two tables.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from interdyn.dynamics._curve import CurvePosterior


class ShapeResiduals(NamedTuple):
    """Residual sums of squares of the best fit of each shape, one number per series."""

    falling: Float[np.ndarray, " series"]
    rising: Float[np.ndarray, " series"]
    falling_then_rising: Float[np.ndarray, " series"]


def falling_fit(y: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    r"""Return the least-squares non-increasing fit of one series.

    $$g_i = \min_{a \le i} \max_{b \ge i} \mathrm{mean}(y_a, \dots, y_b)$$

    Cost ``O(points**2)`` memory and time; `prefix_residuals` is the pass for many series.

    Examples
    --------
    >>> falling_fit(np.array([3.0, 1.0, 2.0, 0.0]))
    array([3. , 1.5, 1.5, 0. ])
    """
    total = np.concatenate([[0.0], np.cumsum(y)])
    a, b = np.ogrid[: len(y), : len(y)]
    mean = np.where(b >= a, (total[b + 1] - total[a]) / np.maximum(b - a + 1, 1), -np.inf)
    best_end = np.maximum.accumulate(mean[:, ::-1], axis=1)[:, ::-1]  # [a, i]: max over b >= i
    return np.asarray(np.where(a <= b, best_end, np.inf).min(axis=0))


def prefix_residuals(y: Float[np.ndarray, "series points"]) -> Float[np.ndarray, "series prefixes"]:
    """Return the residual sum of squares of the non-increasing fit to each prefix of each series.

    Entry ``[:, t]`` belongs to the first ``t`` points, so ``[:, 0]`` is 0. Cost ``O(points)`` passes over the series
    on typical data.

    Examples
    --------
    >>> prefix_residuals(np.array([[3.0, 1.0, 2.0, 0.0]]))
    array([[0. , 0. , 0. , 0.5, 0.5]])
    """
    y = y - y.mean(axis=1, keepdims=True)  # the sums of squares then lose no digits
    series, points = y.shape
    columns = np.ascontiguousarray(y.T)
    stack, sizes = np.empty(points * series), np.empty(points * series)  # sums and sizes of the blocks below the last
    everyone = np.arange(series)
    below = everyone - series  # place on the stack of the block below the last; negative: there is none
    last, size = np.zeros(series), np.ones(series)
    explained, out = np.zeros(series), np.zeros((points + 1, series))
    for t in range(points):
        s0, n0, last, size = last, size, columns[t].copy(), np.ones(series)
        explained += last**2
        if t:
            below += series
            stack[below], sizes[below] = s0, n0
            rows = np.flatnonzero(s0 < last * n0)
            s0, n0, s1, n1 = s0[rows], n0[rows], last[rows], size[rows]
            while rows.size:
                pooled, count = s0 + s1, n0 + n1
                explained[rows] += pooled**2 / count - s0**2 / n0 - s1**2 / n1
                last[rows], size[rows] = pooled, count
                place = below[rows] - series
                below[rows] = place
                more = place >= 0
                rows, s1, n1, place = rows[more], pooled[more], count[more], place[more]
                s0, n0 = stack[place], sizes[place]
                pool = s0 * n1 < s1 * n0
                rows, s0, n0, s1, n1 = rows[pool], s0[pool], n0[pool], s1[pool], n1[pool]
        out[t + 1] = explained
    squares = np.concatenate([np.zeros((1, series)), np.cumsum(columns**2, axis=0)])
    return np.asarray(np.maximum(squares - out, 0.0).T)


def shape_residuals(y: Float[np.ndarray, "series points"]) -> ShapeResiduals:
    """Fit each series by a falling, a rising, and a falling-then-rising course.

    Examples
    --------
    >>> fit = shape_residuals(np.array([[2.0, 0.0, 2.0]]))
    >>> fit.falling, fit.rising, fit.falling_then_rising
    (array([2.]), array([2.]), array([0.]))
    """
    both = prefix_residuals(np.concatenate([y, y[:, ::-1]]))
    prefix, suffix = both[: len(y)], both[len(y) :, ::-1]  # suffix[:, t]: points t and later
    return ShapeResiduals(prefix[:, -1], suffix[:, 0], (prefix + suffix).min(axis=1))


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
    white = rng.standard_normal(posterior.sampling.shape)
    error = white * posterior.noise_std[:, None] + posterior.sampling
    seen = shape_residuals(y[None])
    rising, falling = shape_residuals(error - falling_fit(-y)), shape_residuals(error + falling_fit(y))
    return TurnTest(
        _p_value(rising.rising - rising.falling_then_rising, seen.rising - seen.falling_then_rising),
        _p_value(falling.falling - falling.falling_then_rising, seen.falling - seen.falling_then_rising),
    )


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
