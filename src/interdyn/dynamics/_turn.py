"""The lowest point of the mean order: where it lies, whether there is one, and what that says of the two phases."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float

from interdyn.dynamics._curve import ALPHA, CurvePosterior, curve_posterior, steps_at, time_axis
from interdyn.dynamics._onset import GapOnset
from interdyn.dynamics._shape import level_stretch, turn_test

WEAK_SHARE = 0.5  # an interval wider than this share of the time axis is weak
ABSENT_SHARE = 1 / 3  # a fall (rise) below this share of the rise (fall), with confidence, is absent
LIKELY = 0.1  # p-value of a rise that is not established, but too likely to call it absent
ABSENT_ORDERS = 0.5  # where neither is established: both below this many orders, with confidence


class PhaseStatus(StrEnum):
    """What the data say about the two phases."""

    TWO_PHASES = "two phases"
    WEAK = "two phases, boundary weak"
    ONLY_FALLS = "one phase, no second phase"
    ONLY_RISES = "no first phase"
    RISES_THEN_FALLS = "rises, then falls"
    FLAT = "no phases"
    NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class PhaseEvidence:
    """The numbers behind the verdict.

    Attributes
    ----------
    fall, rise
        How far the mean order falls before its least value and rises after it, in orders (medians of the draws).
    fall_interval, rise_interval
        Their intervals at the level asked for.
    fall_p, rise_p
        P-values against the best course that does not fall at first, and that does not rise at last.
    hump_p
        P-value of the mirror image, a rise and then a fall: the larger one of its two tests; NaN where not tested.
    noise_std
        Noise of the mean order of one checkpoint, in orders.
    interval_share
        Length of the interval of the lowest point as a share of the logarithmic time axis.
    n_steps, n_samples
        Checkpoints used, and samples.
    """

    fall: float
    fall_interval: tuple[float, float]
    fall_p: float
    rise: float
    rise_interval: tuple[float, float]
    rise_p: float
    hump_p: float
    noise_std: float
    interval_share: float
    n_steps: int
    n_samples: int


@dataclass(frozen=True)
class Turn:
    """The lowest point of a course, ``boundary`` with ``interval`` in steps, and the evidence for it."""

    boundary: float
    interval: tuple[float, float]
    evidence: PhaseEvidence


def verdict(turn: Turn, *, level: float, smallest_change: float) -> tuple[PhaseStatus, str]:
    """Return the status that the evidence supports, and the sentence that says why.

    A fall or rise is established by its p-value and its size. It is absent, which is more than not established, when
    the upper end of its interval is small beside the other; between the two lies "no verdict".
    """
    e = turn.evidence
    falls = e.fall_p <= ALPHA and e.fall >= smallest_change
    rises = e.rise_p <= ALPHA and e.rise >= smallest_change
    fall = f"{e.fall:.2f} orders (p = {e.fall_p:.2g})"
    rise = f"{e.rise:.2f} orders (p = {e.rise_p:.2g})"
    if falls and rises:
        low, high = turn.interval
        weak = e.interval_share > WEAK_SHARE
        sentence = (
            f"Two phases: the mean order falls by {fall} up to step {turn.boundary:.4g} ({level:.0%} interval "
            f"{low:.4g} to {high:.4g}), then rises by {rise}."
        )
        if weak:
            sentence += (
                f" The place of the boundary is weak: its interval spans {e.interval_share:.0%} of the log axis."
            )
        return (PhaseStatus.WEAK if weak else PhaseStatus.TWO_PHASES), sentence
    likely = falls and e.rise_p <= LIKELY  # a second rise that is almost established makes it no mere hump
    if e.hump_p <= ALPHA and not likely:
        return (
            PhaseStatus.RISES_THEN_FALLS,
            f"Not the two phases: the mean order rises at first and then falls (p = {e.hump_p:.2g}); a rise "
            f"after that, of {rise}, is not established.",
        )
    if falls and e.rise_interval[1] <= max(ABSENT_SHARE * e.fall, smallest_change):
        return PhaseStatus.ONLY_FALLS, (
            f"No second phase: the mean order falls by {fall} and then rises by at most "
            f"{e.rise_interval[1]:.2f} orders."
        )
    if rises and e.fall_interval[1] <= max(ABSENT_SHARE * e.rise, smallest_change):
        return PhaseStatus.ONLY_RISES, (
            f"No first phase: the mean order rises by {rise} and falls before that by at most "
            f"{e.fall_interval[1]:.2f} orders."
        )
    if not falls and not rises and max(e.fall_interval[1], e.rise_interval[1]) <= ABSENT_ORDERS:
        return PhaseStatus.FLAT, (
            f"No phases: beside the noise of {e.noise_std:.2f} orders a step the mean order falls by at most "
            f"{e.fall_interval[1]:.2f} and rises by at most {e.rise_interval[1]:.2f} orders."
        )
    return PhaseStatus.NO_VERDICT, (
        f"No verdict: beside the noise of {e.noise_std:.2f} orders a step, a fall of {fall} followed by a rise of "
        f"{rise} is neither established nor ruled out. Measure more checkpoints or more samples."
    )


def edges(interval: tuple[float, float], steps: Float[np.ndarray, " steps"]) -> str:
    """Return a sentence when the interval touches the first or the last checkpoint, else nothing."""
    near = 0.01  # of the first or last gap between checkpoints, finer than the draws
    first = interval[0] <= steps[0] + near * (steps[1] - steps[0])
    last = interval[1] >= steps[-1] - near * (steps[-1] - steps[-2])
    if not (first or last):
        return ""
    which = "the first and the last" if first and last else "the first" if first else "the last"
    return f" The interval touches {which} checkpoint: the boundary may lie beyond the steps measured."


def agreement(boundary: float | None, interval: tuple[float, float] | None, gap: GapOnset | None) -> str:
    """Say whether the boundary and the start of growth of the loss gap agree."""
    if gap is None:
        return "No losses were recorded, so the boundary cannot be compared with the loss gap."
    if boundary is None or interval is None:
        return "There is no boundary to compare with the loss gap."
    if gap.step is None or gap.interval is None:
        return "There is no onset of the loss gap to compare the boundary with."
    apart = f"boundary at step {boundary:.4g}, growth of the loss gap from step {gap.step:.4g}"
    if interval[0] <= gap.interval[1] and gap.interval[0] <= interval[1]:
        return f"They agree: {apart}; their intervals overlap."
    later = "later" if gap.step > boundary else "earlier"
    return f"They differ: {apart}; the gap grows {later}, and their intervals do not overlap."


def find_turn(
    steps: Float[np.ndarray, " steps"],
    strength: Float[np.ndarray, "steps samples orders"],
    *,
    level: float,
    n_bootstrap: int,
    seed: int,
    hump: bool = True,
) -> Turn:
    """Place the lowest point of the mean order, with intervals and tests; something is salient at every step.

    Whether the course is the mirror image, a hump, is only tested where asked for.
    """
    rng = np.random.default_rng(seed)
    y, resampled = _mean_orders(strength, n_bootstrap, rng)
    spread, samples = float(np.ptp(y)), strength.shape[1]
    if spread <= 1e-9:  # a constant course has no posterior: nothing changes, for certain
        none, whole = (0.0, 0.0), (float(steps[0]), float(steps[-1]))
        return Turn(whole[0], whole, PhaseEvidence(0.0, none, 1.0, 0.0, none, 1.0, 1.0, 0.0, 1.0, len(steps), samples))
    center = y.mean()
    y, resampled = (y - center) / spread, (resampled - center) / spread
    x = time_axis(steps)
    posterior = curve_posterior(x, y, resampled, rng=rng)
    tail = (1 - level) / 2
    test = turn_test(y, posterior, rng=rng)
    hump_p = max(turn_test(-y, posterior, rng=rng)) if hump else np.nan
    fall, rise = (spread * np.quantile(a, [tail, 0.5, 1 - tail]) for a in _amplitudes(posterior))
    places = np.quantile(posterior.grid[posterior.draws.argmin(axis=1)], [tail, 0.5, 1 - tail])
    level_from, level_to = level_stretch(x, y / float(np.median(posterior.noise_std)), float(places[1]))
    places[[0, 2]] = min(places[0], level_from), max(places[2], level_to)
    low, middle, high = (float(s) for s in steps_at(places, steps))
    evidence = PhaseEvidence(
        fall=float(fall[1]),
        fall_interval=(float(fall[0]), float(fall[2])),
        fall_p=test.fall,
        rise=float(rise[1]),
        rise_interval=(float(rise[0]), float(rise[2])),
        rise_p=test.rise,
        hump_p=hump_p,
        noise_std=spread * float(np.median(posterior.noise_std)),
        interval_share=float(places[2] - places[0]),
        n_steps=len(steps),
        n_samples=samples,
    )
    return Turn(middle, (low, high), evidence)


def _mean_orders(
    strength: Float[np.ndarray, "steps samples orders"], draws: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, "draws steps"]]:
    """Return the mean order at each step, of the samples given and of resampled ones (Bayesian bootstrap).

    Dirichlet weights are never zero, so that no draw leaves a step with nothing salient.
    """
    moment, total = strength @ np.arange(1.0, strength.shape[2] + 1), strength.sum(axis=2)
    order = np.lexsort(np.concatenate([moment, total]))  # so that the order of samples does not matter
    moment, total = moment[:, order], total[:, order]
    weight = rng.dirichlet(np.ones(total.shape[1]), size=draws)
    return moment.sum(axis=1) / total.sum(axis=1), (weight @ moment.T) / (weight @ total.T)


def _amplitudes(posterior: CurvePosterior) -> tuple[Float[np.ndarray, " draws"], Float[np.ndarray, " draws"]]:
    """Return how far each drawn curve falls before its lowest point, and how far it rises after."""
    draws, rows = posterior.draws, np.arange(len(posterior.draws))
    lowest = draws.argmin(axis=1)
    before = np.maximum.accumulate(draws, axis=1)[rows, lowest]
    after = np.maximum.accumulate(draws[:, ::-1], axis=1)[:, ::-1][rows, lowest]
    least = draws[rows, lowest]
    return before - least, after - least
