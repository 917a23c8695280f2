"""Norms of the rows of ``M``: how strongly noise weakens interactions of each order."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from interdyn.errors import InputError
from interdyn.theory._kronecker import D, U, distinct_eigenvalues
from interdyn.theory._weights import NoiseVar, noise_levels
from interdyn.values import MAX_PLAYERS


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
    if not 1 <= n <= MAX_PLAYERS:
        raise InputError(f"`n` must lie in 1..{MAX_PLAYERS}; got {n}. Pass the number of players.")
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
    Ratios for ``k = 0..n-1``, shape ``(n,)`` or ``(levels, n)``. They are 1 without noise and tend to ``sqrt(10)`` as
    the noise grows; in between they are mostly, but not always, above 1 and rising with the noise. Proposition 1, which
    says always, holds for ``k >= 1`` up to n = 10; beyond, ratios dip to 0.9997 (n = 12) or 0.991 (n = 20) at
    ``k = 1``, and at ``k = 0`` already to 0.99996 at n = 10.

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
