"""Fits of monotone and of falling-then-rising series, many series at once.

The least-squares non-increasing fit is found by pooling adjacent violators. Kept as a stack of blocks that grows
from left to right, one pass gives the residual of the fit to *every* prefix; the same pass over the reversed
series gives every suffix. A series that falls and then rises is a prefix and a suffix, so all candidates for
the turn are judged by adding two tables.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


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
