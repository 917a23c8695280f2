"""Means over seeds, with intervals for few of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
"""Nominal coverage of intervals over seeds."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes
    ----------
    value
        The mean; None where no run has the quantity.
    low, high
        Ends of its interval; None with fewer than two seeds.
    n
        How many runs have the quantity, of differences how many seeds.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        told = f"{self.value:.3g}"
        return told if self.low is None else f"{told} ({self.low:.3g} to {self.high:.3g})"


def mean_over(values: Sequence[float | bool | None]) -> Estimate:
    """Return a mean with its interval by Student's t, at `LEVEL`.

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
    half = float(known.std(ddof=1)) / math.sqrt(len(known)) * student(len(known) - 1)
    return Estimate(mean, mean - half, mean + half, len(known))


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
    z = NormalDist().inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** (i + 1) for i, term in enumerate(terms))
