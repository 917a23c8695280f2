"""The certificate of the compiled solver: repairing points, scaling multipliers; importing this file loads Numba.

Each function is the one of `_problem.Problem` or `_admm` with the same name, for the tables being solved.
"""

from typing import Any

import numpy as np
from numba import njit

from interdyn.compiled import INNER
from interdyn.compiled._lanes import (
    across,
    add,
    div,
    each,
    fma,
    last,
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
from interdyn.sparsify._admm import AHEAD, LONGER, NEAR, SOFTER
from interdyn.sparsify._passes import (
    BOUND,
    BUDGET,
    INSIDE,
    LIVE,
    RESTART,
    TAU,
    WEIGHT,
    S,
    adjoint,
    advance,
    clip,
    cut,
    objective,
    rescale,
    subtract_explained,
)
from interdyn.sparsify._problem import APPROACH
from interdyn.sparsify._projection import project


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
    _, _, x, v, by_and, by_or, y, other, path, spare, _ = work
    size = len(y)
    before, d, shift = spare[:size], spare[size : 2 * size], spare[2 * size :]
    s, inside = load(lane, S * 4), load(lane, INSIDE * 4)
    _residual(metric, x, v, by_and, by_or, before)
    for c in range(0, len(y), 4):
        r = load(before, c)
        box = clip(r, inside)
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
            box = clip(sub(r, moved), inside)
            moved = sub(add(moved, box), r)
            store(d, c, box)
            store(shift, c, moved)
            store(y, c, sub(sub(load(before, c), box), moved))
    _move(metric, x, metric, by_and, by_or, y)


@njit(**INNER)
def _repair(work: Any, lane: Any, metric: Any, plan: Any) -> None:
    """Move ``x`` by the smallest step that brings every residual within the bound; refined twice."""
    _, _, x, v, by_and, by_or, y, other, path, _, _ = work
    inside = load(lane, INSIDE * 4)
    worst = np.empty(4)
    for _ in range(3):
        _residual(metric, x, v, by_and, by_or, y)
        largest = splat(0.0)
        for c in range(0, len(y), 4):
            r = load(y, c)
            r = sub(r, clip(r, inside))
            store(y, c, r)
            largest = most(largest, most(r, mul(splat(-1.0), r)))
        store(worst, 0, largest)
        if not worst.any():
            break
        project(metric, y, other, splat(0.0), plan, path)
        _move(metric, x, metric, by_and, by_or, y)


@njit(**INNER)
def _multipliers(w: Any, alone: Any, work: Any, lane: Any, cost: Any, plan: Any) -> None:
    """Set ``y`` to the multipliers that fit ``w`` best, and ``alone`` to those of the residual alone."""
    _, _, _, _, by_and, by_or, y, other, path, _, _ = work
    low, high, _, _ = cost
    size = len(y)
    tau, s, bound = load(lane, TAU * 4), load(lane, S * 4), load(lane, BOUND * 4)
    total = splat(0.0)
    for c in range(0, size, 4):
        u = cut(load(w, c), mul(tau, each(low, c)), mul(tau, each(high, c)))
        store(by_and, c, div(u, tau))
        u = cut(load(w, size + c), mul(tau, each(low, size + c)), mul(tau, each(high, size + c)))
        u = div(u, tau)
        store(by_or, size - 4 - c, mirrored(low, u))
        total = add(total, u)
        x = load(w, 2 * size + c)
        x = div(sub(x, clip(x, bound)), tau)
        store(y, c, x)
        store(alone, c, div(x, s))
    subtract_explained(low, y, by_and, by_or, across(low, total), -1.0)
    project(low, y, other, s, plan, path)


@njit(**INNER)
def _look_ahead(work: Any, lane: Any, cost: Any, plan: Any, longer: float, softer: float) -> None:
    """Set ``ahead`` to the result of `AHEAD` steps with other step sizes, kept in ``lane``; see `_admm._ahead`."""
    w, _, _, v, by_and, by_or, y, other, path, ahead, start = work
    tau_next, s_next = np.empty(4), np.empty(4)
    for i in range(4):
        tau_next[i], s_next[i] = longer * lane[TAU * 4 + i], lane[S * 4 + i] / softer
        lane[RESTART * 4 + i], lane[LIVE * 4 + i] = 1.0, 0.0
    for c in range(0, len(w), 4):
        store(ahead, c, load(w, c))
    rescale(ahead, start, cost, lane, tau_next, s_next)
    for i in range(4):
        lane[TAU * 4 + i], lane[S * 4 + i] = tau_next[i], s_next[i]
    for k in range(AHEAD + 1):
        sum_or = advance(ahead, start, by_and, by_or, y, v, cost, lane)
        if k == AHEAD:
            break
        subtract_explained(cost[0], y, by_and, by_or, sum_or, 1.0)
        project(cost[0], y, other, load(lane, S * 4), plan, path)
        adjoint(cost[0], y, by_and, by_or)
        for i in range(4):
            lane[LIVE * 4 + i], lane[WEIGHT * 4 + i] = 1.0, 1 / (k + 2)
    for i in range(4):
        lane[LIVE * 4 + i] = 0.0


@njit(**INNER)
def _return(lane: Any, steps: Any) -> None:
    """Restore the step sizes from before the trial steps."""
    for i in range(4):
        lane[TAU * 4 + i], lane[S * 4 + i] = steps[i], steps[4 + i]


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
def _own_point(w: Any, x: Any, lane: Any, cost: Any) -> None:
    """Set ``x`` to the interactions of ``w`` after the proximal map."""
    tau = load(lane, TAU * 4)
    for c in range(0, len(x), 4):
        z = load(w, c)
        store(x, c, sub(z, cut(z, mul(tau, each(cost[0], c)), mul(tau, each(cost[1], c)))))


@njit(**INNER)
def certify(rows: Any, check: Any, steps: Any, problem: Any, work: Any, lane: Any, cost: Any, plan: Any, best: Any,
             tol: float, max_iter: int) -> None:  # fmt: skip
    """Keep what improves of the tables whose certificate is due; overwrites ``check``.

    It follows `_admm._certify`.
    """
    w, _, x, _, _, _, y, _, _, ahead, alone = work
    alone = alone[: len(y)]
    x_best, primal, dual, own, steps_taken = best
    floor = problem[2]
    upper, lower, other, before = np.empty(4), np.empty(4), np.empty(4), np.empty(8)
    for i in range(4):
        before[i], before[4 + i] = lane[TAU * 4 + i], lane[S * 4 + i]
    _own_point(w, x, lane, cost)
    objective(x, cost, upper)
    _multipliers(w, alone, work, lane, cost, plan)
    _lower_bound(work, alone, lane, cost, other)
    _lower_bound(work, y, lane, cost, lower)
    near = False
    for i in range(len(rows)):
        if check[i]:
            r = rows[i]
            dual[r], own[r], steps_taken[r] = max(dual[r], lower[i], other[i]), upper[i], steps[i] + 1
            check[i] = upper[i] - dual[r] <= NEAR * tol * max(upper[i], floor[r]) or steps[i] + 1 >= max_iter
            near = near or check[i]
    if not near:
        return
    _look_ahead(work, lane, cost, plan, LONGER, SOFTER)
    _multipliers(ahead, alone, work, lane, cost, plan)
    _lower_bound(work, y, lane, cost, lower)
    _return(lane, before)
    near = False
    for i in range(len(rows)):
        if check[i]:
            r = rows[i]
            dual[r] = max(dual[r], lower[i])
            check[i] = upper[i] - dual[r] <= tol * max(upper[i], floor[r]) or steps[i] + 1 >= max_iter
            near = near or check[i]
    if not near:
        return
    _look_ahead(work, lane, cost, plan, 1 / LONGER, 1 / SOFTER)
    _own_point(ahead, x, lane, cost)
    _approach(work, lane, cost[2], plan)
    _return(lane, before)
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
def free_done(rows: Any, turn: Any, steps: Any, floor: Any, best: Any, tol: float, max_iter: int) -> None:
    """Free the lanes of the tables that are done."""
    _, primal, dual, _, _ = best
    for i in range(len(rows)):
        if turn[i]:
            r = rows[i]
            if (primal[r] - dual[r]) / max(primal[r], floor[r]) <= tol or steps[i] + 1 >= max_iter:
                rows[i] = -1
