"""The order distribution before training, and whether it is a spindle: dominated by the middle orders."""

from dataclasses import dataclass
from math import comb, isclose

import numpy as np
from jaxtyping import Float

from interdyn._arguments import number, real_array, whole
from interdyn._numbers import percent
from interdyn.errors import InputError


@dataclass(frozen=True)
class InitialOrders:
    """The order distribution at the first checkpoint, compared with the spindle law.

    Attributes
    ----------
    is_spindle
        True if an order strictly between the ends is the strongest and the middle orders, ``n/4 <= k <= 3n/4``, have
        at least half of the strength.
    distance
        Total variation distance to the spindle law, in ``[0, 1]``.
    middle_share
        Share of the strength in the middle orders.
    mean_order, law_mean_order
        Mean order measured, and that of the law.
    peak_order, law_peak_order
        Strongest order measured, and that of the law.
    sentence
        The comparison as a sentence.
    """

    is_spindle: bool
    distance: float
    middle_share: float
    mean_order: float
    law_mean_order: float
    peak_order: int
    law_peak_order: int
    sentence: str


def spindle_law(n_players: int) -> Float[np.ndarray, " orders"]:
    r"""Return the order distribution of a game whose outputs are independent noise.

    $$p(k) \propto \binom{n}{k}\, 2^{k/2}, \quad k = 1..n$$

    Parameters
    ----------
    n_players
        Number of players ``n``, at least 1.

    Returns
    -------
    Float[np.ndarray, " orders"]
        Share of each order ``1..n``, shape ``(n,)``, sums to 1.

    Raises
    ------
    InputError
        If ``n_players`` is below 1.

    Notes
    -----
    An interaction of order ``k`` sums ``2**k`` independent outputs, so its size grows as ``2**(k/2)``. The peak lies
    near ``0.586 n``. Source: paper, section 4, spindle law.

    Examples
    --------
    >>> spindle_law(2).round(3)  # 2 * sqrt(2) : 2
    array([0.586, 0.414])
    """
    n_players = whole(n_players, "n_players", least=1, most=512, do="Pass the number of players of the game.")
    k = np.arange(1, n_players + 1)
    weight = np.array([comb(n_players, int(i)) * 2.0 ** (i / 2) for i in k])
    return np.asarray(weight / weight.sum())


def initial_orders(share: Float[np.ndarray, " orders"], *, step: float) -> InitialOrders:
    """Compare one order distribution, which must sum to 1, with the spindle law.

    Examples
    --------
    >>> initial_orders(spindle_law(10), step=0).is_spindle
    True
    """
    share, step = real_array(share, "share", axes=1, finite=True, least=0), number(step, "step", least=0)
    if not isclose(share.sum(), 1, rel_tol=1e-6):
        raise InputError(f"`share` must sum to 1; got {share.sum():.6g}. Divide it by its sum.")
    n = len(share)
    k, law = np.arange(1, n + 1), spindle_law(n)
    middle = (k >= n / 4) & (k <= 3 * n / 4)
    peak, middle_share = int(share.argmax()) + 1, float(share[middle].sum())
    spindle = 1 < peak < n and middle_share >= 0.5
    distance = float(0.5 * np.abs(share - law).sum())
    shape = "form" if spindle else "do not form"
    sentence = (
        f"At step {step:g} the orders {shape} a spindle: the strongest is {peak} of {n}, "
        f"the middle orders have {percent(middle_share)} of the strength, and the total variation distance to the law "
        f"of random outputs is {distance:.2f}."
    )
    return InitialOrders(
        is_spindle=spindle,
        distance=distance,
        middle_share=middle_share,
        mean_order=float(share @ k),
        law_mean_order=float(law @ k),
        peak_order=peak,
        law_peak_order=int(law.argmax()) + 1,
        sentence=sentence,
    )
