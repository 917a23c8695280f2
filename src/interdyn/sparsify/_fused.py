"""The certified solver as one compiled loop; importing this file loads Numba.

The course is that of `interdyn.sparsify._admm`, its slow twin, step by step; the names are the same. What differs is
only where numbers wait: the move of a step is applied in the pass over memory that begins the next one, so that a
step reads and writes each array once or twice. Small tables go four side by side, each in a lane of its own, large ones
alone, so that they stay in the cache. A table whose gap is certified leaves its lane to the next one; the others
do not notice. The loop takes tables from a counter, so that any number of threads may run it on one batch.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from interdyn.compiled import INNER, compiled, source_stamp
from interdyn.compiled._lanes import (
    across,
    add,
    div,
    each,
    fetch_next,
    fma,
    last,
    least,
    load,
    mirrored,
    most,
    most_across,
    mul,
    splat,
    store,
    sub,
)
from interdyn.sparsify._admm import CHECK_EVERY, FIRST_THRESHOLD, LONG, MEMORY, NECESSARY, RANGE, SHORTEST, SUFFICIENT
from interdyn.sparsify._passes import (
    BOUND,
    FIRST,
    INSIDE,
    LANE_ROWS,
    LAST,
    LIVE,
    RESTART,
    RIDGE,
    SHRINK,
    SINCE,
    START,
    TAU,
    TAU_FIRST,
    WEIGHT,
    S,
    adjoint,
    advance,
    cut,
    objective,
    rescale,
    residuals,
    subtract_explained,
    travelled,
)
from interdyn.sparsify._projection import PATH, project
from interdyn.transforms._butterfly import __file__ as butterfly_file


@njit(**INNER)
def _mixed(primal: float, dual: float, old: float, first: float) -> float:
    """Return the new step: the ratio of the distances travelled, mixed with the old, within range of the first."""
    if not (primal > 0 and dual > 0):
        return old
    mixed = math.exp(MEMORY * math.log(math.sqrt(primal / dual)) + (1 - MEMORY) * math.log(old))
    return max(min(mixed, first * RANGE), first / RANGE)


@njit(**INNER)
def _set(lane: Any, row: int, i: int, wide: int, value: float) -> None:
    """Set what table ``i`` has for itself, in the ``wide`` lanes that are its own."""
    for j in range(i, i + wide):
        lane[4 * row + j] = value


@njit(**INNER)
def _repair(low: Any, work: Any, lane: Any, plan: Any) -> None:
    """Move ``x`` by the least step that brings every residual within the bound; refined twice."""
    _, _, x, v, by_and, by_or, y, other, path = work
    size = len(y)
    inside = load(lane, INSIDE * 4)
    minus = mul(splat(-1.0), inside)
    worst = np.empty(4)
    for _ in range(3):
        total = splat(0.0)
        for c in range(0, size, 4):
            store(y, c, load(v, c))
            store(by_and, c, load(x, c))
            o = load(x, size + c)
            store(by_or, size - 4 - c, mirrored(low, o))
            total = add(total, o)
        subtract_explained(low, y, by_and, by_or, across(low, total), 1.0)
        largest = splat(0.0)
        for c in range(0, size, 4):
            r = load(y, c)
            r = sub(r, least(most(r, minus), inside))
            store(y, c, r)
            largest = most(largest, most(r, mul(splat(-1.0), r)))
        store(worst, 0, largest)
        if not worst.any():
            break
        project(low, y, other, splat(0.0), plan, path)
        adjoint(low, y, by_and, by_or)
        total = last(low, by_or)
        for c in range(0, size, 4):
            store(x, c, add(load(x, c), load(by_and, c)))
            o = sub(total, mirrored(low, load(by_or, size - 4 - c)))
            store(x, size + c, add(load(x, size + c), o))


@njit(**INNER)
def _lower_bound(low: Any, high: Any, work: Any, lane: Any, plan: Any, out: Any) -> None:
    """Write the dual value of the multiplier of ``w``, scaled to feasibility."""
    w, _, _, v, by_and, by_or, y, other, path = work
    size = len(y)
    tau, s, shrink, bound = load(lane, TAU * 4), load(lane, S * 4), load(lane, SHRINK * 4), load(lane, BOUND * 4)
    minus_bound = mul(splat(-1.0), bound)
    total = splat(0.0)
    for c in range(0, size, 4):
        u = cut(load(w, c), mul(tau, each(low, c)), mul(tau, each(high, c)), shrink)
        store(by_and, c, div(u, tau))
        u = cut(load(w, size + c), mul(tau, each(low, size + c)), mul(tau, each(high, size + c)), shrink)
        u = div(u, tau)
        store(by_or, size - 4 - c, mirrored(low, u))
        total = add(total, u)
        x = load(w, 2 * size + c)
        store(y, c, div(sub(x, least(most(x, minus_bound), bound)), tau))
    subtract_explained(low, y, by_and, by_or, across(low, total), -1.0)
    project(low, y, other, s, plan, path)
    value = splat(0.0)
    for c in range(0, size, 4):
        x = load(y, c)
        value = fma(load(v, c), x, value)
        value = sub(value, mul(bound, most(x, mul(splat(-1.0), x))))
    adjoint(low, y, by_and, by_or)
    total = last(low, by_or)
    worst = splat(2.2250738585072014e-308)
    for c in range(0, size, 4):
        x = load(by_and, c)
        worst = most(worst, most(div(x, each(high, c)), div(x, each(low, c))))
        x = sub(total, mirrored(low, load(by_or, size - 4 - c)))
        worst = most(worst, most(div(x, each(high, size + c)), div(x, each(low, size + c))))
    store(out, 0, div(across(low, value), most_across(low, worst)))


@njit(**INNER)
def _first_threshold(low: Any, work: Any, plan: Any, out: Any) -> None:
    """Write the first threshold of each table, in proportion to its least-norm explanation without the constant."""
    _, _, _, v, by_and, by_or, y, other, path = work
    size = len(y)
    for c in range(0, size, 4):
        store(y, c, load(v, c))
    project(low, y, other, splat(0.0), plan, path)
    adjoint(low, y, by_and, by_or)
    total = last(low, by_or)
    many = 4 if low.ndim == 1 else 1
    by_and[:many] = 0.0  # the constant does not count
    squares = splat(0.0)
    for c in range(0, size, 4):
        x = load(by_and, c)
        squares = fma(x, x, squares)
        x = sub(total, mirrored(low, load(by_or, size - 4 - c)))
        squares = fma(x, x, squares)
    store(out, 0, across(low, squares))
    for i in range(4):
        out[i] = FIRST_THRESHOLD * math.sqrt(out[i] / (2 * size // many))


@njit(**INNER)
def _fill(i: int, wide: int, r: int, problem: Any, work: Any, lane: Any, threshold: float, ratio: float) -> None:
    """Begin table ``r`` in lane ``i``, from the declared point: the constant ``v({})``."""
    bound, ridge, _ = problem
    w, anchor, _, v = work[:4]
    for c in range(i, len(w), 4 // wide):
        w[c] = anchor[c] = 0.0
    w[i] = anchor[i] = v[i]
    _set(lane, START, i, wide, v[i])
    _set(lane, TAU, i, wide, threshold)
    _set(lane, TAU_FIRST, i, wide, threshold)
    _set(lane, S, i, wide, ratio)
    _set(lane, RIDGE, i, wide, ridge[r])
    _set(lane, SHRINK, i, wide, ridge[r] * threshold / (1 + ridge[r] * threshold))
    _set(lane, BOUND, i, wide, bound[r])
    _set(lane, INSIDE, i, wide, bound[r] * (1 - 1e-9))
    _set(lane, SINCE, i, wide, 0.0)
    _set(lane, FIRST, i, wide, np.inf)
    _set(lane, LAST, i, wide, np.inf)


@njit(**INNER)
def _certify(rows: Any, check: Any, steps: Any, problem: Any, work: Any, lane: Any, cost: Any, plan: Any, best: Any,
             tol: float, max_iter: int) -> None:  # fmt: skip
    """Keep what is better than before of the tables whose turn it is; free the lanes of those that are done."""
    w, x = work[0], work[2]
    low, high = cost
    x_best, primal, dual, steps_taken = best
    floor = problem[2]
    tau, shrink = load(lane, TAU * 4), load(lane, SHRINK * 4)
    for c in range(0, len(x), 4):
        z = load(w, c)
        store(x, c, sub(z, cut(z, mul(tau, each(low, c)), mul(tau, each(high, c)), shrink)))
    upper, lower = np.empty(4), np.empty(4)
    _repair(low, work, lane, plan)
    objective(x, low, high, upper)
    _lower_bound(low, high, work, lane, plan, lower)
    stride, size = len(rows), x_best.shape[2]
    for i in range(len(rows)):
        if not check[i]:
            continue
        r = rows[i]
        if upper[i] < primal[r]:
            primal[r] = upper[i]
            for t in range(size):
                x_best[0, r, t] = x[stride * t + i]
                x_best[1, r, t] = x[stride * (size + t) + i]
        dual[r] = max(dual[r], lower[i])
        steps_taken[r] = steps[i] + 1
        scale = max(primal[r], floor[r])
        gap = max(primal[r] - dual[r], 0.0) / scale if scale > 0 else 0.0
        if gap <= tol or steps[i] + 1 >= max_iter:
            rows[i] = -1


@njit(**INNER)
def _decide(rows: Any, steps: Any, squares: Any, lane: Any) -> bool:
    """Count the step of each table, set what the next `advance` does with it, and mark the tables that restart."""
    restarts = False
    wide = 4 // len(rows)
    for i in range(len(rows)):
        _set(lane, LIVE, i, wide, 0.0)
        _set(lane, RESTART, i, wide, 0.0)
        if rows[i] < 0:
            continue
        steps[i] += 1
        if steps[i] == 0:  # its first step is the next one, in time with those of its neighbours
            continue
        k, residual, since = steps[i], math.sqrt(squares[i]), lane[SINCE * 4 + i]
        if k == 1:
            lane[FIRST * 4 + i] = residual
        first, before = lane[FIRST * 4 + i], lane[LAST * 4 + i]
        turned = residual <= NECESSARY * first and residual > before
        if since > SHORTEST and (residual <= SUFFICIENT * first or turned or since >= LONG * k):
            restarts = True
            _set(lane, RESTART, i, wide, 1.0)
            lane[SINCE * 4 + i], lane[FIRST * 4 + i], lane[LAST * 4 + i] = 0.0, residual, np.inf
        else:
            _set(lane, LIVE, i, wide, 1.0)
            _set(lane, WEIGHT, i, wide, 1 / (since + 2))
            lane[SINCE * 4 + i], lane[LAST * 4 + i] = since + 1, residual
    return restarts


@njit(**INNER)
def _count_start(w: float, lane: Any, i: int, lowest: float, highest: float, gone: Any) -> None:
    """Correct what a table travelled before its first restart: it began at the constant, with a dual part of 0."""
    start, tau, shrink = lane[START * 4 + i], lane[TAU * 4 + i], lane[SHRINK * 4 + i]
    lane[START * 4 + i] = 0.0
    u = min(max(w, lowest), highest)
    u += shrink * (w - u)
    then = min(max(start, lowest), highest)
    then += shrink * (start - then)
    gone[i] += (w - u - start) ** 2 - (w - u - start + then) ** 2
    gone[4 + i] += (u / tau) ** 2 - ((u - then) / tau) ** 2


@njit(**INNER)
def _restart(rows: Any, work: Any, lane: Any, cost: Any, ratio: float) -> None:
    """Adapt the steps of the tables that restart; rescale their dual parts and make this point their anchor."""
    w, anchor = work[:2]
    low, high = cost
    gone, tau_next, s_next = np.empty(16), np.ones(4), np.ones(4)
    travelled(w, anchor, low, high, lane, gone)
    wide = 4 // len(rows)
    for i in range(len(rows)):
        if lane[RESTART * 4 + i] > 0:
            tau, s, first = lane[TAU * 4 + i], lane[S * 4 + i], lane[TAU_FIRST * 4 + i]
            if lane[START * 4 + i] != 0:
                _count_start(w[i], lane, i, low.flat[0] * tau, high.flat[0] * tau, gone)
            new = _mixed(gone[i], gone[4 + i], tau, first)
            residual = _mixed(gone[8 + i], gone[12 + i], s * tau, ratio * first)
            _set(tau_next, 0, i, wide, new)
            _set(s_next, 0, i, wide, max(min(residual / new, ratio * RANGE), ratio / RANGE))
    rescale(w, anchor, low, high, lane, tau_next, s_next)
    for i in range(4):
        if lane[RESTART * 4 + i] > 0:
            lane[TAU * 4 + i], lane[S * 4 + i] = tau_next[i], s_next[i]
            shrink = lane[RIDGE * 4 + i] * tau_next[i]
            lane[SHRINK * 4 + i] = shrink / (1 + shrink)


def _solver(stamp: str) -> Any:
    def solve(
        v: Any, problem: Any, cost: Any, todo: Any, counter: Any, stop: Any, tol: float, max_iter: int, ratio: float,
        x_best: Any, bounds: Any, steps_taken: Any, tables: Any, indices: Any,
    ) -> None:  # fmt: skip
        stamp  # noqa: B018  # closed over, so that the cache knows all that is called
        lengths, bases, first_path, offsets = indices
        share, into, back, values = tables
        plan = (lengths, bases, first_path, share, into, back, offsets, values)
        best = (x_best, bounds[0], bounds[1], steps_taken)
        low, high = cost
        many = 4 if low.ndim == 1 else 1  # tables at work at once
        wide = 4 // many
        size = many * v.shape[1]
        w, anchor, x, table = np.zeros(3 * size), np.zeros(3 * size), np.zeros(2 * size), np.zeros(size)
        by_and, by_or, y, other = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
        work = (w, anchor, x, table, by_and, by_or, y, other, np.zeros(PATH))
        lane, squares = np.ones(LANE_ROWS * 4), np.zeros(4)
        rows, steps = np.full(many, -1), np.zeros(many, np.int64)
        check, fresh = np.zeros(many, np.bool_), np.zeros(many, np.bool_)
        while not stop[0]:
            for i in range(many):
                k = steps[i] + 1
                check[i] = rows[i] >= 0 and k > 0 and (k % CHECK_EVERY == 0 or k == max_iter)
            free = counter[0] < len(todo) and (rows < 0).any()
            if check.any() or free:  # the move that waits is made first
                advance(w, anchor, by_and, by_or, y, table, low, high, lane)
                lane[LIVE * 4 : LIVE * 4 + 4] = 0.0
            if check.any():
                _certify(rows, check, steps, problem, work, lane, cost, plan, best, tol, max_iter)
            for i in range(many):
                fresh[i] = False
                if rows[i] < 0 and counter[0] < len(todo):
                    taken = fetch_next(counter)
                    if taken < len(todo):
                        rows[i], steps[i], fresh[i] = todo[taken], -1, True
                        for t in range(v.shape[1]):
                            table[many * t + i] = v[rows[i], t]
            if fresh.any():
                _first_threshold(low, work, plan, squares)
                for i in range(many):
                    if fresh[i]:
                        _fill(i, wide, rows[i], problem, work, lane, squares[i], ratio)
            elif (rows < 0).all():
                return
            sum_or = advance(w, anchor, by_and, by_or, y, table, low, high, lane)
            subtract_explained(low, y, by_and, by_or, sum_or, 1.0)
            project(low, y, other, load(lane, S * 4), plan, work[8])
            adjoint(low, y, by_and, by_or)
            residuals(w, by_and, by_or, y, low, high, lane, squares)
            if _decide(rows, steps, squares, lane):
                _restart(rows, work, lane, cost, ratio)

    return solve


_LINE, _WHOLE = "float64[::1]", "int64[::1]"
_COST = {"side by side": _LINE, "within": "float64[:,::1]"}


@lru_cache(maxsize=2)
def loop(layout: str) -> Callable[..., None]:
    """Return the loop for tables ``"side by side"`` or ``"within"`` (`interdyn.compiled._lanes`).

    ``loop(v, (bound, ridge, floor), (low, high), todo, counter, stop, tol, max_iter, ratio, x, (primal, dual), steps,
    (share, into, back, values), (lengths, bases, first, offsets))`` works on tables ``v[todo]`` until none is left or
    ``stop[0]`` is not 0. ``x``, ``primal``, ``dual`` and ``steps`` are those of `Outcome`, and begin with a first
    point; ``floor`` is the least denominator of the relative gap, ``low`` and ``high`` the slopes of the cost of each
    interaction below and above 0, AND before OR, of shape ``(2 * 2**n,)`` side by side and ``(2 * 2**n / 4, 4)``
    within; ``ratio`` is the first ratio of both steps. The last two arguments are from `Plan`.
    """
    return compiled(
        _solver(source_stamp(Path(__file__).parent, Path(butterfly_file).parent)),
        f"void(float64[:,::1], UniTuple({_LINE}, 3), UniTuple({_COST[layout]}, 2), {_WHOLE}, {_WHOLE}, {_WHOLE}, "
        f"float64, int64, float64, float64[:,:,::1], UniTuple({_LINE}, 2), {_WHOLE}, UniTuple({_LINE}, 4), "
        f"UniTuple({_WHOLE}, 4))",
    )
