"""The nearby steps of one measurement: the mean of their explanations, its error, and the part that all share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import instance
from interdyn.errors import InputError, ShapeError
from interdyn.spectra._jaccard import shared_and_whole
from interdyn.spectra._order_spectrum import sum_by_order
from interdyn.spectra._salience import SalienceRule, is_salient, salience_threshold
from interdyn.values import Interactions, Selection


@dataclass(frozen=True)
class WindowMean:
    """What the explanations of nearby steps have in common.

    Attributes
    ----------
    mean
        Mean of each interaction over the steps; with the mean residual it explains the mean of the tables exactly.
    standard_error
        Standard error of ``mean``: standard deviation over the steps divided by the root of their number; NaN for a
        single step.
    kept
        ``sign * min_j |I_j|`` where all steps have the same sign, else 0. Do not follow it over training: once the loss
        is 0 the weights stop changing, and the whole explanation is kept although nothing was learned.
    repeatability
        For each order ``1..n``, the part of the salient strength that all steps share, from 0 to 1, over all samples;
        NaN where no step has any. Shape ``(orders,)``.
    n_steps
        Number of steps.
    """

    mean: Selection
    standard_error: Selection
    kept: Selection
    repeatability: Float[np.ndarray, " orders"]
    n_steps: int


def window_mean(
    found: Sequence[Interactions], *, salience: float | None = None, salience_rule: SalienceRule = "mean-effect"
) -> WindowMean:
    r"""Return the mean of the explanations of nearby steps.

    $$\bar I(S) = \tfrac1m \sum_j I_j(S), \qquad \mathrm{repeatability}(k) =
      \frac{\sum_{|S|=k} \min_j I_j^+ + \min_j I_j^-}{\sum_{|S|=k} \max_j I_j^+ + \max_j I_j^-}$$

    Parameters
    ----------
    found
        Interactions of the same samples and players at one or more steps, each of shape ``(*batch, 2**n)``.
    salience, salience_rule
        Which interactions count for the repeatability, at each step: see `salience_threshold`.

    Raises
    ------
    InputError
        If ``found`` is empty.
    ShapeError
        If the steps do not have the same samples and players.

    Notes
    -----
    The explanations are averaged, not the tables: the split of a mean table halves a rise of the mean order. Oracle:
    ``tests/test_window.py``, by definition. Source: this project.

    Examples
    --------
    >>> def planted(*i_and):
    ...     table = torch.tensor(i_and, dtype=torch.float64)
    ...     zero, one = torch.zeros_like(table), torch.tensor(0.0, dtype=torch.float64)
    ...     return Interactions(table, zero, "", residual=zero, objective=one, gap=one, status="", noise_bound=one)
    >>> both = window_mean([planted(0, 2, 1, 3), planted(0, 1, -1, 3)])
    >>> both.mean.i_and, both.kept.i_and
    (tensor([0.0000, 1.5000, 0.0000, 3.0000], dtype=torch.float64), tensor([0., 1., 0., 3.], dtype=torch.float64))
    >>> both.repeatability
    array([0.25, 1.  ])
    """
    found = list(found)
    if not found:
        raise InputError("`found` must have the interactions of one step or more; it is empty. Measure a step first.")
    for one in found:
        instance(one, "found", Interactions, do="Pass a list of what `measure` or `split` returns.")
    shapes = {tuple(one.i_and.shape) for one in found}
    if len(shapes) > 1:
        raise ShapeError(
            f"`found` must have the same samples and players at each step; got shapes {sorted(shapes)}. "
            "Measure the same group at every step."
        )
    both = torch.stack([torch.stack([one.i_and, one.i_or], dim=-2) for one in found])
    thresholds = [salience_threshold(one, salience=salience, rule=salience_rule) for one in found]
    salient = torch.stack(
        [is_salient(x, tau[..., None].expand(x.shape[:-1])) for x, tau in zip(both, thresholds, strict=True)]
    )
    first = found[0]

    def selection(table: Tensor) -> Selection:
        return Selection(table[..., 0, :], table[..., 1, :], first.unit, first.names)

    error = torch.full_like(both[0], torch.nan)
    if len(both) > 1:
        error = both.std(dim=0, correction=1) / math.sqrt(len(both))
    shared, _ = shared_and_whole(both)
    return WindowMean(
        selection(both.mean(dim=0)),
        selection(error),
        selection(shared),
        _repeatability(torch.where(salient, both, both.new_zeros(()))),
        len(both),
    )


def _repeatability(tables: Float[Tensor, "steps *batch kinds subsets"]) -> Float[np.ndarray, " orders"]:
    shared, whole = (sum_by_order(x.abs())[..., 1:] for x in shared_and_whole(tables))
    axes = tuple(range(shared.ndim - 1))
    shared, whole = shared.sum(axes), whole.sum(axes)
    return np.asarray(torch.where(whole > 0, shared / whole, torch.nan).cpu().numpy())
