"""Evidence that survives the loss of a variable: the output with each player left out, its mean, and ranks."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from interdyn._arguments import instance, real_array, told, whole
from interdyn.errors import InputError, ShapeError
from interdyn.spectra._bootstrap import check_level, student_quantile
from interdyn.values import Interactions, subset_masks

_TIE = 1e-9  # share of the greatest loss below which a difference is rounding


class Estimate(NamedTuple):
    """A number for each sample, with its interval; arrays of one shape."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Ranks(NamedTuple):
    """The place of each sample, 1 for the highest score, with the places that its interval allows; ``(samples,)``."""

    rank: Int[np.ndarray, " samples"]
    low: Int[np.ndarray, " samples"]
    high: Int[np.ndarray, " samples"]


def output_without(interactions: Interactions) -> Float[np.ndarray, "*batch players"]:
    r"""Return the output with all players but one present, $v(N \setminus \{i\})$, for each player ``i``.

    $$v(N \setminus \{i\}) = I_\wedge(\emptyset) + \sum_{\emptyset \neq S \not\ni i} I_\wedge(S) + \sum_{S \neq \{i\}}
    I_\vee(S) + \mathrm{residual}$$

    An AND interaction is lost with each of its players, an OR interaction of two or more players with none. So in the
    mean over players an AND interaction of order ``k`` counts ``1 - k/n``: the higher its order, the less it survives.

    Returns
    -------
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
    """Return the players that cost most when left out, at most ``count``, greatest loss first.

    Losses that differ by less than a billionth of the greatest agree, and the lower player comes first: otherwise
    rounding would decide, and decide differently on another processor. A loss of -infinity is none.

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


def mean_over_players(values: Float[np.ndarray, "*batch players"], *, level: float = 0.9) -> Estimate:
    r"""Return the mean over players with Student's interval, $\bar x \pm t_{n-1}\, s / \sqrt n$.

    The players count as drawn at random from all parts of the input: where they are, and the parts not drawn stay
    present, the interval is about the mean over all parts. It says nothing of another training of the same network.

    Parameters
    ----------
    values
        One number for each player, NaN where there is none; shape ``(*batch, players)``.
    level
        Nominal coverage, between 0 and 1.

    Returns
    -------
    Mean and interval, shape ``(*batch,)``; NaN without players, an infinite interval with one.

    Raises
    ------
    InputError
        If ``level`` is not between 0 and 1.

    Examples
    --------
    >>> value, low, high = mean_over_players(np.array([1.0, 3.0, np.nan]))
    >>> float(value), bool(low < 1 < 3 < high)
    (2.0, True)
    """
    level = check_level(level)
    values = real_array(values, "values")
    if not values.ndim:
        raise ShapeError(
            "`values` must have the shape (*batch, players); got a single number. Pass one for each player."
        )
    if np.isinf(values).any():
        raise InputError("`values` must be finite, or NaN where there is no player; got infinity. Correct it.")
    there = ~np.isnan(values)
    n = there.sum(axis=-1)
    kept = np.where(there, values, 0.0)
    mean = np.divide(kept.sum(axis=-1), n, out=np.full(n.shape, np.nan), where=n > 0)
    squares = (np.where(there, values - mean[..., None], 0.0) ** 2).sum(axis=-1)
    spread = np.sqrt(np.divide(squares, n * (n - 1), out=np.full(n.shape, np.inf), where=n > 1))
    quantile = np.array([student_quantile(level, max(int(k) - 1, 1)) for k in n.ravel()]).reshape(n.shape)
    half = np.where(n > 0, quantile * spread, np.nan)
    return Estimate(mean, mean - half, mean + half)


def _three(score: Any) -> tuple[Any, ...]:
    if not isinstance(score, tuple | list) or len(score) != 3:
        raise InputError(
            f"`score` must be an `Estimate`: value, low, high; got {told(score)}. Pass `mean_over_players`."
        )
    return tuple(score)


def ranks(score: Estimate) -> Ranks:
    """Return the place of each sample by falling score, and the places that the intervals allow.

    A sample is certainly behind those whose whole interval is above its own, and certainly before those whose interval
    is below; every place between is possible. Equal scores share the best place. NaN comes last.

    Examples
    --------
    >>> ranks(Estimate(np.array([1.0, 5.0, 4.0]), np.array([0.0, 4.0, 3.0]), np.array([2.0, 6.0, 5.0])))
    Ranks(rank=array([3, 1, 2]), low=array([3, 1, 1]), high=array([3, 2, 2]))
    """
    score = Estimate(*(real_array(x, name, axes=1) for x, name in zip(_three(score), Estimate._fields, strict=True)))
    if len({x.shape for x in score}) > 1:
        raise ShapeError(
            f"a score must have three rows of one length; got {[len(x) for x in score]}. Pass an `Estimate`."
        )
    value, low, high = (np.where(np.isnan(x), -np.inf, x) for x in score)
    return Ranks(
        rank=1 + (value[:, None] < value).sum(axis=1),
        low=1 + (high[:, None] < low).sum(axis=1),
        high=len(value) - (low[:, None] > high).sum(axis=1),
    )
