"""The output with each player left out, and the players whose loss costs most."""

import numpy as np
from jaxtyping import Float

from interdyn._arguments import instance, real_array, whole
from interdyn.errors import InputError
from interdyn.values import Interactions, subset_masks

_TIE = 1e-9  # share of the largest loss below which a difference is rounding


def output_without(interactions: Interactions) -> Float[np.ndarray, "*batch players"]:
    r"""Return the output with all players but one present, $v(N \setminus \{i\})$, for each player ``i``.

    $$v(N \setminus \{i\}) = I_\wedge(\emptyset) + \sum_{\emptyset \neq S \not\ni i} I_\wedge(S) + \sum_{S \neq \{i\}}
    I_\vee(S) + \mathrm{residual}$$

    An AND interaction is lost with each of its players, an OR interaction of two or more players with none of them. In
    the mean over players, an AND interaction of order ``k`` therefore counts ``1 - k/n``: less at higher orders.

    Returns
    -------
    Float[np.ndarray, "*batch players"]
        Shape ``(*batch, n)``, unit of the interactions.

    Notes
    -----
    Cost ``n * 2**n`` multiplications for each table. It does not depend on the split: any explanation of the same table
    gives the same. Oracle: the value table itself (``tests/test_samples.py``).

    Examples
    --------
    >>> import torch
    >>> zeros, one = torch.zeros(4, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    >>> i_and = torch.tensor([5.0, 1.0, 2.0, -4.0], dtype=torch.float64)
    >>> found = Interactions(i_and, zeros, "nat", residual=zeros, objective=one, gap=one, status="", noise_bound=one)
    >>> output_without(found)  # without player 0: 5 + 2; without player 1: 5 + 1
    array([7., 6.])
    """
    instance(interactions, "interactions", Interactions, do="Pass what `measure` or `split` returns.")
    n = interactions.n_players
    i_and, i_or, residual = (
        x.detach().cpu().numpy() for x in (interactions.i_and, interactions.i_or, interactions.residual)
    )
    players = np.arange(n)
    alone = 1 << players
    lost = i_and @ subset_masks(n).astype(np.float64) + i_or[..., alone]
    whole = i_and.sum(axis=-1) + i_or.sum(axis=-1)
    return np.asarray(whole[..., None] - lost + residual[..., (2**n - 1) ^ alone])


def costliest(loss: Float[np.ndarray, " players"], count: int) -> tuple[int, ...]:
    """Return the players that cost most when left out, at most ``count``, largest loss first.

    Losses that differ by less than a billionth of the largest are equal, and the lower player comes first; rounding
    would otherwise make the order depend on the processor. A loss of -infinity does not count.

    Examples
    --------
    >>> costliest(np.array([5.9, 6.1, -1.0, 6.1 + 1e-12]), 3)
    (1, 3, 0)
    """
    loss, count = real_array(loss, "loss", axes=1), whole(count, "count")
    if bool((np.isnan(loss) | (loss == np.inf)).any()):
        raise InputError("`loss` must hold a number or -infinity for each player; got NaN or infinity. Correct it.")
    grain = _TIE * loss.max(initial=0.0)
    if grain <= 0:
        return ()
    order = np.lexsort((np.arange(len(loss)), -np.round(loss / grain)))
    return tuple(int(p) for p in order[:count] if loss[p] > grain)
