r"""The weights that are optimal under parameter noise, and the norms of the rows of ``M``, without the matrix.

A player is absent or present, so every matrix of the theory is an ``n``-fold Kronecker product of a 2x2 matrix:
``J^T J = G (x) ... (x) G`` and ``2^n diag(2^|T|) = D (x) ... (x) D`` with ``G = [[2, 1], [1, 1]]`` and
``D = diag(2, 4)``. The generalised eigenproblem ``G u = l D u``, ``U^T D U = I`` is solved once, by hand:
``l = (5 -+ sqrt 17) / 8``.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import real_array, told, whole
from interdyn.errors import InputError, NonFiniteError, ShapeError
from interdyn.transforms._mobius import checked_table
from interdyn.values import MAX_PLAYERS, n_players_from_size, orders
from interdyn.values._convert import Array, like

D = np.array([2.0, 4.0])
EIGENVALUES = np.array([(5 - math.sqrt(17)) / 8, (5 + math.sqrt(17)) / 8])
U = np.stack([np.ones(2), 2 * (EIGENVALUES - 1)])  # first row of (G - l D) u = 0
U = U / np.sqrt(D @ U**2)
"""Eigenvectors in columns, ``U^T D U = I``; row 0: player absent, row 1: present."""

_TOGETHER = 5  # players per matrix product: 32 x 32 blocks keep the arithmetic units busy
_BLOCK = 2**20  # numbers at a time: some levels of a small table, one of a large one


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
    for start in range(0, n, _TOGETHER):
        players = min(_TOGETHER, n - start)
        power = _power((*first, *second), players, x.device)
        flat = x.reshape(-1, 2**players, 2**start)
        x = power @ flat if start else flat[..., 0] @ power.T  # one matrix product, not a stack of them
    return x.reshape(shape)


NoiseVar: TypeAlias = float | Sequence[float] | np.ndarray | Tensor
"""One noise variance, or one axis of them."""


def noise_levels(noise_var: NoiseVar) -> Float[np.ndarray, "*levels"]:
    """Return the noise variance(s) as float64, checked; a number stays without axis.

    Raises
    ------
    ShapeError
        If there is more than one axis.
    InputError
        If a level is negative, NaN or infinite.
    """
    levels = real_array(noise_var, "noise_var").copy()
    if levels.ndim > 1:
        raise ShapeError(f"`noise_var` must be a number or have one axis; got shape {levels.shape}. Flatten it.")
    if not (np.isfinite(levels).all() and (levels >= 0).all()):
        raise InputError(
            f"`noise_var` is a variance, so it must be finite and 0 or more; got {told(noise_var)}. "
            "Pass for example `numpy.logspace(-10, 2, 61)`."
        )
    return levels


def weights_by_level(
    w_star: Float[Tensor, "*batch subsets"], levels: Float[np.ndarray, " levels"]
) -> Iterator[Float[Tensor, "*batch subsets"]]:
    """Yield `optimal_weights` at one noise level after the other, so that memory holds one level at a time.

    Examples
    --------
    >>> w_star = torch.tensor([0.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    >>> [round(float(w.sum()), 3) for w in weights_by_level(w_star, np.array([0.0, 1.0]))]
    [4.0, 1.399]
    """
    table = checked_table(w_star, "w_star", dtype=torch.float64)
    for block in weights_in_blocks(table, np.atleast_1d(noise_levels(levels))):
        yield from block


def weights_in_blocks(
    w_star: Float[Tensor, "*batch subsets"], levels: Float[np.ndarray, " levels"]
) -> Iterator[Float[Tensor, "levels *batch subsets"]]:
    """Yield `optimal_weights` for as many levels at a time as make an array of some MiB, at least one."""
    n = n_players_from_size(w_star.shape[-1], "w_star")
    eigenvalues = torch.from_numpy(distinct_eigenvalues(n)[orders(n)]).to(w_star.device)
    inner = kronecker_product(U.T * D, w_star) * eigenvalues  # the same for all levels
    at_once = max(1, _BLOCK // max(1, w_star.numel()))
    for start in range(0, len(levels), at_once):
        block = torch.from_numpy(levels[start : start + at_once]).to(w_star.device)
        weights = kronecker_product(U, inner / (eigenvalues + block.reshape(-1, *[1] * w_star.ndim)))
        weights[block == 0] = w_star  # Theorem 5, without rounding
        yield weights


def optimal_weights(w_star: Array, noise_var: NoiseVar) -> Array:
    r"""Return the weights that minimise the expected loss when the triggering of interactions is noisy.

    $$\hat w = \arg\min_w 2^{-n} \|J w^* - J w\|^2 + \sum_T 2^{|T|} \sigma^2 w_T^2
             = (J^\top J + 2^n \mathrm{diag}(c))^{-1} J^\top J\, w^* = M w^*, \quad c_T = 2^{|T|} \sigma^2$$

    Parameters
    ----------
    w_star
        Weights without noise: the interactions of the converged network, shape ``(*batch, 2**n)``, tensor or NumPy
        array, entry 0 the constant. Computed in float64.
    noise_var
        The paper's ``sigma**2``: one number, or one axis of levels.

    Returns
    -------
    Array
        Array of the kind and unit of ``w_star``, float64, shape ``(*batch, 2**n)``, or ``(levels, *batch, 2**n)`` when
        ``noise_var`` has an axis. At ``noise_var = 0`` it is ``w_star`` itself, to the last bit (Theorem 5).

    Raises
    ------
    ShapeError
        If the last axis of ``w_star`` is not a power of two long, or ``noise_var`` has two axes.
    InputError
        If ``noise_var`` is negative, NaN or infinite.
    NonFiniteError
        If ``w_star`` contains NaN or infinity.

    Notes
    -----
    ``M = U^(x)n diag(L / (L + sigma^2)) (U^T D)^(x)n`` with the 2x2 matrices of this package: ``O(n 2**n)`` per level,
    and the inner product with ``w_star`` is shared by all levels. The result of ``levels`` levels takes
    ``levels * 2**n * 8`` bytes per table; `weights_by_level` gives one level at a time. Absolute error about
    ``1e-15 max|w_star|`` at n = 8. Oracle: ``tests/test_theory.py``, `optimal_weights_dense`, and a Monte Carlo
    simulation of the noisy regression. Source: paper, section 5 (loss and minimiser); the Kronecker form is ours.

    Examples
    --------
    >>> optimal_weights(np.array([0.0, 1.0, 1.0, 2.0]), 0.01).round(3)
    array([-0.042,  1.179,  1.179,  1.451])
    """
    w: Tensor = checked_table(w_star, "w_star", dtype=torch.float64)
    if not w.isfinite().all():
        raise NonFiniteError("`w_star` must be finite; got NaN or infinity. Check the interactions it comes from.")
    levels = noise_levels(noise_var)
    out = w.new_empty((levels.size, *w.shape))
    done = 0
    for block in weights_in_blocks(w, levels.reshape(-1)):
        out[done : done + len(block)] = block
        done += len(block)
    return like(out if levels.ndim else out[0], w_star)


@lru_cache(maxsize=8)
def _forms(n: int) -> Float[np.ndarray, "orders eigen eigen"]:
    r"""Return the matrices ``C_k`` with ``|m_T|^2 = f^T C_k f`` for ``|T| = k`` and ``f_r = L_r / (L_r + sigma^2)``.

    ``|m_T|^2 = e_T^T U F (U^T D^2 U) F U^T e_T`` is a sum over two eigenvectors, and ``f`` depends only on how often
    each holds the second eigenvalue. So a player adds a factor ``sum_ij U_ti (U^T D^2 U)_ij U_tj x^i y^j``, ``t`` =
    absent or present, and ``C_k`` holds the coefficients of the product over players.
    """
    gram = U.T @ (D[:, None] ** 2 * U)
    factors = U[:, :, None] * gram * U[:, None, :]
    powers = [[np.ones((1, 1))], [np.ones((1, 1))]]
    for factor, row in zip(factors, powers, strict=True):
        for _ in range(n):
            row.append(_multiply(row[-1], factor))
    return np.stack([_multiply(powers[0][n - k], powers[1][k]) for k in range(n + 1)])


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the product of two polynomials in two variables, given by their coefficients."""
    out = np.zeros((a.shape[0] + b.shape[0] - 1, a.shape[1] + b.shape[1] - 1))
    for (i, j), coefficient in np.ndenumerate(b):
        out[i : i + a.shape[0], j : j + a.shape[1]] += coefficient * a
    return out


def row_norms(n: int, noise_var: NoiseVar) -> Float[np.ndarray, "*levels orders"]:
    r"""Return the Euclidean norm of the rows $m_T$ of $M$, which depends on the order $|T|$ alone (Theorem 4).

    Parameters
    ----------
    n
        Number of players, 1 to 24.
    noise_var
        The paper's ``sigma**2``: one number, or one axis of levels.

    Returns
    -------
    Float[np.ndarray, "*levels orders"]
        Norms for ``|T| = 0..n``, shape ``(n + 1,)`` or ``(levels, n + 1)``; all 1 without noise.

    Raises
    ------
    InputError
        If ``n`` is outside 1 to 24, or ``noise_var`` is negative, NaN or infinite.

    Notes
    -----
    Neither ``M`` nor a table over subsets is built: a quadratic form of ``n + 1`` variables for each order, made once
    for each ``n``; then ``O(n**3)`` per level. Relative error below 1e-12 up to n = 24.
    Oracle: ``tests/test_theory.py``, rows of the dense ``M``. Source: paper, section 5, Theorem 4.

    Examples
    --------
    >>> row_norms(2, 0.1).round(3)
    array([0.867, 0.594, 0.273])
    """
    n = whole(n, "n", least=1, most=MAX_PLAYERS, do="Pass the number of players.")
    levels = noise_levels(noise_var)
    eigenvalues = distinct_eigenvalues(n)
    f = eigenvalues / (eigenvalues + levels[..., None])
    return np.asarray(np.sqrt(np.einsum("...r,krs,...s->...k", f, _forms(n), f, optimize=True)))


def row_norm_ratios(n: int, noise_var: NoiseVar) -> Float[np.ndarray, "*levels orders"]:
    r"""Return $\|m_T\| / \|m_{T'}\|$ for neighbouring orders ``|T| = k``, ``|T'| = k + 1``: the paper's Fig. 3.

    Parameters
    ----------
    n, noise_var
        As in `row_norms`.

    Returns
    -------
    Float[np.ndarray, "*levels orders"]
        Ratios for ``k = 0..n-1``, shape ``(n,)`` or ``(levels, n)``. They are 1 without noise and tend to ``sqrt(10)``
        as the noise grows; in between they are mostly, but not always, above 1 and rising with the noise. Proposition
        1, which says always, holds for ``k >= 1`` up to n = 10; beyond, ratios dip to 0.9997 (n = 12) or 0.991 (n = 20)
        at ``k = 1``, and at ``k = 0`` already to 0.99996 at n = 10.

    Raises
    ------
    InputError
        As `row_norms`.

    Notes
    -----
    Cost and error as `row_norms`. Source: paper, section 5, Proposition 1 and Fig. 3.

    Examples
    --------
    >>> row_norm_ratios(3, 1e9).round(4)
    array([3.1623, 3.1623, 3.1623])
    """
    norms = row_norms(n, noise_var)
    return np.asarray(norms[..., :-1] / norms[..., 1:])
