"""A second measure of order that needs no split: the Walsh degree of what nearby steps have in common."""

from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.errors import ShapeError
from interdyn.spectra import sum_by_order
from interdyn.transforms import walsh_from_values


def cross_spectrum(v: Float[Tensor, "steps *batch subsets"]) -> Float[Tensor, "*batch degrees"]:
    r"""Return the cross spectrum of nearby steps, ``C_0 .. C_n`` of each sample, in the unit of the tables squared.

    $$C_k = \sum_{|S| = k} \frac{1}{\binom{m}{2}} \sum_{i < j} w_i(S)\, w_j(S)$$

    with ``w`` the Walsh coefficients of each step. What differs between steps cancels on average, so a term may be
    negative; for a single step the spectrum is its power, ``w(S)^2``, noise included.

    Parameters
    ----------
    v
        Value tables of the same samples at ``m`` nearby steps, shape ``(m, *batch, 2**n)``.

    Raises
    ------
    ShapeError
        If there is no step, or the length of the last axis is not a power of two.

    Notes
    -----
    Oracle: ``tests/test_window.py``, by definition. Source: this project.

    Examples
    --------
    >>> parity = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
    >>> cross_spectrum(torch.stack([parity, 2 * parity]))
    tensor([0., 0., 2.], dtype=torch.float64)
    """
    if v.ndim < 2 or not len(v):
        raise ShapeError(f"`v` must have an axis of steps before the others; got shape {tuple(v.shape)}. Stack tables.")
    w = walsh_from_values(v)
    pairs = list(combinations(range(len(w)), 2)) or [(0, 0)]
    return sum_by_order(sum((w[i] * w[j] for i, j in pairs), torch.zeros_like(w[0])) / len(pairs))


def mean_degree(spectrum: Float[Tensor, "*batch degrees"]) -> float:
    r"""Return $\sum_k k C_k / \sum_k C_k$, ``k = 1..n``, of the mean over samples; NaN unless the sum is above 0.

    Examples
    --------
    >>> mean_degree(torch.tensor([[9.0, 1.0, 1.0], [9.0, 3.0, 1.0]], dtype=torch.float64))
    1.333...
    """
    mean = spectrum.reshape(-1, spectrum.shape[-1])[:, 1:].mean(0)
    total = mean.sum()
    k = torch.arange(1, len(mean) + 1, dtype=mean.dtype, device=mean.device)
    return float(k @ mean / total) if total > 0 else float("nan")
