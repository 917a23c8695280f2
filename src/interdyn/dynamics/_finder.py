"""The finder: one posterior over the falls and rises of a noisy course, for every question of this room.

Over the logarithmic axis ``x`` in ``[0, 1]`` a course is level, with a fall before ``c1`` and a rise after ``c2``:

    y = a + A f((c1 - x)+ / c1) + B f((x - c2)+ / (1 - c2)) + s(x) u,      c1 <= c2

``f`` is linear, square or the mirror image of it (a change that slows down), for each side its own; ``u`` is
autocorrelated over the measurements, within a window of near-by steps partly white; ``s`` is constant or one step.
Every combination of places, shapes, noise and prior variance is a *cell*. In a cell ``a``, ``A``, ``B`` and the size
of the noise are integrated out, so that the posterior is a table of weights, and draws from it are exact.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

PLACES = np.arange(1, 16) / 16.0  # of c1 and c2
BEFORE, AFTER = 2, 3  # measurements that a fall and a rise need at least
CORRELATIONS = {0.0: 4.0, 0.3: 3.0, 0.55: 2.0, 0.75: 2.0, 0.88: 1.0, 0.96: 0.3}  # of neighbours, and prior weights
WHITE = (0.0, 0.3, 0.7)  # share of the noise of a value that the others of its window do not have
FACTORS, CHANGES = (1 / 9, 1 / 3, 3.0, 9.0), (0.35, 0.5, 0.65)  # of the size of the noise, and where it changes
STEADY = 0.5  # prior probability that it does not
VARIANCES = np.array([10.0, 100.0, 1e3, 1e4])  # of A and B, over that of the noise
CLASSES = (0.15, 0.3, 0.15, 0.4)  # prior probabilities of level, fall, rise, both
STRONG = 0.7  # correlation from which on a rise hides best
DRAWS = 1000
_WITHIN = 0.1  # distance of neighbours in a window, in measurements
SHAPES = 3  # linear, square, and the mirror image of the square
_FALLS, _RISES, _NONE = 1, 1 + SHAPES * len(PLACES), 1 + 2 * SHAPES * len(PLACES)  # columns after the course


class Table(NamedTuple):
    """What all cells are computed from.

    ``products`` are those of the columns whitened by each covariance, the mean projected out; ``log_prior`` holds their
    log determinants, that of the mean included.
    """

    products: Float[np.ndarray, "noises columns columns"]
    log_prior: Float[np.ndarray, " noises"]
    correlation: Float[np.ndarray, " noises"]


@dataclass(frozen=True)
class Draws:
    """Draws from the posterior of a course.

    Attributes
    ----------
    fall, rise
        Amplitudes ``A`` and ``B`` in the unit of the course, 0 where there is none.
    fall_ends, rise_starts
        Places ``c1`` and ``c2`` on the axis; NaN where there is none.
    noise_std
        Geometric mean over the values of the standard deviation of the noise.
    correlation
        Of the noise of neighbouring measurements.
    """

    fall: Float[np.ndarray, " draws"]
    rise: Float[np.ndarray, " draws"]
    fall_ends: Float[np.ndarray, " draws"]
    rise_starts: Float[np.ndarray, " draws"]
    noise_std: Float[np.ndarray, " draws"]
    correlation: Float[np.ndarray, " draws"]


class _Cells(NamedTuple):
    """Cells drawn, the size of their noise, and mean, spread and correlation of the two amplitudes in each."""

    columns: Int[np.ndarray, "2 draws"]
    correlation: Float[np.ndarray, " draws"]
    noise_std: Float[np.ndarray, " draws"]
    mean: Float[np.ndarray, "2 draws"]
    std: Float[np.ndarray, "2 draws"]
    together: Float[np.ndarray, " draws"]


@dataclass(frozen=True)
class Posterior:
    """The weights of all cells, and what draws need of them; made by `posterior`.

    Attributes
    ----------
    weight, misfit
        Of each cell, ``(noises, variances, pairs)``: its probability, and its residual sum of squares.
    pairs
        Column of fall and of rise of each pair, ``(2, pairs)``.
    table
        The products of the columns.
    unit
        By which the course was divided.
    freedom
        Number of values less 1.
    """

    weight: Float[np.ndarray, "noises variances pairs"]
    misfit: Float[np.ndarray, "noises variances pairs"]
    pairs: Int[np.ndarray, "2 pairs"]
    table: Table
    unit: float
    freedom: int

    def draws(self, rng: np.random.Generator) -> Draws:
        """Draw courses. A place is uniform within its cell of the grid."""
        cells = self._cells(self.weight, rng)
        white = rng.standard_normal((2, DRAWS))
        white[1] = cells.together * white[0] + np.sqrt(1 - cells.together**2) * white[1]
        there = cells.columns < _NONE
        fall, rise = np.where(there, self.unit * (cells.mean + cells.std * white), 0.0)
        jitter = (rng.random((2, DRAWS)) - 0.5) * PLACES[0]
        place = np.where(there, PLACES[(cells.columns - 1) % len(PLACES)] + jitter, np.nan)
        ends, starts = np.where(there.all(axis=0), np.sort(place, axis=0), place)
        return Draws(fall, rise, ends, starts, self.unit * cells.noise_std, cells.correlation)

    def possible(self, side: int, rng: np.random.Generator, *, tail: float = 0.0125) -> float:
        """Return how large a fall (side 0) or a rise (side 1) may be, in the unit of the course.

        The upper quantile of the amplitude, of either sign, where there is one: the larger one of that under all
        correlations and that under those of at least `STRONG`. Infinite where there are too few measurements for any.
        """
        bounds, can = [0.0], self.weight * (self.pairs[side] < _NONE)
        if not can.any():
            return float("inf")
        for least in (0.0, STRONG):
            cells = self._cells(can * (self.table.correlation >= least)[:, None, None], rng)
            height = cells.mean[side] + cells.std[side] * rng.standard_normal(DRAWS)
            bounds.append(float(np.quantile(height, 1 - tail)))
        return self.unit * max(bounds)

    def _cells(self, weight: Float[np.ndarray, "noises variances pairs"], rng: np.random.Generator) -> _Cells:
        """Draw cells by weight, and the size of the noise in each."""
        mass = np.cumsum(weight)
        place = np.searchsorted(mass, mass[-1] * (1 - rng.random(DRAWS)))
        noise, variance, pair = np.unravel_index(place, weight.shape)
        left, right = self.pairs[:, pair]
        products, h = self.table.products, 1 / VARIANCES[variance]
        a, c = h + products[noise, left, left], h + products[noise, right, right]
        b, u, v = products[noise, left, right], products[noise, 0, left], products[noise, 0, right]
        det = a * c - b**2
        scale = np.sqrt(self.misfit[noise, variance, pair] / rng.chisquare(self.freedom, size=DRAWS))
        mean, std = np.stack([c * u - b * v, a * v - b * u]) / det, scale * np.sqrt(np.stack([c, a]) / det)
        return _Cells(self.pairs[:, pair], self.table.correlation[noise], scale, mean, std, -b / np.sqrt(a * c))


def posterior(
    x: Float[np.ndarray, " values"], y: Float[np.ndarray, " values"], window: Int[np.ndarray, " values"]
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
        The course, in any unit, not constant.
    window
        Number of the measurement that each value belongs to: 0, 1, ..., the same for all of a window of near-by steps.

    Returns
    -------
    Posterior

    Notes
    -----
    Cost: six decompositions of ``values`` square and some passes over up to 280,000 cells, with windows 750,000: 20 ms
    and 80 ms. Oracle: ``tests/test_finder.py``, every cell by its covariance matrix.
    Source: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 2.7 (explicit mean).
    """
    unit = float(np.ptp(y))
    table, (pairs, prior) = _table(x, (y - y.mean()) / unit, window), _pairs(x, window)
    left, right = pairs
    h, m = (1 / VARIANCES)[:, None], table.products[:, None]
    a, c, b = h + m[..., left, left], h + m[..., right, right], m[..., left, right]
    u, v, total = m[..., 0, left], m[..., 0, right], m[..., :1, 0]
    det = a * c - b**2
    misfit = np.maximum(total - (c * u**2 - 2 * b * u * v + a * v**2) / det, 1e-12 * total)
    log_weight = table.log_prior[:, None, None] + prior - 0.5 * np.log(det / h**2) - (len(x) - 1) / 2 * np.log(misfit)
    weight = np.exp(log_weight - log_weight.max())
    return Posterior(weight / weight.sum(), misfit, pairs, table, unit, len(x) - 1)


def noise_sizes(x: Float[np.ndarray, " values"]) -> Float[np.ndarray, "sizes values"]:
    """Return how the size of the noise may change: not, or by one step; the geometric mean of each row is 1.

    Examples
    --------
    >>> noise_sizes(np.array([0.0, 1.0]))[:2].round(2)
    array([[1.  , 1.  ],
           [3.  , 0.33]])
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


def _table(
    x: Float[np.ndarray, " values"], y: Float[np.ndarray, " values"], window: Int[np.ndarray, " values"]
) -> Table:
    """Whiten the columns by every covariance; one decomposition serves all white shares and sizes of a correlation."""
    fall = np.maximum(PLACES[:, None] - x, 0.0) / PLACES[:, None]
    rise = np.maximum(x - PLACES[:, None], 0.0) / (1 - PLACES[:, None])
    shaped = (shape for side in (fall, rise) for shape in (side, side**2, side * (2 - side)))
    columns = np.concatenate([[np.ones_like(x), y], *shaped, [np.zeros_like(x)]])
    sizes = noise_sizes(x)
    scaled = (columns / sizes[:, None]).swapaxes(1, 2)
    apart = np.abs(np.subtract.outer(places_of(window), places_of(window)))
    size_prior = np.log([STEADY] + [(1 - STEADY) / (len(sizes) - 1)] * (len(sizes) - 1))
    products, prior = [], []
    for rho, weight in CORRELATIONS.items():
        whites = WHITE if rho and window[-1] + 1 < len(window) else WHITE[:1]
        values, basis = np.linalg.eigh(rho**apart)
        turned = basis.T @ scaled
        for white in whites:
            variance = white + (1 - white) * np.maximum(values, 1e-9)
            products.append((turned / variance[:, None]).swapaxes(1, 2) @ turned)
            prior.append((size_prior + np.log(weight / len(whites)) - 0.5 * np.log(variance).sum(), [rho] * len(sizes)))
    every = np.concatenate(products)
    mass = every[:, :1, :1]
    rest = (every - every[:, :, :1] * every[:, :1] / mass)[:, 1:, 1:]
    log_prior, correlation = (np.concatenate(part) for part in zip(*prior, strict=True))
    return Table(rest, log_prior - 0.5 * np.log(mass[:, 0, 0]), correlation)


def _pairs(
    x: Float[np.ndarray, " values"], window: Int[np.ndarray, " values"]
) -> tuple[Int[np.ndarray, "2 pairs"], Float[np.ndarray, " pairs"]]:
    """Return the columns of fall and rise of every pair, and the log prior of each."""
    low, high = place_range(x, window)
    allowed = np.tile(PLACES, SHAPES)
    falls, rises = np.flatnonzero(allowed > low), np.flatnonzero(allowed < high)
    left, right = np.repeat(falls, len(rises)), np.tile(rises, len(falls))
    left, right = (side[allowed[left] <= allowed[right]] for side in (left, right))
    one = [np.full_like(side, _NONE) for side in (falls, rises)]
    classes = [
        np.array([[_NONE], [_NONE]]),
        np.stack([_FALLS + falls, one[0]]),
        np.stack([one[1], _RISES + rises]),
        np.stack([_FALLS + left, _RISES + right]),
    ]
    prior = [np.full(p.shape[1], np.log(share / max(p.shape[1], 1))) for share, p in zip(CLASSES, classes, strict=True)]
    return np.concatenate(classes, axis=1), np.concatenate(prior)


def place_range(x: Float[np.ndarray, " values"], window: Int[np.ndarray, " values"]) -> tuple[float, float]:
    """Return the place after which falls may end and that before which rises may start, for want of measurements.

    Examples
    --------
    >>> place_range(np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), np.arange(6))
    (0.2, 0.6)
    """
    first = x[np.searchsorted(window, np.arange(window[-1] + 1))]
    return float(first[BEFORE - 1]), float(first[-AFTER])
