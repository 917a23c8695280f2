"""Intervals of the distribution over orders: bootstrap over samples."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

from interdyn._arguments import draws, number, real_array, seed as checked_seed
from interdyn.errors import InputError, NonFiniteError, ShapeError


@dataclass(frozen=True)
class OrderIntervals:
    """Distribution over orders and mean order, with intervals from resampled samples.

    The first axis of all arrays is the step, if steps were given. Values are NaN where nothing is salient.

    Attributes
    ----------
    distribution, distribution_low, distribution_high
        Share of each order ``1..n`` in the mean strength over samples, shape ``(*steps, orders)``.
    mean_order, mean_order_low, mean_order_high
        ``sum_k k I(k) / sum_k I(k)``, shape ``(*steps,)``.
    level
        Nominal coverage of the intervals.
    """

    distribution: Float[np.ndarray, "*steps orders"]
    distribution_low: Float[np.ndarray, "*steps orders"]
    distribution_high: Float[np.ndarray, "*steps orders"]
    mean_order: Float[np.ndarray, "*steps"]
    mean_order_low: Float[np.ndarray, "*steps"]
    mean_order_high: Float[np.ndarray, "*steps"]
    level: float


def resampling_weights(samples: int, n_bootstrap: int, seed: int) -> Float[np.ndarray, "draws samples"]:
    """Return the share of each sample in each draw with replacement; rows sum to 1.

    Examples
    --------
    >>> resampling_weights(4, 2, seed=0).sum(axis=1)
    array([1., 1.])
    """
    rng = np.random.default_rng(seed)
    return np.asarray(rng.multinomial(samples, np.full(samples, 1 / samples), size=n_bootstrap) / samples)


def known_mean(values: Float[np.ndarray, "*axes"], *, axis: int = -1) -> Float[np.ndarray, "*rest"]:
    """Return the mean of the values that are not NaN; NaN where all are.

    Examples
    --------
    >>> known_mean(np.array([[1.0, 3.0], [1.0, np.nan], [np.nan, np.nan]]))
    array([ 2.,  1., nan])
    """
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    return np.asarray(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))


def resampled_means(
    values: Float[np.ndarray, "*rows samples"], n_draws: int, seed: int
) -> Float[np.ndarray, "*rows draws"]:
    """Return `known_mean` of the samples of each draw with replacement; NaN where all drawn samples are NaN.

    Examples
    --------
    >>> resampled_means(np.array([[2.0, 2.0, np.nan]]), 2, seed=0)
    array([[ 2., nan]])
    """
    defined = ~np.isnan(values)
    weights = resampling_weights(values.shape[-1], n_draws, seed).T
    sums, there = np.where(defined, values, 0.0) @ weights, defined @ weights
    return np.asarray(np.divide(sums, there, out=np.full_like(sums, np.nan), where=there > 0))


def share(strength: Float[np.ndarray, "*steps orders"]) -> Float[np.ndarray, "*steps orders"]:
    """Return ``strength`` over its sum; NaN where the sum is 0.

    Examples
    --------
    >>> share(np.array([[1.0, 3.0], [0.0, 0.0]]))
    array([[0.25, 0.75],
           [ nan,  nan]])
    """
    total = strength.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(strength, total, out=np.full_like(strength, np.nan), where=total > 0))


def student_quantile(level: float, freedom: int) -> float:
    """Return Student's quantile at ``(1 + level) / 2`` for ``freedom`` degrees of freedom, 1 or more.

    By two terms of its expansion in ``1 / freedom``: 0.1 % off at 9 degrees, 5 % at two and 27 % at one.

    Examples
    --------
    >>> round(student_quantile(0.9, 9), 3)  # exact: 1.833
    1.832
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def interval_edges(level: float, samples: int) -> tuple[float, float]:
    r"""Return which quantiles of the draws bound an interval of the given level.

    $$\alpha = \Phi\left(-\sqrt{m / (m - 1)}\; t_{m-1}\right)$$

    with ``t`` Student's quantile at ``(1 + level) / 2``: plain percentiles of few samples give intervals that are too
    short. With one sample the spread is unknown, and the edges are 0 and 1.

    Source: Hesterberg (2015), What Teachers Should Know About the Bootstrap (expanded percentile interval); ``t`` as in
    `student_quantile`.

    Examples
    --------
    >>> [round(x, 3) for x in interval_edges(0.9, 10)]
    [0.027, 0.973]
    """
    if samples == 1:
        return 0.0, 1.0
    tail = NormalDist().cdf(-student_quantile(level, samples - 1) * math.sqrt(samples / (samples - 1)))
    return tail, 1 - tail


def bootstrap_distribution(
    strength: Float[np.ndarray, "*steps samples orders"],
    *,
    level: float = 0.9,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> OrderIntervals:
    """Return intervals of the order distribution and the mean order over resampled samples.

    Each draw takes as many samples as there are, with replacement, and the same ones at every step, so that values at
    different steps can be compared.

    Parameters
    ----------
    strength
        Salient strength per sample and order ``1..n``, shape ``(samples, orders)`` or ``(steps, samples, orders)``,
        in one unit (not normalised per sample).
    level
        Nominal coverage, between 0 and 1.
    n_bootstrap
        Number of draws.
    seed
        Seed of the draws.

    Raises
    ------
    ShapeError
        If ``strength`` has neither two nor three axes, or one of length 0.
    InputError
        If ``strength`` is negative, ``level`` not between 0 and 1, or ``n_bootstrap`` below 1.
    NonFiniteError
        If ``strength`` holds NaN or infinity.

    Notes
    -----
    Cost ``n_bootstrap * steps * samples * orders`` multiplications, one matrix product. A draw without a salient
    interaction is left out of the interval of that step. Intervals of level 0.9 for the mean order contained the true
    value in 88 %, 89 % and 89 % of 1000 simulations with 10, 20 and 40 samples of gamma-distributed strength (plain
    percentiles: 83 %, 87 %, 87 %).
    Oracle: ``tests/test_spectra.py``, `bootstrap_by_loops`. Source: Efron (1979).

    Examples
    --------
    >>> found = bootstrap_distribution(np.array([[1.0, 3.0], [2.0, 2.0]]), n_bootstrap=200)
    >>> [round(float(x), 3) for x in (found.mean_order, found.mean_order_low, found.mean_order_high)]
    [1.625, 1.5, 1.75]
    """
    strength = check_strength(strength)
    level = check_level(level)
    n_bootstrap = draws(n_bootstrap, "n_bootstrap")
    weights = resampling_weights(strength.shape[-2], n_bootstrap, checked_seed(seed))
    drawn = share(weights @ strength)  # (*steps, draws, orders)
    k = np.arange(1, strength.shape[-1] + 1)
    distribution = share(strength.mean(axis=-2))
    edges = interval_edges(level, strength.shape[-2])
    low, high = quantiles_over_draws(drawn, edges)
    mean_low, mean_high = quantiles_over_draws((drawn @ k)[..., None], edges)
    return OrderIntervals(
        distribution=distribution,
        distribution_low=low,
        distribution_high=high,
        mean_order=np.asarray(distribution @ k),
        mean_order_low=np.asarray(mean_low[..., 0]),
        mean_order_high=np.asarray(mean_high[..., 0]),
        level=level,
    )


def check_level(level: float) -> float:
    """Return a coverage; raise `InputError` unless it is between 0 and 1."""
    return number(level, "level", least=0, most=1, open_=True, do="Pass for example 0.9.")


def check_strength(strength: np.ndarray) -> Float[np.ndarray, "*steps samples orders"]:
    """Return ``strength`` as float64 after checking shape and values; errors as `bootstrap_distribution`."""
    strength = real_array(strength, "strength")
    if strength.ndim not in (2, 3) or 0 in strength.shape:
        raise ShapeError(
            "`strength` must have shape (samples, orders) or (steps, samples, orders), without an axis of length 0; "
            f"got {strength.shape}. Stack `OrderSpectrum.strength` of all steps along the first axis."
        )
    if not np.isfinite(strength).all():
        raise NonFiniteError("`strength` must be finite; got NaN or infinity. Leave out the samples that failed.")
    if (strength < 0).any():
        raise InputError(f"`strength` must be 0 or more; got {strength.min():.3g}. Pass sums of absolute interactions.")
    return strength


def quantiles_over_draws(
    drawn: Float[np.ndarray, "*steps draws values"], edges: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return two quantiles over the draws that are not NaN; NaN where all are."""
    defined = ~np.isnan(drawn).any(axis=-1)
    if defined.all():
        low, high = np.quantile(drawn, edges, axis=-2)
        return low, high
    out = np.full((2, *drawn.shape[:-2], drawn.shape[-1]), np.nan)
    for step in np.ndindex(drawn.shape[:-2]):
        if defined[step].any():
            out[(slice(None), *step)] = np.quantile(drawn[step][defined[step]], edges, axis=0)
    return out[0], out[1]
