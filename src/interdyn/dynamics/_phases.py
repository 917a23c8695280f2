"""The two phases of a trajectory: the mean order falls, then rises; where it turns, and how sure that is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from interdyn._arguments import instance, number, real_array
from interdyn.dynamics._curve import MIN_SAMPLES, MIN_STEPS, check_settings, checked_steps
from interdyn.dynamics._onset import GapOnset, find_gap_onset
from interdyn.dynamics._spindle import InitialOrders, initial_orders
from interdyn.dynamics._turn import PhaseEvidence, PhaseStatus, agreement, edges, find_turn, verdict
from interdyn.errors import InputError
from interdyn.values import Trajectory


@dataclass(frozen=True)
class Phases:
    """The phases of one trajectory.

    Attributes
    ----------
    found
        Whether the data support a first and a second phase.
    status
        The verdict as one of `PhaseStatus`.
    sentence
        The verdict in words, with its reason.
    boundary_step
        Where the mean order is least, in steps (between checkpoints, too); None unless found.
    interval
        ``(low, high)`` in steps, which holds the boundary with probability ``level``; None unless found.
    level
        Probability of all intervals.
    phase_1, phase_2
        First and last step of each phase; None unless found. Where the order only rises there is a second phase without
        a first: from its least value on.
    in_phase_2
        For each step of the trajectory whether it lies in the second phase; all False without one.
    initial
        The order distribution of the first checkpoint against the spindle law; None where nothing was salient.
    gap
        The start of growth of the loss gap; None when no losses were recorded.
    agreement
        In words, whether boundary and start of growth agree.
    evidence
        The numbers behind the verdict; None when the data were too few for any.
    """

    found: bool
    status: PhaseStatus
    sentence: str
    boundary_step: float | None
    interval: tuple[float, float] | None
    level: float
    phase_1: tuple[float, float] | None
    phase_2: tuple[float, float] | None
    in_phase_2: Bool[np.ndarray, " steps"]
    initial: InitialOrders | None
    gap: GapOnset | None
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
        at = "" if self.boundary_step is None else f", boundary at step {self.boundary_step:.4g}"
        return f"Phases({str(self.status)!r}{at})"


def find_phases(
    trajectory: Trajectory, *, level: float = 0.9, n_bootstrap: int = 500, seed: int = 0, smallest_change: float = 0.1
) -> Phases:
    r"""Find the two phases of training: the mean order falls, then rises.

    $$\bar k(t) = \frac{\sum_x \sum_k k\, I_{x,t}(k)}{\sum_x \sum_k I_{x,t}(k)}, \qquad
    \text{boundary} = \arg\min_t \bar k(t)$$

    Parameters
    ----------
    trajectory
        Strength per order at each step, ``(steps, samples, orders)``, with or without losses. The same samples at
        every step. Steps where nothing is salient are left out, and the sentence says so.
    level
        Probability of all intervals.
    n_bootstrap
        Number of curves drawn, each from a resampled set of samples, and of replicates of each test.
    seed
        Of the draws. The same trajectory, settings and seed give the same result; the order of samples and
        the unit of strength do not matter.
    smallest_change
        The smallest fall or rise that counts as a phase, in orders.

    Returns
    -------
    Phases, also where there is no verdict: fewer than 6 usable steps or 2 samples, or a fall or rise that may or may
    not be there.

    Raises
    ------
    InputError
        If the steps do not ascend, a strength is negative or not finite, or a setting is out of range.

    Notes
    -----
    Boundary and interval are quantiles of the lowest point of curves drawn from the posterior of the course
    (`curve_posterior`): resampled samples, training noise and the unknown course between checkpoints are all in it.
    Fall and rise are each tested at 2.5 % against the best course without (`turn_test`); both are needed.
    On planted trajectories with training noise of 0.02 to 0.10 orders, 90 % intervals hold about 92 % of the
    boundaries (``benchmarks/bench_phases.py``); for abrupt turns between checkpoints far apart, about 86 %.
    Cost: about 40 ms. Source: paper, section 4.

    Examples
    --------
    >>> steps = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256])
    >>> order_2 = np.array([.9, .8, .6, .3, .1, .2, .4, .5, .6, .7])  # the rest is of order 1
    >>> strength = np.stack([1 - order_2, order_2], axis=-1)[:, None].repeat(8, axis=1)
    >>> phases = find_phases(Trajectory(steps, strength))
    >>> phases.found, 4 < phases.boundary_step < 16
    (True, True)
    """
    level, n_bootstrap, seed = check_settings(level, n_bootstrap, seed)
    instance(trajectory, "trajectory", Trajectory, do="Make one of steps and strength.")
    smallest_change = number(smallest_change, "smallest_change", least=0, do="Pass a number of orders, such as 0.1.")
    steps, strength = checked_steps(trajectory.steps), _checked_strength(trajectory.strength)
    usable = strength.sum(axis=(1, 2)) > 0
    turn, reason = None, _too_few(int(usable.sum()), strength.shape[1], strength.shape[2])
    if not reason:
        turn = find_turn(steps[usable], strength[usable], level=level, n_bootstrap=n_bootstrap, seed=seed)
    status, sentence = PhaseStatus.NO_VERDICT, reason
    if turn:
        status, sentence = verdict(turn, level=level, smallest_change=smallest_change)
    found = status in (PhaseStatus.TWO_PHASES, PhaseStatus.WEAK)
    boundary, interval = (turn.boundary, turn.interval) if turn and found else (None, None)
    rises_from = turn.boundary if turn and (found or status is PhaseStatus.ONLY_RISES) else None
    if interval:
        sentence += edges(interval, steps[usable])
    if not usable.all():
        names = ", ".join(f"{s:g}" for s in steps[~usable])
        sentence += f" Left out, because nothing is salient there: step {names}."
    gap = None
    if trajectory.train_loss is not None and trajectory.test_loss is not None:
        gap = find_gap_onset(
            steps, trajectory.train_loss, trajectory.test_loss, level=level, n_bootstrap=n_bootstrap, seed=seed
        )
    first = strength[0].sum(axis=0) if len(steps) else np.zeros(0)
    return Phases(
        found=found,
        status=status,
        sentence=sentence,
        boundary_step=boundary,
        interval=interval,
        level=level,
        phase_1=None if boundary is None else (float(steps[0]), boundary),
        phase_2=None if rises_from is None else (rises_from, float(steps[-1])),
        in_phase_2=np.zeros(len(steps), bool) if rises_from is None else steps >= rises_from,
        initial=initial_orders(first / first.sum(), step=float(steps[0])) if first.sum() > 0 else None,
        gap=gap,
        agreement=agreement(boundary, interval, gap),
        evidence=turn.evidence if turn else None,
    )


def _checked_strength(strength: Float[np.ndarray, "steps samples orders"]) -> Float[np.ndarray, "steps samples orders"]:
    """Return the strength as float64 with a largest entry of 1, refused when negative or not finite."""
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


def _too_few(n_steps: int, n_samples: int, n_orders: int) -> str:
    """Return why the data allow no verdict, or an empty sentence."""
    if n_steps < MIN_STEPS:
        return f"No verdict: the mean order is known at {n_steps} steps, and {MIN_STEPS} are needed."
    if n_samples < MIN_SAMPLES:
        return f"No verdict: {n_samples} sample, and {MIN_SAMPLES} are needed to judge the spread between samples."
    if n_orders < 2:
        return "No verdict: with a single order the mean order cannot change."
    return ""
