"""Whether training harms: the held-out loss has risen above its minimum by more than its noise and by 5 %."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from interdyn._arguments import real_array
from interdyn._numbers import percent
from interdyn.dynamics._axis import MIN_STEPS, checked_steps
from interdyn.dynamics._evidence import Judged, PhaseEvidence, judge
from interdyn.dynamics._onset import Onset, lowest, smoothed, when
from interdyn.errors import InputError

SMALLEST_RISE = 0.05  # as a share of the smallest held-out loss
FEWEST = 10  # losses needed
ODDS, LOOKS = 10.0, 5  # odds of a rise needed at two measurements in a row: 10, or one per 5 measurements if larger
NEAR, NEAR_SPAN = 0.7, 0.2  # the fall counts from this distance above the minimum: in y, or in spans
_ANY = 10.0  # above this, a possible rise carries no information
BOUNDED = "No harm:"  # how the sentence begins where a rise of 5 % or more is not possible
UNSEEN = "Harm cannot be judged without held-out losses: pass `losses=` or `test_loss=`."


def find_harm(
    steps: Float[np.ndarray, " steps"],
    held_out: Float[np.ndarray, " steps"],
    *,
    larger_is_better: bool = False,
    level: float = 0.9,
    seed: int = 0,
    window: Int[np.ndarray, " steps"] | None = None,
) -> Onset:
    """Find whether training harms by now; may be called after every measurement.

    Parameters
    ----------
    steps
        Optimiser steps, strictly ascending and not negative, shape ``(steps,)``.
    held_out
        Mean loss on samples that are not trained on, or another held-out metric, shape ``(steps,)``. Values that are
        not finite are left out, and so is a loss equal to the previous one to the last bit: it was not recomputed.
    larger_is_better
        Whether it is a metric such as accuracy, which harm makes smaller.
    level
        Probability of the interval.
    seed
        Seed of the posterior draws.
    window
        As in `Trajectory`.

    Returns
    -------
    Onset
        ``growth`` is the rise as a share of the smallest loss; as a share of the range if some losses are not positive.

    Raises
    ------
    InputError
        If the steps do not ascend, the lengths differ, or ``level`` is out of range.

    Notes
    -----
    Training harms when three things hold at each of the last two measurements, of ten or more: the odds of a rise
    exceed 10 and a fifth of the number of measurements; the rise is at least 5 %; and the median of the last three
    losses exceeds the smallest median of three neighbours by as much. The odds come from the finder's posterior for the
    logarithm of the loss, which includes correlated noise and noise of changing size. The fall counts from where it
    came within a factor of 2 (or twice the rise) of the minimum, since the posterior does not model its shape further
    up. The interval starts no later than the minimum. How rarely a loss that only falls raises an alarm, with a verdict
    at every measurement of a training: ``docs/results/harm.md``, by ``./run bench harm``. Cost: 25 to 50 ms for 22
    steps. Without held-out losses harm cannot be judged; `find_pattern` is no substitute.

    Examples
    --------
    >>> steps = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
    >>> loss = np.array([2.3, 2.2, 1.9, 1.2, 0.7, 0.5, 0.55, 0.7, 0.8, 0.9, 1.1])
    >>> harm = find_harm(steps, loss)
    >>> harm.found, 8 < harm.step < 64, find_harm(steps[:6], loss[:6]).found
    (True, True, False)
    """
    steps, values = _checked(steps, held_out, level=level, seed=seed)
    known = np.isfinite(values) if larger_is_better else _computed(values)
    numbers = (np.arange(len(steps)) if window is None else np.asarray(window))[known]
    count, what = len(np.unique(numbers)), "metric" if larger_is_better else "loss"
    if count < FEWEST:
        why = f"Harm cannot be judged yet: the held-out {what} is known at {count} of the {FEWEST} steps needed."
        return Onset.unknown(level, why)
    course = _Course.of(steps[known], values[known], numbers, larger_is_better=larger_is_better)
    judged, p, rises = course.look(level=level, seed=seed)
    start, end = judged.rise_starts, "below its best" if larger_is_better else "above its minimum"
    if start is None or not rises:
        most = course.share(judged.evidence.possible_rise)
        why = f"Harm is not established; within its noise the held-out {what} may be up to {percent(most)} {end}."
        if most < SMALLEST_RISE:
            why = f"{BOUNDED} the held-out {what} is at most {percent(max(most, 0.01))} {end}."
        elif most > _ANY:
            why = f"Harm is not established; how far the held-out {what} is {end} is not known yet."
        return Onset.unknown(level, why, p)
    rise = course.share(judged.evidence.rise)
    worse = f"the fitted held-out {what} is {percent(rise)} {end}"
    if not course.before().look(level=level, seed=seed)[2]:
        return Onset.unknown(level, f"Only the last measurement indicates harm: {worse}.", p)
    interval = (min(start.interval[0], course.least), start.interval[1])
    sentence = f"Training began to harm {when(interval)}: {worse}."
    return Onset(True, start.step, interval, level, rise, p, sentence)


def least_loss(
    steps: Float[np.ndarray, " steps"], held_out: Float[np.ndarray, " steps"], *, larger_is_better: bool = False
) -> float | None:
    """Return the step with the smallest held-out loss of the three neighbours with the smallest median.

    None where no loss is known. A low value among high ones does not count.

    Parameters
    ----------
    steps, held_out, larger_is_better
        As in `find_harm`.

    Raises
    ------
    InputError
        As `find_harm`.

    Examples
    --------
    >>> least_loss(np.array([0, 1, 2, 4, 8]), np.array([0.1, 2.0, 1.0, 0.8, 0.9]))  # 0.1 is one lucky value
    4.0
    """
    steps, values = _checked(steps, held_out)
    known = np.isfinite(values)
    if not known.any():
        return None
    return float(steps[known][lowest(-values[known] if larger_is_better else values[known])])


def _checked(
    steps: Float[np.ndarray, " steps"], held_out: Float[np.ndarray, " steps"], *, level: float = 0.9, seed: int = 0
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    steps, values = checked_steps(steps, level=level, seed=seed), real_array(held_out, "held_out")
    if values.shape != steps.shape:
        raise InputError(
            f"`held_out` must have one value for each of the {len(steps)} steps; got shape {values.shape}. Pass the "
            "losses measured at these steps, with NaN where a loss is missing."
        )
    return steps, values


def _computed(values: Float[np.ndarray, " steps"]) -> Bool[np.ndarray, " steps"]:
    """Return which losses are known and differ from the one before.

    Examples
    --------
    >>> _computed(np.array([2.0, np.nan, 2.0, 1.0])).tolist()
    [True, False, False, True]
    """
    known = np.asarray(np.isfinite(values))
    known[known] = np.diff(values[known], prepend=np.nan) != 0
    return known


class _Course(NamedTuple):
    """A held-out loss on the scale on which it is judged; larger is worse."""

    steps: Float[np.ndarray, " values"]
    y: Float[np.ndarray, " values"]
    numbers: Int[np.ndarray, " values"]
    sign: int  # of the logarithm of the loss in y; 0 if y holds the losses themselves
    span: float  # range of all losses

    @classmethod
    def of(
        cls,
        steps: Float[np.ndarray, " values"],
        values: Float[np.ndarray, " values"],
        numbers: Int[np.ndarray, " values"],
        *,
        larger_is_better: bool,
    ) -> "_Course":
        sign = -1 if larger_is_better else 1
        if (values > 0).all():
            return cls(steps, sign * np.log(values), numbers, sign, 1.0)
        return cls(steps, sign * values, numbers, 0, float(np.ptp(values)) or 1.0)

    def share(self, rise: float) -> float:
        """Return a rise of y as a share of the smallest loss, or of the span."""
        return float(self.sign * np.expm1(self.sign * min(rise, 100.0)) if self.sign else rise / self.span)

    @property
    def least(self) -> float:
        """The first step of the smallest median of three neighbours: harm may begin at once after it."""
        return float(self.steps[smoothed(self.y).argmin()])

    def before(self) -> "_Course":
        """Return the curve without its last measurement."""
        then = self.numbers < self.numbers[-1]
        return self._replace(steps=self.steps[then], y=self.y[then], numbers=self.numbers[then])

    def look(self, *, level: float, seed: int) -> tuple[Judged, float, bool]:
        """Return the finder's evidence, the probability of a rise, and whether this measurement indicates harm."""
        count = len(np.unique(self.numbers))
        if count < FEWEST:
            return Judged(PhaseEvidence()), 0.0, False
        least = float(smoothed(self.y).min())
        above = float(np.median(self.y[-3:])) - least
        reach = least + max(NEAR if self.sign else NEAR_SPAN * self.span, 2 * above)
        first = self.numbers[max(int((self.y <= reach).argmax()) - 1, 0)]  # includes the last one above: it bends it
        near = self.numbers >= min(first, np.unique(self.numbers)[-MIN_STEPS])
        judged = judge(self.steps[near], self.y[near], self.numbers[near], level=level, seed=seed)
        e = judged.evidence
        p = e.two_phases + e.only_rises
        rises = p > (1 - p) * max(ODDS, count / LOOKS) and min(map(self.share, (e.rise, above))) >= SMALLEST_RISE
        return judged, p, rises
