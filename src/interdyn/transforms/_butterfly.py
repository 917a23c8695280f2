"""The butterfly over the subset lattice as compiled loops over vectors of four; importing this file loads Numba.

Three players are processed at once, highest first, so that each number is read and written once for three additions. A
table that exceeds the cache is traversed twice: the highest players over strips of neighbouring columns, copied to a
buffer that stays in the cache, the others over blocks of ``2**14``. Slow twin: `butterfly_` in `_mobius`.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from interdyn.compiled import INNER, compiled, source_stamp
from interdyn.compiled._lanes import add, fma, load, reverse, splat, store, sub, with_0, with_1, without_0, without_1

_BLOCK = 14  # players of a block: 128 KiB of float64
_BUFFER = 15  # a strip of columns for the players above: twice that
_LINE = 3  # powers of two, as the others


@njit(**INNER)
def power(size: int) -> int:
    """Return ``n`` for ``size = 2**n``."""
    n = 0
    while 1 << n < size:
        n += 1
    return n


@njit(**INNER)
def subset_sums(x: Any, start: int, top: int, bottom: int, sign: Any) -> None:
    """Add ``sign`` times the half without each player to the half with it: players ``top - 1`` down to ``bottom``.

    ``x[start : start + 2**top]`` is the table; ``bottom`` is 2 or more, so that four neighbours share these players.
    """
    size = 1 << top
    while top - bottom >= 3:
        top -= 3
        h = 1 << top
        for base in range(start, start + size, 8 * h):
            for c in range(base, base + h, 4):
                x0, x1, x2, x3 = load(x, c), load(x, c + h), load(x, c + 2 * h), load(x, c + 3 * h)
                x4, x5, x6, x7 = load(x, c + 4 * h), load(x, c + 5 * h), load(x, c + 6 * h), load(x, c + 7 * h)
                x4, x5, x6, x7 = fma(sign, x0, x4), fma(sign, x1, x5), fma(sign, x2, x6), fma(sign, x3, x7)
                x2, x3, x6, x7 = fma(sign, x0, x2), fma(sign, x1, x3), fma(sign, x4, x6), fma(sign, x5, x7)
                store(x, c + h, fma(sign, x0, x1))
                store(x, c + 2 * h, x2)
                store(x, c + 3 * h, fma(sign, x2, x3))
                store(x, c + 4 * h, x4)
                store(x, c + 5 * h, fma(sign, x4, x5))
                store(x, c + 6 * h, x6)
                store(x, c + 7 * h, fma(sign, x6, x7))
    if top - bottom == 2:
        top -= 2
        h = 1 << top
        for base in range(start, start + size, 4 * h):
            for c in range(base, base + h, 4):
                x0, x1, x2, x3 = load(x, c), load(x, c + h), load(x, c + 2 * h), load(x, c + 3 * h)
                x2, x3 = fma(sign, x0, x2), fma(sign, x1, x3)
                store(x, c + h, fma(sign, x0, x1))
                store(x, c + 2 * h, x2)
                store(x, c + 3 * h, fma(sign, x2, x3))
    if top - bottom == 1:
        top -= 1
        h = 1 << top
        for base in range(start, start + size, 2 * h):
            for c in range(base, base + h, 4):
                store(x, c + h, fma(sign, load(x, c), load(x, c + h)))


@njit(**INNER)
def superset_sums(x: Any, top: int, bottom: int) -> None:
    """Add the half with each player to the half without it; otherwise as `subset_sums`, from the start of ``x``."""
    size = 1 << top
    while top - bottom >= 3:
        top -= 3
        h = 1 << top
        for base in range(0, size, 8 * h):
            for c in range(base, base + h, 4):
                x0, x1, x2, x3 = load(x, c), load(x, c + h), load(x, c + 2 * h), load(x, c + 3 * h)
                x4, x5, x6, x7 = load(x, c + 4 * h), load(x, c + 5 * h), load(x, c + 6 * h), load(x, c + 7 * h)
                x0, x1, x2, x3 = add(x0, x4), add(x1, x5), add(x2, x6), add(x3, x7)
                x0, x1, x4, x5 = add(x0, x2), add(x1, x3), add(x4, x6), add(x5, x7)
                store(x, c, add(x0, x1))
                store(x, c + h, x1)
                store(x, c + 2 * h, add(x2, x3))
                store(x, c + 3 * h, x3)
                store(x, c + 4 * h, add(x4, x5))
                store(x, c + 5 * h, x5)
                store(x, c + 6 * h, add(x6, x7))
    if top - bottom == 2:
        top -= 2
        h = 1 << top
        for base in range(0, size, 4 * h):
            for c in range(base, base + h, 4):
                x0, x1, x2, x3 = load(x, c), load(x, c + h), load(x, c + 2 * h), load(x, c + 3 * h)
                x0, x1 = add(x0, x2), add(x1, x3)
                store(x, c, add(x0, x1))
                store(x, c + h, x1)
                store(x, c + 2 * h, add(x2, x3))
    if top - bottom == 1:
        top -= 1
        h = 1 << top
        for base in range(0, size, 2 * h):
            for c in range(base, base + h, 4):
                store(x, c, add(load(x, c), load(x, c + h)))


@njit(forceinline=True, **INNER)
def _within(v: Any, sign: Any) -> Any:
    """Return a vector with the two players inside it processed."""
    v = fma(sign, without_1(v), v)
    return fma(sign, without_0(v), v)


@njit(**INNER)
def finish_subsets(x: Any, sign: Any) -> None:
    """Process the two players within each vector, after `subset_sums` has processed the others."""
    for c in range(0, len(x), 4):
        store(x, c, _within(load(x, c), sign))


@njit(**INNER)
def finish_supersets(x: Any) -> None:
    """Process the two players within each vector, after `superset_sums` has processed the others."""
    for c in range(0, len(x), 4):
        v = load(x, c)
        v = add(v, with_1(v))
        store(x, c, add(v, with_0(v)))


@njit(**INNER)
def _block(x: Any, start: int, n: int, sign: Any, out_sign: Any, zero: Any) -> None:
    """Process the players of one block, the lowest two within each vector, and multiply by ``out_sign``."""
    subset_sums(x, start, n, 2, sign)
    for c in range(start, start + (1 << n), 4):
        store(x, c, fma(out_sign, _within(load(x, c), sign), splat(zero)))  # the sum with 0 leaves no minus zero


@njit(**INNER)
def _strips(x: Any, out: Any, n: int, sign: Any, backwards: bool, buffer: Any) -> None:
    """Process the players above a block, from ``x`` (or ``x`` read backwards) to ``out``."""
    rows, length, size = 1 << (n - _BLOCK), 1 << _BLOCK, 1 << n
    bits = power(len(buffer)) - (n - _BLOCK)
    width = 1 << bits
    for column in range(0, length, width):
        for row in range(rows):
            for c in range(0, width, 4):
                at = row * length + column + c
                v = reverse(load(x, size - 4 - at)) if backwards else load(x, at)
                store(buffer, row * width + c, v)
        subset_sums(buffer, 0, n - _BLOCK + bits, bits, sign)
        for row in range(rows):
            for c in range(0, width, 4):
                store(out, row * length + column + c, load(buffer, row * width + c))


@njit(**INNER)
def _mirror(x: Any, low: int, high: int, length: int, whole: Any) -> None:
    """Swap the block at ``low`` with that at ``high`` read backwards, each number becoming ``whole`` minus it."""
    for c in range(0, length if low != high else length // 2, 4):
        there = high + length - 4 - c
        a, b = load(x, low + c), load(x, there)
        store(x, low + c, sub(whole, reverse(b)))
        store(x, there, sub(whole, reverse(a)))


def _transform(stamp: str) -> Any:
    def transform(x: Any, out: Any, sign: Any, backwards: bool, out_sign: Any, met: bool) -> None:
        stamp  # noqa: B018  # closed over, so that the cache knows all that is called
        size = x.shape[1]
        n = power(size)
        signs, out_signs = splat(sign), splat(out_sign)
        above = n - _BLOCK  # players; a strip has at least a line of the cache of columns
        columns = max(min(_BLOCK, _BUFFER - above), _LINE)
        buffer = np.empty(1 << (above + columns) if above > 0 else 0, x.dtype)
        block = min(n, _BLOCK)
        length = 1 << block
        for row in range(len(x)):
            table, result = x[row], out[row]
            if n > _BLOCK:
                _strips(table, result, n, signs, backwards, buffer)
            elif backwards:
                for c in range(0, size, 4):
                    store(result, c, reverse(load(table, size - 4 - c)))
            else:
                for c in range(0, size, 4):
                    store(result, c, load(table, c))
            whole = table[0]
            for start in range(0, size >> 1 if met and n > _BLOCK else size, length):
                _block(result, start, block, signs, out_signs, sign - sign)
                if met:
                    other = size - start - length
                    if other != start:
                        _block(result, other, block, signs, out_signs, sign - sign)
                    if start == 0:  # the sum over all subsets is known; the constant is in it
                        whole += result[size - 1]
                    _mirror(result, start, other, length, splat(whole))

    return transform


@lru_cache(maxsize=2)
def transform(kind: str) -> Callable[..., None]:
    """Return ``transform(x, out, sign, backwards, out_sign, met)`` for tables of ``kind``, float64 or float32.

    It takes tables of 4 numbers or more, ``(rows, 2**n)``, to ``out``: ``sign`` 1 sums over subsets, -1 undoes it;
    ``backwards`` reads every table from its end; the result is multiplied by ``out_sign``. ``met`` turns sums over
    subsets into those over the subsets that are met: what is not inside the complement, and the constant once.
    """
    stamp = source_stamp(Path(__file__).parent)
    return compiled(_transform(stamp), f"void({kind}[:,::1], {kind}[:,::1], {kind}, boolean, {kind}, boolean)")
