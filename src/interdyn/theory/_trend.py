"""Whether the fitted noise levels fall over phase 2."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from interdyn.errors import ShapeError
from interdyn.spectra._bootstrap import check_level


class NoiseTrend(NamedTuple):
    """Rank correlation of the noise level with time.

    Attributes
    ----------
    rank_correlation, low, high
        Spearman's correlation, -1 when each level is below the one before, with an interval; NaN when there are
        too few steps.
    n_steps
        Steps that entered.
    is_falling
        The whole interval is below 0.
    sentence
        The same in words.
    """

    rank_correlation: float
    low: float
    high: float
    n_steps: int
    is_falling: bool
    sentence: str


def _ranks(x: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """Return ranks from 0, the mean rank for ties."""
    _, index, count = np.unique(x, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count + 1) / 2)[index])


def falling(
    noise_var: Float[np.ndarray, " steps"], in_phase_2: Bool[np.ndarray, " steps"], *, level: float = 0.9
) -> NoiseTrend:
    r"""Return the rank correlation of the noise level with time over phase 2.

    $$\rho = \mathrm{corr}(\mathrm{rank}(t), \mathrm{rank}(\sigma^2_t)), \quad
      \tanh\left(\mathrm{artanh}\,\rho \mp z \sqrt{(1 + \rho^2/2)/(m - 3)}\right)$$

    Parameters
    ----------
    noise_var
        Fitted level of each step in the order of time, `NoiseFit.noise_var`; NaN where there is none.
    in_phase_2
        The steps to use. Leave out the last step, whose network supplies ``w*``.
    level
        Nominal coverage of the interval, between 0 and 1.

    Raises
    ------
    ShapeError
        If the two arrays differ in length.
    InputError
        If ``level`` does not lie between 0 and 1.

    Notes
    -----
    The interval takes the steps for independent, which neighbours in training are not quite: read it as a guide. A
    perfect correlation of ``m`` steps is moved half a swap of neighbours inwards, ``6 / (m (m^2 - 1))``, so that its
    interval has a width. Source: Bonett and Wright (2000).

    Examples
    --------
    >>> noise_var = np.array([7.0, 1e-1, 1e-2, 1e-4, 1e-3, 1e-6, 1e-8])
    >>> print(falling(noise_var, np.array([False, True, True, True, True, True, True])).sentence)
    The noise levels fall over phase 2: rank correlation -0.94 (-0.99 to -0.55, 6 steps).
    """
    noise_var, use = np.asarray(noise_var, dtype=np.float64), np.asarray(in_phase_2, dtype=bool)
    if noise_var.ndim != 1 or noise_var.shape != use.shape:
        raise ShapeError(
            "`noise_var` and `in_phase_2` must have one entry per step; "
            f"got shapes {noise_var.shape} and {use.shape}. Pass both for the same steps."
        )
    check_level(level)
    y = noise_var[use & ~np.isnan(noise_var)]
    m = len(y)
    if m < 4 or np.ptp(y) == 0:
        reason = f"{m} steps are too few" if m < 4 else "all levels are the same"
        return NoiseTrend(math.nan, math.nan, math.nan, m, False, f"No verdict on falling noise levels: {reason}.")
    rho = float(np.corrcoef(np.arange(m), _ranks(y))[0, 1])
    inside = 1 - 6 / (m * (m**2 - 1))
    z = math.atanh(min(max(rho, -inside), inside))
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt((1 + rho**2 / 2) / (m - 3))
    low, high = min(rho, math.tanh(z - half)), max(rho, math.tanh(z + half))
    verdict = "The noise levels fall over phase 2" if high < 0 else "The noise levels do not clearly fall over phase 2"
    sentence = f"{verdict}: rank correlation {rho:.2f} ({low:.2f} to {high:.2f}, {m} steps)."
    return NoiseTrend(rho, low, high, m, high < 0, sentence)
