"""The verdict while a training goes on: it may be asked for after every measurement, and seldom cries wolf."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from interdyn._arguments import instance, real_array
from interdyn.dynamics._curve import MIN_SAMPLES, MIN_STEPS, check_settings, checked_steps
from interdyn.dynamics._onset import GapOnset, find_gap_onset
from interdyn.dynamics._turn import Turn, find_turn
from interdyn.errors import ShapeError
from interdyn.values import Trajectory

ALPHA = 0.01  # of the test at one measurement; with two in a row the rate over a whole training is below 5 %
SMALLEST_RISE = 0.1  # orders


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
        Step at which the second phase began, with its interval; None before it is established.
    level
        Probability of the interval.
    rising
        Whether the test at this step alone finds a rise; two such steps in a row establish it.
    sentence
        The verdict in words, with its reason.
    rise_p, fall_p, gap_p
        P-values of rise and fall of the mean order and of growth of the loss gap at this step; None where not tested.
    """

    step: float
    stage: Stage
    since: float | None
    interval: tuple[float, float] | None
    level: float
    rising: bool
    sentence: str
    rise_p: float | None = None
    fall_p: float | None = None
    gap_p: float | None = None


def online_verdict(
    trajectory: Trajectory,
    *,
    before: OnlineVerdict | None = None,
    level: float = 0.9,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> OnlineVerdict:
    """Return the verdict at the last step of a trajectory that still grows.

    Parameters
    ----------
    trajectory
        Everything measured up to now; the same samples at every step, with or without losses.
    before
        The verdict at the step before; without it nothing can be established, only indicated.
    level, n_bootstrap, seed
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
    The second phase is established when the rise of the mean order is significant at 1 % at two steps in a row, and
    over-fitting when the loss gap grows as well; where no losses are recorded, the rise stands for it (paper, section
    4) and the sentence says so. Measuring often does not matter: ``benchmarks/bench_online.py`` simulates trainings
    without a second phase, with a verdict at every step. The theory is not used: its ``w*`` is the final network's.

    Examples
    --------
    >>> steps = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256])
    >>> order_2 = np.array([.9, .8, .6, .3, .1, .1, .1, .3, .5, .7])  # the rest is of order 1
    >>> strength = np.stack([1 - order_2, order_2], axis=-1)[:, None].repeat(8, axis=1)
    >>> verdict = None
    >>> for count in range(1, 11):
    ...     verdict = online_verdict(Trajectory(steps[:count], strength[:count]), before=verdict)
    >>> str(verdict.stage), 4 < verdict.since < 64
    ('over-fitting has begun', True)
    """
    level, n_bootstrap, seed = check_settings(level, n_bootstrap, seed)
    instance(trajectory, "trajectory", Trajectory, do="Make one of steps and strength.")
    if before is not None:
        instance(before, "before", OnlineVerdict, do="Pass the verdict of the step before, or None.")
    steps, strength = checked_steps(trajectory.steps), real_array(trajectory.strength, "strength", axes=3)
    if not len(steps):
        raise ShapeError("`trajectory` must have one step or more; got none. Measure the network first.")
    now = float(steps[-1])
    usable = np.isfinite(strength).all(axis=(1, 2)) & (strength.sum(axis=(1, 2)) > 0)
    if not usable[-1] or usable.sum() < MIN_STEPS or strength.shape[1] < MIN_SAMPLES:
        seen = f"{usable.sum()} measurement{'s' if usable.sum() > 1 else ''} of {strength.shape[1]} samples"
        why = f"{seen}; {MIN_STEPS} and {MIN_SAMPLES} are needed."
        why = why if usable[-1] else "nothing finite or salient was measured at this step."
        return OnlineVerdict(now, Stage.NO_VERDICT, None, None, level, False, f"No verdict at step {now:g}: {why}")
    turn = find_turn(steps[usable], strength[usable], level=level, n_bootstrap=n_bootstrap, seed=seed, hump=False)
    gap = None
    if trajectory.train_loss is not None and trajectory.test_loss is not None:
        gap = find_gap_onset(
            steps, trajectory.train_loss, trajectory.test_loss, level=level, n_bootstrap=n_bootstrap, seed=seed
        )
    return _judged(now, turn, gap, before=before, level=level)


def latest_verdict(trajectory: Trajectory) -> OnlineVerdict:
    """Return the verdict at the last step: the last of `online_verdicts`, without the ones before.

    Of the step before only whether it saw a rise matters, so two tests are enough.
    """
    instance(trajectory, "trajectory", Trajectory, do="Make one of steps and strength.")
    count = len(trajectory.steps)
    before = online_verdict(trajectory.first(count - 1)) if count > 1 else None
    return online_verdict(trajectory, before=before)


def online_verdicts(trajectory: Trajectory) -> tuple[OnlineVerdict, ...]:
    """Return the verdict at every step of a trajectory, each from what was known then: what `online_verdict` said.

    Examples
    --------
    >>> flat = Trajectory(np.arange(10.0), np.ones((10, 8, 2)))
    >>> {str(verdict.stage) for verdict in online_verdicts(flat)}
    {'no verdict'}
    """
    instance(trajectory, "trajectory", Trajectory, do="Make one of steps and strength.")
    out: list[OnlineVerdict] = []
    for count in range(1, len(trajectory.steps) + 1):
        out.append(online_verdict(trajectory.first(count), before=out[-1] if out else None))
    return tuple(out)


def _judged(
    now: float, turn: Turn, gap: GapOnset | None, *, before: OnlineVerdict | None, level: float
) -> OnlineVerdict:
    e = turn.evidence
    rising = e.rise_p <= ALPHA and e.rise >= SMALLEST_RISE
    falls = e.fall_p <= ALPHA and e.fall >= SMALLEST_RISE
    established = rising and before is not None and before.rising
    grows = gap is not None and gap.p_value is not None and gap.p_value <= ALPHA
    known = gap is not None and gap.p_value is not None
    since, interval = (turn.boundary, turn.interval) if established else (None, None)
    at, rise = f"At step {now:g}: ", f"{e.rise:.2f} orders (p = {e.rise_p:.2g})"
    if established and interval:
        begun = f"since step {since:.4g} ({level:.0%} interval {interval[0]:.4g} to {interval[1]:.4g})"
        if grows or not known:
            stage = Stage.OVER_FITTING
            reason = "and the loss gap grows" if grows else "judged by the interactions alone, for want of losses"
            sentence = f"{at}over-fitting has begun {begun}: the mean order rises by {rise}, {reason}."
        else:
            stage = Stage.PHASE_2
            sentence = f"{at}phase 2 {begun}: the mean order rises by {rise}; the loss gap does not grow yet."
    elif falls and not rising:
        stage, fell = Stage.PHASE_1, f"{at}phase 1: the mean order has fallen by {e.fall:.2f} orders"
        sentence = f"{fell}; a rise after that is not established (p = {e.rise_p:.2g}, {ALPHA:g} is needed)."
        if grows:
            sentence += " The loss gap grows, though."
    else:
        stage = Stage.NO_VERDICT
        if rising:
            why = f"a rise of {rise} is indicated, to be confirmed by the next measurement."
        else:
            why = f"beside noise of {e.noise_std:.2f} orders a measurement, neither a fall nor a rise is established."
        sentence = f"{at}no verdict: {why}"
    gap_p = None if gap is None else gap.p_value
    return OnlineVerdict(
        now, stage, since, interval, level, rising, sentence, rise_p=e.rise_p, fall_p=e.fall_p, gap_p=gap_p
    )
