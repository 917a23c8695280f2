"""The projection of the split, using the symmetry of swapping players: paths, and one small block per length.

``(K D K^T + s I)^{-1}`` does not factor over players, but it commutes with every permutation of them. So an orthogonal
change of basis brings it to blocks of at most ``n + 1`` rows (Schur, Clebsch and Gordan), and that change is a cascade
that takes the players in one at a time, ``O(n 2^n)`` in all.

**Paths.** A path is a list of rows of the table, ``x_0 .. x_{d-1}``: sums over the subsets of each size of those
players that count alike so far. It starts as the whole table, a path of one row. A further player, the highest not yet
processed, splits each row into a lower half (absent) and an upper half (present), and the path has two children:

- long, ``d + 1`` rows: ``l_0 = lower_0``, ``l_k = lower_k + upper_{k-1}``, ``l_d = upper_{d-1}``;
- short, ``d - 1`` rows, where the player counts against the others: ``s_{k-1} = (k/d) l_k - upper_{k-1}`` for
  ``0 < k < d``.

They are stored one after the other in the place of their parent, which is recovered by
``upper_{k-1} = (k/d) l_k - s_{k-1}`` and ``lower_k = l_k - upper_{k-1}``. Row ``k`` of a path of ``d`` rows is longer
than its unit vector by the square root of ``C(d-1, k)``, times a number that all rows of the path share; the blocks
absorb it. That takes half the operations of plane rotations, ``(c, s) = (sqrt((d-k)/d), sqrt(k/d))``, the same change
of basis with unit vectors.

**Blocks.** After ``n`` players there are ``C(n, j) - C(n, j-1)`` paths of ``d = n + 1 - 2 j`` rows, and all paths of
one length share a block: ``K D^(1/2)`` on them is a ``d x 2d`` matrix, decomposed once into singular values and
vectors; not ``K D K^T``, whose smallest eigenvalues drown in rounding from n = 14 on. ``D`` is `metric`.
Source: split.md of the project, section 2; paper, section 2 for ``K = [Z W]``.
"""

from functools import lru_cache
from math import comb
from typing import NamedTuple

import numpy as np

from interdyn.values import orders

FALL = 0.5
"""Factor by which the step of an interaction falls per additional player."""

MAX_ROWS = 32
"""Most rows of a path, and the stride of tables indexed by the length of a path and a row of it."""


def metric(n: int) -> np.ndarray:
    """Return ``D``, the metric in which the solver steps: ``FALL^(|S| - n/2)`` for each interaction, shape ``(2**n,)``.

    Interactions of high order are many, and most of them end at 0; smaller steps bring them there without oscillation.
    """
    return np.asarray(FALL ** (orders(n) - n / 2))


def stages(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, after 0, 1, .. n players, the lengths of the paths and where they start, in rows of that stage.

    Examples
    --------
    >>> [(lengths.tolist(), starts.tolist()) for lengths, starts in stages(2)]
    [([1], [0]), ([2], [0]), ([3, 1], [0, 3])]
    """
    lengths, starts = np.array([1]), np.array([0])
    out = [(lengths, starts)]
    for _ in range(n):
        parts = lengths > 1
        starts = np.concatenate([2 * starts, (2 * starts + lengths + 1)[parts]])
        lengths = np.concatenate([lengths + 1, lengths[parts] - 1])
        out.append((lengths, starts))
    return out


def scales(d: int) -> np.ndarray:
    """Return the length of each row of a path of ``d`` rows, shape ``(d,)``, up to a factor shared by all."""
    return np.sqrt([comb(d - 1, k) for k in range(d)])


def explanation_block(*parts: tuple[int, int]) -> np.ndarray:
    """Return ``K D^(1/2)`` on one path, in unit vectors, shape ``(d, 2 d)``; on a product of paths for several parts.

    A part is some players and how many pairs of them are antisymmetric (01 - 10). On the other ``r`` players of the
    part a vector is a function ``f`` of the size, so ``Z f (i) = sum_j C(i, j) f(j)`` and ``d = r + 1``; ``Z`` keeps
    the sign of the pairs. ``W`` is minus ``Z`` at the complement, which swaps the two states of each pair, plus a sum
    over all subsets, which is 0 if there is a pair.
    """
    z: np.ndarray = np.ones((1, 1))
    reversed_z, length, root = z, z[0], z[0]
    for players, pairs in parts:
        r = players - 2 * pairs
        part = np.array([[float(comb(i, j)) for j in range(r + 1)] for i in range(r + 1)])
        z, reversed_z = np.kron(z, part), np.kron(reversed_z, (-1.0) ** pairs * part[::-1])
        length = np.kron(length, scales(r + 1))
        root = np.kron(root, FALL ** ((pairs + np.arange(r + 1) - players / 2) / 2))
    w = -reversed_z
    if not any(pairs for _, pairs in parts):
        w = w + z[-1]  # all subsets, less those inside the complement
        w[:, 0] = 0.0  # no OR interaction of the empty set
    return np.concatenate([length[:, None] * z / length * root, length[:, None] * w / length * root], axis=1)


def spectrum_of_block(*parts: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues ``(d,)`` and eigenvectors ``(d, d)`` of ``K D K^T`` on the paths of `explanation_block`."""
    vectors, singular, _ = np.linalg.svd(explanation_block(*parts), full_matrices=False)
    return singular**2, vectors


class Plan(NamedTuple):
    """What the compiled projection reads for one number of players; all arrays flat.

    Attributes
    ----------
    lengths, bases
        Length and start (in rows of its stage) of each path of each stage, shortest paths of a stage first, so that
        neighbours in the loop take equally long.
    first
        Position of the first path of each stage, and of the end.
    share
        ``k / d`` at ``d * MAX_ROWS + k``.
    into, back
        Matrices ``d x d``, the column index running slowest, at ``offsets[d]``: a path to the eigenvectors of its block
        and back.
    values
        Eigenvalues of the block of paths of length ``d``, at ``d * MAX_ROWS``.
    """

    lengths: np.ndarray
    bases: np.ndarray
    first: np.ndarray
    share: np.ndarray
    into: np.ndarray
    back: np.ndarray
    offsets: np.ndarray
    values: np.ndarray


@lru_cache(maxsize=32)
def plan(n: int) -> Plan:
    """Return the shared `Plan` for ``n`` players."""
    ordered = [(lengths[order], starts[order]) for lengths, starts in stages(n) for order in [np.argsort(lengths)]]
    share = np.zeros((MAX_ROWS + 1, MAX_ROWS))
    for d in range(1, MAX_ROWS + 1):
        share[d, : min(d + 1, MAX_ROWS)] = np.arange(d + 1)[:MAX_ROWS] / d
    values, offsets = np.zeros((MAX_ROWS, MAX_ROWS)), np.zeros(MAX_ROWS, dtype=np.int64)
    into, back, at = [], [], 0
    for pairs in range(n // 2 + 1):
        value, vectors = spectrum_of_block((n, pairs))
        d = len(value)
        length = scales(d)[:, None]
        into.append((vectors / length).ravel())
        back.append((length * vectors).T.ravel())
        values[d, :d], offsets[d] = value, at
        at += d * d
    return Plan(
        lengths=np.concatenate([lengths for lengths, _ in ordered]),
        bases=np.concatenate([starts for _, starts in ordered]),
        first=np.cumsum([0, *(len(lengths) for lengths, _ in ordered)]),
        share=share.ravel(),
        into=np.concatenate(into),
        back=np.concatenate(back),
        offsets=offsets,
        values=values.ravel(),
    )


def change_of_basis(n: int) -> np.ndarray:
    """Return the change to paths with unit vectors as a dense orthogonal matrix, ``2^n x 2^n``."""
    x = np.eye(2**n)
    for m, (lengths, starts) in enumerate(stages(n)[:-1]):
        half = 2 ** (n - m - 1)
        out = np.empty_like(x)
        for d, start in zip(lengths.tolist(), starts.tolist(), strict=True):
            rows = x[2 * half * start : 2 * half * (start + d)].reshape(d, 2, half, -1)
            k = np.arange(1, d)[:, None, None]
            cos, sin = np.sqrt((d - k) / d), np.sqrt(k / d)
            lower, upper = rows[:, 0], rows[:, 1]
            turned = cos * lower[1:] + sin * upper[:-1]
            children = [lower[:1], turned, upper[-1:], sin * lower[1:] - cos * upper[:-1]]
            out[2 * half * start : 2 * half * (start + d)] = np.concatenate(children).reshape(2 * half * d, -1)
        x = out
    return x
