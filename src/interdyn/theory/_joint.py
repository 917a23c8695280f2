r"""One regression over AND and OR together, $G (G + 2^n \sigma^2)^{-1} y$, without a matrix over subsets.

$G = J C^{-1} J^T$, ``J`` the triggers of AND and of OR, ``C`` their variances $2^{|T|}$, is the same under any exchange
of players. Players are coupled one after the other, like spins one half: a rotation of pairs maps $2^n$ masks to
``C(n, k) - C(n, k - 1)`` copies of a block of ``n - 2 k + 1`` rows, for each ``k`` up to ``n / 2``. On all copies of a
block ``G`` is one small matrix, which is diagonalised once.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

_BY_AND = np.array([[1.0, 1.0], [1.0, 1.5]])  # of one player, absent or present in two masks: sum of the triggers' 1/C
_BY_OR = np.array([[1.5, 1.0], [1.0, 1.0]])  # the same for the sets that miss a mask; both have determinant 1/2
_BLOCK = 2**20  # numbers at a time: some levels of a small table, one of a large one


def joint_tables(
    y: Float64[Tensor, "*batch subsets"], noise_var: Float[np.ndarray, " levels"]
) -> Iterator[Float64[Tensor, "*batch subsets"]]:
    """Yield ``G (G + 2^n sigma^2)^-1 y`` for each noise level; at 0 it is ``y`` itself.

    Notes
    -----
    ``O(n 2**n)`` for each level and table. Oracle: dense matrices in ``tests/test_prediction.py``. The coupling of
    spins is that of quantum mechanics (Clebsch and Gordan); its use here is ours.

    Examples
    --------
    >>> y = torch.tensor([0.0, 1.0]).double()  # G = [[1, 1], [1, 3/2]]
    >>> [table.numpy().round(3) for table in joint_tables(y, np.array([0.0, 0.25]))]
    [array([0., 1.]), array([0.25 , 0.625])]
    """
    n = y.shape[-1].bit_length() - 1
    spectra = [[torch.from_numpy(part).to(y.device) for part in np.linalg.eigh(block)] for block in kernel_blocks(n)]
    flat = y.reshape(-1, y.shape[-1])
    inner = [
        torch.tensordot(vectors.mT, part, dims=1)[:, :, None]
        for part, (_, vectors) in zip(coupled(flat.mT), spectra, strict=True)
    ]
    at_once = max(1, _BLOCK // max(1, flat.numel()))
    for start in range(0, len(noise_var), at_once):
        levels = torch.from_numpy(noise_var[start : start + at_once]).to(y.device)
        parts = []
        for part, (values, vectors) in zip(inner, spectra, strict=True):
            g = values.clamp(min=0)[:, None]
            kept = (g / (g + levels * 2**n))[:, None, :, None]
            parts.append(torch.tensordot(vectors, (part * kept).flatten(2), dims=1))
        tables = uncoupled(parts).reshape(2**n, len(levels), -1).permute(1, 2, 0).reshape(-1, *y.shape)
        for level, table in zip(levels.tolist(), tables, strict=True):
            yield table if level else y


@lru_cache(maxsize=32)
def kernel_blocks(n: int) -> list[Float64[np.ndarray, "_size _size"]]:
    """Return ``G`` on each of the blocks of `coupled`.

    A Kronecker power of a 2x2 matrix is, on block ``k``, its determinant to the ``k`` times a symmetric power. The OR
    of sets of any size is such a power, less what counts empty sets, which lies in block 0, and less singles, which lie
    in blocks 0 and 1.

    Examples
    --------
    >>> kernel_blocks(1)
    [array([[1. , 1. ],
           [1. , 1.5]])]
    """
    blocks = [0.5**k * (_power(_BY_AND, n - 2 * k) + _power(_BY_OR, n - 2 * k)) for k in range(n // 2 + 1)]
    masks = np.arange(n + 1)
    size = np.sqrt([math.comb(n, int(m)) for m in masks])
    misses = 1.5 ** (n - masks)
    empty = 1.5**n - misses[:, None] - misses
    blocks[0] += size[:, None] * (empty - masks[:, None] * masks / (2 * n)) * size
    if n > 1:
        inside = np.sqrt([math.comb(n - 2, m) for m in range(n - 1)])
        blocks[1] -= inside[:, None] * inside / 2
    return blocks


def _power(matrix: Float[np.ndarray, "2 2"], n: int) -> Float[np.ndarray, "orders orders"]:
    """Return the ``n``-th symmetric power of a matrix, between the unit vectors of masks of one size."""
    out = np.ones((1, 1))
    for players in range(1, n + 1):
        cos, sin = (part.numpy() for part in _rotation(players, torch.device("cpu")))
        step = np.kron(matrix, out).reshape(2, players, 2, players)
        by_mask = np.zeros((players + 1, 2, players))  # a unit vector of masks, by its last player and the others' size
        by_mask[:players, 0] = np.diag(cos[:-1])
        by_mask[1:, 1] = np.diag(sin[1:])
        out = np.einsum("aik,ikjl,bjl->ab", by_mask, step, by_mask)
    return out


@lru_cache(maxsize=256)
def _rotation(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of the angle by which a further player is coupled to a block of some size."""
    present = torch.arange(size + 1, dtype=torch.float64, device=device) / size
    return (1 - present).sqrt(), present.sqrt()


def coupled(y: Float64[Tensor, "subsets tables"]) -> list[Float64[Tensor, "_size _copies tables"]]:
    """Return tables in the coordinates in which what is the same under any exchange of players falls into blocks.

    Examples
    --------
    >>> [part.flatten().round(decimals=2).tolist() for part in coupled(torch.tensor([[1.0], [2], [4], [8]]).double())]
    [[1.0, 4.24, 8.0], [-1.41]]
    """
    n = len(y).bit_length() - 1
    blocks = [y[None, None]]  # size, copies, masks of players to come, tables
    for players in range(n):
        after: list[list[Tensor]] = [[] for _ in range((players + 1) // 2 + 1)]
        for k, block in enumerate(blocks):
            size = len(block)
            absent, present = block.chunk(2, dim=2)
            cos, sin = (part[:, None, None, None] for part in _rotation(size, y.device))
            longer = torch.cat([absent, absent[:1] * 0]) * cos
            longer[1:] += present * sin[1:]
            after[k].append(longer)
            if size > 1:
                after[k + 1].append(present[:-1] * cos[1:-1] - absent[1:] * sin[1:-1])
        blocks = [torch.cat(parts, dim=1) for parts in after]
    return [block[:, :, 0] for block in blocks]


def uncoupled(blocks: list[Float64[Tensor, "_size _copies tables"]]) -> Float64[Tensor, "subsets tables"]:
    """Return the tables that `coupled` takes to these blocks.

    Examples
    --------
    >>> y = torch.arange(8.0).double()[:, None]
    >>> uncoupled(coupled(y)).flatten().round(decimals=6).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    after = [block[:, :, None] for block in blocks]
    for players in reversed(range(len(blocks[0]) - 1)):
        before = []
        for k in range(players // 2 + 1):
            size = players - 2 * k + 1
            copies = math.comb(players, k) - (math.comb(players, k - 1) if k else 0)
            cos, sin = (part[:, None, None, None] for part in _rotation(size, after[0].device))
            longer = after[k][:, -copies:]
            absent, present = longer[:-1] * cos[:-1], longer[1:] * sin[1:]
            if size > 1:
                shorter = after[k + 1][:, :copies]
                absent[1:] -= shorter * sin[1:-1]
                present[:-1] += shorter * cos[1:-1]
            before.append(torch.stack([absent, present], dim=2).flatten(2, 3))
        after = before
    return after[0][0, 0]
