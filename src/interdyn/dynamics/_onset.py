"""When the gap between test and training loss starts to grow: every place is weighed by what leaves it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from interdyn._arguments import real_array
from interdyn.dynamics._curve import (
    ALPHA,
    MIN_STEPS,
    check_settings,
    checked_steps,
    curve_posterior,
    steps_at,
    time_axis,
)
from interdyn.dynamics._shape import turn_test
from interdyn.errors import InputError


@dataclass(frozen=True)
class Branch:
    """What observations of one branch tell, for each place it may leave from and each variance of the noise.

    With ``K`` the covariance of the branch at the observations and ``r`` the variance of the noise, sums are over the
    observations of the branch, and ``u, w`` are each of the two columns.

    Attributes
    ----------
    log_det
        ``log det(K + r I)``, shape ``(places, ratios)``.
    products
        ``u' (K + r I)^-1 w``, shape ``(2, 2, places, ratios)``.
    expected
        ``K (K + r I)^-1 u``: the expected course, shape ``(2, steps, places, ratios)``; 0 off the branch.
    """

    log_det: Float[np.ndarray, "places ratios"]
    products: Float[np.ndarray, "2 2 places ratios"]
    expected: Float[np.ndarray, "2 steps places ratios"]


def branch(
    distance: Float[np.ndarray, "places steps"],
    on: Bool[np.ndarray, "places steps"],
    columns: Float[np.ndarray, "2 steps"],
    *,
    slope: float,
    wander: float,
    ratios: Float[np.ndarray, " ratios"],
) -> Branch:
    r"""Return likelihood and expected course of a branch, by a Kalman filter and smoother over its steps.

    $$f(d) = s\,d + \int_0^d W, \quad s \sim N(0, \texttt{slope}), \quad W \text{ Brownian of variance }
    \texttt{wander}$$

    Parameters
    ----------
    distance
        Of each step from each place, ascending along steps, 0 off the branch.
    on
        Which steps are on the branch of each place.
    columns
        Two columns of observations: the course, and ones for its mean.
    slope, wander, ratios
        Variances of the first slope and of its change over a distance of 1, and of the noise.

    Notes
    -----
    Cost ``steps * places * ratios``. Oracle: ``tests/oracles.py``, `branch_by_matrices`.
    Source: de Jong (1989), Smoothing and interpolation with the state-space model.
    """
    steps, shape = distance.shape[1], (len(distance), len(ratios))
    gaps = np.diff(distance, axis=1, prepend=0.0)
    f, s = np.zeros((2, *shape)), np.zeros((2, *shape))  # expected course and slope, for each column
    ff, fs, ss = np.zeros(shape), np.zeros(shape), np.full(shape, slope)  # their covariance
    log_det, products, kept = np.zeros(shape), np.zeros((2, 2, *shape)), []
    for i in range(steps):
        d, seen = gaps[:, i, None], on[:, i, None]
        f = f + d * s
        ff = ff + 2 * d * fs + d**2 * ss + wander * d**3 / 3
        fs = fs + d * ss + wander * d**2 / 2
        ss = ss + wander * d
        total = ff + ratios
        error = columns[:, i, None, None] - f
        weight = np.where(seen, 1 / total, 0.0)
        gain_f, gain_s = ff * weight, fs * weight
        kept.append((f, ff, fs, error * weight, gain_f, gain_s))
        log_det += np.where(seen, np.log(total), 0.0)
        products += error[:, None] * error * weight
        f, s = f + gain_f * error, s + gain_s * error
        ff, fs, ss = ff - gain_f * ff, fs - gain_f * fs, ss - gain_s * fs
    expected = np.zeros((2, steps, *shape))
    back_f, back_s = np.zeros((2, *shape)), np.zeros((2, *shape))
    for i in reversed(range(steps)):
        f, ff, fs, pull, gain_f, gain_s = kept[i]
        back_f = pull + (1 - gain_f) * back_f - gain_s * back_s
        expected[:, i] = f + ff * back_f + fs * back_s  # 0 where the distance is
        back_s = back_s + gaps[:, i, None] * back_f
    return Branch(log_det, products, expected)


PLACES = 61  # grid of the onset on the time axis; the ends are none
BENDS = (1.0, 8.0)  # variance of the change of slope per axis, in squared first slopes
FALLS = ((0.0, 0.0), (1.0, 0.0), (1.0, 8.0))  # before the onset: variance of the first slope, and of its change
SLACK = 2.0  # noise standard deviations by which the expected course may undercut the onset
RATIOS = np.geomspace(1e-6, 3.0, 8)  # noise variance over squared first slope


@dataclass(frozen=True)
class GapOnset:
    """The start of growth of ``test loss - train loss``.

    Attributes
    ----------
    found
        Whether the data support that the gap grows.
    step
        Where the growth starts, in steps (between checkpoints, too), or None.
    interval
        ``(low, high)`` in steps, which holds the onset with probability ``level``, or None.
    level
        Probability of the interval.
    growth
        Gap at the last checkpoint less the gap at the onset, in units of the loss, or None.
    p_value
        Of the growth, against a gap that never grows, or None when it could not be tested.
    sentence
        The same in words, with the reason when nothing was found.
    """

    found: bool
    step: float | None
    interval: tuple[float, float] | None
    level: float
    growth: float | None
    p_value: float | None
    sentence: str


def find_gap_onset(
    steps: Float[np.ndarray, " steps"],
    train_loss: Float[np.ndarray, " steps"],
    test_loss: Float[np.ndarray, " steps"],
    *,
    level: float = 0.9,
    n_bootstrap: int = 500,
    seed: int = 0,
) -> GapOnset:
    r"""Find the step from which the gap between test and training loss grows.

    Over the logarithmic time axis the gap is level or falls up to the onset ``c`` and grows from there, with slopes
    that wander:

    $$g(x) = a + b_0 (c - x)_+ + b_1 (x - c)_+ + \textstyle\int_c^x W, \quad b_1 > 0, \quad g(x) \ge g(c)$$

    with ``W`` a Brownian motion on either side. Every onset is weighed by its marginal likelihood over slopes, wander
    and noise; onset and interval are quantiles of ``c``. A gap that dips first (wrong labels count in the training
    loss from the start) has its onset at the lowest point.

    Parameters
    ----------
    steps
        Optimiser steps, strictly ascending and not negative, shape ``(steps,)``.
    train_loss, test_loss
        Mean losses at each step, shape ``(steps,)``, in one unit. Steps with a loss that is not finite are left out.
    level
        Probability of the interval.
    n_bootstrap
        Number of replicates of the test of growth.
    seed
        Of the replicates.

    Returns
    -------
    GapOnset

    Raises
    ------
    InputError
        If the steps do not ascend, the lengths differ, or a setting is out of range.

    Notes
    -----
    Growth is tested at 2.5 % against the best course that never grows (the rise of `turn_test`).
    Cost: about 50 ms for 30 steps, and in proportion to their number.
    Source: paper, section 4: the second phase starts with the growth of this gap.

    Examples
    --------
    >>> steps = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256])
    >>> gap = np.array([0, .01, 0, .01, 0, .1, .2, .31, .4, .5])
    >>> onset = find_gap_onset(steps, np.zeros(10), gap)
    >>> onset.found, 4 < onset.step < 16
    (True, True)
    """
    level, n_bootstrap, seed = check_settings(level, n_bootstrap, seed)
    steps = checked_steps(steps)
    train, test = real_array(train_loss, "train_loss"), real_array(test_loss, "test_loss")
    gap = test - train if test.shape == train.shape else np.zeros((0, 0))
    if gap.shape != steps.shape:
        raise InputError(
            f"`train_loss` and `test_loss` must have one value for each of the {len(steps)} steps; got shapes "
            f"{train.shape} and {test.shape}. Pass the losses measured at these steps."
        )
    usable = np.isfinite(gap)
    steps, gap = steps[usable], gap[usable]
    if len(steps) < MIN_STEPS:
        why = f"The loss gap is known at {len(steps)} steps, and {MIN_STEPS} are needed to judge its growth."
        return GapOnset(False, None, None, level, None, None, why)
    return _onset(steps, gap, level, n_bootstrap, np.random.default_rng(seed))


def _onset(
    steps: Float[np.ndarray, " steps"],
    gap: Float[np.ndarray, " steps"],
    level: float,
    n_bootstrap: int,
    rng: np.random.Generator,
) -> GapOnset:
    """Test the growth of a checked gap and place its onset."""
    spread = float(np.ptp(gap))
    if spread <= 1e-12 * max(1.0, float(np.abs(gap).max())):
        return GapOnset(False, None, None, level, None, 1.0, "The loss gap never changes, so it has no onset.")
    x, y = time_axis(steps), (gap - gap.mean()) / spread
    posterior = curve_posterior(x, y, np.tile(y, (n_bootstrap, 1)), rng=rng)
    p = turn_test(y, posterior, rng=rng).rise
    if p > ALPHA:
        why = f"The loss gap does not grow by more than its noise (p = {p:.2g}), so it has no onset."
        return GapOnset(False, None, None, level, None, p, why)
    onset, weight = _onset_weights(x, y)
    low, middle, high = _quantiles(onset, weight, ((1 - level) / 2, 0.5, (1 + level) / 2))
    step, low, high = (float(s) for s in steps_at(np.array([middle, low, high]), steps))
    growth = float(gap[-1] - np.interp(step, steps, gap))
    sentence = (
        f"The loss gap grows from step {step:.4g} on ({level:.0%} interval {low:.4g} to {high:.4g}), by {growth:.3g} "
        f"up to the last checkpoint (p = {p:.2g})."
    )
    return GapOnset(True, step, (low, high), level, growth, p, sentence)


def _onset_weights(
    x: Float[np.ndarray, " steps"], y: Float[np.ndarray, " steps"]
) -> tuple[Float[np.ndarray, " places"], Float[np.ndarray, " places"]]:
    """Return candidate onsets and the posterior weight of each."""
    places = np.linspace(0.0, 1.0, PLACES)[1:-1]
    distance = x - places[:, None]
    columns, back = np.stack([y, np.ones_like(y)]), slice(None, None, -1)
    later = [
        branch(np.maximum(distance, 0.0), distance > 0, columns, slope=1.0, wander=bend, ratios=RATIOS)
        for bend in BENDS
    ]
    sooner = [
        branch(
            np.maximum(-distance, 0.0)[:, back],
            (distance <= 0)[:, back],
            columns[:, back],
            slope=slope,
            wander=slope * change,
            ratios=RATIOS,
        )
        for slope, change in FALLS
    ]
    log_weight = np.stack([_log_evidence(grows, falls, distance, y) for grows in later for falls in sooner])
    weight = np.exp(log_weight - log_weight.max()).sum(axis=(0, 2))
    return places, weight / weight.sum()


def _log_evidence(
    grows: Branch, falls: Branch, distance: Float[np.ndarray, "places steps"], y: Float[np.ndarray, " steps"]
) -> Float[np.ndarray, "places ratios"]:
    """Return the log marginal likelihood of each onset and noise ratio, mean and amplitude integrated out.

    It is -inf where the expected course does not grow from the onset on, or is lower elsewhere than there by more than
    the noise explains. ``falls`` has its steps from the onset backwards.
    """
    products = grows.products + falls.products
    mass = products[1, 1]
    mean = products[0, 1] / mass
    misfit = np.maximum(products[0, 0] - mean * products[0, 1], 1e-14 * products[0, 0])
    freedom = len(y) - 1
    log_likelihood = -0.5 * (grows.log_det + falls.log_det + np.log(mass) + freedom * np.log(misfit))
    expected = grows.expected + falls.expected[:, ::-1]
    course = expected[0] - mean * expected[1]  # less its value at the onset; (steps, places, ratios)
    residual = y[:, None, None] - mean - course  # times a number that is positive
    noise = np.sqrt(RATIOS * misfit / freedom)
    rises = (residual * np.maximum(distance, 0.0).T[..., None]).sum(axis=0) > 0
    possible = rises & (course.min(axis=0) >= -SLACK * noise)
    return np.where(possible, log_likelihood, -np.inf)


def _quantiles(
    values: Float[np.ndarray, " values"], weights: Float[np.ndarray, " values"], at: tuple[float, ...]
) -> tuple[float, ...]:
    """Return quantiles of weighted values on their grid, interpolated."""
    place, index = np.unique(values, return_inverse=True)
    mass = np.bincount(index, weights=weights)
    middle = np.cumsum(mass) - mass / 2
    return tuple(float(q) for q in np.interp(at, middle, place))
