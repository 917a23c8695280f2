"""The exact projection as compiled loops; importing this file loads Numba.

The computation is described in `_symmetry`. Two players are processed at a time, so that each number is read and
written once for two: a row of a path is then four quarters (neither player present, the second, the first, both), and a
path of ``d`` rows has four children, long-long, long-short, short-long and short-short, of ``d + 2``, ``d``, ``d`` and
``d - 2`` rows. Slow twin: `GramSolver`.
"""

from typing import Any

import numpy as np
from numba import njit

from interdyn.compiled import INNER
from interdyn.compiled._lanes import add, div, fma, fms, load, splat, spread, store, sub
from interdyn.sparsify._symmetry import MAX_ROWS as ROWS
from interdyn.transforms._butterfly import power

PATH = 40 * ROWS
"""Length of the working space for single paths."""

PLAN = f"Tuple(({', '.join(['int64[::1]'] * 3 + ['float64[::1]'] * 3 + ['int64[::1]', 'float64[::1]'])}))"
"""Numba's type of the arrays of a `Plan`."""


@njit(**INNER)
def _in_one(x: Any, y: Any, lengths: Any, bases: Any, first: int, last: int, half: int, share: Any) -> None:
    """Process one player, ``x`` to ``y``; ``half`` is half a row, in numbers of all four tables."""
    for p in range(first, last):
        d = lengths[p]
        base = bases[p] * 2 * half
        for c in range(base, base + half, 4):
            row, long, short = c, c, c + (d + 1) * half
            store(y, long, load(x, row))
            upper = load(x, row + half)
            for k in range(1, d):
                row += 2 * half
                long += half
                sums = add(load(x, row), upper)
                store(y, long, sums)
                store(y, short, fms(spread(share, d * ROWS + k), sums, upper))
                upper = load(x, row + half)
                short += half
            store(y, long + half, upper)


@njit(**INNER)
def _out_one(x: Any, y: Any, lengths: Any, bases: Any, first: int, last: int, half: int, share: Any) -> None:
    """Undo `_in_one`, ``x`` to ``y``."""
    for p in range(first, last):
        d = lengths[p]
        base = bases[p] * 2 * half
        for c in range(base, base + half, 4):
            row, long, short = c, c, c + (d + 1) * half
            store(y, row, load(x, long))
            for k in range(1, d):
                long += half
                sums = load(x, long)
                upper = fms(spread(share, d * ROWS + k), sums, load(x, short))
                store(y, row + half, upper)
                row += 2 * half
                store(y, row, sub(sums, upper))
                short += half
            store(y, row + half, load(x, long + half))


@njit(**INNER)
def _in_two(x: Any, y: Any, lengths: Any, bases: Any, first: int, last: int, q: int, share: Any) -> None:
    """Process two players, ``x`` to ``y``; ``q`` is a quarter of a row, in numbers of all four tables.

    Rows of the long and the short child of the first player are made on the way, their halves without (``0``) and with
    (``1``) the second player.
    """
    h = 4 * q
    for p in range(first, last):
        d = lengths[p]
        at, next_at = d * ROWS, (d + 1) * ROWS
        base = bases[p] * h
        for c in range(base, base + q, 4):
            row, ll, ls = c, c, c + (d + 2) * q
            store(y, ll, load(x, row))
            long_1 = load(x, row + q)
            upper_0, upper_1 = load(x, row + 2 * q), load(x, row + 3 * q)
            if d > 1:
                sl = ls + d * q
                ss = sl + d * q
                row += h
                part = spread(share, at + 1)
                long_0 = add(load(x, row), upper_0)
                store(y, sl, fms(part, long_0, upper_0))
                before, long_1 = long_1, add(load(x, row + q), upper_1)
                short_1 = fms(part, long_1, upper_1)
                upper_0, upper_1 = load(x, row + 2 * q), load(x, row + 3 * q)
                ll += q
                sums = add(long_0, before)
                store(y, ll, sums)
                store(y, ls, fms(spread(share, next_at + 1), sums, before))
                ls += q
                for k in range(2, d):
                    row += h
                    part = spread(share, at + k)
                    long_0 = add(load(x, row), upper_0)
                    short_0 = fms(part, long_0, upper_0)
                    before, long_1 = long_1, add(load(x, row + q), upper_1)
                    upper_0 = load(x, row + 2 * q)
                    ll += q
                    sums = add(long_0, before)
                    store(y, ll, sums)
                    store(y, ls, fms(spread(share, next_at + k), sums, before))
                    ls += q
                    sl += q
                    sums = add(short_0, short_1)
                    store(y, sl, sums)
                    store(y, ss, fms(spread(share, at - ROWS + k - 1), sums, short_1))
                    ss += q
                    short_1 = fms(part, long_1, upper_1)
                    upper_1 = load(x, row + 3 * q)
                store(y, sl + q, short_1)
            sums = add(upper_0, long_1)
            store(y, ll + q, sums)
            store(y, ls, fms(spread(share, next_at + d), sums, long_1))
            store(y, ll + 2 * q, upper_1)


@njit(**INNER)
def _out_two(x: Any, y: Any, lengths: Any, bases: Any, first: int, last: int, q: int, share: Any) -> None:
    """Undo `_in_two`, ``x`` to ``y``."""
    h = 4 * q
    for p in range(first, last):
        d = lengths[p]
        at, next_at = d * ROWS, (d + 1) * ROWS
        base = bases[p] * h
        for c in range(base, base + q, 4):
            row, ll, ls = c, c + q, c + (d + 2) * q
            sl = ls + d * q
            ss = sl + d * q
            store(y, row, load(x, c))
            sums = load(x, ll)
            long_1 = fms(spread(share, next_at + 1), sums, load(x, ls))
            long_0 = sub(sums, long_1)
            store(y, row + q, long_1)
            if d > 1:
                upper = fms(spread(share, at + 1), long_0, load(x, sl))
                store(y, row + 2 * q, upper)
                store(y, row + h, sub(long_0, upper))
                for k in range(2, d):
                    ll += q
                    ls += q
                    sl += q
                    sums = load(x, ll)
                    long_1 = fms(spread(share, next_at + k), sums, load(x, ls))
                    long_0 = sub(sums, long_1)
                    sums = load(x, sl)
                    short_1 = fms(spread(share, at - ROWS + k - 1), sums, load(x, ss))
                    ss += q
                    upper = fms(spread(share, at + k - 1), long_1, short_1)
                    store(y, row + 3 * q, upper)
                    row += h
                    store(y, row + q, sub(long_1, upper))
                    upper = fms(spread(share, at + k), long_0, sub(sums, short_1))
                    store(y, row + 2 * q, upper)
                    store(y, row + h, sub(long_0, upper))
                ll += q
                sums = load(x, ll)
                long_1 = fms(spread(share, next_at + d), sums, load(x, ls + q))
                long_0 = sub(sums, long_1)
                upper = fms(spread(share, at + d - 1), long_1, load(x, sl + q))
                store(y, row + 3 * q, upper)
                row += h
                store(y, row + q, sub(long_1, upper))
            store(y, row + 2 * q, long_0)
            store(y, row + 3 * q, load(x, ll + q))


@njit(forceinline=True, **INNER)
def _times(matrix: Any, at: int, d: int, x: Any, start: int, out: Any, to: int) -> None:
    """Write the product of a ``d x d`` matrix with a path at ``start``."""
    j = 0
    while j + 4 <= d:
        t0 = t1 = t2 = t3 = splat(0.0)
        e = at + j
        for i in range(d):
            xi = load(x, start + 4 * i)
            t0 = fma(spread(matrix, e), xi, t0)
            t1 = fma(spread(matrix, e + 1), xi, t1)
            t2 = fma(spread(matrix, e + 2), xi, t2)
            t3 = fma(spread(matrix, e + 3), xi, t3)
            e += d
        store(out, to + 4 * j, t0)
        store(out, to + 4 * j + 4, t1)
        store(out, to + 4 * j + 8, t2)
        store(out, to + 4 * j + 12, t3)
        j += 4
    while j < d:
        t0 = splat(0.0)
        for i in range(d):
            t0 = fma(spread(matrix, at + i * d + j), load(x, start + 4 * i), t0)
        store(out, to + 4 * j, t0)
        j += 1


@njit(forceinline=True, **INNER)
def _times_two(matrix: Any, at: int, d: int, x: Any, start: int, start2: int, out: Any, to: int, to2: int) -> None:
    """Write the products of a ``d x d`` matrix with two paths, which keeps twice as many sums in flight."""
    j = 0
    while j + 3 <= d:
        t0 = t1 = t2 = u0 = u1 = u2 = splat(0.0)
        e = at + j
        for i in range(d):
            xi, yi = load(x, start + 4 * i), load(x, start2 + 4 * i)
            m0, m1, m2 = spread(matrix, e), spread(matrix, e + 1), spread(matrix, e + 2)
            t0, t1, t2 = fma(m0, xi, t0), fma(m1, xi, t1), fma(m2, xi, t2)
            u0, u1, u2 = fma(m0, yi, u0), fma(m1, yi, u1), fma(m2, yi, u2)
            e += d
        store(out, to + 4 * j, t0)
        store(out, to + 4 * j + 4, t1)
        store(out, to + 4 * j + 8, t2)
        store(out, to2 + 4 * j, u0)
        store(out, to2 + 4 * j + 4, u1)
        store(out, to2 + 4 * j + 8, u2)
        j += 3
    if j + 2 == d:
        t0 = t1 = u0 = u1 = splat(0.0)
        e = at + j
        for i in range(d):
            xi, yi = load(x, start + 4 * i), load(x, start2 + 4 * i)
            m0, m1 = spread(matrix, e), spread(matrix, e + 1)
            t0, t1 = fma(m0, xi, t0), fma(m1, xi, t1)
            u0, u1 = fma(m0, yi, u0), fma(m1, yi, u1)
            e += d
        store(out, to + 4 * j, t0)
        store(out, to + 4 * j + 4, t1)
        store(out, to2 + 4 * j, u0)
        store(out, to2 + 4 * j + 4, u1)
    elif j < d:
        t0 = u0 = splat(0.0)
        for i in range(d):
            m0 = spread(matrix, at + i * d + j)
            t0 = fma(m0, load(x, start + 4 * i), t0)
            u0 = fma(m0, load(x, start2 + 4 * i), u0)
        store(out, to + 4 * j, t0)
        store(out, to2 + 4 * j, u0)


@njit(**INNER)
def _blocks(x: Any, s: Any, lengths: Any, bases: Any, first: int, last: int, into: Any, back: Any, offsets: Any,
            values: Any, path: Any) -> None:  # fmt: skip
    """Multiply each path by ``(block + s I)^{-1}``, two of one length at once."""
    other = 4 * ROWS
    p = first
    while p < last:
        d = lengths[p]
        start, at = bases[p] * 4, offsets[d]
        if d == 1:
            store(x, start, div(load(x, start), add(spread(values, ROWS), s)))
            p += 1
        elif p + 1 < last and lengths[p + 1] == d:
            start2 = bases[p + 1] * 4
            _times_two(into, at, d, x, start, start2, path, 0, other)
            for k in range(d):
                scale = add(spread(values, d * ROWS + k), s)
                store(path, 4 * k, div(load(path, 4 * k), scale))
                store(path, other + 4 * k, div(load(path, other + 4 * k), scale))
            _times_two(back, at, d, path, 0, other, x, start, start2)
            p += 2
        else:
            _times(into, at, d, x, start, path, 0)
            for k in range(d):
                store(path, 4 * k, div(load(path, 4 * k), add(spread(values, d * ROWS + k), s)))
            _times(back, at, d, path, 0, x, start)
            p += 1


@njit(**INNER)
def _last_two(x: Any, s: Any, lengths: Any, bases: Any, first: int, last: int, share: Any, into: Any, back: Any,
              offsets: Any, values: Any, path: Any) -> None:  # fmt: skip
    """Process paths whose rows are single vectors, with the last two players within: four paths at once.

    Four paths of one length are transposed, so that each has a lane; then their last two players are processed, their
    blocks applied, and everything undone. If fewer are left, one of them is repeated.
    """
    a, b = path[8 * ROWS : 8 * ROWS + 16 * ROWS], path[24 * ROWS : 24 * ROWS + 16 * ROWS]
    one_length, one_base = np.empty(1, np.int64), np.zeros(1, np.int64)
    child_lengths, child_bases = np.empty(4, np.int64), np.empty(4, np.int64)
    start = np.empty(4, np.int64)
    p = first
    while p < last:
        d = lengths[p]
        many = 1
        while many < 4 and p + many < last and lengths[p + many] == d:
            many += 1
        for i in range(4):
            start[i] = bases[p + min(i, many - 1)] * 4
        for k in range(4 * d):
            for i in range(4):
                a[4 * k + i] = x[start[i] + k]
        one_length[0] = d
        _in_two(a, b, one_length, one_base, 0, 1, 4, share)
        # long-short, short-long, long-long, short-short; the last is empty for two rows, and so is the second for one
        child_lengths[:] = (d, d, d + 2, d - 2)
        child_bases[:] = (d + 2, 2 * d + 2, 0, 3 * d + 2)
        if d == 1:
            child_lengths[1], child_bases[1] = 3, 0
        _blocks(b, s, child_lengths, child_bases, 0, min(d + 1, 4), into, back, offsets, values, path)
        _out_two(b, a, one_length, one_base, 0, 1, 4, share)
        for i in range(many):
            for k in range(4 * d):
                x[start[i] + k] = a[4 * k + i]
        p += many


@njit(**INNER)
def project(layout: Any, y: Any, other: Any, s: Any, plan: Any, path: Any) -> None:
    """Replace ``y`` by ``(K K^T + s I)^{-1} y`` in place, ``s`` a vector; ``other`` and ``path`` are working space.

    ``plan`` holds the arrays of `Plan` in their order; ``path`` is `PATH` long.
    """
    lengths, bases, first, share, into, back, offsets, values = plan
    n = power(len(y)) - 2  # players to process here, in rows of complete vectors
    x = y
    m = n & 1
    if m:
        _in_one(x, other, lengths, bases, first[0], first[1], 2 << n, share)
        x, other = other, x
    while m < n:
        _in_two(x, other, lengths, bases, first[m], first[m + 1], 1 << (n - m), share)
        x, other = other, x
        m += 2
    if layout.ndim == 2:
        _last_two(x, s, lengths, bases, first[n], first[n + 1], share, into, back, offsets, values, path)
    else:
        _blocks(x, s, lengths, bases, first[n], first[n + 1], into, back, offsets, values, path)
    while m > 1:
        m -= 2
        _out_two(x, other, lengths, bases, first[m], first[m + 1], 1 << (n - m), share)
        x, other = other, x
    if m:
        _out_one(x, other, lengths, bases, first[0], first[1], 2 << n, share)
