"""A course that leaves a place with a slope that wanders, and what noisy observations of it tell: in linear time."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Branch:
    """What observations of one branch tell, for each place it may leave from and each variance of the noise.

    With ``K`` the covariance of the branch at the observations and ``r`` the variance of the noise, sums are over the
    observations of the branch, and ``u, w`` are each of the two columns.

    Attributes
    ----------
    log_det
        ``log det(K + r I)``, shape ``(places, ratios)``.
    products
        ``u' (K + r I)^-1 w``, shape ``(2, 2, places, ratios)``.
    expected
        ``K (K + r I)^-1 u``: the expected course, shape ``(2, steps, places, ratios)``; 0 off the branch.
    """

    log_det: Float[np.ndarray, "places ratios"]
    products: Float[np.ndarray, "2 2 places ratios"]
    expected: Float[np.ndarray, "2 steps places ratios"]


def branch(
    distance: Float[np.ndarray, "places steps"],
    on: Bool[np.ndarray, "places steps"],
    columns: Float[np.ndarray, "2 steps"],
    *,
    slope: float,
    wander: float,
    ratios: Float[np.ndarray, " ratios"],
) -> Branch:
    r"""Return likelihood and expected course of a branch, by a Kalman filter and smoother over its steps.

    $$f(d) = s\,d + \int_0^d W, \quad s \sim N(0, \texttt{slope}), \quad W \text{ Brownian of variance }
    \texttt{wander}$$

    Parameters
    ----------
    distance
        Of each step from each place, ascending along steps, 0 off the branch.
    on
        Which steps are on the branch of each place.
    columns
        Two columns of observations: the course, and ones for its mean.
    slope, wander, ratios
        Variances of the first slope and of its change over a distance of 1, and of the noise.

    Notes
    -----
    Cost ``steps * places * ratios``. Oracle: ``tests/oracles.py``, `branch_by_matrices`.
    Source: de Jong (1989), Smoothing and interpolation with the state-space model.
    """
    steps, shape = distance.shape[1], (len(distance), len(ratios))
    gaps = np.diff(distance, axis=1, prepend=0.0)
    f, s = np.zeros((2, *shape)), np.zeros((2, *shape))  # expected course and slope, for each column
    ff, fs, ss = np.zeros(shape), np.zeros(shape), np.full(shape, slope)  # their covariance
    log_det, products, kept = np.zeros(shape), np.zeros((2, 2, *shape)), []
    for i in range(steps):
        d, seen = gaps[:, i, None], on[:, i, None]
        f = f + d * s
        ff = ff + 2 * d * fs + d**2 * ss + wander * d**3 / 3
        fs = fs + d * ss + wander * d**2 / 2
        ss = ss + wander * d
        total = ff + ratios
        error = columns[:, i, None, None] - f
        weight = np.where(seen, 1 / total, 0.0)
        gain_f, gain_s = ff * weight, fs * weight
        kept.append((f, ff, fs, error * weight, gain_f, gain_s))
        log_det += np.where(seen, np.log(total), 0.0)
        products += error[:, None] * error * weight
        f, s = f + gain_f * error, s + gain_s * error
        ff, fs, ss = ff - gain_f * ff, fs - gain_f * fs, ss - gain_s * fs
    expected = np.zeros((2, steps, *shape))
    back_f, back_s = np.zeros((2, *shape)), np.zeros((2, *shape))
    for i in reversed(range(steps)):
        f, ff, fs, pull, gain_f, gain_s = kept[i]
        back_f = pull + (1 - gain_f) * back_f - gain_s * back_s
        expected[:, i] = f + ff * back_f + fs * back_s  # 0 where the distance is
        back_s = back_s + gaps[:, i, None] * back_f
    return Branch(log_det, products, expected)
