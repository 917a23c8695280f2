"""What the finder's posterior says about one curve: probabilities, sizes, places in steps, and what stays possible."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from interdyn._arguments import seed as checked_seed
from interdyn.dynamics._axis import steps_at, time_axis
from interdyn.dynamics._finder import PLACES, place_range, posterior

TWO, GROWS = 0.6, 0.85  # probability above which two phases, or one change, are claimed
SMALLEST_CHANGE = 0.1  # orders: the smallest fall or rise that counts as a phase
ABSENT = 0.15  # orders: a fall or rise is called absent where no larger one is possible
LATE = 0.75  # the part of the axis in which a rise that ends before the last measurement slows down
NARROWER = 0.5  # tails of intervals over nominal ones: correlated noise in few measurements resembles a change


@dataclass(frozen=True)
class PhaseEvidence:
    """The numbers behind a verdict.

    Attributes
    ----------
    two_phases, only_falls, only_rises, hump
        Probability of a fall followed by a rise; of a fall alone; of a rise alone; of a rise followed by a fall. The
        remainder to 1 is the probability of a level curve.
    fall, rise
        Medians of their sizes, given that they exist, in the unit of the curve (orders; units of the loss for a gap).
    fall_interval, rise_interval
        Their intervals.
    possible_fall, possible_rise
        A larger one has a probability below 1.25 %, even if the noise is strongly correlated and something changes;
        infinite with too few measurements for any statement.
    noise_std, correlation
        Standard deviation of the noise of one measurement, and correlation of neighbouring measurements (medians).
    interval_share
        Length of the boundary's interval as a share of the logarithmic axis; 1 without a boundary.
    n_steps, n_samples
        Number of steps used, and of samples.
    """

    two_phases: float = 0.0
    only_falls: float = 0.0
    only_rises: float = 0.0
    hump: float = 0.0
    fall: float = 0.0
    fall_interval: tuple[float, float] = (0.0, 0.0)
    rise: float = 0.0
    rise_interval: tuple[float, float] = (0.0, 0.0)
    possible_fall: float = 0.0
    possible_rise: float = 0.0
    noise_std: float = 0.0
    correlation: float = 0.0
    interval_share: float = 1.0
    n_steps: int = 0
    n_samples: int = 0

    def falls(self, smallest_change: float = SMALLEST_CHANGE) -> bool:
        """Return whether the curve falls by at least ``smallest_change`` orders, whatever follows."""
        return self.two_phases + self.only_falls > GROWS and self.fall >= smallest_change

    def rises(self, smallest_change: float = SMALLEST_CHANGE) -> bool:
        """Return whether the curve rises by at least ``smallest_change`` orders, whatever precedes."""
        return self.two_phases + self.only_rises > GROWS and self.rise >= smallest_change


@dataclass(frozen=True)
class Place:
    """A place on the axis of training: the median in steps, and its interval."""

    step: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        return f"step {self.step:.4g} ({self.interval[0]:.4g} to {self.interval[1]:.4g})"


@dataclass(frozen=True)
class Judged:
    """The evidence of a curve, the end of its fall, the start of its rise, and the boundary that spans both."""

    evidence: PhaseEvidence
    fall_ends: Place | None = None
    rise_starts: Place | None = None
    boundary: Place | None = None

    def two_phases(self, smallest_change: float = SMALLEST_CHANGE) -> bool:
        """Return whether the curve has a fall followed by a rise, each of at least ``smallest_change`` orders."""
        e, places = self.evidence, (self.fall_ends, self.rise_starts, self.boundary)
        return None not in places and e.two_phases > TWO and min(e.fall, e.rise) >= smallest_change


def judge(
    steps: Float[np.ndarray, " steps"],
    y: Float[np.ndarray, " steps"],
    window: Int[np.ndarray, " steps"] | None,
    *,
    level: float,
    seed: int,
    n_samples: int = 0,
    may_end: bool = False,
) -> Judged:
    """Judge the curve ``y`` at ``steps``; ``window`` numbers the measurements; by default every step is one.

    With ``may_end`` a rise may end before the last measurement.
    """
    if float(np.ptp(y)) <= 1e-9 * max(1.0, float(np.abs(y).max())):  # constant, without any doubt
        return Judged(PhaseEvidence(n_steps=len(y), n_samples=n_samples))
    at = np.arange(len(y)) if window is None else np.unique(window, return_inverse=True)[1]
    x, rng = time_axis(steps), np.random.default_rng(checked_seed(seed))
    ended = may_end and _slows(x, y)
    found = posterior(x, y, at, ended=ended)
    both = (found, posterior(x, y, at)) if ended else (found,)  # a rise to the end stays possible
    draws = found.draws(rng)
    a, b = draws.fall, draws.rise
    two, hump = (a > 0) & (b > 0), (a < 0) & (b < 0)
    falls, rises = (one & ~two & ~hump for one in ((a > 0) | (b < 0), (a < 0) | (b > 0)))
    tail, earliest = (1 - level) / 2, place_range(x, at)[0]
    fall = _quantiles((np.maximum(a, 0) - np.minimum(b, 0))[two | falls], tail)
    rise = _quantiles((np.maximum(b, 0) - np.minimum(a, 0))[two | rises], tail)
    starts = np.where(b > 0, draws.rise_starts, 0.0)
    rising = two if two.mean() > TWO else two | rises
    end, start = _place(draws.fall_ends[two], tail, earliest), _place(starts[rising], tail, earliest)
    middle = _quantiles((draws.fall_ends + starts)[two] / 2, tail)[1]
    share = 1.0 if end is None or start is None else start[2] - end[0]
    evidence = PhaseEvidence(
        two_phases=float(two.mean()),
        only_falls=float(falls.mean()),
        only_rises=float(rises.mean()),
        hump=float(hump.mean()),
        fall=fall[1],
        fall_interval=(fall[0], fall[2]),
        rise=rise[1],
        rise_interval=(rise[0], rise[2]),
        possible_fall=max(one.possible(0, rng) for one in both),
        possible_rise=max(one.possible(1, rng) for one in both),
        noise_std=float(np.median(draws.noise_std)),
        correlation=float(np.median(draws.correlation)),
        interval_share=share,
        n_steps=len(y),
        n_samples=n_samples,
    )
    boundary = None if end is None or start is None else (end[0], middle, start[2])
    return Judged(evidence, *(_in_steps(where, steps) for where in (end, start, boundary)))


def _slows(x: Float[np.ndarray, " steps"], y: Float[np.ndarray, " steps"]) -> bool:
    """Return whether a curve gains less than an eighth of its range over the last quarter of the axis.

    Examples
    --------
    >>> x = np.arange(9) / 8
    >>> _slows(x, x), _slows(x, np.minimum(x, 0.5))
    (False, True)
    """
    late = y[x >= LATE]
    return bool(late.max() - late[0] < (1 - LATE) / 2 * np.ptp(y))


def _quantiles(values: Float[np.ndarray, " draws"], tail: float) -> tuple[float, float, float]:
    """Return low end, median and high end; zeros without values."""
    low, middle, high = np.quantile(values, [tail, 0.5, 1 - tail]) if len(values) else (0.0, 0.0, 0.0)
    return float(low), float(middle), float(high)


def _place(values: Float[np.ndarray, " draws"], tail: float, earliest: float) -> tuple[float, float, float] | None:
    """Return low end, median and high end of a place; the low end is open before the first place allowed."""
    if not len(values):
        return None
    low, middle, high = _quantiles(values, NARROWER * tail)
    first = PLACES[earliest < PLACES].min(initial=1.0) + PLACES[0] / 2
    return 0.0 if low < first else low, middle, high


def _in_steps(place: tuple[float, float, float] | None, steps: Float[np.ndarray, " steps"]) -> Place | None:
    if place is None:
        return None
    low, middle, high = (float(s) for s in steps_at(np.array(place), steps))
    return Place(middle, (low, high))
