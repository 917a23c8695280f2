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
    where,
)
from interdyn.sparsify._admm import (
    CHECK_EVERY,
    FIRST_THRESHOLD,
    LONG,
    MEMORY,
    NEAR,
    NECESSARY,
    RANGE,
    SELDOM,
    SELDOM_FROM,
    SHORTEST,
    STILL,
    SUFFICIENT,
)
from interdyn.sparsify._passes import (
    BOUND,
    BUDGET,
    CERTIFIED,
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
    cut,
    objective,
    rescale,
    residuals,
    subtract_explained,
    travelled,
)
from interdyn.sparsify._problem import APPROACH, EASE, SOFT
from interdyn.sparsify._projection import PATH, project
from interdyn.transforms._butterfly import __file__ as butterfly_file


@njit(**INNER)
def _mixed(primal: float, dual: float, old: float, first: float) -> float:
    """Return the new step: the ratio of the distances travelled, mixed with the old, within range of the first."""
    if not (primal > STILL and dual > STILL):
        return old
    mixed = math.exp(MEMORY * math.log(math.sqrt(primal / dual)) + (1 - MEMORY) * math.log(old))
    return max(min(mixed, first * RANGE), first / RANGE)


@njit(**INNER)
def _set(lane: Any, row: int, i: int, wide: int, value: float) -> None:
    """Set what table ``i`` has for itself, in the ``wide`` lanes that are its own."""
    for j in range(i, i + wide):
        lane[4 * row + j] = value


@njit(**INNER)
def _residual(layout: Any, x: Any, v: Any, by_and: Any, by_or: Any, y: Any) -> None:
    """Set ``y`` to ``v`` minus the table that ``x`` explains; spoils ``by_and`` and ``by_or``."""
    size = len(y)
    total = splat(0.0)
    for c in range(0, size, 4):
        store(y, c, load(v, c))
        store(by_and, c, load(x, c))
        o = load(x, size + c)
        store(by_or, size - 4 - c, mirrored(layout, o))
        total = add(total, o)
    subtract_explained(layout, y, by_and, by_or, across(layout, total), 1.0)


@njit(**INNER)
def _move(layout: Any, x: Any, metric: Any, by_and: Any, by_or: Any, y: Any) -> None:
    """Add ``D K^T y`` to ``x``; spoils ``by_and`` and ``by_or``."""
    size = len(y)
    adjoint(layout, y, by_and, by_or)
    total = last(layout, by_or)
    for c in range(0, size, 4):
        step = each(metric, c)
        store(x, c, fma(step, load(by_and, c), load(x, c)))
        o = sub(total, mirrored(layout, load(by_or, size - 4 - c)))
        store(x, size + c, fma(step, o, load(x, size + c)))


@njit(**INNER)
def _approach(work: Any, lane: Any, metric: Any, plan: Any) -> None:
    """Move ``x`` towards the nearest explanation; see `Problem.approached`."""
    _, _, x, v, by_and, by_or, y, other, path, before, d, shift = work
    s, inside = load(lane, S * 4), load(lane, INSIDE * 4)
    minus = mul(splat(-1.0), inside)
    _residual(metric, x, v, by_and, by_or, before)
    for c in range(0, len(y), 4):
        r = load(before, c)
        box = least(most(r, minus), inside)
        store(d, c, box)
        store(shift, c, splat(0.0))
        store(y, c, sub(r, box))
    for k in range(APPROACH):
        project(metric, y, other, s, plan, path)
        if k == APPROACH - 1:
            break
        for c in range(0, len(y), 4):
            box, moved = load(d, c), load(shift, c)
            r = add(add(box, moved), mul(s, load(y, c)))
            box = least(most(sub(r, moved), minus), inside)
            moved = sub(add(moved, box), r)
            store(d, c, box)
            store(shift, c, moved)
            store(y, c, sub(sub(load(before, c), box), moved))
    _move(metric, x, metric, by_and, by_or, y)


@njit(**INNER)
def _repair(work: Any, lane: Any, metric: Any, plan: Any) -> None:
    """Move ``x`` by the least step that brings every residual within the bound; refined twice."""
    _, _, x, v, by_and, by_or, y, other, path, _, _, _ = work
    inside = load(lane, INSIDE * 4)
    minus = mul(splat(-1.0), inside)
    worst = np.empty(4)
    for _ in range(3):
        _residual(metric, x, v, by_and, by_or, y)
        largest = splat(0.0)
        for c in range(0, len(y), 4):
            r = load(y, c)
            r = sub(r, least(most(r, minus), inside))
            store(y, c, r)
            largest = most(largest, most(r, mul(splat(-1.0), r)))
        store(worst, 0, largest)
        if not worst.any():
            break
        project(metric, y, other, splat(0.0), plan, path)
        _move(metric, x, metric, by_and, by_or, y)


@njit(**INNER)
def _multipliers(work: Any, lane: Any, cost: Any, plan: Any) -> None:
    """Set ``y`` to the multipliers that fit ``w`` best, and ``other`` to those of the residual alone."""
    w, _, _, _, by_and, by_or, y, other, path, before, _, _ = work
    low, high, _, _ = cost
    size = len(y)
    tau, s, bound = load(lane, TAU * 4), load(lane, S * 4), load(lane, BOUND * 4)
    minus_bound = mul(splat(-1.0), bound)
    total = splat(0.0)
    for c in range(0, size, 4):
        u = cut(load(w, c), mul(tau, each(low, c)), mul(tau, each(high, c)))
        store(by_and, c, div(u, tau))
        u = cut(load(w, size + c), mul(tau, each(low, size + c)), mul(tau, each(high, size + c)))
        u = div(u, tau)
        store(by_or, size - 4 - c, mirrored(low, u))
        total = add(total, u)
        x = load(w, 2 * size + c)
        x = div(sub(x, least(most(x, minus_bound), bound)), tau)
        store(y, c, x)
        store(before, c, div(x, s))
    subtract_explained(low, y, by_and, by_or, across(low, total), -1.0)
    project(low, y, other, s, plan, path)


@njit(**INNER)
def _ease(work: Any, lane: Any, cost: Any, plan: Any) -> None:
    """Move ``y`` towards the nearest feasible multipliers; see `Problem.eased`. Spoils ``x``."""
    _, _, x, _, by_and, by_or, y, other, path, first, _, _ = work
    low, high, metric, inverse = cost
    size = len(y)
    s = mul(splat(SOFT), load(lane, S * 4))
    for c in range(0, size, 4):
        store(first, c, load(y, c))
        store(x, c, splat(0.0))
        store(x, size + c, splat(0.0))
    for _ in range(EASE):
        adjoint(low, y, by_and, by_or)
        total, sum_or = last(low, by_or), splat(0.0)
        for c in range(0, size, 4):
            step, over = each(metric, c), each(inverse, c)
            moved = add(load(by_and, c), load(x, c))
            inside = most(least(moved, mul(over, each(high, c))), mul(over, each(low, c)))
            shift = sub(moved, inside)
            store(x, c, shift)
            store(by_and, c, mul(step, sub(inside, shift)))
            moved = add(sub(total, mirrored(low, load(by_or, size - 4 - c))), load(x, size + c))
            inside = most(least(moved, mul(over, each(high, size + c))), mul(over, each(low, size + c)))
            shift = sub(moved, inside)
            store(x, size + c, shift)
            target = mul(step, sub(inside, shift))
            store(by_or, size - 4 - c, mirrored(low, target))
            sum_or = add(sum_or, target)
            store(y, c, mul(s, load(first, c)))
        subtract_explained(low, y, by_and, by_or, across(low, sum_or), -1.0)
        project(low, y, other, s, plan, path)


@njit(**INNER)
def _lower_bound(work: Any, y: Any, lane: Any, cost: Any, out: Any) -> None:
    """Write the lower bound that the multipliers ``y`` prove: scaled to feasibility, or within the budget."""
    v, by_and, by_or = work[3:6]
    low, high, metric, inverse = cost
    size = len(y)
    many = 4 if low.ndim == 1 else 1
    bound, budget = load(lane, BOUND * 4), load(lane, BUDGET * 4)
    total = splat(0.0)
    for c in range(0, size, 4):
        total = add(total, load(y, c))
    total = across(low, total)
    store(out, 0, total)
    first = np.empty(4)
    for i in range(many):
        first[i] = y[i]
        y[i] -= out[i]  # the constant is free: the multipliers sum to 0
    value = splat(0.0)
    for c in range(0, size, 4):
        x = load(y, c)
        value = fma(load(v, c), x, value)
        value = sub(value, mul(bound, most(x, mul(splat(-1.0), x))))
    value = across(low, value)
    adjoint(low, y, by_and, by_or)
    total = last(low, by_or)
    for i in range(many):
        by_and[i] = 0.0
        y[i] = first[i]
    worst, lacking = splat(2.2250738585072014e-308), splat(0.0)
    for c in range(0, size, 4):
        step, over = each(metric, c), each(inverse, c)
        x, lo, hi = mul(step, load(by_and, c)), each(low, c), each(high, c)
        worst = most(worst, most(div(x, hi), div(x, lo)))
        lacking = most(lacking, mul(over, most(sub(x, hi), sub(lo, x))))
        x, lo, hi = sub(total, mirrored(low, load(by_or, size - 4 - c))), each(low, size + c), each(high, size + c)
        x = mul(step, x)
        worst = most(worst, most(div(x, hi), div(x, lo)))
        lacking = most(lacking, mul(over, most(sub(x, hi), sub(lo, x))))
    scaled = div(value, most_across(low, worst))
    store(out, 0, where(budget, sub(value, mul(most_across(low, lacking), budget)), scaled))


@njit(**INNER)
def _first_threshold(work: Any, metric: Any, plan: Any, out: Any) -> None:
    """Write the first threshold of each table, in proportion to its least-norm explanation without the constant."""
    _, _, _, v, by_and, by_or, y, other, path, _, _, _ = work
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
    """Begin table ``r`` in lane ``i``, from the declared point: the constant ``v({})``."""
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
    _set(lane, CERTIFIED, i, wide, 0.0)
    _set(lane, CERTIFIED, i, wide, 0.0)


@njit(**INNER)
def _own_point(work: Any, lane: Any, cost: Any) -> None:
    """Set ``x`` to the interactions of ``w`` after the proximal map."""
    w, x = work[0], work[2]
    tau = load(lane, TAU * 4)
    for c in range(0, len(x), 4):
        z = load(w, c)
        store(x, c, sub(z, cut(z, mul(tau, each(cost[0], c)), mul(tau, each(cost[1], c)))))


@njit(**INNER)
def _certify(rows: Any, check: Any, steps: Any, problem: Any, work: Any, lane: Any, cost: Any, plan: Any, best: Any,
             tol: float, max_iter: int) -> None:  # fmt: skip
    """Keep what is better than before of the tables whose turn it is; spoils ``check``.

    The course is that of `_admm._certify`.
    """
    x, y, residual_alone = work[2], work[6], work[9]
    x_best, primal, dual, own, steps_taken = best
    floor = problem[2]
    upper, lower, alone = np.empty(4), np.empty(4), np.empty(4)
    _own_point(work, lane, cost)
    objective(x, cost, upper)
    _multipliers(work, lane, cost, plan)
    _lower_bound(work, residual_alone, lane, cost, alone)
    _lower_bound(work, y, lane, cost, lower)
    near = False
    for i in range(len(rows)):
        if check[i]:
            r = rows[i]
            dual[r], own[r], steps_taken[r] = max(dual[r], lower[i], alone[i]), upper[i], steps[i] + 1
            check[i] = upper[i] - dual[r] <= NEAR * tol * max(upper[i], floor[r]) or steps[i] + 1 >= max_iter
            near = near or check[i]
    if not near:
        return
    _ease(work, lane, cost, plan)
    _lower_bound(work, y, lane, cost, lower)
    near = False
    for i in range(len(rows)):
        if check[i]:
            r = rows[i]
            dual[r] = max(dual[r], lower[i])
            check[i] = upper[i] - dual[r] <= tol * max(upper[i], floor[r]) or steps[i] + 1 >= max_iter
            near = near or check[i]
    if not near:
        return
    _own_point(work, lane, cost)
    _approach(work, lane, cost[2], plan)
    _repair(work, lane, cost[2], plan)
    objective(x, cost, upper)
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


@njit(**INNER)
def _free(rows: Any, turn: Any, steps: Any, floor: Any, lane: Any, best: Any, tol: float, settle: float,
          max_iter: int) -> None:  # fmt: skip
    """Free the lanes of the tables that are done."""
    _, primal, dual, _, _ = best
    for i in range(len(rows)):
        if turn[i]:
            r = rows[i]
            gap = (primal[r] - dual[r]) / max(primal[r], floor[r])
            if gap <= settle * tol or (gap <= tol and lane[CERTIFIED * 4 + i] > 0) or steps[i] + 1 >= max_iter:
                rows[i] = -1
            lane[CERTIFIED * 4 + i] = gap <= tol


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
            new = _mixed(gone[i], gone[4 + i], tau, first)
            residual = _mixed(gone[8 + i], gone[12 + i], s * tau, ratio * first)
            _set(tau_next, 0, i, wide, new)
            _set(s_next, 0, i, wide, max(min(residual / new, ratio * RANGE), ratio / RANGE))
    rescale(w, anchor, cost, lane, tau_next, s_next)
    for i in range(4):
        if lane[RESTART * 4 + i] > 0:
            lane[TAU * 4 + i], lane[S * 4 + i] = tau_next[i], s_next[i]


def _solver(stamp: str) -> Any:
    def solve(
        v: Any, problem: Any, costs: Any, which: Any, todo: Any, counter: Any, stop: Any, tol: float, settle: float,
        max_iter: int, ratio: float, x_best: Any, bounds: Any, steps_taken: Any, tables: Any, indices: Any,
    ) -> None:  # fmt: skip
        stamp  # noqa: B018  # closed over, so that the cache knows all that is called
        lengths, bases, first_path, offsets = indices
        share, into, back, values = tables
        plan = (lengths, bases, first_path, share, into, back, offsets, values)
        best = (x_best, bounds[0], bounds[1], bounds[2], steps_taken)
        low, high, scale = costs
        cost = (low[0], high[0], scale[0], scale[1])
        many = 4 if low.ndim == 2 else 1  # tables at work at once
        wide = 4 // many
        size = many * v.shape[1]
        w, anchor, x, table = np.zeros(3 * size), np.zeros(3 * size), np.zeros(2 * size), np.zeros(size)
        by_and, by_or, y, other = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
        before, d, shift = np.zeros(size), np.zeros(size), np.zeros(size)
        work = (w, anchor, x, table, by_and, by_or, y, other, np.zeros(PATH), before, d, shift)
        lane, squares = np.ones(LANE_ROWS * 4), np.zeros(4)
        rows, steps = np.full(many, -1), np.zeros(many, np.int64)
        check, fresh = np.zeros(many, np.bool_), np.zeros(many, np.bool_)
        while not stop[0]:
            for i in range(many):
                k = steps[i] + 1
                due = k % (CHECK_EVERY if k < SELDOM_FROM else SELDOM) == 0 or k == max_iter
                check[i] = rows[i] >= 0 and k > 0 and due
            free = counter[0] < len(todo) and (rows < 0).any()
            if check.any() or free:  # the move that waits is made first
                advance(w, anchor, by_and, by_or, y, table, cost, lane)
                lane[LIVE * 4 : LIVE * 4 + 4] = 0.0
            if check.any():
                turn = check.copy()
                _certify(rows, check, steps, problem, work, lane, cost, plan, best, tol, max_iter)
                _free(rows, turn, steps, problem[2], lane, best, tol, settle, max_iter)
            for i in range(many):
                fresh[i] = False
                if rows[i] < 0 and counter[0] < len(todo):
                    taken = fetch_next(counter)
                    if taken < len(todo):
                        rows[i], steps[i], fresh[i] = todo[taken], -1, True
                        for t in range(v.shape[1]):
                            table[many * t + i] = v[rows[i], t]
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

    ``loop(v, (bound, budget, least), (low, high, scale), which, todo, counter, stop, tol, settle, max_iter, ratio, x,
    (primal, dual, cost), steps, (share, into, back, values), (lengths, bases, first, offsets))`` works on tables
    ``v[todo]`` until none is left or ``stop[0]`` is not 0. ``x``, ``primal``, ``dual``, ``cost`` and ``steps`` are
    those of `Outcome`, and begin with a first point; what comes before ``todo`` is that of `Problem`, slopes times
    the metric; ``scale`` is the metric and one over it. Interactions stand AND before OR, in shape ``(costs, 2 *
    2**n)`` side by side, where all tables have the first cost, and ``(costs, 2 * 2**n / 4, 4)`` within; ``ratio`` is
    the first ratio of both steps. The last two arguments are from `Plan`.
    """
    return compiled(
        _solver(source_stamp(Path(__file__).parent, Path(butterfly_file).parent)),
        f"void(float64[:,::1], UniTuple({_LINE}, 3), UniTuple({_COST[layout]}, 3), {_WHOLE}, {_WHOLE}, {_WHOLE}, "
        f"{_WHOLE}, "
        f"float64, float64, int64, float64, float64[:,:,::1], UniTuple({_LINE}, 3), {_WHOLE}, UniTuple({_LINE}, 4), "
        f"UniTuple({_WHOLE}, 4))",
    )
