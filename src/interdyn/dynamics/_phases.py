"""The two phases of a trajectory: where the mean order falls, where it then rises, and how certain that is."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float, Int

from interdyn._arguments import instance, number, real_array
from interdyn._numbers import percent
from interdyn.dynamics._axis import MIN_SAMPLES, MIN_STEPS, checked_steps
from interdyn.dynamics._evidence import ABSENT, SMALLEST_CHANGE, TWO, Judged, PhaseEvidence, Place, judge
from interdyn.dynamics._gap import find_gap_onset
from interdyn.dynamics._onset import Onset, when
from interdyn.dynamics._spindle import InitialOrders, initial_orders
from interdyn.errors import InputError
from interdyn.values import Trajectory

WEAK_SHARE = 0.5  # a boundary whose interval is wider than this share of the time axis is weak


class PhaseStatus(StrEnum):
    """What the data show about the two phases."""

    TWO_PHASES = "two phases"
    WEAK = "two phases, boundary weak"
    ONLY_FALLS = "one phase, no second phase"
    ONLY_RISES = "no first phase"
    RISES_THEN_FALLS = "rises, then falls"
    FLAT = "no phases"
    NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Phases:
    """The phases of one trajectory.

    Attributes
    ----------
    found
        Whether the data support a first and a second phase.
    status, sentence
        The verdict as one of `PhaseStatus`, and as a sentence with its reason.
    fall_ends, rise_starts
        End of the fall of the mean order and start of its rise, each with an interval (`Place`). If the order only
        rises, there is a start of the rise alone. None otherwise.
    boundary_step, interval
        ``interval`` runs from the low end of the fall's end to the high end of the rise's start, and
        ``boundary_step`` is the median of the midpoint between both. In steps, also between checkpoints; None unless
        found.
    level
        Probability of all intervals.
    phase_1, phase_2
        First and last step of each phase: up to the end of the fall, and from the start of the rise.
    in_phase_2
        For each step of the trajectory, whether it lies in the second phase; all False if there is none.
    initial
        The order distribution of the first checkpoint compared with the spindle law; None if nothing was salient.
    gap
        When the loss gap starts to grow; None when no losses were recorded.
    agreement
        A sentence on whether the boundary and the growth of the gap agree.
    evidence
        The numbers behind the verdict; None with too little data for any.
    """

    found: bool
    status: PhaseStatus
    sentence: str
    fall_ends: Place | None
    rise_starts: Place | None
    boundary_step: float | None
    interval: tuple[float, float] | None
    level: float
    phase_1: tuple[float, float] | None
    phase_2: tuple[float, float] | None
    in_phase_2: Bool[np.ndarray, " steps"]
    initial: InitialOrders | None
    gap: Onset | None
    agreement: str
    evidence: PhaseEvidence | None

    @property
    def gap_onset_step(self) -> float | None:
        """Step from which the loss gap grows, or None."""
        return None if self.gap is None else self.gap.step

    @property
    def gap_interval(self) -> tuple[float, float] | None:
        """Interval of `gap_onset_step`, or None."""
        return None if self.gap is None else self.gap.interval

    def __repr__(self) -> str:
        at = (
            ""
            if self.interval is None
            else f", boundary between steps {self.interval[0]:.4g} and {self.interval[1]:.4g}"
        )
        return f"Phases({str(self.status)!r}{at})"


def find_phases(
    trajectory: Trajectory, *, level: float = 0.9, seed: int = 0, smallest_change: float = SMALLEST_CHANGE
) -> Phases:
    r"""Find the two phases of training: the mean order falls, then rises.

    $$\bar k(t) = \frac{\sum_x \sum_k k\, I_{x,t}(k)}{\sum_x \sum_k I_{x,t}(k)}$$

    Parameters
    ----------
    trajectory
        Strength per order at each step, ``(steps, samples, orders)``, with or without losses. The samples must be the
        same at every step. Steps where nothing is salient are left out, and the sentence names them.
    level
        Probability of all intervals.
    seed
        Seed of the posterior draws. The same trajectory, settings and seed give the same result; the order of samples
        and the unit of strength do not matter.
    smallest_change
        The smallest fall or rise that counts as a phase, in orders.

    Returns
    -------
    Phases
        Phases, also without a verdict: with fewer than 6 usable measurements or 2 samples, or if a fall or rise is
        neither established nor excluded.

    Raises
    ------
    InputError
        If the steps do not ascend, a strength is negative or not finite, or a setting is out of range.

    Notes
    -----
    Two phases are claimed when the finder's posterior gives a fall followed by a rise a probability above 0.6. A phase
    is called absent only if a rise (fall) of more than 0.15 orders is not possible; otherwise the sentence states how
    large a rise (fall) is possible. Rates by kind of noise: ``docs/results/finder.md``, made by ``./run bench phases``.
    Cost: 25 ms for 22 checkpoints. Source: paper, section 4.

    Examples
    --------
    >>> steps = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
    >>> order_2 = np.array([.9, .8, .6, .3, .1, .1, .2, .3, .4, .5, .6, .7])  # the rest is of order 1
    >>> strength = np.stack([1 - order_2, order_2], axis=-1)[:, None].repeat(8, axis=1)
    >>> phases = find_phases(Trajectory(steps, strength))
    >>> phases.found, 1 < phases.interval[0] < 8 < phases.interval[1] < 64
    (True, True)
    """
    instance(trajectory, "trajectory", Trajectory, do="Build a `Trajectory` from steps and strengths.")
    smallest_change = number(smallest_change, "smallest_change", least=0, do="Pass a number of orders, such as 0.1.")
    steps, strength = checked_steps(trajectory.steps, level=level, seed=seed), _checked_strength(trajectory.strength)
    usable = strength.sum(axis=(1, 2)) > 0
    window = np.arange(len(steps)) if trajectory.window is None else trajectory.window
    why, judged = too_few(window[usable], strength), Judged(PhaseEvidence())
    status, sentence = PhaseStatus.NO_VERDICT, f"No verdict: {why}."
    if not why:
        y, samples = trajectory.mean_order[usable], strength.shape[1]
        judged = judge(steps[usable], y, window[usable], level=level, seed=seed, n_samples=samples)
        status, sentence = verdict(judged, steps[usable], level=level, smallest_change=smallest_change)
    found = status in (PhaseStatus.TWO_PHASES, PhaseStatus.WEAK)
    boundary = judged.boundary if found else None
    start = judged.rise_starts if found or status is PhaseStatus.ONLY_RISES else None
    if not usable.all():
        names = ", ".join(f"{s:g}" for s in steps[~usable])
        sentence += f" Left out, because nothing was salient: step {names}."
    gap, (train, test) = None, (trajectory.train_loss, trajectory.test_loss)
    if train is not None and test is not None:
        gap = find_gap_onset(steps, train, test, level=level, seed=seed, window=trajectory.window)
    first = strength[0].sum(axis=0) if len(steps) else np.zeros(0)
    return Phases(
        found=found,
        status=status,
        sentence=sentence,
        fall_ends=judged.fall_ends if found else None,
        rise_starts=start,
        boundary_step=None if boundary is None else boundary.step,
        interval=None if boundary is None else boundary.interval,
        level=level,
        phase_1=(float(steps[0]), judged.fall_ends.step) if found and judged.fall_ends else None,
        phase_2=None if start is None else (start.step, float(steps[-1])),
        in_phase_2=np.zeros(len(steps), bool) if start is None else steps >= start.step,
        initial=initial_orders(first / first.sum(), step=float(steps[0])) if first.sum() > 0 else None,
        gap=gap,
        agreement=agreement(boundary, gap),
        evidence=judged.evidence if judged.evidence.n_steps else None,
    )


def verdict(
    judged: Judged, steps: Float[np.ndarray, " steps"], *, level: float, smallest_change: float
) -> tuple[PhaseStatus, str]:
    """Return the status that the evidence supports, and the sentence that gives the reason.

    Absent means more than not established: no fall or rise above `ABSENT` is possible.
    """
    e, end, start, stretch = judged.evidence, judged.fall_ends, judged.rise_starts, judged.boundary
    falls, rises = e.falls(smallest_change), e.rises(smallest_change)
    possible = f"a fall of up to {e.possible_fall:.2f} and a rise of up to {e.possible_rise:.2f} orders are possible"
    if end and start and stretch and judged.two_phases(smallest_change):
        sentence = (
            f"Two phases (probability {e.two_phases:.2f}): a fall of the mean order by {e.fall:.2f} ended "
            f"{when(end.interval)}, a rise by {e.rise:.2f} began {when(start.interval)} ({percent(level)} intervals)."
        )
        if e.interval_share > WEAK_SHARE:
            sentence += f" The boundary is weak: its interval covers {percent(e.interval_share)} of the log axis."
            return PhaseStatus.WEAK, sentence + _edges(stretch.interval, steps)
        return PhaseStatus.TWO_PHASES, sentence + _edges(stretch.interval, steps)
    if e.hump > TWO:
        return PhaseStatus.RISES_THEN_FALLS, (
            f"Not the two phases (probability {e.hump:.2f}): the mean order first rises and then falls; after that, "
            f"a rise of up to {e.possible_rise:.2f} orders is possible."
        )
    if falls and e.possible_rise <= ABSENT:
        return PhaseStatus.ONLY_FALLS, (
            f"No second phase: the mean order falls by {e.fall:.2f} orders, and a rise after that of up to "
            f"{e.possible_rise:.2f} orders is possible."
        )
    if rises and e.possible_fall <= ABSENT:
        return PhaseStatus.ONLY_RISES, (
            f"No first phase: the mean order rises by {e.rise:.2f} orders, and a fall before that of up to "
            f"{e.possible_fall:.2f} orders is possible."
        )
    if max(e.possible_fall, e.possible_rise) <= ABSENT:
        return PhaseStatus.FLAT, f"No phases: with noise of {e.noise_std:.2f} orders per measurement, {possible}."
    above = f"above noise of {e.noise_std:.2f} orders per measurement"
    said = f"neither a fall nor a later rise is established {above}; {possible}"
    if falls:
        said = f"a fall of {e.fall:.2f} orders is established {above}, a later rise is not; one of up to "
        said += f"{e.possible_rise:.2f} orders is possible"
    elif rises:
        said = f"a rise of {e.rise:.2f} orders is established {above}, an earlier fall is not; one of up to "
        said += f"{e.possible_fall:.2f} orders is possible"
    return PhaseStatus.NO_VERDICT, f"No verdict: {said}."


def _edges(interval: tuple[float, float], steps: Float[np.ndarray, " steps"]) -> str:
    """Return a sentence if the interval touches the first or the last checkpoint, else an empty string."""
    near = 0.01  # of the first or last gap between checkpoints, finer than the draws
    first = interval[0] <= steps[0] + near * (steps[1] - steps[0])
    last = interval[1] >= steps[-1] - near * (steps[-1] - steps[-2])
    if not (first or last):
        return ""
    which = "the first and the last" if first and last else "the first" if first else "the last"
    return f" The interval touches {which} checkpoint: the boundary may lie beyond the steps measured."


def agreement(boundary: Place | None, gap: Onset | None) -> str:
    """Return a sentence on whether the boundary and the growth of the loss gap agree."""
    if gap is None:
        return "No losses were recorded, so the boundary cannot be compared with the loss gap."
    if boundary is None:
        return "There is no boundary to compare with the loss gap."
    if gap.step is None or gap.interval is None:
        return "No onset of the loss gap was found to compare with the boundary."
    apart = f"the boundary is {when(boundary.interval)}, the gap began to widen {when(gap.interval)}"
    if boundary.interval[0] <= gap.interval[1] and gap.interval[0] <= boundary.interval[1]:
        return f"Boundary and loss gap agree: {apart}; their intervals overlap."
    later = "later" if gap.step > boundary.step else "earlier"
    return f"Boundary and loss gap differ: {apart}; the gap grows {later}, and their intervals do not overlap."


def _checked_strength(strength: Float[np.ndarray, "steps samples orders"]) -> Float[np.ndarray, "steps samples orders"]:
    """Return the strength as float64, scaled to a largest entry of 1; refuse negative or non-finite strengths."""
    out = real_array(strength, "strength", axes=3)
    bad = np.argwhere(~(np.isfinite(out) & (out >= 0)))
    if len(bad):
        t, sample, k = (int(i) for i in bad[0])
        raise InputError(
            f"`strength` must be finite and not negative; got {out[t, sample, k]} at step index {t}, sample {sample}, "
            f"order {k + 1}. Pass sums of |I(S)|, such as `OrderSpectrum.strength`."
        )
    largest = out.max(initial=0.0)
    return out / largest if largest > 0 else out


def too_few(window: Int[np.ndarray, " usable"], strength: Float[np.ndarray, "steps samples orders"]) -> str:
    """Return why the data allow no verdict, or an empty string; ``window`` numbers the usable measurements."""
    known, (n_samples, n_orders) = len(np.unique(window)), strength.shape[1:]
    if known < MIN_STEPS:
        return f"the mean order is known at {known} of the {MIN_STEPS} steps needed"
    if n_samples < MIN_SAMPLES:
        return f"{n_samples} of the {MIN_SAMPLES} samples needed were measured"
    if n_orders < 2:
        return "with a single order the mean order cannot change"
    return ""
