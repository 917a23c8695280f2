"""The verdict while a training goes on: it may be asked for after every measurement, and seldom cries wolf."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from interdyn._arguments import instance, real_array
from interdyn.dynamics._axis import checked_steps
from interdyn.dynamics._evidence import GROWS, Judged, judge
from interdyn.dynamics._gap import GapOnset, find_gap_onset
from interdyn.dynamics._phases import too_few
from interdyn.errors import ShapeError
from interdyn.values import Trajectory

ODDS = 4  # measurements for each unit of odds that two phases need, at two measurements in a row
SMALLEST_CHANGE = 0.1  # orders


class Stage(StrEnum):
    """Where a training is, as far as the measurements up to now tell."""

    PHASE_1 = "phase 1"
    PHASE_2 = "phase 2"
    OVER_FITTING = "over-fitting has begun"
    NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class OnlineVerdict:
    """What the measurements up to ``step`` say.

    Attributes
    ----------
    step
        The last measured step.
    stage
        One of `Stage`.
    since, interval
        Step at which the second phase began, the start of the rise, with its interval; None before it is established.
    level
        Probability of the interval.
    rising
        Whether the odds at this measurement alone are those of a second phase; two in a row establish it.
    sentence
        The verdict in words, with its reason.
    probability
        Of a fall and a rise after it; None where not judged.
    possible_rise
        As in `PhaseEvidence`, in orders; None where not judged.
    gap_probability
        That the loss gap grows; None where not judged.
    """

    step: float
    stage: Stage
    since: float | None
    interval: tuple[float, float] | None
    level: float
    rising: bool
    sentence: str
    probability: float | None = None
    possible_rise: float | None = None
    gap_probability: float | None = None


def online_verdict(
    trajectory: Trajectory, *, before: OnlineVerdict | None = None, level: float = 0.9, seed: int = 0
) -> OnlineVerdict:
    """Return the verdict at the last measurement of a trajectory that still grows.

    Parameters
    ----------
    trajectory
        Everything measured up to now; the same samples at every step, with or without losses.
    before
        The verdict at the measurement before; without it nothing can be established, only indicated.
    level, seed
        As in `find_phases`.

    Returns
    -------
    OnlineVerdict

    Raises
    ------
    InputError
        As `find_phases`.

    Notes
    -----
    The second phase is established when the odds of a fall and a rise after it exceed a quarter of the number of
    measurements at two measurements in a row, and over-fitting when the loss gap grows as well; where no losses are
    recorded, the rise stands for it (paper, section 4) and the sentence says so. Since the odds that are needed grow,
    measuring often does not matter: ``benchmarks/bench_online.py`` simulates trainings without a second phase, with a
    verdict at every measurement. An order that rises from the start has no second phase to ring at.

    Examples
    --------
    >>> steps = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
    >>> order_2 = np.array([.9, .8, .6, .3, .1, .1, .1, .3, .5, .7, .8, .9])  # the rest is of order 1
    >>> strength = np.stack([1 - order_2, order_2], axis=-1)[:, None].repeat(8, axis=1)
    >>> verdict = latest_verdict(Trajectory(steps, strength))
    >>> str(verdict.stage), 4 < verdict.since < 64
    ('over-fitting has begun', True)
    """
    instance(trajectory, "trajectory", Trajectory, do="Make one of steps and strength.")
    if before is not None:
        instance(before, "before", OnlineVerdict, do="Pass the verdict of the step before, or None.")
    steps, strength = checked_steps(trajectory.steps, level=level), real_array(trajectory.strength, "strength", axes=3)
    if not len(steps):
        raise ShapeError("`trajectory` must have one step or more; got none. Measure the network first.")
    now = float(steps[-1])
    usable = np.isfinite(strength).all(axis=(1, 2)) & (strength.sum(axis=(1, 2)) > 0)
    window = np.arange(len(steps)) if trajectory.window is None else trajectory.window
    why = too_few(window[usable], strength) if usable[-1] else "No verdict: nothing finite or salient was measured."
    if why:
        return OnlineVerdict(now, Stage.NO_VERDICT, None, None, level, False, f"At step {now:g}: {_lower(why)}")
    y = trajectory.mean_order[usable]
    judged = judge(steps[usable], y, window[usable], level=level, seed=seed, n_samples=strength.shape[1])
    gap, (train, test) = None, (trajectory.train_loss, trajectory.test_loss)
    if train is not None and test is not None:
        gap = find_gap_onset(steps, train, test, level=level, seed=seed, window=trajectory.window)
    count = len(np.unique(window[usable]))
    return _judged(now, judged, gap, count, before=before, level=level)


def latest_verdict(trajectory: Trajectory) -> OnlineVerdict:
    """Return the verdict at the last measurement: the last of `online_verdicts`, without the ones before.

    Of the measurement before only whether it saw a rise matters, so two fits are enough.
    """
    instance(trajectory, "trajectory", Trajectory, do="Make one of steps and strength.")
    ends = _ends(trajectory)
    before = online_verdict(trajectory.first(ends[-2])) if len(ends) > 1 else None
    return online_verdict(trajectory, before=before)


def online_verdicts(trajectory: Trajectory) -> tuple[OnlineVerdict, ...]:
    """Return the verdict at every measurement of a trajectory, each from what was known then, as `online_verdict` said.

    Examples
    --------
    >>> flat = Trajectory(np.arange(10.0), np.ones((10, 8, 2)))
    >>> {str(verdict.stage) for verdict in online_verdicts(flat)}
    {'no verdict'}
    """
    instance(trajectory, "trajectory", Trajectory, do="Make one of steps and strength.")
    out: list[OnlineVerdict] = []
    for count in _ends(trajectory):
        out.append(online_verdict(trajectory.first(count), before=out[-1] if out else None))
    return tuple(out)


def _ends(trajectory: Trajectory) -> list[int]:
    """Return how many steps there are up to the end of each measurement."""
    if trajectory.window is None:
        return list(range(1, len(trajectory.steps) + 1))
    return [int(n) for n in np.cumsum(np.unique(trajectory.window, return_counts=True)[1])]


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _judged(
    now: float, judged: Judged, gap: GapOnset | None, count: int, *, before: OnlineVerdict | None, level: float
) -> OnlineVerdict:
    e, start = judged.evidence, judged.rise_starts
    rising = e.two_phases > (1 - e.two_phases) * count / ODDS and min(e.fall, e.rise) >= SMALLEST_CHANGE
    established = rising and before is not None and before.rising
    known = gap is not None and gap.probability is not None
    grows = gap is not None and gap.found
    at = f"At step {now:g}: "
    possible = f"a rise of up to {e.possible_rise:.2f} orders is possible"
    since, interval, stage = None, None, Stage.NO_VERDICT
    if established and start:
        since, interval = start.step, start.interval
        begun = f"since {start} ({level:.0%} interval)"
        if grows or not known:
            stage = Stage.OVER_FITTING
            reason = "and the loss gap grows" if grows else "judged by the interactions alone, for want of losses"
            sentence = f"{at}over-fitting has begun {begun}: the mean order rises by {e.rise:.2f} orders, {reason}."
        else:
            stage = Stage.PHASE_2
            sentence = (
                f"{at}phase 2 {begun}: the mean order rises by {e.rise:.2f} orders; the loss gap does not grow yet."
            )
    elif rising:
        sentence = (
            f"{at}no verdict: a rise of {e.rise:.2f} orders is indicated, to be confirmed by the next measurement."
        )
    elif e.only_falls + e.two_phases > GROWS and e.fall >= SMALLEST_CHANGE:
        stage = Stage.PHASE_1
        sentence = f"{at}phase 1: the mean order has fallen by {e.fall:.2f} orders; {possible}, but not established."
        if grows:
            sentence += " The loss gap grows, though."
    else:
        sentence = f"{at}no verdict: no fall is established beside noise of {e.noise_std:.2f} orders; {possible}."
    return OnlineVerdict(
        now,
        stage,
        since,
        interval,
        level,
        rising,
        sentence,
        probability=e.two_phases,
        possible_rise=e.possible_rise,
        gap_probability=None if gap is None else gap.probability,
    )
