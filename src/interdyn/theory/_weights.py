"""The weights that are best under parameter noise, for any noise, without the matrix."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.errors import InputError, NonFiniteError, ShapeError
from interdyn.theory._kronecker import D, U, distinct_eigenvalues, kronecker_product
from interdyn.values import n_players_from_size, orders
from interdyn.values._convert import Array, as_tensor, like

NoiseVar: TypeAlias = float | Sequence[float] | np.ndarray | Tensor
"""One noise variance, or one axis of them."""

_BLOCK = 2**20  # numbers at a time; some levels of a small table, one of a large


def noise_levels(noise_var: NoiseVar) -> Float[np.ndarray, "*levels"]:
    """Return the noise variance(s) as float64, checked; a number keeps no axis.

    Raises
    ------
    ShapeError
        If there is more than one axis.
    InputError
        If a level is negative, NaN or infinite.
    """
    # float64 whatever comes in, also a float32 tensor
    raw = noise_var.detach().cpu().numpy() if isinstance(noise_var, Tensor) else noise_var
    levels = np.asarray(raw, dtype=np.float64)
    if levels.ndim > 1:
        raise ShapeError(f"`noise_var` must be a number or have one axis; got shape {levels.shape}. Flatten it.")
    if not (np.isfinite(levels).all() and (levels >= 0).all()):
        raise InputError(
            f"`noise_var` is a variance, so it must be finite and 0 or more; got {noise_var}. "
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
    for block in weights_in_blocks(w_star, levels):
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
    Array of the kind and unit of ``w_star``, float64, shape ``(*batch, 2**n)``, or ``(levels, *batch, 2**n)`` when
    ``noise_var`` has an axis. At ``noise_var = 0`` it is ``w_star`` itself, to the last bit (Theorem 5).

    Raises
    ------
    ShapeError
        If the last axis of ``w_star`` is not a power of two long, or ``noise_var`` has two axes.
    InputError
        If ``noise_var`` is negative, NaN or infinite.
    NonFiniteError
        If ``w_star`` holds NaN or infinity.

    Notes
    -----
    ``M = U^(x)n diag(L / (L + sigma^2)) (U^T D)^(x)n`` with the 2x2 matrices of this room: ``O(n 2**n)`` per level,
    and the inner product with ``w_star`` is shared by all levels. The result of ``levels`` levels fills
    ``levels * 2**n * 8`` bytes per table; `weights_by_level` gives one level at a time. Absolute error about
    ``1e-15 max|w_star|`` at n = 8. Oracle: ``tests/test_theory.py``, `optimal_weights_dense`, and a Monte-Carlo of the
    noisy regression itself. Source: paper, section 5 (loss and minimiser); the Kronecker form is ours.

    Examples
    --------
    >>> optimal_weights(np.array([0.0, 1.0, 1.0, 2.0]), 0.01).round(3)
    array([-0.042,  1.179,  1.179,  1.451])
    """
    w: Tensor = as_tensor(w_star, "w_star", dtype=torch.float64)
    if w.ndim == 0:
        raise ShapeError(
            "`w_star` must hold one weight per subset on its last axis; got a single number. "
            "Pass an array of shape (*batch, 2**n)."
        )
    n_players_from_size(w.shape[-1], "w_star")
    if not w.isfinite().all():
        raise NonFiniteError("`w_star` must be finite; got NaN or infinity. Check the interactions it comes from.")
    levels = noise_levels(noise_var)
    out = w.new_empty((levels.size, *w.shape))
    done = 0
    for block in weights_in_blocks(w, levels.reshape(-1)):
        out[done : done + len(block)] = block
        done += len(block)
    return like(out if levels.ndim else out[0], w_star)
