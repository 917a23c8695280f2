r"""The one 2x2 eigenproblem behind the theory, and products with Kronecker powers.

A player is absent or present, so every matrix of the theory is an ``n``-fold Kronecker product of a 2x2 matrix:
``J^T J = G (x) ... (x) G`` and ``2^n diag(2^|T|) = D (x) ... (x) D`` with ``G = [[2, 1], [1, 1]]`` and
``D = diag(2, 4)``. The generalised eigenproblem ``G u = l D u``, ``U^T D U = I`` is solved once, by hand:
``l = (5 -+ sqrt 17) / 8``.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.values import n_players_from_size

D = np.array([2.0, 4.0])
EIGENVALUES = np.array([(5 - math.sqrt(17)) / 8, (5 + math.sqrt(17)) / 8])
U = np.stack([np.ones(2), 2 * (EIGENVALUES - 1)])  # first row of (G - l D) u = 0
U = U / np.sqrt(D @ U**2)
"""Eigenvectors in columns, ``U^T D U = I``; row 0: player absent, row 1: present."""

_BLOCK = 5  # players per matrix product: 32 x 32 blocks keep the arithmetic units busy


def distinct_eigenvalues(n: int) -> Float[np.ndarray, " orders"]:
    """Return the ``n + 1`` distinct eigenvalues ``l1^(n-r) l2^r``, ``r = 0..n``, ascending.

    Examples
    --------
    >>> distinct_eigenvalues(10)[[0, -1]]
    array([2.50...e-10, 3.71...e+00])
    """
    r = np.arange(n + 1)
    return np.asarray(EIGENVALUES[0] ** (n - r) * EIGENVALUES[1] ** r)


@lru_cache(maxsize=64)
def _power(entries: tuple[float, float, float, float], players: int, device: torch.device) -> Tensor:
    """Return the Kronecker power of one 2x2 matrix for a few players."""
    matrix, out = np.array(entries).reshape(2, 2), np.ones((1, 1))
    for _ in range(players):
        out = np.kron(matrix, out)
    return torch.from_numpy(out).to(device)


def kronecker_product(
    matrix: Float[np.ndarray, "2 2"], x: Float[Tensor, "*batch subsets"]
) -> Float[Tensor, "*batch subsets"]:
    """Multiply ``x`` by the ``n``-fold Kronecker power of ``matrix``, a few players at a time.

    Cost ``32 n / 5 * 2**n`` multiplications per table. Oracle: ``np.kron`` in ``tests/test_theory.py``.

    Examples
    --------
    >>> kronecker_product(np.array([[1.0, 1.0], [0.0, 1.0]]), torch.tensor([1.0, 2, 3, 4], dtype=torch.float64))
    tensor([10.,  6.,  7.,  4.], dtype=torch.float64)
    """
    n, shape = n_players_from_size(x.shape[-1], "x"), x.shape
    first, second = matrix.tolist()
    for start in range(0, n, _BLOCK):
        players = min(_BLOCK, n - start)
        power = _power((*first, *second), players, x.device)
        flat = x.reshape(-1, 2**players, 2**start)
        x = power @ flat if start else flat[..., 0] @ power.T  # one matrix product, not a stack of them
    return x.reshape(shape)
