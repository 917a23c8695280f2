"""The passes over memory that make up a step of the compiled solver; importing this file loads Numba.

Each reads the arrays of the tables being solved once: four side by side, or one (`interdyn.compiled._lanes` describes
both; ``low`` selects). Of a table of ``2**n`` numbers, ``w`` and ``anchor`` store three, one after the other: the AND
interactions, the OR interactions, the residual, before the proximal map. The OR side of a projection is stored at
complements, where it is read backwards. Per-table numbers are repeated in all lanes of the table. ``cost`` is what an
interaction costs: its slopes below and above 0 times the metric, the metric, and its inverse.
"""

from typing import Any

from numba import njit

from interdyn.compiled import INNER
from interdyn.compiled._lanes import (
    across,
    add,
    div,
    each,
    fma,
    fms,
    last,
    least,
    load,
    mirrored,
    most,
    mul,
    splat,
    store,
    sub,
    where,
)
from interdyn.transforms._butterfly import finish_subsets, finish_supersets, power, subset_sums, superset_sums

# rows of `lane`: the per-table values of each of the four tables
TAU, S, BOUND, INSIDE, BUDGET, LIVE, WEIGHT, TAU_FIRST, SINCE, FIRST, LAST, RESTART = range(12)
LANE_ROWS = 12


@njit(forceinline=True, **INNER)
def cut(x: Any, low: Any, high: Any) -> Any:
    """Return ``x - prox(x)`` of an interaction: the part between the thresholds."""
    return least(most(x, low), high)


@njit(forceinline=True, **INNER)
def clip(x: Any, bound: Any) -> Any:
    """Return ``x`` limited to ``[-bound, bound]``."""
    return cut(x, mul(splat(-1.0), bound), bound)


@njit(**INNER)
def _subset_sums(layout: Any, x: Any) -> None:
    subset_sums(x, 0, power(len(x)), 2, splat(1.0))
    if layout.ndim == 2:
        finish_subsets(x, splat(1.0))


@njit(**INNER)
def _superset_sums(layout: Any, x: Any) -> None:
    superset_sums(x, power(len(x)), 2)
    if layout.ndim == 2:
        finish_supersets(x)


@njit(**INNER)
def advance(w: Any, anchor: Any, by_and: Any, by_or: Any, y: Any, v: Any, cost: Any, lane: Any) -> Any:
    """Apply the pending move, and reflect at the proximal map.

    ``by_and``, ``by_or`` and ``y`` hold the projection of the last step on entry (`adjoint`). On return they hold the
    reflected AND interactions, the OR interactions at their complements, and ``v`` minus the reflected residual; the
    sum of the OR interactions is returned.
    """
    size = len(y)
    low, high, metric, _ = cost
    tau, s, bound = load(lane, TAU * 4), load(lane, S * 4), load(lane, BOUND * 4)
    live, weight = load(lane, LIVE * 4), load(lane, WEIGHT * 4)
    two, minus = splat(2.0), splat(-2.0)
    keep = sub(splat(1.0), weight)
    twice_s = mul(two, s)
    total = last(low, by_or)
    sum_or = splat(0.0)
    for c in range(0, size, 4):
        lo, hi = mul(tau, each(low, c)), mul(tau, each(high, c))
        double = mul(two, each(metric, c))
        x = load(w, c)
        moved = fma(double, load(by_and, c), fma(minus, cut(x, lo, hi), x))
        x = where(live, fma(weight, load(anchor, c), mul(keep, moved)), x)
        store(w, c, x)
        store(by_and, c, fma(minus, cut(x, lo, hi), x))

        lo, hi = mul(tau, each(low, size + c)), mul(tau, each(high, size + c))
        x = load(w, size + c)
        other = size - 4 - c
        moved = fma(double, sub(total, mirrored(low, load(by_or, other))), fma(minus, cut(x, lo, hi), x))
        x = where(live, fma(weight, load(anchor, size + c), mul(keep, moved)), x)
        store(w, size + c, x)
        x = fma(minus, cut(x, lo, hi), x)
        store(by_or, other, mirrored(low, x))
        sum_or = add(sum_or, x)

        x = load(w, 2 * size + c)
        moved = fma(twice_s, load(y, c), fms(two, clip(x, bound), x))
        x = where(live, fma(weight, load(anchor, 2 * size + c), mul(keep, moved)), x)
        store(w, 2 * size + c, x)
        store(y, c, sub(load(v, c), fms(two, clip(x, bound), x)))
    return across(low, sum_or)


@njit(**INNER)
def subtract_explained(layout: Any, y: Any, by_and: Any, by_or: Any, sum_or: Any, sign: float) -> None:
    """Add ``-sign`` times the table explained by ``by_and`` and ``by_or`` (at complements) to ``y``; spoils both."""
    _subset_sums(layout, by_and)
    _superset_sums(layout, by_or)
    factor = splat(-sign)
    for c in range(0, len(y), 4):
        explained = add(sub(load(by_and, c), load(by_or, c)), sum_or)
        store(y, c, fma(factor, explained, load(y, c)))


@njit(**INNER)
def adjoint(layout: Any, y: Any, by_and: Any, by_or: Any) -> None:
    """Set ``by_and`` to ``Z^T y`` and ``by_or`` to the sums of ``y`` over subsets.

    ``W^T y`` at ``S`` is the last of these sums, which is over all subsets, minus that at the complement of ``S``; at
    the empty set it is exactly 0.
    """
    for c in range(0, len(y), 4):
        x = load(y, c)
        store(by_and, c, x)
        store(by_or, c, x)
    _superset_sums(layout, by_and)
    _subset_sums(layout, by_or)


@njit(**INNER)
def residuals(w: Any, by_and: Any, by_or: Any, y: Any, cost: Any, lane: Any, out: Any) -> None:
    """Write the squared length of the move of each table, in the metric of its steps."""
    size = len(y)
    low, high, metric, inverse = cost
    tau, s, bound = load(lane, TAU * 4), load(lane, S * 4), load(lane, BOUND * 4)
    total = last(low, by_or)
    sum_and = sum_or = sum_d = splat(0.0)
    for c in range(0, size, 4):
        step, over = each(metric, c), each(inverse, c)
        u = cut(load(w, c), mul(tau, each(low, c)), mul(tau, each(high, c)))
        x = fms(step, load(by_and, c), u)
        sum_and = fma(mul(x, x), over, sum_and)
        u = cut(load(w, size + c), mul(tau, each(low, size + c)), mul(tau, each(high, size + c)))
        x = fms(step, sub(total, mirrored(low, load(by_or, size - 4 - c))), u)
        sum_or = fma(mul(x, x), over, sum_or)
        x = load(w, 2 * size + c)
        x = fms(s, load(y, c), sub(x, clip(x, bound)))
        sum_d = fma(x, x, sum_d)
    store(out, 0, across(low, add(add(sum_and, sum_or), div(sum_d, s))))


@njit(**INNER)
def travelled(w: Any, anchor: Any, cost: Any, lane: Any, out: Any) -> None:
    """Write the squared distances since the last restart: primal and dual, of the interactions and of the residual.

    The anchor gives the position of the last restart: its proximal point and dual part are those of that point.
    """
    size = len(w) // 3
    low, high, _, inverse = cost
    tau, s, bound = load(lane, TAU * 4), load(lane, S * 4), load(lane, BOUND * 4)
    primal = dual = primal_d = dual_d = splat(0.0)
    for kind in range(2):
        for c in range(0, size, 4):
            at = kind * size + c
            x, then, over = load(w, at), load(anchor, at), each(inverse, c)
            lo, hi = mul(tau, each(low, at)), mul(tau, each(high, at))
            g = sub(cut(x, lo, hi), cut(then, lo, hi))
            z = sub(sub(x, then), g)
            primal, dual = fma(mul(z, z), over, primal), fma(mul(g, g), over, dual)
    for c in range(2 * size, 3 * size, 4):
        x, then = load(w, c), load(anchor, c)
        z = sub(clip(x, bound), clip(then, bound))
        g = sub(sub(x, then), z)
        primal_d, dual_d = fma(z, z, primal_d), fma(g, g, dual_d)
    scale = mul(s, tau)
    store(out, 0, across(low, primal))
    store(out, 4, across(low, div(dual, mul(tau, tau))))
    store(out, 8, across(low, primal_d))
    store(out, 12, across(low, div(dual_d, mul(scale, scale))))


@njit(**INNER)
def rescale(w: Any, anchor: Any, cost: Any, lane: Any, tau_next: Any, s_next: Any) -> None:
    """Give the dual part of the tables that restart its new steps, and make this point their anchor."""
    size = len(w) // 3
    low, high, _, _ = cost
    tau, s, bound = load(lane, TAU * 4), load(lane, S * 4), load(lane, BOUND * 4)
    restart = load(lane, RESTART * 4)
    factor = sub(div(load(tau_next, 0), tau), splat(1.0))
    for c in range(0, 2 * size, 4):
        x = load(w, c)
        u = cut(x, mul(tau, each(low, c)), mul(tau, each(high, c)))
        x = where(restart, fma(u, factor, x), x)
        store(w, c, x)
        store(anchor, c, where(restart, x, load(anchor, c)))
    factor = sub(div(mul(load(s_next, 0), load(tau_next, 0)), mul(s, tau)), splat(1.0))
    for c in range(2 * size, 3 * size, 4):
        x = load(w, c)
        x = where(restart, fma(sub(x, clip(x, bound)), factor, x), x)
        store(w, c, x)
        store(anchor, c, where(restart, x, load(anchor, c)))


@njit(**INNER)
def objective(x: Any, cost: Any, out: Any) -> None:
    """Write the cost of each table's interactions."""
    low, high, _, inverse = cost
    size = len(x) // 2
    total = splat(0.0)
    for kind in range(2):
        for c in range(0, size, 4):
            at = kind * size + c
            priced = most(mul(each(high, at), load(x, at)), mul(each(low, at), load(x, at)))
            total = fma(priced, each(inverse, c), total)
    store(out, 0, across(low, total))
