r"""What a network with weaker interactions could look like: five mechanisms, each with one parameter, as value tables.

All start from the final network's interactions $w^*$ and give the table that a network before it would have:

| mechanism | table | parameter |
|---|---|---|
| ``"theory"`` | that of ``M w*``, AND and OR each by itself (paper, section 5) | noise variance |
| ``"joint theory"`` | $G (G + 2^n \sigma^2)^{-1} y$, one regression over AND and OR together | noise variance |
| ``"tilt"`` | that of $w^*(S) e^{-b \max(|S| - 1, 0)}$ | ``b`` |
| ``"noise operator"`` | $\sum_S \rho^{|S|} w(S) \chi_S$, ``w`` the Walsh coefficients of ``y`` | ``1 - rho`` |
| ``"nothing"`` | ``y``, the table of ``w*`` itself | none |

A larger parameter always takes more away.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from interdyn._arguments import choice, instance, real_array, whole
from interdyn.errors import InputError
from interdyn.theory._search import default_levels
from interdyn.theory._weights import weights_in_blocks
from interdyn.transforms import values_from_and, values_from_or, values_from_walsh, walsh_from_values
from interdyn.values import MAX_PLAYERS, Selection, orders
from interdyn.values._table_prediction import THEORY

Mechanism: TypeAlias = Literal["theory", "joint theory", "tilt", "noise operator", "nothing"]
MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)

_RESIDUAL = 1e-13  # of a Krylov space, relative to its first vector: nothing is left


def default_parameters(mechanism: Mechanism, n: int) -> Float[np.ndarray, " parameters"]:
    """Return the parameters that are tried for a mechanism, ascending; the first takes nothing away.

    Examples
    --------
    >>> {name: (len(p := default_parameters(name, 10)), float(p[0]), float(p[-1].round(1))) for name in MECHANISMS}
    {'theory': (82, 0.0, 372.0), 'joint theory': (82, 0.0, 372.0), 'tilt': (61, 0.0, 6.0), \
'noise operator': (51, 0.0, 1.0), 'nothing': (1, 0.0, 0.0)}
    """
    choice(mechanism, "mechanism", MECHANISMS)
    n = whole(n, "n", least=1, most=MAX_PLAYERS, do="Pass the number of players.")
    if mechanism in THEORY:
        return np.concatenate([[0.0], default_levels(n)])
    if mechanism == "nothing":
        return np.zeros(1)
    return np.linspace(0, 6, 61) if mechanism == "tilt" else np.linspace(0, 0.98, 51)


def mechanism_tables(
    w_star: Selection, mechanism: Mechanism, parameters: Sequence[float] | Float[np.ndarray, " parameters"]
) -> Iterator[Float[Tensor, "*batch subsets"]]:
    """Yield the value tables that a mechanism predicts, one parameter after the other.

    Parameters
    ----------
    w_star
        Interactions of the final network, shape ``(*batch, 2**n)``; `target_weights`, with ``empty="value"`` where the
        constant matters.
    mechanism
        One of the table above.
    parameters
        Not negative; for the noise operator at most 1.

    Raises
    ------
    InputError
        For an unknown mechanism or a parameter out of range.

    Notes
    -----
    ``O(n 2**n)`` for each parameter and table; the joint theory needs besides, once for each table, a Krylov space of
    at most ``(n + 2)**2 / 2`` vectors, which serves all noise levels: its kernel is the same under any exchange of
    players, so that it has half as many eigenvalues, and as many vectors again make up for rounding. Singles are the
    same function as AND and as OR and count once, as AND. Oracle: dense matrices in ``tests/test_prediction.py``.
    Source: paper, section 5, for the first; the others are rivals of ours.

    Examples
    --------
    >>> w_star = Selection(torch.tensor([0.0, 1.0, 1.0, 2.0]).double(), torch.zeros(4).double())
    >>> [table.round(decimals=2).tolist() for table in mechanism_tables(w_star, "tilt", [0.0, 1.0])]
    [[0.0, 1.0, 1.0, 4.0], [0.0, 1.0, 1.0, 2.74]]
    """
    instance(w_star, "w_star", Selection, do="Pass what `target_weights` returns.")
    choice(mechanism, "mechanism", MECHANISMS)
    at = np.atleast_1d(real_array(parameters, "parameters", finite=True))
    most = 1.0 if mechanism == "noise operator" else np.inf
    if at.ndim != 1 or (at < 0).any() or (at > most).any():
        raise InputError(
            f"`parameters` of the mechanism {mechanism!r} must be a list of numbers, 0 or more"
            f"{' and at most 1' if most == 1 else ''}; got {at.tolist()}. Leave them out for `default_parameters`."
        )
    both = torch.stack([w_star.i_and, w_star.i_or], dim=-2)
    sizes = torch.tensor(orders(w_star.n_players), dtype=both.dtype, device=both.device)
    if mechanism == "theory":
        for block in weights_in_blocks(both, at):
            yield from map(_explained, block)
    elif mechanism == "joint theory":
        yield from _regressed(_explained(both), at)
    elif mechanism == "tilt":
        for b in at.tolist():
            yield _explained(both * torch.exp(-b * (sizes - 1).clamp(min=0)))
    else:
        w = walsh_from_values(_explained(both))
        for lost in at.tolist():
            yield values_from_walsh(w * (1 - lost) ** sizes)


def _explained(both: Float[Tensor, "*batch kinds subsets"]) -> Float[Tensor, "*batch subsets"]:
    """Return the table that AND and OR interactions explain."""
    return values_from_and(both[..., 0, :]) + values_from_or(both[..., 1, :])


def kernel_times(y: Float64[Tensor, "*batch subsets"]) -> Float64[Tensor, "*batch subsets"]:
    r"""Return $G y$, $G = J C^{-1} J^T$, ``J`` the triggers of AND and OR, ``C`` the variances $2^{|T|}$.

    Examples
    --------
    >>> kernel_times(torch.tensor([1.0, 0.0]).double())  # G = 1 + [[0, 0], [0, 1/2]]
    tensor([1., 1.], dtype=torch.float64)
    """
    n = y.shape[-1].bit_length() - 1
    sizes = torch.tensor(orders(n), dtype=y.dtype, device=y.device)
    variance = 2.0**sizes
    below = values_from_and(y)  # sums over the subsets of each set
    above = values_from_and(y.flip(-1)).flip(-1)  # over the sets that hold it
    meets = below[..., -1:] - below.flip(-1)  # over those that meet it: all but the subsets of its complement
    by_or = torch.where(sizes > 1, meets / variance, y.new_zeros(()))
    return values_from_and(above / variance) + values_from_or(by_or)


def _regressed(
    y: Float64[Tensor, "*batch subsets"], noise_var: Float[np.ndarray, " levels"]
) -> Iterator[Float64[Tensor, "*batch subsets"]]:
    """Yield ``G (G + 2^n sigma^2)^-1 y`` for each noise level, each table by the Krylov space of its own."""
    n = y.shape[-1].bit_length() - 1
    at_once = 2**13 // 2**n if n < 10 else 1  # larger products are faster one by one
    spaces = [_krylov(part) for part in y.reshape(-1, y.shape[-1]).split(at_once)]  # type: ignore[no-untyped-call]
    for level in noise_var.tolist():
        if level == 0:
            yield y
            continue
        rows = [
            basis.mT @ (vectors @ (values / (values + level * y.shape[-1]) * first)[..., None])
            for basis, values, vectors, first in spaces
        ]
        yield torch.cat(rows).reshape(y.shape)


def _krylov(y: Float64[Tensor, "tables subsets"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return a basis of each table's Krylov space, as rows, eigenvalues and vectors of ``G`` in it, ``y`` in these.

    Lanczos's method, all tables side by side; every vector is made orthogonal to all before it, twice, so that the
    space is whole. Where a space is smaller than that of another table, its last vectors are zeros.
    """
    n = y.shape[-1].bit_length() - 1
    most, norm = min(2**n, (n + 2) ** 2 // 2), y.norm(dim=-1)
    basis = y.new_zeros(len(y), most, y.shape[-1])
    projected = y.new_zeros(len(y), most, most)
    basis[:, 0] = y / torch.where(norm > 0, norm, 1.0)[:, None]
    size = most
    for j in range(most):
        held = basis[:, : j + 1]
        after = kernel_times(basis[:, j])[..., None]
        along = held @ after
        after = after - held.mT @ along
        again = held @ after
        after = (after - held.mT @ again)[..., 0]
        projected[:, : j + 1, j] = (along + again)[..., 0]
        left = after.norm(dim=-1)
        going = left > _RESIDUAL * projected[:, 0, 0].abs()
        if j + 1 == most or not going.any():
            size = j + 1
            break
        basis[:, j + 1] = torch.where(going[:, None], after / left[:, None], 0.0)
    upper = projected[:, :size, :size].triu()
    values, vectors = torch.linalg.eigh(upper + upper.triu(1).mT)
    return basis[:, :size], values.clamp(min=0), vectors, norm[:, None] * vectors[:, 0]
