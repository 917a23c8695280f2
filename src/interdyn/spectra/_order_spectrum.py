"""From interactions to strength per order, and to the profile of each sample: its orders and their cancellation."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import choice, instance
from interdyn.spectra._bootstrap import share
from interdyn.spectra._salience import SalienceRule, is_salient, salience_threshold
from interdyn.values import Interactions, OrderSpectrum, as_tensor, n_players_from_size, orders


@lru_cache(maxsize=4)
def _indicator(n: int, device: torch.device) -> Tensor:
    """Return the matrix ``(2**n, n + 1)`` that is 1 where a subset has that order."""
    out = torch.zeros(2**n, n + 1, dtype=torch.float64, device=device)
    return out.scatter_(1, torch.tensor(orders(n), device=device)[:, None], 1.0)


def sum_by_order(table: Float[Tensor, "*batch subsets"]) -> Float[Tensor, "*batch orders"]:
    """Return the sum of ``table`` over the subsets of each order ``0..n``.

    One matrix product with the indicator of the orders; it needs ``8 (n + 1) 2**n`` bytes, 1.4 MiB at n = 14.

    Raises
    ------
    ShapeError
        If the last axis is not a power of two long.

    Examples
    --------
    >>> sum_by_order(torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64))
    tensor([1., 5., 4.], dtype=torch.float64)
    """
    table = as_tensor(table, "table")
    n = n_players_from_size(table.shape[-1] if table.ndim else 0, "table")
    return table.to(torch.float64) @ _indicator(n, table.device)


def order_spectrum(
    interactions: Interactions,
    *,
    salience: float | None = None,
    salience_rule: SalienceRule = "mean-effect",
    normalize: Literal["sum", "mean"] | None = None,
) -> OrderSpectrum:
    r"""Return the strength of the salient interactions of each order, kinds and signs apart.

    $$I(k) = \sum_{\mathrm{kind}} \sum_{|S| = k,\ |I(S)| \ge \tau} |I(S)| / Z$$

    Parameters
    ----------
    interactions
        One table or a batch of tables of one checkpoint, shape ``(*batch, 2**n)``.
    salience, salience_rule
        The threshold ``tau`` as in `salience_threshold`; by default 0.03 of the mean effect over the batch.
    normalize
        ``None``: the unit of the output. ``"sum"``: shares, so that the mean over samples sums to 1 over kinds, signs
        and orders. ``"mean"``: multiples of the mean over orders ``1..n`` of the sample-mean strength. Where nothing is
        salient, all strengths stay 0.

    Returns
    -------
    OrderSpectrum
        `OrderSpectrum` of NumPy arrays ``(*batch, 2 kinds, n orders)``: order 0, the constant, is left out. Its
        ``salience`` is in the unit of the interactions whatever ``normalize`` is.

    Raises
    ------
    InputError
        For an unknown ``salience_rule`` or ``normalize``, a bad threshold or a batch without tables.
    NonFiniteError
        When interactions or residual hold NaN or infinity.

    Notes
    -----
    Cost: one product of ``(tables, 2**n)`` with ``(2**n, n + 1)`` for each of sign and count. Batched and single
    tables differ in the threshold only, which is a mean over the batch.
    Oracle: ``tests/test_spectra.py``, `spectrum_by_definition`. Source: paper, section 4.

    Examples
    --------
    >>> zeros, one = torch.zeros(4, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    >>> i_and = torch.tensor([5.0, 1.0, 2.0, -4.0], dtype=torch.float64)
    >>> found = Interactions(i_and, zeros, "nat", residual=zeros, objective=one, gap=one, status="", noise_bound=one)
    >>> order_spectrum(found).strength
    array([3., 4.])
    >>> order_spectrum(found, normalize="mean").negative
    array([[0.        , 1.14285714],
           [0.        , 0.        ]])
    """
    choice(normalize, "normalize", (None, "sum", "mean"))
    tau = salience_threshold(interactions, salience=salience, rule=salience_rule)
    both = torch.stack([interactions.i_and, interactions.i_or], dim=-2)
    salient = is_salient(both, tau[..., None].expand(both.shape[:-1]))
    kept = torch.where(salient, both, both.new_zeros(()))
    positive, negative, count = (_per_order(x) for x in (kept.clamp(min=0), (-kept).clamp(min=0), salient.double()))
    z, unit = _normaliser(positive + negative, normalize)
    return OrderSpectrum(
        positive=positive / z,
        negative=negative / z,
        unit=unit or interactions.unit,
        salience=tau.cpu().numpy().copy(),
        n_salient=count,
    )


def _per_order(table: Tensor) -> np.ndarray:
    """Return sums per order ``1..n`` as NumPy."""
    return np.asarray(sum_by_order(table)[..., 1:].cpu().numpy())


def _normaliser(strength: np.ndarray, normalize: str | None) -> tuple[float, str]:
    """Return ``Z`` and the unit that division by it gives, ``""`` for no change."""
    if normalize is None:
        return 1.0, ""
    by_order = strength.reshape(-1, *strength.shape[-2:]).mean(axis=0).sum(axis=0)  # mean over samples, sum over kinds
    z = float(by_order.sum())
    if normalize == "mean":
        z /= max(len(by_order), 1)
    return z if z > 0 else 1.0, "share" if normalize == "sum" else "multiple of the mean order"


@dataclass(frozen=True)
class OrderProfile:
    """Orders and cancellation of the salient interactions of each sample; NaN where nothing is salient.

    Attributes
    ----------
    share
        Share of each order ``1..n`` in the sample's strength, shape ``(*batch, orders)``.
    mean_order
        ``sum_k k share(k)``, shape ``(*batch,)``.
    cancelling
        Share of the strength that cancels between interactions of opposite sign, from 0 (all of one sign) to 1 (their
        sum is 0), shape ``(*batch,)``.
    cancelling_by_order
        The same among the interactions of each order, shape ``(*batch, orders)``.
    """

    share: Float[np.ndarray, "*batch orders"]
    mean_order: Float[np.ndarray, "*batch"]
    cancelling: Float[np.ndarray, "*batch"]
    cancelling_by_order: Float[np.ndarray, "*batch orders"]


def order_profile(spectrum: OrderSpectrum) -> OrderProfile:
    r"""Return orders and cancellation of the salient interactions of each sample, AND and OR together.

    $$\mathrm{cancelling} = 1 - \frac{|\sum_S I(S)|}{\sum_S |I(S)|}$$

    Parameters
    ----------
    spectrum
        Spectrum of samples, shape ``(*batch, 2 kinds, orders)``, in any unit.

    Notes
    -----
    Oracle: ``tests/test_samples.py``, `profile_by_definition`. Source: paper, section 4 (per-sample reading).

    Examples
    --------
    >>> two = np.array([[3.0, 0.0], [0.0, 1.0]])  # AND of order 1: 3, OR of order 2: 1
    >>> found = order_profile(OrderSpectrum(two, np.array([[0.0, 0.0], [0.0, 2.0]]), "", np.array(0.0), two))
    >>> found.share, float(found.mean_order)
    (array([0.5, 0.5]), 1.5)
    >>> round(float(found.cancelling), 3), found.cancelling_by_order.round(3)  # 1 - 2/6; in order 2: 1 - 1/3
    (0.667, array([0.   , 0.667]))
    """
    instance(spectrum, "spectrum", OrderSpectrum, do="Pass what `order_spectrum` returns.")
    strength = spectrum.strength
    net = (spectrum.positive - spectrum.negative).sum(axis=-2)
    parts = share(strength)
    return OrderProfile(
        share=parts,
        mean_order=np.asarray(parts @ np.arange(1, strength.shape[-1] + 1)),
        cancelling=_cancelling(net.sum(axis=-1), strength.sum(axis=-1)),
        cancelling_by_order=_cancelling(net, strength),
    )


def _cancelling(net: np.ndarray, strength: np.ndarray) -> np.ndarray:
    strength = np.asarray(strength)
    kept = np.divide(np.abs(net), strength, out=np.full(strength.shape, np.nan), where=strength > 0)
    return np.asarray(np.clip(1 - kept, 0, 1))
