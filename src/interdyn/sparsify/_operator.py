"""The explanation operator ``K = [Z W]`` and the exact projection it needs, in factored form.

``K x = Z a + W o`` is the table that AND interactions ``a`` and OR interactions ``o`` explain:
``Z[T, S] = 1(S <= T)`` and ``W[T, S] = 1(S meets T)`` (paper, section 2; ``W``'s column of the empty set is zero).

**Products.** ``Z`` is a Kronecker power of a 2x2 matrix, and ``W o = sum(o) - (Z o)`` at the complement, so a batch of
products is two small matrix products, over the upper and the lower players.

**Projection.** ``(K K^T + s I)^{-1}`` does not factor over players, but it commutes with every permutation of them.
Swapping two players has eigenvalues +1 (on ``00, 11, 01 + 10``) and -1 (on ``01 - 10``), so with the players taken in
pairs the matrix falls into blocks, one for each set of pairs that is antisymmetric; blocks with equally many such pairs
are equal. At ``n = 10`` the largest of the six different blocks has 243 rows instead of 1024, and a product costs
``10^5`` instead of ``4^10`` operations; at ``n = 12`` the factor takes 729 rows instead of 4096.
"""

import math
from functools import lru_cache
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.lattice import orders

_INSIDE = np.array([[1.0, 0.0], [1.0, 1.0]])  # one player: subset (column) inside set (row)
_PAIR = np.array(  # rows: 00, 11, (01 + 10)/sqrt 2, (01 - 10)/sqrt 2; columns: 00, 01, 10, 11
    [
        [1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
        [0.0, math.sqrt(0.5), math.sqrt(0.5), 0.0],
        [0.0, math.sqrt(0.5), -math.sqrt(0.5), 0.0],
    ]
)


def _power(matrix: np.ndarray, exponent: int) -> np.ndarray:
    out = np.ones((1, 1))
    for _ in range(exponent):
        out = np.kron(out, matrix)
    return out


class Operator:
    """Products with ``K`` and ``K^T`` for one number of players, on one device."""

    def __init__(self, n: int, device: torch.device) -> None:
        self.n = n
        self.size = 2**n
        self._shape = (2 ** (n - n // 2), 2 ** (n // 2))
        upper, lower = (torch.from_numpy(_power(_INSIDE, k)).to(device) for k in (n - n // 2, n // 2))
        self._upper, self._lower = upper, lower
        self._upper_t, self._lower_t = upper.T.contiguous(), lower.T.contiguous()
        # the same, read at the complement: reversed rows
        self._upper_r, self._lower_r = upper.flip(0).contiguous(), lower.flip(0).contiguous()
        self._lower_rt = self._lower_r.T.contiguous()

    def _two_sided(self, left: Tensor, x: Tensor, right: Tensor) -> Tensor:
        return ((left @ x.reshape(-1, *self._shape)) @ right).reshape(x.shape)

    def explain(
        self, a: Float[Tensor, "batch subsets"], o: Float[Tensor, "batch subsets"]
    ) -> Float[Tensor, "batch subsets"]:
        """Return ``K x = Z a + W o``; ``o[:, 0]`` must be 0."""
        out = self._two_sided(self._upper, a, self._lower_t)
        out -= self._two_sided(self._upper_r, o, self._lower_rt)
        out += o.sum(-1, keepdim=True)
        return out

    def adjoint(self, y: Float[Tensor, "batch subsets"]) -> tuple[Tensor, Tensor]:
        """Return ``K^T y = (Z^T y, W^T y)``, the second with a zero at the empty set."""
        a = self._two_sided(self._upper_t, y, self._lower)
        o = self._two_sided(self._upper_r, y, self._lower_rt).neg_()
        o += y.sum(-1, keepdim=True)
        o[:, 0] = 0.0
        return a, o


@lru_cache(maxsize=16)
def operator(n: int, device: torch.device) -> Operator:
    """Return the shared `Operator` for ``n`` players on ``device``."""
    return Operator(n, device)


def gram_rows(subsets: np.ndarray, n: int) -> np.ndarray:
    """Return rows of ``K K^T``, shape ``(len(subsets), 2**n)``.

    ``(Z Z^T)[T, R] = 2^|T and R|``, and ``(W W^T)[T, R]`` counts the sets that meet both ``T`` and ``R``.
    """
    k = orders(n)
    both = k[subsets[:, None] & np.arange(2**n)[None, :]]
    union = k[subsets][:, None] + k[None, :] - both
    meets = 2.0**n - 2.0 ** (n - k[subsets])[:, None] - 2.0 ** (n - k)[None, :] + 2.0 ** (n - union)
    return np.asarray(2.0**both + meets)


_REPRESENTATIVE = np.array([0b00, 0b11, 0b01, 0b01])  # one subset of each pair state of `_PAIR`
_SUPPORT = np.array([1.0, 1.0, 2.0, 2.0])  # and how many subsets it spreads over


def _states(n: int, antisymmetric: tuple[int, ...]) -> np.ndarray:
    """Return the states of one block: rows of one pair state each (and the odd player's bit), outermost first."""
    axes = [np.array([0, 1])] if n % 2 else []
    axes += [np.array([3]) if p in antisymmetric else np.array([0, 1, 2]) for p in range(n // 2)]
    grid = np.meshgrid(*axes, indexing="ij") if axes else [np.zeros(1, dtype=int)]
    return np.stack([g.ravel() for g in grid], axis=-1)


def _columns(states: np.ndarray, n: int) -> np.ndarray:
    """Return the positions of states among all states (mixed radix 2, 4, 4, ...)."""
    out = np.zeros(len(states), dtype=np.int64)
    for axis in range(states.shape[1] if n else 0):
        out = out * (2 if n % 2 and axis == 0 else 4) + states[:, axis]
    return out


def _block_matrix(n: int, states: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the block of ``K K^T`` on the given pair states, ``<b, K K^T b'>`` for all basis vectors.

    ``K K^T b'`` has the symmetry of ``b``, so its product with ``b`` is its value at one subset of ``b`` times the
    square root of the number of subsets that ``b`` spreads over.
    """
    subset, support = np.zeros(len(states), dtype=np.int64), np.ones(len(states))
    for axis in range(states.shape[1] if n else 0):
        if n % 2 and axis == 0:
            subset = states[:, axis]
        else:
            subset = subset * 4 + _REPRESENTATIVE[states[:, axis]]
            support = support * _SUPPORT[states[:, axis]]
    columns = _columns(states, n)
    out = np.empty((len(states), len(states)))
    for start in range(0, len(states), 512):
        part = slice(start, start + 512)
        rows = gram_rows(subset[part], n).reshape(-1, left.shape[0], right.shape[0])
        out[part] = (left @ rows @ right.T).reshape(len(rows), -1)[:, columns]
    return out * np.sqrt(support)[:, None]


class GramSolver:
    """Exact products with ``(K K^T + s I)^{-1}`` for any ``s``, in blocks of the player-swap symmetry.

    Each of the different blocks is diagonalised once, so that every table of a batch may have its own ``s``.
    """

    def __init__(self, n: int, device: torch.device) -> None:
        pairs, single = divmod(n, 2)
        # axes, outermost first: the odd player (if any), then the pairs from the highest players down
        upper_pairs = pairs - pairs // 2
        left = np.kron(np.eye(2**single), _power(_PAIR, upper_pairs))
        right = _power(_PAIR, pairs // 2)
        self._shape = (left.shape[0], right.shape[0])
        self._left, self._right_t = (
            torch.from_numpy(left).to(device),
            torch.from_numpy(right.T.copy()).to(device),
        )
        self._left_t, self._right = self._left.T.contiguous(), self._right_t.T.contiguous()
        self._blocks: list[tuple[int, int, int]] = []
        self._vectors: list[Tensor] = []
        values: list[Tensor] = []
        columns: list[np.ndarray] = []
        start = 0
        for k in range(pairs + 1):
            chosen = list(combinations(range(pairs), k))
            states = [_states(n, c) for c in chosen]
            columns += [_columns(x, n) for x in states]
            block = _block_matrix(n, states[0], left, right)
            value, vectors = torch.linalg.eigh(torch.from_numpy((block + block.T) / 2).to(device))
            self._vectors.append(vectors.contiguous())
            rows = len(states[0])
            values.append(value.repeat(len(chosen)))
            self._blocks.append((start, start + rows * len(chosen), rows))
            start += rows * len(chosen)
        self._values = torch.cat(values)
        order = np.concatenate(columns)
        self._forward = torch.from_numpy(order).to(device)
        self._backward = torch.from_numpy(np.argsort(order)).to(device)

    def solve(
        self, y: Float[Tensor, "batch subsets"], s: float | Float[Tensor, "batch 1"]
    ) -> Float[Tensor, "batch subsets"]:
        """Return ``(K K^T + s I)^{-1} y`` for each row, ``s`` a number or one for each row."""
        x = ((self._left @ y.reshape(-1, *self._shape)) @ self._right_t).reshape(y.shape)
        x = self._blockwise(x.index_select(-1, self._forward), transposed=False)
        x /= self._values + s
        x = self._blockwise(x, transposed=True).index_select(-1, self._backward)
        return ((self._left_t @ x.reshape(-1, *self._shape)) @ self._right).reshape(y.shape)

    def _blockwise(self, x: Tensor, *, transposed: bool) -> Tensor:
        """Return ``x`` in the eigenvectors of the blocks, or back."""
        out = torch.empty_like(x)
        for (start, stop, rows), vectors in zip(self._blocks, self._vectors, strict=True):
            part = x[:, start:stop].reshape(-1, rows) @ (vectors.T if transposed else vectors)
            out[:, start:stop] = part.reshape(-1, stop - start)
        return out


@lru_cache(maxsize=16)
def gram_solver(n: int, device: torch.device) -> GramSolver:
    """Return the shared `GramSolver` for ``n`` players on ``device``."""
    return GramSolver(n, device)
