"""A statement about one change over training: whether it has begun, between which steps, and how large it is."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_NARROW = 1.5  # ratio of high to low end up to which an interval is written as one step


@dataclass(frozen=True)
class Onset:
    """One of the three statements of a `Verdict`: on the second phase, the growth of the loss gap, or harm.

    Attributes
    ----------
    found
        Whether the data support it.
    step, interval
        Where it begins, and its interval of probability ``level``; None unless found.
    level
        Probability of the interval.
    growth
        By how much it has grown: in orders for the mean order, in units of the loss for the gap, as a share of the
        smallest held-out loss for harm; None unless found.
    probability
        Probability of growth; None if it could not be judged.
    sentence
        The statement as a sentence, with the reason if nothing was found or it could not be judged.
    """

    found: bool
    step: float | None
    interval: tuple[float, float] | None
    level: float
    growth: float | None
    probability: float | None
    sentence: str

    @classmethod
    def unknown(cls, level: float, sentence: str, probability: float | None = None) -> "Onset":
        """Return an onset that was not found, with the reason."""
        return cls(False, None, None, level, None, probability, sentence)


def when(interval: tuple[float, float]) -> str:
    """Return an interval of steps as text, rounded to two digits; as one step if it is narrow.

    Examples
    --------
    >>> when((58.2, 64.9)), when((6.1, 316.4)), when((2154.0, 9000.0))
    ('about step 61', 'between steps 6 and 320', 'between steps 2,200 and 9,000')
    """
    low, high = interval
    if high + 1 <= _NARROW * (low + 1):
        return f"about step {rounded(np.sqrt((low + 1) * (high + 1)) - 1)}"
    return f"between steps {rounded(low)} and {rounded(high)}"


def rounded(step: float) -> str:
    """Format a step with two digits.

    Examples
    --------
    >>> rounded(7.4), rounded(316.0), rounded(21540.0)
    ('7', '320', '22,000')
    """
    return f"{float(f'{step:.2g}') if step >= 10 else round(step):,.0f}"


def joined(sentences: Iterable[str]) -> str:
    """Join sentences into one that can follow a colon.

    Examples
    --------
    >>> joined(["Phase 2 began about step 61.", "", "The loss gap widens."])
    'phase 2 began about step 61; the loss gap widens.'
    """
    return "; ".join(f"{s[0].lower()}{s[1:].removesuffix('.')}" for s in sentences if s) + "."


def smoothed(values: Float[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
    """Return the median of each value and its two neighbours (at the ends, of those that exist).

    Examples
    --------
    >>> smoothed(np.array([5.0, 1.0, 4.0, 2.0]))
    array([3., 4., 2., 3.])
    """
    if len(values) < 3:
        return values
    return np.array([np.median(values[max(i - 1, 0) : i + 2]) for i in range(len(values))])


def lowest(values: Float[np.ndarray, " values"]) -> int:
    """Return the index of the smallest value of the three neighbours with the smallest median.

    Examples
    --------
    >>> lowest(np.array([6.0, 5.0, 4.0, 5.2, 6.0])), lowest(np.array([0.1, 9.0, 5.0, 4.2, 4.4, 4.1, 6.0]))
    (2, 5)
    """
    medians = smoothed(values)
    least = medians == medians.min()
    near = least.copy()
    near[1:] |= least[:-1]
    near[:-1] |= least[1:]
    return int(np.where(near, values, np.inf).argmin())
