"""Whether training harms: the held-out loss has risen from its least value, by more than its noise and by 5 %."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from interdyn._arguments import real_array
from interdyn.dynamics._axis import MIN_STEPS, checked_steps
from interdyn.dynamics._evidence import Judged, PhaseEvidence, judge
from interdyn.dynamics._onset import Onset, smoothed, when
from interdyn.errors import InputError

SMALLEST_RISE = 0.05  # of the least held-out loss
FEWEST = 10  # values of the loss
ODDS, LOOKS = 10.0, 5  # odds of a rise at two measurements in a row; or one for so many measurements, if that is more
NEAR, NEAR_SPAN = 0.7, 0.2  # distance from the least loss where the fall begins to count: in y, or in spans
_ANY = 10.0  # a possible rise that is larger says nothing
BOUNDED = "No harm:"  # how the sentence begins where a rise of 5 % or more is not possible
UNSEEN = "Harm cannot be seen without held-out losses: pass `losses=` or `test_loss=`."


def find_harm(
    steps: Float[np.ndarray, " steps"],
    held_out: Float[np.ndarray, " steps"],
    *,
    larger_is_better: bool = False,
    level: float = 0.9,
    seed: int = 0,
    window: Int[np.ndarray, " steps"] | None = None,
) -> Onset:
    """Find whether training harms by now; it may be asked after every measurement.

    Parameters
    ----------
    steps
        Optimiser steps, strictly ascending and not negative, shape ``(steps,)``.
    held_out
        Mean loss on samples that are not trained on, or another measure of it, shape ``(steps,)``. What is not finite
        is left out, and so is a loss that repeats the one before to the last bit, since it was not computed anew.
    larger_is_better
        Whether it is a metric such as an accuracy, which harm makes smaller.
    level
        Probability of the interval.
    seed
        Of the draws.
    window
        As in `Trajectory`.

    Returns
    -------
    Onset
        Its ``growth`` is the rise as a share of the least loss; of the range of all losses where some are not positive.

    Raises
    ------
    InputError
        If the steps do not ascend, the lengths differ, or ``level`` is out of range.

    Notes
    -----
    Training harms when, at each of the last two measurements of ten or more, the odds of a rise exceed 10 and a fifth
    of the number of measurements, the rise is at least 5 %, and the median of the last three losses is so much above
    the least median of three neighbours. The odds are those of the finder's posterior for the logarithm of the loss, so
    that correlated noise and noise of changing size are in them; the fall counts from where it came within a factor of
    2 (or twice the rise) of the least loss, since further up its shape is not one of the posterior's. The interval
    begins at the least loss at the latest. How seldom a loss that only falls rings, with a verdict at every measurement
    of a training: ``docs/results/harm.md``, by ``./run bench harm``. Cost: 25 ms for 22 steps, or 50 ms.
    Without held-out losses harm cannot be seen; `find_pattern` is no substitute.

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
        why = f"Harm cannot be judged yet: {count} of the {FEWEST} values needed of the held-out {what} are known."
        return Onset.unknown(level, why)
    course = _Course.of(steps[known], values[known], numbers, larger_is_better=larger_is_better)
    judged, p, rises = course.look(level=level, seed=seed)
    start, end = judged.rise_starts, "below its best" if larger_is_better else "above its least"
    if start is None or not rises:
        most = course.share(judged.evidence.possible_rise)
        why = f"No harm is established; a held-out {what} up to {percent(most)} {end} is possible."
        if most < SMALLEST_RISE:
            why = f"{BOUNDED} the held-out {what} is at most {percent(max(most, 0.01))} {end}."
        elif most > _ANY:
            why = f"No harm is established; how far the held-out {what} is {end} is not known yet."
        return Onset.unknown(level, why, p)
    rise = course.share(judged.evidence.rise)
    worse = f"the held-out {what} is {percent(rise)} {end}"
    if not course.before().look(level=level, seed=seed)[2]:
        return Onset.unknown(level, f"Harm is indicated by the last measurement alone: {worse}.", p)
    interval = (min(start.interval[0], course.least), start.interval[1])
    sentence = f"Training began to harm {when(interval)}: {worse}."
    return Onset(True, start.step, interval, level, rise, p, sentence)


def least_loss(
    steps: Float[np.ndarray, " steps"], held_out: Float[np.ndarray, " steps"], *, larger_is_better: bool = False
) -> float | None:
    """Return the step with the least held-out loss, of three neighbours the median; None where no loss is known.

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
    >>> least_loss(np.array([0, 1, 2, 4, 8]), np.array([2.0, 1.0, 0.1, 0.9, 1.5]))  # 0.1 is one lucky value
    2.0
    """
    steps, values = _checked(steps, held_out)
    known = np.isfinite(values)
    if not known.any():
        return None
    return float(steps[known][smoothed(-values[known] if larger_is_better else values[known]).argmin()])


def _checked(
    steps: Float[np.ndarray, " steps"], held_out: Float[np.ndarray, " steps"], *, level: float = 0.9, seed: int = 0
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    steps, values = checked_steps(steps, level=level, seed=seed), real_array(held_out, "held_out")
    if values.shape != steps.shape:
        raise InputError(
            f"`held_out` must have one value for each of the {len(steps)} steps; got shape {values.shape}. Pass the "
            "losses measured at these steps, NaN where there is none."
        )
    return steps, values


def percent(share: float) -> str:
    """Write a share in whole percent.

    Examples
    --------
    >>> percent(0.123)
    '12 %'
    """
    return f"{100 * share:.0f} %"


def _computed(values: Float[np.ndarray, " steps"]) -> Bool[np.ndarray, " steps"]:
    """Return which losses are known and are not the one before once more.

    Examples
    --------
    >>> _computed(np.array([2.0, np.nan, 2.0, 1.0])).tolist()
    [True, False, False, True]
    """
    known = np.asarray(np.isfinite(values))
    known[known] = np.diff(values[known], prepend=np.nan) != 0
    return known


class _Course(NamedTuple):
    """A held-out loss on the scale on which it is judged: larger is worse."""

    steps: Float[np.ndarray, " values"]
    y: Float[np.ndarray, " values"]
    numbers: Int[np.ndarray, " values"]
    sign: int  # of the logarithm of the loss in y; 0: y are the losses themselves
    span: float  # of all losses

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
        """Return a rise of y as a share of the least loss, or of the span."""
        return float(self.sign * np.expm1(self.sign * min(rise, 100.0)) if self.sign else rise / self.span)

    @property
    def least(self) -> float:
        """The step of the least loss, of three neighbours the median."""
        return float(self.steps[smoothed(self.y).argmin()])

    def before(self) -> "_Course":
        """Return the course up to the last measurement but one."""
        then = self.numbers < self.numbers[-1]
        return self._replace(steps=self.steps[then], y=self.y[then], numbers=self.numbers[then])

    def look(self, *, level: float, seed: int) -> tuple[Judged, float, bool]:
        """Return what the finder says, the probability of a rise, and whether that is harm at this measurement."""
        count = len(np.unique(self.numbers))
        if count < FEWEST:
            return Judged(PhaseEvidence()), 0.0, False
        least = float(smoothed(self.y).min())
        above = float(np.median(self.y[-3:])) - least
        reach = least + max(NEAR if self.sign else NEAR_SPAN * self.span, 2 * above)
        first = self.numbers[max(int((self.y <= reach).argmax()) - 1, 0)]  # the last one above, too: it bends the fall
        near = self.numbers >= min(first, np.unique(self.numbers)[-MIN_STEPS])
        judged = judge(self.steps[near], self.y[near], self.numbers[near], level=level, seed=seed)
        e = judged.evidence
        p = e.two_phases + e.only_rises
        rises = p > (1 - p) * max(ODDS, count / LOOKS) and min(map(self.share, (e.rise, above))) >= SMALLEST_RISE
        return judged, p, rises
