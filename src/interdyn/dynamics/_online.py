"""The verdict on a training: three statements, after every measurement while it runs, and once at its end."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float

from interdyn._arguments import instance, real_array
from interdyn.dynamics._axis import checked_steps
from interdyn.dynamics._evidence import SMALLEST_CHANGE, TWO, Judged, PhaseEvidence, judge
from interdyn.dynamics._gap import find_gap_onset
from interdyn.dynamics._harm import UNSEEN, find_harm, least_loss
from interdyn.dynamics._onset import Onset, joined, when
from interdyn.dynamics._phases import Phases, find_phases, too_few
from interdyn.errors import ShapeError
from interdyn.values import Trajectory

ODDS = 4  # measurements per unit of odds that two phases need, at two measurements in a row


class Stage(StrEnum):
    """The phase a training is in, judged by its interactions so far."""

    PHASE_1 = "phase 1"
    PHASE_2 = "phase 2"
    NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Verdict:
    """What the measurements up to ``step`` show: three statements, each with its interval or why it cannot be made.

    Attributes
    ----------
    step
        The last measured step; NaN if nothing is measured.
    stage
        One of `Stage`, by the mean order alone.
    phase_2
        The second phase began: the mean order rises after a fall. ``growth`` in orders.
    gap
        The gap between test and training loss began to widen; it often does so while the test loss still falls.
    harm
        Training began to harm (`find_harm`), judged by the test loss, or by the accuracy if only that is known. The
        only statement that is a reason to stop.
    pattern
        See `find_pattern`; only without a held-out loss or accuracy, and if training samples are measured.
    best_step
        The measured step with the smallest held-out loss (`least_loss`); None without held-out losses.
    rising
        Whether this measurement alone indicates a second phase; two in a row establish it.
    possible_rise
        As in `PhaseEvidence`, in orders; None if not judged.
    sentence
        The verdict in at most two sentences: phase and gap; then harm, or why it cannot be judged.
    """

    step: float
    stage: Stage
    phase_2: Onset
    gap: Onset
    harm: Onset
    pattern: Onset | None
    best_step: float | None
    rising: bool
    possible_rise: float | None
    sentence: str

    @classmethod
    def of_nothing(cls, why: str, *, level: float = 0.9) -> "Verdict":
        """Return the verdict before the first measurement; its sentences all state why there is none.

        Examples
        --------
        >>> verdict = Verdict.of_nothing("Nothing is measured yet.")
        >>> str(verdict.stage), verdict.harm.found, verdict.sentence
        ('no verdict', False, 'Nothing is measured yet.')
        """
        unknown = Onset.unknown(level, why)
        return cls(np.nan, Stage.NO_VERDICT, unknown, unknown, unknown, None, None, False, None, why)

    @property
    def since(self) -> float | None:
        """Step at which the second phase began; None before it is established."""
        return self.phase_2.step

    @property
    def interval(self) -> tuple[float, float] | None:
        """Interval of `since`."""
        return self.phase_2.interval


def online_verdict(
    trajectory: Trajectory,
    *,
    before: Verdict | None = None,
    pattern: Onset | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Verdict:
    """Return the verdict at the last measurement of a trajectory that is still growing.

    Parameters
    ----------
    trajectory
        Everything measured so far; the same samples at every step, with or without losses.
    before
        The verdict at the previous measurement, if known; saves one fit.
    pattern
        Result of `find_pattern`; used only without held-out losses.
    level, seed
        As in `find_phases`.

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        As `find_phases`.

    Notes
    -----
    The second phase is established when the odds of a fall followed by a rise exceed a quarter of the number of
    measurements at two measurements in a row; a widening gap, when `find_gap_onset` finds it at two in a row; harm, as
    in `find_harm`. The odds required grow with the number of measurements, so frequent measuring does not raise false
    alarms: ``benchmarks/bench_online.py`` simulates trainings without a second phase, ``bench_harm.py`` trainings
    without harm, with a verdict at every measurement. An order that rises from the start has no second phase.

    Examples
    --------
    >>> steps = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
    >>> order_2 = np.array([.9, .8, .6, .3, .1, .1, .1, .3, .5, .7, .8, .9])  # the rest is of order 1
    >>> strength = np.stack([1 - order_2, order_2], axis=-1)[:, None].repeat(8, axis=1)
    >>> verdict = online_verdict(Trajectory(steps, strength))
    >>> str(verdict.stage), 4 < verdict.phase_2.step < 64, verdict.harm.found
    ('phase 2', True, False)
    """
    if before is not None:
        instance(before, "before", Verdict, do="Pass the previous step's verdict, or leave it out.")
    now, earlier = _look(trajectory, level=level, seed=seed), _before(trajectory)
    twice = now.rising and earlier is not None
    if twice and before is not None:
        twice = before.rising
    elif twice and earlier is not None:
        twice = _look(earlier, level=level, seed=seed).rising
    gap = _gap(trajectory, level=level, seed=seed)
    if gap.found and (earlier is None or not _gap(earlier, level=level, seed=seed).found):
        why = f"Only the last measurement shows the loss gap growing, by {gap.growth:.2g}."
        gap = Onset.unknown(level, why, gap.probability)
    return _verdict(trajectory, now, gap, established=twice, pattern=pattern, level=level, seed=seed)


def whole_verdict(
    trajectory: Trajectory,
    *,
    phases: Phases | None = None,
    pattern: Onset | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Verdict:
    """Return the verdict on a finished training, judged once: phases by `find_phases`, the gap by `find_gap_onset`.

    Parameters
    ----------
    trajectory, pattern, level, seed
        As in `online_verdict`.
    phases
        Result of `find_phases` for this trajectory, level and seed, if known; saves one fit.

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        As `find_phases`.

    Examples
    --------
    >>> flat = Trajectory(np.arange(10.0), np.ones((10, 8, 2)))
    >>> whole_verdict(flat).sentence.split(":")[0]
    'At step 9'
    """
    if phases is None:
        phases = find_phases(trajectory, level=level, seed=seed)
    instance(phases, "phases", Phases, do="Pass the result of `find_phases`, or leave it out.")
    judged = Judged(phases.evidence or PhaseEvidence(), rise_starts=phases.rise_starts)
    now = _look(trajectory, level=level, seed=seed, judged=judged)
    gap = phases.gap or Onset.unknown(level, "")
    return _verdict(trajectory, now, gap, established=phases.found, pattern=pattern, level=level, seed=seed)


def online_verdicts(trajectory: Trajectory) -> tuple[Verdict, ...]:
    """Return the verdict at every measurement of a trajectory, each from what was known then, as `online_verdict` does.

    Examples
    --------
    >>> flat = Trajectory(np.arange(10.0), np.ones((10, 8, 2)))
    >>> {str(verdict.stage) for verdict in online_verdicts(flat)}
    {'no verdict'}
    """
    instance(trajectory, "trajectory", Trajectory, do="Build a `Trajectory` from steps and strengths.")
    out: list[Verdict] = []
    for count in _ends(trajectory):
        out.append(online_verdict(trajectory.first(count), before=out[-1] if out else None))
    return tuple(out)


def _ends(trajectory: Trajectory) -> list[int]:
    """Return the number of steps up to the end of each measurement."""
    if trajectory.window is None:
        return list(range(1, len(trajectory.steps) + 1))
    return [int(n) for n in np.cumsum(np.unique(trajectory.window, return_counts=True)[1])]


def _before(trajectory: Trajectory) -> Trajectory | None:
    """Return the trajectory without its last measurement."""
    ends = _ends(trajectory)
    return trajectory.first(ends[-2]) if len(ends) > 1 else None


@dataclass(frozen=True)
class _Look:
    """The finder's evidence on the mean order at one measurement, or ``why`` there is none."""

    judged: Judged
    count: int
    why: str = ""

    @property
    def rising(self) -> bool:
        e = self.judged.evidence
        odds = e.two_phases > (1 - e.two_phases) * self.count / ODDS
        return odds and min(e.fall, e.rise) >= SMALLEST_CHANGE


def _look(trajectory: Trajectory, *, level: float, seed: int, judged: Judged | None = None) -> _Look:
    instance(trajectory, "trajectory", Trajectory, do="Build a `Trajectory` from steps and strengths.")
    steps, strength = (
        checked_steps(trajectory.steps, level=level, seed=seed),
        real_array(trajectory.strength, "strength", axes=3),
    )
    if not len(steps):
        raise ShapeError("`trajectory` must have at least one step; got none. Measure the network first.")
    usable = np.isfinite(strength).all(axis=(1, 2)) & (strength.sum(axis=(1, 2)) > 0)
    window = (np.arange(len(steps)) if trajectory.window is None else trajectory.window)[usable]
    why = too_few(window, strength) if usable[-1] else "the last measurement found nothing finite or salient"
    if why:
        return _Look(Judged(PhaseEvidence()), 0, why)
    if judged is None:
        y, samples = trajectory.mean_order[usable], strength.shape[1]
        judged = judge(steps[usable], y, window, level=level, seed=seed, n_samples=samples)
    return _Look(judged, len(np.unique(window)))


def _gap(trajectory: Trajectory, *, level: float, seed: int) -> Onset:
    train, test = trajectory.train_loss, trajectory.test_loss
    if train is None or test is None:
        return Onset.unknown(level, "")
    return find_gap_onset(trajectory.steps, train, test, level=level, seed=seed, window=trajectory.window)


def _verdict(
    trajectory: Trajectory,
    look: _Look,
    gap: Onset,
    *,
    established: bool,
    pattern: Onset | None,
    level: float,
    seed: int,
) -> Verdict:
    """Combine the three statements into a verdict and its sentence."""
    steps, test = trajectory.steps, trajectory.test_loss
    best, harm = None, Onset.unknown(level, UNSEEN)
    accuracy = not _known(test)
    held_out = trajectory.test_accuracy if accuracy else test
    if held_out is not None and _known(held_out):
        window, pattern = trajectory.window, None
        harm = find_harm(steps, held_out, larger_is_better=accuracy, level=level, seed=seed, window=window)
        best = least_loss(steps, held_out, larger_is_better=accuracy)
    short = "" if gap.probability is None else gap.sentence.partition(";")[0]
    stage, phase_2 = _phase(look, established=established, level=level)
    last = pattern.sentence if pattern is not None and pattern.found else harm.sentence
    return Verdict(
        step=float(steps[-1]),
        stage=stage,
        phase_2=phase_2,
        gap=gap,
        harm=harm,
        pattern=pattern,
        best_step=best,
        rising=look.rising,
        possible_rise=None if look.why else look.judged.evidence.possible_rise,
        sentence=f"At step {steps[-1]:,.10g}: {joined((phase_2.sentence, short))} {last}",
    )


def _known(values: Float[np.ndarray, " steps"] | None) -> bool:
    return values is not None and bool(np.isfinite(values).any())


def _phase(look: _Look, *, established: bool, level: float) -> tuple[Stage, Onset]:
    """Return the stage and the statement on the second phase."""
    e, start, stage = look.judged.evidence, look.judged.rise_starts, Stage.NO_VERDICT
    p = None if look.why else e.two_phases
    possible = f"a rise of up to {e.possible_rise:.2f} orders is possible"
    if established and start:
        said = f"Phase 2 began {when(start.interval)}, the mean order up by {e.rise:.2f}."
        return Stage.PHASE_2, Onset(True, start.step, start.interval, level, e.rise, p, said)
    if look.why:
        said = f"No verdict on phases ({look.why})."
    elif look.rising:
        said = f"No verdict on phases (only the last measurement shows a rise, of {e.rise:.2f} orders)."
    elif e.hump > TWO:
        said = f"Not the two phases: the mean order first rises and then falls ({possible})."
    elif e.falls():
        stage, said = Stage.PHASE_1, f"Phase 1, the mean order down by {e.fall:.2f} ({possible})."
    elif e.rises():
        earlier = f"an earlier fall of up to {e.possible_fall:.2f} is possible"
        said = f"No first phase is established: the mean order rises by {e.rise:.2f} ({earlier})."
    else:
        said = f"No verdict on phases (no fall established above noise of {e.noise_std:.2f} orders; {possible})."
    return stage, Onset.unknown(level, said, p)
