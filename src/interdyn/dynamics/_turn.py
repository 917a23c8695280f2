"""The lowest point of the mean order: where it lies, and whether there is one."""

import numpy as np
from jaxtyping import Float

from interdyn.dynamics._curve import CurvePosterior, curve_posterior, steps_at, time_axis
from interdyn.dynamics._shape import level_stretch, turn_test
from interdyn.dynamics._verdict import PhaseEvidence, Turn


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
