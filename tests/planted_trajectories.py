"""Planted trajectories: order spectra over training whose boundary is known, and ones without two phases.

The mean order follows a chosen course over ``log1p(step)``. Every sample has its own scale, offset and delay, its
spectrum is a tilted binomial with that mean, each entry carries its own gamma noise, and every step a disturbance
common to all samples (training noise), whose standard deviation in orders is the stated noise.
The true boundary is where the noiseless population mean, averaged over delays, is least.
"""

from dataclasses import dataclass
from math import comb

import numpy as np

from interdyn.values import Trajectory

TURNS = ("stick", "sharp", "smooth", "sigmoid", "plateau")
NULLS = ("falling", "flat", "rising", "noise", "hump")
NOISE = (0.02, 0.10)  # stated: common noise of the mean order, in orders, log-uniform between these


@dataclass(frozen=True)
class Planted:
    trajectory: Trajectory
    kind: str
    boundary: float | None  # in steps
    noise: float


def _softplus(u, width):
    return np.logaddexp(0.0, u / width) * width


def _two_phase_course(kind, rng):
    """Return the noiseless mean order as a function of the place in [0, 1] on the log axis."""
    c = rng.uniform(0.2, 0.8)
    low = rng.uniform(1.3, 2.0)
    fall, rise = rng.uniform(1.0, 2.5), rng.uniform(0.5, 1.5)
    start, end = rng.uniform(0, 0.5) * c, 1 - rng.uniform(0, 0.4) * (1 - c)  # plateaus before and after
    if kind == "stick":
        return lambda x: np.interp(x, [0, c, 1], [low + fall, low, low + rise])
    if kind == "sharp":
        return lambda x: np.interp(x, [start, c, end], [low + fall, low, low + rise])
    if kind == "smooth":
        width = rng.uniform(0.02, 0.08)

        def course(x):
            down, up = fall / (c - start), rise / (end - c)
            return low + _softplus(c - x, width) * down + _softplus(x - c, width) * up

        return course
    if kind == "sigmoid":
        a, b = c * rng.uniform(0.45, 0.7), c + (1 - c) * rng.uniform(0.35, 0.6)
        u, v = c * rng.uniform(0.08, 0.15), (1 - c) * rng.uniform(0.08, 0.18)
        return lambda x: low + fall / (1 + np.exp((x - a) / u)) + rise / (1 + np.exp(-(x - b) / v))
    half = rng.uniform(0.04, 0.1)  # flat bottom, barely curved
    power = rng.uniform(1.0, 2.0)

    def course(x):
        down = np.clip((c - half - x) / (c - half), 0, None) ** power
        up = np.clip((x - c - half) / (1 - c - half), 0, None) ** power
        return (
            low
            + fall * down
            + rise * up
            + 0.02 * ((x - c) / half) ** 2 * (np.abs(x - c) < half)
            + 0.02 * (np.abs(x - c) >= half)
        )

    return course


def _null_course(kind, rng):
    low, size = rng.uniform(1.3, 2.5), rng.uniform(0.8, 2.5)
    tau, p = rng.uniform(0.1, 0.6), rng.uniform(0.8, 2.5)
    if kind == "falling":
        return lambda x: low + size * np.exp(-((np.clip(x, 0, None) / tau) ** p))
    if kind == "rising":
        return lambda x: low + size * (1 - np.exp(-((np.clip(x, 0, None) / tau) ** p)))
    if kind == "hump":
        c = rng.uniform(0.3, 0.7)
        return lambda x: low + size * np.exp(-0.5 * ((x - c) / 0.2) ** 2)
    return lambda x: low + size / 2 + 0 * x


def _tilt(mean, n):
    """Return order distributions with the given means, binomial weights tilted by Newton steps; (..., n)."""
    k = np.arange(1, n + 1)
    log_base = np.log([comb(n, int(i)) for i in k])
    theta = np.zeros(np.shape(mean))
    for _ in range(25):
        p = np.exp(log_base + theta[..., None] * k - (log_base + theta[..., None] * k).max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        m = p @ k
        var = np.maximum(p @ k**2 - m**2, 1e-3)
        theta = np.clip(theta + np.clip((mean - m) / var, -1, 1), -12, 12)
    return p


def _steps(rng):
    first, last = rng.choice([1, 2, 5, 10]), 10 ** rng.uniform(3.0, 5.0)
    inner = np.unique(np.round(np.geomspace(first, last, rng.integers(11, 30))))
    return np.concatenate([[0.0], inner])


def _measure(course, steps, noise, rng):
    """Return the trajectory and the standard deviation of the delays."""
    n, samples = int(rng.integers(6, 13)), int(rng.integers(12, 51))
    x = np.log1p(steps) / np.log1p(steps[-1])
    delay_sd, offset_sd = rng.uniform(0.0, 0.04), rng.uniform(0.1, 0.5)
    delay, offset = rng.normal(0, delay_sd, samples), rng.normal(0, offset_sd, samples)
    scale = np.exp(rng.normal(0, 0.6, samples)) * rng.uniform(0.1, 100)
    common = noise * rng.standard_normal(len(steps))
    target = course(x[:, None] - delay) + offset + common[:, None]
    p = _tilt(np.clip(target, 1.02, n - 0.1), n)
    grow = np.exp(rng.normal(0.5, 1.0) * x)[:, None, None]
    shape = rng.uniform(3.0, 10.0)
    strength = p * scale[:, None] * grow * rng.gamma(shape, 1 / shape, p.shape)
    return Trajectory(steps, strength, unit="logit"), delay_sd


def _lowest(course, delay_sd):
    """Return where on [0, 1] the noiseless population mean is least."""
    fine = np.linspace(0, 1, 2001)
    quantile = np.random.default_rng(0).normal(0, 1, 400)
    quantile = (quantile - quantile.mean()) * delay_sd
    return fine[course(fine[:, None] - quantile).mean(axis=1).argmin()]


def two_phases(count, *, seed, noise=None):
    """Return `count` planted trajectories with a boundary."""
    out = []
    for i, rng in enumerate(np.random.default_rng(seed).spawn(count)):
        kind = TURNS[i % len(TURNS)]
        level = noise if noise is not None else float(np.exp(rng.uniform(*np.log(NOISE))))
        steps = _steps(rng)
        course = _two_phase_course(kind, rng)
        trajectory, delay_sd = _measure(course, steps, level, rng)
        boundary = float(np.expm1(_lowest(course, delay_sd) * np.log1p(steps[-1])))
        out.append(Planted(trajectory, kind, boundary, level))
    return out


def without_two_phases(count, *, seed, noise=None):
    """Return `count` trajectories that fall, rise, stay, are noise (three times the stated), or rise and fall."""
    out = []
    for i, rng in enumerate(np.random.default_rng(seed).spawn(count)):
        kind = NULLS[i % len(NULLS)]
        level = noise if noise is not None else float(np.exp(rng.uniform(*np.log(NOISE))))
        level = 3 * level if kind == "noise" else level
        trajectory, _ = _measure(_null_course(kind, rng), _steps(rng), level, rng)
        out.append(Planted(trajectory, kind, None, level))
    return out
