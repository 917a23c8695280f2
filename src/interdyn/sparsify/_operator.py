"""The explanation operator ``K = [Z W]`` and the exact projection it needs, in factored form.

``K x = Z a + W o`` is the table that AND interactions ``a`` and OR interactions ``o`` explain:
``Z[T, S] = 1(S <= T)`` and ``W[T, S] = 1(S meets T)`` (paper, section 2; ``W``'s column of the empty set is zero).

**Products.** ``Z`` is a Kronecker power of a 2x2 matrix, and ``W o = sum(o) - (Z o)`` at the complement, so a batch of
products is two small matrix products, over the upper and the lower players.

**Projection.** ``(K D K^T + s I)^{-1}``, with a metric ``D`` of orders, does not factor over players, but splits into
small blocks in the symmetry of swapping them: `_symmetry`.
"""

from functools import lru_cache
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.sparsify._symmetry import change_of_basis, spectrum_of_block, stages

_INSIDE = np.array([[1.0, 0.0], [1.0, 1.0]])  # one player: subset (column) inside set (row)


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


class GramSolver:
    """Exact products with ``(K D K^T + s I)^{-1}`` for any ``s``, in plain tensor operations on any device.

    The players are taken in two halves. Each half is brought to paths by a dense matrix of at most ``2^((n+1)/2)`` rows
    (`change_of_basis`), and ``K D K^T`` then falls into blocks, one for each pair of paths; those of equal lengths are
    equal, and none has more than ``((n+1)/2 + 1)^2`` rows. Each different block is diagonalised once, so that every
    table of a batch may have its own ``s``. The compiled form is in `_projection`.
    """

    def __init__(self, n: int, device: torch.device) -> None:
        lower, upper = n // 2, n - n // 2
        left, right = (torch.from_numpy(change_of_basis(k)).to(device) for k in (upper, lower))
        self._shape = (len(left), len(right))
        self._left, self._right_t = left, right.T.contiguous()
        self._left_t, self._right = left.T.contiguous(), right
        self._blocks: list[tuple[int, int, int]] = []
        self._vectors: list[Tensor] = []
        values: list[Tensor] = []
        columns: list[np.ndarray] = []
        start = 0
        for pairs in product(range(upper // 2 + 1), range(lower // 2 + 1)):
            value, vectors = spectrum_of_block((upper, pairs[0]), (lower, pairs[1]))
            rows = [_rows_of_paths(k, k + 1 - 2 * j) for k, j in zip((upper, lower), pairs, strict=True)]
            at = rows[0][:, None, :, None] * self._shape[1] + rows[1][None, :, None, :]
            columns.append(at.ravel())
            self._vectors.append(torch.from_numpy(vectors).to(device))
            values.append(torch.from_numpy(value).to(device).repeat(at.size // len(value)))
            self._blocks.append((start, start + at.size, len(value)))
            start += at.size
        self._values = torch.cat(values)
        order = np.concatenate(columns)
        self._forward = torch.from_numpy(order).to(device)
        self._backward = torch.from_numpy(np.argsort(order)).to(device)

    def solve(
        self, y: Float[Tensor, "batch subsets"], s: float | Float[Tensor, "batch 1"]
    ) -> Float[Tensor, "batch subsets"]:
        """Return ``(K D K^T + s I)^{-1} y`` for each row, ``s`` a number or one for each row."""
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


def _rows_of_paths(n: int, d: int) -> np.ndarray:
    """Return the rows of all paths of ``d`` rows after ``n`` players, shape ``(paths, d)``."""
    lengths, starts = stages(n)[n]
    return np.asarray(starts[lengths == d][:, None] + np.arange(d))


@lru_cache(maxsize=16)
def gram_solver(n: int, device: torch.device) -> GramSolver:
    """Return the shared `GramSolver` for ``n`` players on ``device``."""
    return GramSolver(n, device)
