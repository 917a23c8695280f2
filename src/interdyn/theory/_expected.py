"""What the theory predicts for a measurement: the target weights, and their strength per order under noise."""

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import choice, instance, number
from interdyn.compiled import one_torch_thread
from interdyn.spectra import DEFAULT_SALIENCE, SalienceRule, is_salient, salience_threshold, sum_by_order
from interdyn.spectra._bootstrap import share
from interdyn.theory._weights import noise_levels, weights_in_blocks
from interdyn.values import Interactions, Selection, orders


def target_weights(
    final: Interactions,
    *,
    salience: float | None = None,
    salience_rule: SalienceRule = "mean-effect",
    empty: Literal["zero", "value"] = "zero",
) -> Selection:
    r"""Return $w^*$: the salient interactions of the final network, one vector for AND and one for OR.

    Parameters
    ----------
    final
        Interactions of the final network, shape ``(*batch, 2**n)``.
    salience, salience_rule
        The threshold, as in `spectra.salience_threshold`.
    empty
        Entry of the empty set: ``"zero"`` in both vectors, or ``"value"``, the output ``v({})`` in the AND vector.

    Returns
    -------
    Selection
        `Selection` in the unit of ``final``. An OR interaction of one player is the same function as the AND
        interaction, so the two are added in the AND vector before the threshold decides.

    Raises
    ------
    InputError
        For an unknown ``empty`` or an invalid threshold.
    NonFiniteError
        If ``final`` contains NaN or infinity.

    Notes
    -----
    Source: paper, section 5, comparison with a real network; the choice for the empty set is this project's.

    Examples
    --------
    >>> zeros, one = torch.zeros(4, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    >>> i_and = torch.tensor([5.0, 1.0, 0.01, 3.0], dtype=torch.float64)
    >>> found = Interactions(i_and, zeros, "nat", residual=zeros, objective=one, gap=one, status="", noise_bound=one)
    >>> target_weights(found).i_and
    tensor([0., 1., 0., 3.], dtype=torch.float64)
    """
    choice(empty, "empty", ("zero", "value"))
    tau = salience_threshold(final, salience=salience, rule=salience_rule)
    single = torch.from_numpy(orders(final.n_players) == 1).to(final.i_and.device)
    zero = final.i_and.new_zeros(())
    w_and = final.i_and + torch.where(single, final.i_or, zero)
    w_or = torch.where(single, zero, final.i_or)
    w_and, w_or = (torch.where(is_salient(w, tau), w, zero) for w in (w_and, w_or))
    w_and[..., 0] = final.i_and[..., 0] + final.residual[..., 0] if empty == "value" else 0.0
    w_or[..., 0] = 0.0
    return Selection(w_and, w_or, final.unit)


def strength_by_level(
    w_star: Selection, noise_var: Float[np.ndarray, " levels"], *, salience: float = DEFAULT_SALIENCE
) -> Float[np.ndarray, "levels *batch orders"]:
    r"""Return the salient strength per order that the theory expects at each noise level.

    $$I_{theo}(k) = \sum_{kind} \sum_{|S| = k,\ |\hat w_S| \ge \tau} |\hat w_S|, \quad
      \tau = 0.03\, |v_{theo}(x) - \hat w_\emptyset|, \quad v_{theo}(x) = \sum_S \hat w_S$$

    Parameters
    ----------
    w_star
        AND and OR weights without noise, shape ``(*batch, 2**n)``: see `target_weights`. Each vector goes through ``M``
        on its own; sums without index run over both.
    noise_var
        Noise levels.
    salience
        The factor 0.03 in the threshold, which is each sample's own.

    Returns
    -------
    Float[np.ndarray, "levels *batch orders"]
        Strength of orders ``1..n`` in the unit of ``w_star``, shape ``(levels, *batch, n)``.

    Notes
    -----
    The threshold is essential: without it the limit of large noise is of medium order. ``O(n 2**n)`` per level
    and table, one level in memory at a time.
    Oracle: ``tests/test_theory.py``, `strength_dense`. Source: paper, section 5.

    Examples
    --------
    >>> i_and, zeros = torch.tensor([0.0, 1.0, 1.0, 2.0], dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    >>> strength_by_level(Selection(i_and, zeros), np.array([0.0, 0.1])).round(3)
    array([[2.   , 2.   ],
           [1.926, 0.668]])
    """
    instance(w_star, "w_star", Selection, do="Pass the result of `target_weights`.")
    salience = number(salience, "salience", least=0, do=f"Leave it at {DEFAULT_SALIENCE}.")
    noise_var = np.atleast_1d(noise_levels(noise_var))
    both = torch.stack([w_star.i_and, w_star.i_or], dim=-2)
    with one_torch_thread(entries=both.numel()):
        blocks = [_salient_strength(weights, salience) for weights in weights_in_blocks(both, noise_var)]
    return np.concatenate(blocks) if blocks else np.empty((0, *w_star.batch_shape, w_star.n_players))


def _salient_strength(weights: Float[Tensor, "levels *batch kinds subsets"], salience: float) -> np.ndarray:
    tau = salience * weights[..., 1:].sum(dim=(-2, -1)).abs()  # v_theo minus the constant
    salient = is_salient(weights, tau[..., None].expand(weights.shape[:-1]))
    kept = torch.where(salient, weights.abs(), weights.new_zeros(()))
    return np.asarray(sum_by_order(kept.sum(dim=-2))[..., 1:].cpu().numpy())


def distribution_by_level(
    w_star: Selection, noise_var: Float[np.ndarray, " levels"], *, salience: float = DEFAULT_SALIENCE
) -> Float[np.ndarray, "levels orders"]:
    """Return the order distribution that the theory expects: mean strength over samples, as shares.

    Arguments as in `strength_by_level`, whose result is averaged over the samples; NaN where nothing is salient.

    Examples
    --------
    >>> i_and, zeros = torch.tensor([0.0, 1.0, 1.0, 2.0], dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    >>> distribution_by_level(Selection(i_and, zeros), np.array([0.0, 0.1])).round(2)
    array([[0.5 , 0.5 ],
           [0.74, 0.26]])
    """
    strength = strength_by_level(w_star, noise_var, salience=salience)
    samples = math.prod(w_star.batch_shape)
    return share(strength.reshape(len(strength), samples, strength.shape[-1]).mean(axis=1))
