"""What the interactions of one sample look like: their orders, and how far they cancel."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from interdyn.spectra._bootstrap import share
from interdyn.values import OrderSpectrum


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
        Share of the strength that interactions of opposite sign take from each other, 0 (all of one sign) to 1 (their
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
        Of samples, shape ``(*batch, 2 kinds, orders)``, in any unit.

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
