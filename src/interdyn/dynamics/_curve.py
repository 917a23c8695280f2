"""The course behind noisy checkpoints: draws from the posterior of a curve.

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
    """The evidence of each (kernel, noise ratio, kink), and the linear maps that predict."""

    weight: Float[np.ndarray, "kernels ratios kinks"]
    misfit: Float[np.ndarray, "kernels ratios kinks"]
    slope_from_data: Float[np.ndarray, "kernels ratios kinks checkpoints"]
    precision: Float[np.ndarray, "kernels ratios checkpoints checkpoints"]
    mean_from_data: Float[np.ndarray, "kernels ratios checkpoints"]
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
    """Weigh all models by their marginal likelihood; a kink is an update of rank one of the model without."""
    n = len(at)
    a = kernels[:, None, at[:, None], at] + NOISE_RATIOS[:, None, None] * np.eye(n)
    inverse = np.linalg.inv(a)
    row = inverse.sum(axis=-1)
    mass = row.sum(axis=-1)[..., None]
    precision = inverse - row[..., :, None] * row[..., None, :] / mass[..., None]  # the mean projected out
    h = kinks[:, at]
    hp = h @ precision
    stiffness = 1.0 + KINK_SLOPE**2 * (hp * h).sum(axis=-1)
    slope = KINK_SLOPE**2 * hp / stiffness[..., None]
    plain = ((precision @ y) @ y)[..., None]
    misfit = np.maximum(plain - (slope @ y) * (hp @ y), 1e-14 * plain)
    log_det = (np.linalg.slogdet(a)[1] + np.log(mass[..., 0]))[..., None] + np.log(stiffness)
    log_weight = -0.5 * log_det - 0.5 * (n - 1) * np.log(misfit)
    log_weight[..., 1:] += np.log(KINK_SHARE / (1 - KINK_SHARE) / (len(kinks) - 1))
    weight = np.exp(log_weight - log_weight.max())
    return _Model(weight / weight.sum(), misfit, slope, precision, row / mass, kernels[:, :, at], kinks)


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

    Cost: about 70 inversions of ``checkpoints`` square, a factorisation of the grid for each kernel with weight.
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

    sampling = _predict(model, cell, at, resampled - y)[:, at]
    # The rough part of the resampled deviations is noise, drawn already: only what is common to all samples is left.
    drawn = ((resampled - y - sampling) ** 2).mean()
    common = np.sqrt(np.maximum(noise_std**2 - drawn, 0.0))
    seen = prior[:, at] + common[:, None] * rng.standard_normal((count, len(y)))
    return CurvePosterior(grid, prior + _predict(model, cell, at, resampled - seen), noise_std, sampling)


def _predict(
    model: _Model,
    cell: Int[np.ndarray, "3 draws"],
    at: Int[np.ndarray, " checkpoints"],
    data: Float[np.ndarray, "draws checkpoints"],
) -> Float[np.ndarray, "draws points"]:
    """Return the expected curve given each row of data, each under its own (kernel, noise ratio, kink)."""
    kernel, ratio, kink = cell
    beta = (model.slope_from_data[kernel, ratio, kink] * data).sum(axis=1, keepdims=True)
    out = beta * model.kinks[kink]
    rest = data - out[:, at]
    for i, j in sorted(set(zip(kernel.tolist(), ratio.tolist(), strict=True))):
        rows = (kernel == i) & (ratio == j)
        mean = rest[rows] @ model.mean_from_data[i, j]
        out[rows] += rest[rows] @ model.precision[i, j] @ model.covariance[i].T + mean[:, None]
    return np.asarray(out)
