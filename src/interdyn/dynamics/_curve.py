"""The course behind noisy checkpoints: what is asked of them, and draws from the posterior of a curve.

A curve over the time axis is a smooth random function (Matérn 5/2, of many length scales) plus at most one kink of
unknown place. Mean and amplitude are integrated out; length scale, noise level and kink are averaged by their
marginal likelihood. No shape is imposed: a sharp turn and a round one both have their place, and between two
checkpoints the curve is as uncertain as its roughness makes it.

The noise is what the curve cannot follow. Much of it is common to all samples (training noise) and so cannot be seen by
resampling samples; hence each draw takes both, a resampled set of samples and a curve given noise.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from interdyn._arguments import draws, number, real_array, told
from interdyn._arguments import seed as checked_seed
from interdyn.errors import InputError

MIN_STEPS = 6
MIN_SAMPLES = 2
ALPHA = 0.025  # of each of the two tests; a false second phase then stays well below 5 %


def check_settings(level: float, n_bootstrap: int, seed: int) -> tuple[float, int, int]:
    """Return level, draws and seed as numbers.

    Refused are a level outside (0, 1), and too few draws to have p-values below `ALPHA`.
    """
    level = number(level, "level", least=0, most=1, open_=True, do="For a 90 % interval pass level=0.9.")
    seed, n_bootstrap = checked_seed(seed), draws(n_bootstrap, "n_bootstrap")
    if n_bootstrap < 100:
        raise InputError(
            f"`n_bootstrap` must be at least 100 for a p-value to be worth its name; got {n_bootstrap}. "
            "Leave it at 500."
        )
    return level, n_bootstrap, seed


def checked_steps(steps: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """Return the steps as float64, strictly ascending, finite and not negative."""
    out = real_array(steps, "steps")
    if out.ndim != 1 or not np.isfinite(out).all() or (out < 0).any() or (np.diff(out) <= 0).any():
        raise InputError(
            f"`steps` must be one row of finite numbers, not negative and strictly ascending; got {told(steps)}. "
            "Sort the checkpoints by step and keep one of each."
        )
    return out


LENGTHS = np.geomspace(0.1, 1.6, 6)  # in units of the whole axis
NOISE_RATIOS = np.geomspace(1e-5, 30.0, 12)  # noise variance over curve variance
KINK_SLOPE = 5.0  # standard deviation of the change of slope, in curve deviations per axis
KINK_SHARE = 0.9  # prior probability that there is a kink; its place is uniform
GRID = 121
_JITTER = 1e-9


@dataclass(frozen=True)
class CurvePosterior:
    """Draws of the curve behind a series.

    Attributes
    ----------
    grid
        Places of the draws on the time axis, ``(points,)``, ascending in ``[0, 1]``; contains every checkpoint.
    draws
        Curves, ``(draws, points)``, each given a resampled set of samples.
    noise_std
        Standard deviation of the noise of one checkpoint, ``(draws,)``.
    sampling
        Smoothed deviation of each resampled series from the given one, ``(draws, checkpoints)``.
    """

    grid: Float[np.ndarray, " points"]
    draws: Float[np.ndarray, "draws points"]
    noise_std: Float[np.ndarray, " draws"]
    sampling: Float[np.ndarray, "draws checkpoints"]


class _Model(NamedTuple):
    """Evidence of each (kernel, noise ratio, kink), and what predictions need; data are in the kernel's eigenbasis."""

    weight: Float[np.ndarray, "kernels ratios kinks"]
    misfit: Float[np.ndarray, "kernels ratios kinks"]
    stiffness: Float[np.ndarray, "kernels ratios kinks"]
    basis: Float[np.ndarray, "kernels checkpoints checkpoints"]
    precision: Float[np.ndarray, "kernels ratios checkpoints"]
    level: Float[np.ndarray, "kernels checkpoints"]
    bends: Float[np.ndarray, "kernels kinks checkpoints"]
    covariance: Float[np.ndarray, "kernels points checkpoints"]
    kinks: Float[np.ndarray, "kinks points"]


def time_axis(steps: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """Map steps to ``[0, 1]``: ``log1p(step / first positive step)``, so that step 0 has a place.

    Examples
    --------
    >>> time_axis(np.array([0.0, 1.0, 3.0]))
    array([0. , 0.5, 1. ])
    """
    x = np.log1p(steps / steps[steps > 0][0])
    return np.asarray((x - x[0]) / (x[-1] - x[0]))


def steps_at(x: Float[np.ndarray, " points"], steps: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " points"]:
    """Undo `time_axis`: the steps at places ``x`` of the axis made by ``steps``.

    Examples
    --------
    >>> steps_at(np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 3.0])).round(12)
    array([0., 1., 3.])
    """
    unit = steps[steps > 0][0]
    low, high = np.log1p(steps[[0, -1]] / unit)
    return np.asarray(np.clip(np.expm1(low + x * (high - low)) * unit, steps[0], steps[-1]))


def _matern(distance: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
    """Return the Matérn 5/2 correlation at a distance in units of the length scale."""
    u = np.sqrt(5.0) * distance
    return np.asarray((1 + u + u**2 / 3) * np.exp(-u))


def _fit(
    kernels: Float[np.ndarray, "kernels points points"],
    kinks: Float[np.ndarray, "kinks points"],
    at: Int[np.ndarray, " checkpoints"],
    y: Float[np.ndarray, " checkpoints"],
) -> _Model:
    """Weigh all models by their marginal likelihood; a kink is an update of rank one of the model without.

    In the eigenbasis of a kernel its sum with any noise is diagonal, so that one decomposition serves all ratios.
    """
    n = len(at)
    values, basis = np.linalg.eigh(kernels[:, at[:, None], at])
    variance = np.maximum(values, 0.0)[:, None, :] + NOISE_RATIOS[:, None]
    precision = 1.0 / variance
    level, seen, bends = basis.sum(axis=1), y @ basis, kinks[:, at] @ basis

    def product(
        a: Float[np.ndarray, "kernels #kinks checkpoints"], b: Float[np.ndarray, "kernels #kinks checkpoints"]
    ) -> Float[np.ndarray, "kernels ratios #kinks"]:
        return np.asarray(precision @ (a * b).swapaxes(1, 2))

    ones, data = level[:, None], seen[:, None]
    mass, bent, total = product(ones, ones), product(bends, ones), product(data, ones)  # the mean is projected out
    stiffness = 1.0 + KINK_SLOPE**2 * (product(bends, bends) - bent**2 / mass)
    plain = product(data, data) - total**2 / mass
    misfit = plain - KINK_SLOPE**2 * (product(bends, data) - bent * total / mass) ** 2 / stiffness
    misfit = np.maximum(misfit, 1e-14 * plain)
    log_det = np.log(variance).sum(axis=-1, keepdims=True) + np.log(mass) + np.log(stiffness)
    log_weight = -0.5 * log_det - 0.5 * (n - 1) * np.log(misfit)
    log_weight[..., 1:] += np.log(KINK_SHARE / (1 - KINK_SHARE) / (len(kinks) - 1))
    weight = np.exp(log_weight - log_weight.max())
    return _Model(weight / weight.sum(), misfit, stiffness, basis, precision, level, bends, kernels[:, :, at], kinks)


def curve_posterior(
    x: Float[np.ndarray, " checkpoints"],
    y: Float[np.ndarray, " checkpoints"],
    resampled: Float[np.ndarray, "draws checkpoints"],
    *,
    rng: np.random.Generator,
) -> CurvePosterior:
    """Draw curves that may lie behind the series ``y`` at places ``x`` in ``[0, 1]``.

    ``resampled`` holds one series for each draw, from resampled samples; pass copies of ``y`` where there are none.
    ``y`` must not be constant.

    Cost: for each of six kernels a decomposition of ``checkpoints`` square, and of the grid where it has weight.
    Source: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, sections 2.7 (explicit mean) and 4.2
    (Matérn). A draw given data is a prior draw corrected by the prediction of its own error.
    """
    grid = np.unique(np.concatenate([np.linspace(0.0, 1.0, GRID), x]))
    at = np.searchsorted(grid, x)
    distance = np.abs(grid[:, None] - grid)
    kernels = np.array([_matern(distance / length) for length in LENGTHS])
    knots = np.concatenate([[1.0], grid[2:-2:2]])  # the first, at the very end, is no kink
    model = _fit(kernels, np.maximum(grid - knots[:, None], 0.0), at, y)

    count = len(resampled)
    chosen = rng.choice(model.weight.size, size=count, p=model.weight.ravel())
    cell = np.stack(np.unravel_index(chosen, model.weight.shape))
    scale = np.sqrt(model.misfit[tuple(cell)] / rng.chisquare(len(y) - 1, size=count))
    noise_std = scale * np.sqrt(NOISE_RATIOS[cell[1]])
    prior = (KINK_SLOPE * rng.standard_normal(count))[:, None] * model.kinks[cell[2]]
    white = rng.standard_normal((count, len(grid)))
    for i in np.unique(cell[0]):
        factor = np.linalg.cholesky(kernels[i] + _JITTER * np.eye(len(grid)))
        prior[cell[0] == i] += white[cell[0] == i] @ factor.T
    prior *= scale[:, None]

    sampling = _predict(model, cell, resampled - y)[:, at]
    # The rough part of the resampled deviations is noise, drawn already: only what is common to all samples is left.
    drawn = ((resampled - y - sampling) ** 2).mean()
    common = np.sqrt(np.maximum(noise_std**2 - drawn, 0.0))
    seen = prior[:, at] + common[:, None] * rng.standard_normal((count, len(y)))
    return CurvePosterior(grid, prior + _predict(model, cell, resampled - seen), noise_std, sampling)


def _predict(
    model: _Model,
    cell: Int[np.ndarray, "3 draws"],
    data: Float[np.ndarray, "draws checkpoints"],
) -> Float[np.ndarray, "draws points"]:
    """Return the expected curve given each row of data, each under its own (kernel, noise ratio, kink)."""
    out = model.kinks[cell[2]]
    for i in np.unique(cell[0]):
        rows = np.flatnonzero(cell[0] == i)
        ratio, kink = cell[1:, rows]
        level, bend, precision = model.level[i], model.bends[i, kink], model.precision[i, ratio]
        pull = precision * level / (precision @ level**2)[:, None]  # of a row, its product with the row is the mean
        rest = data[rows] @ model.basis[i]
        mean = (rest * pull).sum(axis=1, keepdims=True)
        slope = KINK_SLOPE**2 * (bend * precision * (rest - mean * level)).sum(axis=1) / model.stiffness[i, ratio, kink]
        rest -= slope[:, None] * bend
        mean = (rest * pull).sum(axis=1, keepdims=True)
        smooth = (precision * (rest - mean * level)) @ (model.covariance[i] @ model.basis[i]).T
        out[rows] = slope[:, None] * out[rows] + mean + smooth
    return np.asarray(out)
