r"""How a network with weaker interactions could behave: five mechanisms, each with one parameter, as value tables.

All start from the final network's interactions $w^*$ and give the table that a network before it would have:

| mechanism | table | parameter |
|---|---|---|
| ``"theory"`` | that of ``M w*``, AND and OR separately (paper, section 5) | noise variance |
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
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import choice, instance, real_array, whole
from interdyn.errors import InputError
from interdyn.theory._joint import joint_tables
from interdyn.theory._search import default_levels
from interdyn.theory._weights import weights_in_blocks
from interdyn.transforms import values_from_and, values_from_or, values_from_walsh, walsh_from_values
from interdyn.values import MAX_PLAYERS, Selection, orders
from interdyn.values._table_prediction import THEORY

Mechanism: TypeAlias = Literal["theory", "joint theory", "tilt", "noise operator", "nothing"]
MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)


def default_parameters(mechanism: Mechanism, n: int) -> Float[np.ndarray, " parameters"]:
    """Return the parameters that are tried for a mechanism, ascending; the first removes nothing.

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
    ``O(n 2**n)`` for each parameter and table. Singles are the same function as AND and as OR and count once, as AND.
    Oracle: dense matrices in ``tests/test_prediction.py``.
    Source: paper, section 5, for the first; the others are rivals of ours.

    Examples
    --------
    >>> w_star = Selection(torch.tensor([0.0, 1.0, 1.0, 2.0]).double(), torch.zeros(4).double())
    >>> [table.round(decimals=2).tolist() for table in mechanism_tables(w_star, "tilt", [0.0, 1.0])]
    [[0.0, 1.0, 1.0, 4.0], [0.0, 1.0, 1.0, 2.74]]
    """
    instance(w_star, "w_star", Selection, do="Pass the result of `target_weights`.")
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
        yield from joint_tables(_explained(both), at)
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
