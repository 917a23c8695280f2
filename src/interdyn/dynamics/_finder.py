"""The finder: one posterior over the falls and rises of a noisy curve, for every question of this package.

Over the logarithmic axis ``x`` in ``[0, 1]`` a curve is level, with a fall before ``c1`` and a rise after ``c2``:

    y = a + A f((c1 - x)+ / c1) + B f((x - c2)+ / (1 - c2)) + s(x) u,      c1 <= c2

``f`` is linear, quadratic or its mirror image (a change that slows down), chosen for each side; ``u`` is
autocorrelated over the measurements, and partly white within a window of nearby steps; ``s`` is constant or has one
jump. Every combination of places, shapes, noise and prior variance is a *cell*. In a cell ``a``, ``A``, ``B`` and the
size of the noise are integrated out, so the posterior is a table of weights, and draws from it are exact. A rise may
also end before the last measurement: ``f`` is then linear up to ``c3``, and level after it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

PLACES = np.arange(1, 16) / 16.0  # of c1 and c2
BEFORE, AFTER = 2, 3  # fewest measurements of a fall and of a rise
CORRELATIONS = {0.0: 4.0, 0.3: 3.0, 0.55: 2.0, 0.75: 2.0, 0.88: 1.0, 0.96: 0.3}  # of neighbours: prior weights
WHITE = (0.0, 0.3, 0.7)  # share of a value's noise that it does not share with the others of its window
FACTORS, CHANGES = (1 / 8, 8.0), (0.2, 0.35, 0.5, 0.65, 0.8, 0.9)  # jumps of the noise's size, and their places
STEADY = 0.5  # prior probability of no jump
VARIANCES = np.array([10.0, 100.0, 1e3, 1e4])  # prior variances of A and B, in units of the noise variance
CLASSES = (0.15, 0.3, 0.15, 0.4)  # prior probabilities of level, fall, rise, both
STRONG = 0.7  # correlation above which a rise is hardest to detect
DRAWS = 1000
_WITHIN = 0.1  # distance of neighbours in a window, in measurements
SHAPES = 3  # linear, quadratic, and the mirror image of the quadratic
_FALLS, _RISES, _NONE = 1, 1 + SHAPES * len(PLACES), 1 + 2 * SHAPES * len(PLACES)  # columns after the curve
_ENDED = np.array([(c2, c3) for c2 in range(len(PLACES)) for c3 in range(1, len(PLACES), 2) if c3 > c2 + 1])
_STARTS = np.concatenate([np.tile(np.arange(len(PLACES)), 2 * SHAPES), [0], _ENDED[:, 0]])  # place of each column


@dataclass(frozen=True)
class Draws:
    """Draws from the posterior of a curve.

    Attributes
    ----------
    fall, rise
        Amplitudes ``A`` and ``B`` in the unit of the curve, 0 if absent.
    fall_ends, rise_starts
        Places ``c1`` and ``c2`` on the axis; NaN if absent.
    noise_std
        Geometric mean over the values of the noise's standard deviation.
    correlation
        Correlation of the noise of neighbouring measurements.
    """

    fall: Float[np.ndarray, " draws"]
    rise: Float[np.ndarray, " draws"]
    fall_ends: Float[np.ndarray, " draws"]
    rise_starts: Float[np.ndarray, " draws"]
    noise_std: Float[np.ndarray, " draws"]
    correlation: Float[np.ndarray, " draws"]


@dataclass(frozen=True)
class Posterior:
    """The weights of all cells, and what draws from them need; built by `posterior`.

    Attributes
    ----------
    weight, misfit
        Probability and residual sum of squares of each cell, shape ``(noises, variances, pairs)``.
    pairs
        Fall column and rise column of each pair, shape ``(2, pairs)``.
    products
        Products of the columns, whitened by each noise covariance, with the mean projected out.
    correlation
        Correlation of neighbouring measurements under each covariance.
    unit
        Divisor that was applied to the curve.
    freedom
        Number of values minus 1.
    """

    weight: Float[np.ndarray, "noises variances pairs"]
    misfit: Float[np.ndarray, "noises variances pairs"]
    pairs: Int[np.ndarray, "2 pairs"]
    products: Float[np.ndarray, "noises columns columns"]
    correlation: Float[np.ndarray, " noises"]
    unit: float
    freedom: int

    def draws(self, rng: np.random.Generator, among: Bool[np.ndarray, "noises 1 pairs"] | None = None) -> Draws:
        """Draw curves, optionally only from the cells ``among``. A place is uniform within its cell of the grid."""
        mass = np.cumsum(self.weight if among is None else self.weight * among)
        cell = np.searchsorted(mass, mass[-1] * (1 - rng.random(DRAWS)))
        noise, variance, pair = np.unravel_index(cell, self.weight.shape)
        columns = left, right = self.pairs[:, pair]
        products, h = self.products, 1 / VARIANCES[variance]
        a, c, b = h + products[noise, left, left], h + products[noise, right, right], products[noise, left, right]
        u, v, det = products[noise, 0, left], products[noise, 0, right], a * c - b**2
        std = np.sqrt(self.misfit[noise, variance, pair] / rng.chisquare(self.freedom, size=DRAWS))
        white = std * rng.standard_normal((2, DRAWS))
        fall = (c * u - b * v) / det + np.sqrt(c / det) * white[0]
        rise = (v - b * fall) / c + white[1] / np.sqrt(c)  # given the fall
        there = columns != _NONE
        jitter = (rng.random((2, DRAWS)) - 0.5) * PLACES[0]
        place = np.where(there, PLACES[_STARTS[columns - 1]] + jitter, np.nan)
        ends, starts = np.where(there.all(axis=0), np.sort(place, axis=0), place)
        fall, rise = np.where(there, self.unit * np.stack([fall, rise]), 0.0)
        return Draws(fall, rise, ends, starts, self.unit * std, self.correlation[noise])

    def possible(self, side: int, rng: np.random.Generator, *, tail: float = 0.0125) -> float:
        """Return how large a fall (side 0) or a rise (side 1) may be, in the unit of the curve.

        The upper quantile of the amplitude, of either sign, given that it exists: the larger of the quantiles over all
        correlations and over those of at least `STRONG`. Infinite with too few measurements for any statement.
        """
        bounds, can = [0.0], self.pairs[side] != _NONE
        if not can.any():
            return float("inf")
        for least in (0.0, STRONG):
            drawn = self.draws(rng, (self.correlation >= least)[:, None, None] & can)
            bounds.append(float(np.quantile((drawn.fall, drawn.rise)[side], 1 - tail)))
        return max(bounds)


def posterior(
    x: Float[np.ndarray, " values"],
    y: Float[np.ndarray, " values"],
    window: Int[np.ndarray, " values"],
    *,
    ended: bool = False,
) -> Posterior:
    r"""Weigh all cells by their evidence.

    $$\log p = \log \pi - \tfrac12 \log|\Sigma| - \tfrac12 \log(1' \Sigma^{-1} 1) - \tfrac12 \log|I + g Z' P Z|
    - \tfrac{n - 1}{2} \log \mathrm{RSS}_g$$

    with ``Z`` the columns of fall and rise, ``g`` the prior variance of their amplitudes over that of the noise, and
    ``P`` the precision with the mean projected out: the mean and the log size of the noise have flat priors.

    Parameters
    ----------
    x
        Places on the axis, ascending from 0 to 1, shape ``(values,)``.
    y
        The curve, in any unit, not constant.
    window
        Number of the measurement that each value belongs to: 0, 1, ...; equal within a window of nearby steps.
    ended
        Include rises that end before the last two measurements.

    Returns
    -------
    Posterior

    Notes
    -----
    Cost: six decompositions of a ``values x values`` matrix and some passes over up to 280,000 cells (20 ms), or over
    750,000 with windows (80 ms). Oracle: ``tests/test_finder.py``, every cell from its covariance matrix.
    Source: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 2.7 (explicit mean).
    """
    unit, h = float(np.ptp(y)), (1 / VARIANCES)[:, None]
    whiten, noise_prior, correlation = _noises(x, window)
    pairs, prior = _pairs(x, window, ended=ended)
    left, right = pairs
    white = whiten @ _columns(x, (y - y.mean()) / unit, ended=ended)
    mean, white = white[..., :1], white[..., 1:]
    mass = (mean**2).sum(axis=1, keepdims=True)
    white = white - mean * (mean.swapaxes(1, 2) @ white / mass)
    products = white.swapaxes(1, 2) @ white
    m = products[:, None]
    a, c, b = h + m[..., left, left], h + m[..., right, right], m[..., left, right]
    u, v, total = m[..., 0, left], m[..., 0, right], m[..., :1, 0]
    det = a * c - b**2
    misfit = np.maximum(total - (c * u**2 - 2 * b * u * v + a * v**2) / det, 1e-12 * total)
    log_weight = noise_prior[:, None, None] - 0.5 * np.log(mass) + prior
    log_weight = log_weight - 0.5 * np.log(det / h**2) - (len(x) - 1) / 2 * np.log(misfit)
    weight = np.exp(log_weight - log_weight.max())
    return Posterior(weight / weight.sum(), misfit, pairs, products, correlation, unit, len(x) - 1)


def noise_sizes(x: Float[np.ndarray, " values"]) -> Float[np.ndarray, "sizes values"]:
    """Return the allowed profiles of the noise's size: constant, or with one jump; each row has geometric mean 1.

    Examples
    --------
    >>> noise_sizes(np.array([0.0, 1.0]))[:2].round(2)
    array([[1.  , 1.  ],
           [2.83, 0.35]])
    """
    steps = [np.where(x > at, factor, 1.0) for factor in FACTORS for at in CHANGES]
    sizes = np.array([np.ones_like(x), *steps])
    return np.asarray(sizes / np.exp(np.log(sizes).mean(axis=1, keepdims=True)))


def places_of(window: Int[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
    """Return the place of each value on the axis of measurements.

    Examples
    --------
    >>> places_of(np.array([0, 1, 1, 2]))
    array([0. , 1. , 1.1, 2. ])
    """
    return np.asarray(window + _WITHIN * (np.arange(len(window)) - np.searchsorted(window, window)))


def _columns(
    x: Float[np.ndarray, " values"], y: Float[np.ndarray, " values"], *, ended: bool
) -> Float[np.ndarray, "values columns"]:
    """Return the mean, the curve, the falls, the rises, zeros for an absent change, and the rises that end, if any."""
    fall = np.maximum(PLACES - x[:, None], 0.0) / PLACES
    rise = np.maximum(x[:, None] - PLACES, 0.0) / (1 - PLACES)
    shaped = [shape for side in (fall, rise) for shape in (side, side**2, side * (2 - side))]
    start, end = PLACES[_ENDED[: len(_ENDED) if ended else 0]].T
    ends = np.clip((x[:, None] - start) / (end - start), 0.0, 1.0)
    return np.column_stack([np.ones_like(x), y, *shaped, np.zeros_like(x), ends])


def _noises(
    x: Float[np.ndarray, " values"], window: Int[np.ndarray, " values"]
) -> tuple[Float[np.ndarray, "noises values values"], Float[np.ndarray, " noises"], Float[np.ndarray, " noises"]]:
    """Return the whitener of each kind of noise, its log prior less half the log determinant, and its correlation.

    One decomposition serves all white shares and noise profiles of a correlation.
    """
    sizes, place = noise_sizes(x), places_of(window)
    size_prior = np.log([STEADY] + [(1 - STEADY) / (len(sizes) - 1)] * (len(sizes) - 1))
    whiten, prior, correlation = [], [], []
    for rho, weight in CORRELATIONS.items():
        whites = WHITE if rho and window[-1] + 1 < len(window) else WHITE[:1]
        values, basis = np.linalg.eigh(rho ** np.abs(np.subtract.outer(place, place)))
        for white in whites:
            variance = white + (1 - white) * np.maximum(values, 1e-9)
            whiten.append(basis.T / np.sqrt(variance)[:, None] / sizes[:, None])
            prior.append(size_prior + np.log(weight / len(whites)) - 0.5 * np.log(variance).sum())
            correlation += [rho] * len(sizes)
    return np.concatenate(whiten), np.concatenate(prior), np.array(correlation)


def _pairs(
    x: Float[np.ndarray, " values"], window: Int[np.ndarray, " values"], *, ended: bool
) -> tuple[Int[np.ndarray, "2 pairs"], Float[np.ndarray, " pairs"]]:
    """Return the fall and rise columns of every pair, and the log prior of each pair."""
    low, high = place_range(x, window)
    of_column = np.tile(PLACES, SHAPES)
    falls = np.append(_FALLS + np.flatnonzero(of_column > low), _NONE)
    rises = np.append(_RISES + np.flatnonzero(of_column < high), _NONE)
    if ended:
        start, end = PLACES[_ENDED].T
        rises = np.append(rises, _NONE + 1 + np.flatnonzero((start < high) & (end < _first(x, window)[-BEFORE])))
    pairs = np.stack([np.repeat(falls, len(rises)), np.tile(rises, len(falls))])
    place, there = PLACES[_STARTS[pairs - 1]], pairs != _NONE
    ordered = (place[0] <= place[1]) | ~there.all(axis=0)
    pairs, kind = pairs[:, ordered], (there[0] + 2 * there[1])[ordered]  # of level, fall, rise, both
    return pairs, np.log(np.array(CLASSES) / np.maximum(np.bincount(kind, minlength=4), 1))[kind]


def place_range(x: Float[np.ndarray, " values"], window: Int[np.ndarray, " values"]) -> tuple[float, float]:
    """Return the earliest end of a fall and the latest start of a rise that leave enough measurements on each side.

    Examples
    --------
    >>> place_range(np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), np.arange(6))
    (0.2, 0.6)
    """
    first = _first(x, window)
    return float(first[BEFORE - 1]), float(first[-AFTER])


def _first(x: Float[np.ndarray, " values"], window: Int[np.ndarray, " values"]) -> Float[np.ndarray, " windows"]:
    """Return the first place of each measurement."""
    return x[np.searchsorted(window, np.arange(window[-1] + 1))]
