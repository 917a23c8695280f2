"""Means, shares and spreads over seeds, with intervals for small numbers of seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
"""Nominal coverage of intervals over seeds."""
WITHIN = 0.1
"""Half the width of the interval that `Estimate.seeds_needed` refers to, as a share of the mean."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, a share of them, or their spread.

    Attributes
    ----------
    value
        The estimate; None if no run has the quantity.
    low, high
        Ends of its interval; None if there is none, for example with fewer than two seeds.
    n
        How many runs have the quantity; for differences, how many seeds.
    spread
        Standard deviation between seeds (with ``n - 1``); None with fewer than two.
    seeds_needed
        How many seeds give an interval of at most 10 % of the mean to either side, see `seeds_needed`; None with fewer
        than two seeds, or if the interval contains 0.
    count
        Of a share, in how many runs it is so; otherwise None.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    spread: float | None = None
    seeds_needed: int | None = None
    count: int | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        told = f"{self.value:.3g}" if self.count is None else f"{self.count} of {self.n}"
        return told if self.low is None else f"{told} ({self.low:.3g} to {self.high:.3g})"


def mean_over(values: Sequence[float | bool | None]) -> Estimate:
    """Return a mean with its Student's t interval, at `LEVEL`.

    Examples
    --------
    >>> str(mean_over([1.0, 2.0, 3.0])), str(mean_over([1.0])), str(mean_over([None]))
    ('2 (-0.484 to 4.48)', '1', '-')
    """
    known = np.array([float(value) for value in values if value is not None])
    if not len(known):
        return Estimate(None, None, None, 0)
    mean = float(known.mean())
    if len(known) < 2:
        return Estimate(mean, None, None, 1)
    spread = float(known.std(ddof=1))
    half = spread / math.sqrt(len(known)) * student(len(known) - 1)
    needed = seeds_needed(mean, spread) if abs(mean) > half else None
    return Estimate(mean, mean - half, mean + half, len(known), spread, needed)


def share_of(values: Sequence[float | bool | None]) -> Estimate:
    r"""Return in how many runs something is so, with Wilson's interval of the share at `LEVEL`.

    Its ends are $(k + z^2/2 \pm z \sqrt{k (n - k) / n + z^2 / 4}) / (n + z^2)$.

    Parameters
    ----------
    values
        Of each run 0 or 1, or None if it is not known.

    Examples
    --------
    >>> str(share_of([0, 0, 1, None])), str(share_of([0] * 10)), str(share_of([None]))
    ('1 of 3 (0.0615 to 0.792)', '0 of 10 (0 to 0.278)', '-')
    """
    known = [bool(value) for value in values if value is not None]
    n, k = len(known), sum(known)
    if not n:
        return Estimate(None, None, None, 0)
    z = _normal()
    half = z * math.sqrt(k * (n - k) / n + z * z / 4)
    low, high = ((k + z * z / 2 + side * half) / (n + z * z) for side in (-1, 1))
    return Estimate(k / n, low if k else 0.0, high if k < n else 1.0, n, count=k)


def spread_of(values: Sequence[float | None]) -> Estimate:
    r"""Return the standard deviation between seeds with its interval at `LEVEL` for a normal quantity.

    Its ends are $s \sqrt{(n - 1) / \chi^2}$ at the two quantiles of $\chi^2$ with $n - 1$ degrees of freedom.

    Examples
    --------
    >>> str(spread_of([1.0, 2.0, 3.0])), str(spread_of([1.0]))
    ('1 (0.521 to 6.28)', '-')
    """
    found = mean_over(values)
    if found.spread is None:
        return Estimate(None, None, None, found.n)
    freedom = found.n - 1
    low, high = (found.spread * math.sqrt(freedom / chi_square(freedom, (1 + side * LEVEL) / 2)) for side in (1, -1))
    return Estimate(found.spread, low, high, found.n)


def seeds_needed(mean: float, spread: float) -> int | None:
    r"""Return the smallest number of seeds $n \ge 2$ with $t_{n-1} s / \sqrt n \le 0.1 |\bar x|$; None for a mean of 0.

    Parameters
    ----------
    mean, spread
        Mean and standard deviation between seeds, as estimated; ``t`` is `student`.

    Examples
    --------
    >>> seeds_needed(10.0, 1.0), seeds_needed(10.0, 0.01), seeds_needed(1.0, 10.0), seeds_needed(0.0, 1.0)
    (7, 2, 38418, None)
    """
    if mean == 0:
        return None
    ratio = (spread / (WITHIN * mean)) ** 2
    n = max(2, math.ceil(ratio * _normal() ** 2))  # t is larger, so no fewer
    while student(n - 1) ** 2 * ratio > n:
        n += 1
    return n


def student(freedom: int) -> float:
    """Return the quantile of Student's t for a two-sided interval of `LEVEL`: exact for 1 and 2, else to 0.3 %.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.

    Examples
    --------
    >>> [round(student(freedom), 2) for freedom in (1, 2, 3, 4, 9, 30)]
    [12.71, 4.3, 3.18, 2.78, 2.26, 2.04]
    """
    p = (1 + LEVEL) / 2
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        a = 4 * p * (1 - p)
        return 2 * (p - 0.5) * math.sqrt(2 / a)
    z = _normal()
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** (i + 1) for i, term in enumerate(terms))


def chi_square(freedom: int, p: float) -> float:
    """Return the quantile ``p`` of the chi-square distribution, by bisection of the series of its distribution.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 6.5.29.

    Examples
    --------
    >>> round(chi_square(9, 0.025), 3), round(chi_square(9, 0.975), 3)
    (2.7, 19.023)
    """
    a = freedom / 2

    def below(x: float) -> float:
        term = total = 1 / a
        k = a
        while term > 1e-15 * total:
            k += 1
            term *= x / k
            total += term
        return total * math.exp(a * math.log(x) - x - math.lgamma(a))

    low, high = 0.0, 1.0
    while below(high) < p:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < p else (low, middle)
    return low + high


def _normal() -> float:
    """Return the quantile of the normal distribution for a two-sided interval of `LEVEL`."""
    return NormalDist().inv_cdf((1 + LEVEL) / 2)
