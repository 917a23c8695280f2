"""The certified solver as one compiled loop; importing this file loads Numba.

It takes the same steps as its slow twin `interdyn.sparsify._admm`, with the same names. The only difference is when
numbers are written: the move of a step is applied in the pass over memory that begins the next one, so that a step
reads and writes each array once or twice. Small tables are solved four side by side, one per lane; large ones
alone, so that they stay in the cache. A table whose gap is certified leaves its lane to the next one, without
affecting the others. The loop takes tables from a counter, so that any number of threads may run it on one batch.
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
    each,
    fetch_next,
    fma,
    last,
    load,
    mirrored,
    mul,
    splat,
    store,
    sub,
)
from interdyn.sparsify._admm import (
    CHECK_EVERY,
    FIRST_THRESHOLD,
    LONG,
    NECESSARY,
    RANGE,
    SELDOM,
    SELDOM_FROM,
    SHORTEST,
    STILL,
    SUFFICIENT,
)
from interdyn.sparsify._fused_certificate import certify, free_done
from interdyn.sparsify._passes import (
    BOUND,
    BUDGET,
    FIRST,
    INSIDE,
    LANE_ROWS,
    LAST,
    LIVE,
    RESTART,
    SINCE,
    TAU,
    TAU_FIRST,
    WEIGHT,
    S,
    adjoint,
    advance,
    rescale,
    residuals,
    subtract_explained,
    travelled,
)
from interdyn.sparsify._projection import PATH, PLAN, project
from interdyn.transforms._butterfly import __file__ as butterfly_file


@njit(**INNER)
def _adapted(primal: float, dual: float, old: float, first: float) -> float:
    """Return the new step: the ratio of the distances travelled, within range of the first."""
    if not (primal > STILL and dual > STILL):
        return old
    return max(min(math.sqrt(primal / dual), first * RANGE), first / RANGE)


@njit(**INNER)
def _set(lane: Any, row: int, i: int, wide: int, value: float) -> None:
    """Set the per-table values of table ``i``, in its ``wide`` lanes."""
    for j in range(i, i + wide):
        lane[4 * row + j] = value


@njit(**INNER)
def _first_threshold(work: Any, metric: Any, plan: Any, out: Any) -> None:
    """Write the first threshold of each table, in proportion to its minimum-norm explanation without the constant."""
    _, _, _, v, by_and, by_or, y, other, path, _, _ = work
    size = len(y)
    for c in range(0, size, 4):
        store(y, c, load(v, c))
    project(metric, y, other, splat(0.0), plan, path)
    adjoint(metric, y, by_and, by_or)
    total = last(metric, by_or)
    many = 4 if metric.ndim == 1 else 1
    by_and[:many] = 0.0  # the constant does not count
    squares = splat(0.0)
    for c in range(0, size, 4):
        x, o = load(by_and, c), sub(total, mirrored(metric, load(by_or, size - 4 - c)))
        squares = fma(each(metric, c), fma(x, x, mul(o, o)), squares)
    store(out, 0, across(metric, squares))
    for i in range(4):
        out[i] = FIRST_THRESHOLD * math.sqrt(out[i] / (2 * size // many))


@njit(**INNER)
def _fill(i: int, wide: int, r: int, problem: Any, work: Any, lane: Any, threshold: float, ratio: float) -> None:
    """Start table ``r`` in lane ``i`` from the fixed point: the constant ``v({})``."""
    bound, budget, _ = problem
    w, anchor = work[:2]
    for c in range(i, len(w), 4 // wide):
        w[c] = anchor[c] = 0.0
    _set(lane, TAU, i, wide, threshold)
    _set(lane, TAU_FIRST, i, wide, threshold)
    _set(lane, S, i, wide, ratio)
    _set(lane, BOUND, i, wide, bound[r])
    _set(lane, INSIDE, i, wide, bound[r] * (1 - 1e-9))
    _set(lane, BUDGET, i, wide, budget[r])
    _set(lane, SINCE, i, wide, 0.0)
    _set(lane, FIRST, i, wide, np.inf)
    _set(lane, LAST, i, wide, np.inf)


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
def _restart(rows: Any, work: Any, lane: Any, cost: Any, ratio: float) -> None:
    """Adapt the steps of the tables that restart; rescale their dual parts and make this point their anchor."""
    w, anchor = work[:2]
    gone, tau_next, s_next = np.empty(16), np.ones(4), np.ones(4)
    travelled(w, anchor, cost, lane, gone)
    wide = 4 // len(rows)
    for i in range(len(rows)):
        if lane[RESTART * 4 + i] > 0:
            tau, s, first = lane[TAU * 4 + i], lane[S * 4 + i], lane[TAU_FIRST * 4 + i]
            new = _adapted(gone[i], gone[4 + i], tau, first)
            residual = _adapted(gone[8 + i], gone[12 + i], s * tau, ratio * first)
            _set(tau_next, 0, i, wide, new)
            _set(s_next, 0, i, wide, max(min(residual / new, ratio * RANGE), ratio / RANGE))
    rescale(w, anchor, cost, lane, tau_next, s_next)
    for i in range(4):
        if lane[RESTART * 4 + i] > 0:
            lane[TAU * 4 + i], lane[S * 4 + i] = tau_next[i], s_next[i]


@njit(**INNER)
def _mark_due(rows: Any, steps: Any, check: Any, max_iter: int) -> None:
    """Mark the tables whose certificate is due after their next step."""
    for i in range(len(rows)):
        k = steps[i] + 1
        due = k % (CHECK_EVERY if k < SELDOM_FROM else SELDOM) == 0 or k == max_iter
        check[i] = rows[i] >= 0 and k > 0 and due


@njit(**INNER)
def _take_next(rows: Any, steps: Any, fresh: Any, v: Any, todo: Any, counter: Any, table: Any) -> None:
    """Give each free lane the next table, as long as there is one, and mark these lanes."""
    for i in range(len(rows)):
        fresh[i] = False
        if rows[i] < 0 and counter[0] < len(todo):
            taken = fetch_next(counter)
            if taken < len(todo):
                rows[i], steps[i], fresh[i] = todo[taken], -1, True
                for t in range(v.shape[1]):
                    table[len(rows) * t + i] = v[rows[i], t]


def _solver(stamp: str) -> Any:
    def solve(
        v: Any, problem: Any, costs: Any, which: Any, todo: Any, counter: Any, stop: Any, tol: float, max_iter: int,
        ratio: float, best: Any, plan: Any,
    ) -> None:  # fmt: skip
        stamp  # noqa: B018  # closed over, so that the cache knows all that is called
        low, high, scale = costs
        cost = (low[0], high[0], scale[0], scale[1])
        many = 4 if low.ndim == 2 else 1  # tables at work at once
        wide = 4 // many
        size = many * v.shape[1]
        w, anchor, x, table = np.zeros(3 * size), np.zeros(3 * size), np.zeros(2 * size), np.zeros(size)
        by_and, by_or, y, other = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
        work = (w, anchor, x, table, by_and, by_or, y, other, np.zeros(PATH), np.zeros(3 * size), np.zeros(3 * size))
        lane, squares = np.ones(LANE_ROWS * 4), np.zeros(4)
        rows, steps = np.full(many, -1), np.zeros(many, np.int64)
        check, fresh = np.zeros(many, np.bool_), np.zeros(many, np.bool_)
        while not stop[0]:
            _mark_due(rows, steps, check, max_iter)
            free = counter[0] < len(todo) and (rows < 0).any()
            if check.any() or free:  # the pending move is made first
                advance(w, anchor, by_and, by_or, y, table, cost, lane)
                lane[LIVE * 4 : LIVE * 4 + 4] = 0.0
            if check.any():
                turn = check.copy()
                certify(rows, check, steps, problem, work, lane, cost, plan, best, tol, max_iter)
                free_done(rows, turn, steps, problem[2], best, tol, max_iter)
            _take_next(rows, steps, fresh, v, todo, counter, table)
            if fresh.any():
                if many == 1:  # side by side, all tables have the same cost
                    cost = (low[which[rows[0]]], high[which[rows[0]]], scale[0], scale[1])
                _first_threshold(work, cost[2], plan, squares)
                for i in range(many):
                    if fresh[i]:
                        _fill(i, wide, rows[i], problem, work, lane, squares[i], ratio)
            elif (rows < 0).all():
                return
            sum_or = advance(w, anchor, by_and, by_or, y, table, cost, lane)
            subtract_explained(cost[0], y, by_and, by_or, sum_or, 1.0)
            project(cost[0], y, other, load(lane, S * 4), plan, work[8])
            adjoint(cost[0], y, by_and, by_or)
            residuals(w, by_and, by_or, y, cost, lane, squares)
            if _decide(rows, steps, squares, lane):
                _restart(rows, work, lane, cost, ratio)

    return solve


_LINE, _WHOLE = "float64[::1]", "int64[::1]"
_COST = {"side by side": "float64[:,::1]", "within": "float64[:,:,::1]"}


@lru_cache(maxsize=2)
def loop(layout: str) -> Callable[..., None]:
    """Return the loop for tables ``"side by side"`` or ``"within"`` (`interdyn.compiled._lanes`).

    ``loop(v, (bound, budget, least), (low, high, scale), which, todo, counter, stop, tol, max_iter, ratio, (x, primal,
    dual, cost, steps), plan)`` solves the tables ``v[todo]`` until none is left or ``stop[0]`` is not 0. ``x``,
    ``primal``, ``dual``, ``cost`` and ``steps`` are those of `Outcome`, and start from a first point; the arguments
    before ``todo`` are those of `Problem`, with slopes times the metric; ``scale`` is the metric and its inverse.
    Interactions are stored AND before OR, in shape ``(costs, 2 * 2**n)`` side by side, where all tables have the first
    cost, and ``(costs, 2 * 2**n / 4, 4)`` within; ``ratio`` is the first ratio of both steps, ``plan`` the arrays of
    `Plan`.
    """
    return compiled(
        _solver(source_stamp(Path(__file__).parent, Path(butterfly_file).parent)),
        f"void(float64[:,::1], UniTuple({_LINE}, 3), UniTuple({_COST[layout]}, 3), {_WHOLE}, {_WHOLE}, {_WHOLE}, "
        f"{_WHOLE}, float64, int64, float64, Tuple((float64[:,:,::1], {_LINE}, {_LINE}, {_LINE}, {_WHOLE})), {PLAN})",
    )
