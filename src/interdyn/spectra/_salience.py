"""Which interactions count: the threshold, by three rules."""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interdyn._arguments import choice, instance, number
from interdyn.errors import InputError, NonFiniteError, ShapeError
from interdyn.values import Interactions, as_tensor, n_players_from_size

SalienceRule: TypeAlias = Literal["mean-effect", "max", "absolute"]
"""What the threshold refers to: the mean effect of all players, the strongest interaction, or an absolute value."""

DEFAULT_SALIENCE = 0.03
"""Part of the mean effect below which an interaction does not count (paper, section 4)."""


def output_range(interactions: Interactions) -> Float[Tensor, "*batch"]:
    r"""Return the effect of the whole input, $|v(N) - v(\emptyset)|$, of each table.

    Both outputs are rebuilt from the interactions and their residual, so no value table is needed.

    Examples
    --------
    >>> zeros = torch.zeros(4, dtype=torch.float64)
    >>> one = torch.tensor(0.0, dtype=torch.float64)
    >>> i_and = torch.tensor([5.0, 1.0, 2.0, -4.0], dtype=torch.float64)
    >>> found = Interactions(i_and, zeros, "", residual=zeros, objective=one, gap=one, status="", noise_bound=one)
    >>> output_range(found)
    tensor(1., dtype=torch.float64)
    """
    instance(interactions, "interactions", Interactions, do="Pass what `measure` or `split` returns.")
    i_and, i_or, residual = interactions.i_and, interactions.i_or, interactions.residual
    # the constant is in both outputs and cancels
    gain = i_and[..., 1:].sum(-1) + i_or[..., 1:].sum(-1) + residual[..., -1] - residual[..., 0]
    return gain.abs()


def salience_threshold(
    interactions: Interactions, *, salience: float | None = None, rule: SalienceRule = "mean-effect"
) -> Float[Tensor, "*batch"]:
    r"""Return the threshold of each table: an interaction counts when $|I(S)| \ge \tau$.

    $$\tau = 0.03\, \mathbb{E}_x |v(x) - v(\emptyset)|$$

    Parameters
    ----------
    interactions
        One table or a batch; the mean runs over all tables of the batch.
    salience
        The factor; by default 0.03 for ``"mean-effect"`` and 0.05 for ``"max"``. For ``"absolute"`` it is the
        threshold itself, in the unit of the interactions, and must be given.
    rule
        ``"mean-effect"``: a part of the mean effect over the batch, the same number for all its tables;
        ``"max"``: a part of the strongest interaction of each table, the constant left out;
        ``"absolute"``: the number given.

    Returns
    -------
    Float[Tensor, "*batch"]
        One non-negative number per table, in the unit of the interactions.

    Raises
    ------
    InputError
        For an unknown rule, a negative ``salience``, ``"absolute"`` without one, or a batch without tables.
    NonFiniteError
        When interactions or residual hold NaN or infinity.

    Notes
    -----
    Source: paper, section 4 (mean effect); ``0.05 max|I|`` is an earlier rule of the same authors.

    Examples
    --------
    >>> zeros = torch.zeros(4, dtype=torch.float64)
    >>> one = torch.tensor(0.0, dtype=torch.float64)
    >>> i_and = torch.tensor([5.0, 1.0, 2.0, -4.0], dtype=torch.float64)
    >>> found = Interactions(i_and, zeros, "", residual=zeros, objective=one, gap=one, status="", noise_bound=one)
    >>> salience_threshold(found), salience_threshold(found, rule="max")
    (tensor(0.0300, dtype=torch.float64), tensor(0.2000, dtype=torch.float64))
    """
    instance(interactions, "interactions", Interactions, do="Pass what `measure` or `split` returns.")
    factor = _factor(salience, rule)
    if 0 in interactions.batch_shape:
        raise InputError(
            f"at least one table is needed; got a batch of shape {interactions.batch_shape}. Measure some samples."
        )
    if rule == "mean-effect":
        effect = output_range(interactions)
        tau = factor * effect.mean().expand(effect.shape)
    elif rule == "max":
        strongest = torch.maximum(interactions.i_and.abs(), interactions.i_or.abs())[..., 1:]
        tau = factor * strongest.amax(-1) if strongest.shape[-1] else strongest.sum(-1)
    else:
        tau = torch.full_like(interactions.i_and[..., 0], factor)
    if not (interactions.i_and.isfinite().all() and interactions.i_or.isfinite().all() and tau.isfinite().all()):
        raise NonFiniteError(
            "interactions and residual must be finite; got NaN or infinity among them. "
            "Check the value table that they come from."
        )
    return tau


def _factor(salience: float | None, rule: str) -> float:
    defaults = {"mean-effect": DEFAULT_SALIENCE, "max": 0.05, "absolute": None}
    choice(rule, "salience_rule", tuple(defaults))
    factor = defaults[rule] if salience is None else salience
    if factor is None:
        raise InputError(
            "the rule 'absolute' needs `salience`, a threshold in the unit of the interactions; it was not passed. "
            "Pass for example `salience=0.1`."
        )
    return number(factor, "salience", least=0, do=f"Pass for example {DEFAULT_SALIENCE}.")


def is_salient(
    table: Float[Tensor, "*batch subsets"], threshold: Float[Tensor, "*batch"]
) -> Bool[Tensor, "*batch subsets"]:
    """Return where ``|table| >= threshold``; an exact 0 never counts, even at threshold 0.

    Examples
    --------
    >>> is_salient(torch.tensor([0.5, -2.0, 0.0, 1.0]), torch.tensor(1.0))
    tensor([False,  True, False,  True])
    """
    table, threshold = as_tensor(table, "table"), as_tensor(threshold, "threshold")
    n_players_from_size(table.shape[-1] if table.ndim else 0, "table")
    if threshold.shape not in ((), table.shape[:-1]):
        raise ShapeError(
            f"`threshold` must be one number, or one for each table, shape {tuple(table.shape[:-1])}; got "
            f"{tuple(threshold.shape)}. Pass what `salience_threshold` returns."
        )
    return (table.abs() >= threshold[..., None]) & (table != 0)
