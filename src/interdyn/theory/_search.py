"""The noise level whose order distribution is nearest to a measured one, its uncertainty, and a simpler rival."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from interdyn._arguments import real_array, told, whole
from interdyn.errors import InputError
from interdyn.spectra._bootstrap import quantiles_over_draws, resampling_weights, share
from interdyn.theory._expected import strength_by_level
from interdyn.theory._weights import distinct_eigenvalues
from interdyn.values import MAX_PLAYERS, Selection

_PER_DECADE = 6
_FINER = 8  # points of the second grid between two neighbours of the first
_TIE = 1e-9
_CHUNK = 25  # bootstrap draws at a time: about ten MiB for twenty steps


def default_levels(n: int) -> Float[np.ndarray, " levels"]:
    """Return noise levels over all that the theory can distinguish for ``n`` players, six per decade, ascending.

    From a tenth of the smallest eigenvalue (nothing changes below it) to a hundred times the largest (above it ``M``
    only shrinks).

    Examples
    --------
    >>> levels = default_levels(10)
    >>> len(levels), levels[[0, -1]]
    (81, array([2.50...e-11, 3.71...e+02]))
    """
    spectrum = distinct_eigenvalues(whole(n, "n", least=1, most=MAX_PLAYERS, do="Pass the number of players."))
    low, high = spectrum[0] / 10, spectrum[-1] * 100
    return np.geomspace(low, high, int(np.ceil(np.log10(high / low) * _PER_DECADE)) + 1)


def finer_levels(levels: Float[np.ndarray, " levels"], best: Int[np.ndarray, " steps"]) -> Float[np.ndarray, " finer"]:
    """Return new levels between the best ones and their neighbours, ascending, without the old ones.

    Examples
    --------
    >>> finer_levels(np.array([1.0, 10.0, 100.0]), np.array([2])).round(1)
    array([12.9, 16.7, 21.5, 27.8, 35.9, 46.4, 59.9, 77.4])
    """
    starts = np.unique(np.concatenate([best - 1, best]))
    starts = starts[(starts >= 0) & (starts < len(levels) - 1)]
    inside = [np.geomspace(levels[i], levels[i + 1], _FINER + 2)[1:-1] for i in starts]
    return np.concatenate([np.empty(0), *inside])


def total_variation(
    p: Float[np.ndarray, "*p orders"], q: Float[np.ndarray, "*q orders"]
) -> Float[np.ndarray, "*distances"]:
    """Return half the sum of absolute differences of two distributions; NaN where one is undefined.

    Examples
    --------
    >>> total_variation(np.array([1.0, 0.0]), np.array([[0.5, 0.5], [0.0, 1.0]]))
    array([0.5, 1. ])
    """
    return np.asarray(0.5 * np.abs(p - q).sum(axis=-1))


def nearest(distance: Float[np.ndarray, "*batch levels"]) -> Int[np.ndarray, "*batch"]:
    """Return the first level whose distance is smallest (within 1e-9), so that ties go to the smallest noise.

    Examples
    --------
    >>> nearest(np.array([0.3, 0.1 + 1e-12, 0.1, 0.2]))
    array(1)
    """
    # a level with nothing salient shares nothing with anything
    known = np.where(np.isnan(distance), 1.0, distance)
    return np.asarray((known <= known.min(axis=-1, keepdims=True) + _TIE).argmax(axis=-1))


def check_levels(noise_var: Sequence[float] | np.ndarray) -> Float[np.ndarray, " levels"]:
    """Return the levels of a search, checked: at least two, positive, ascending.

    Raises
    ------
    InputError
        If they are not.
    """
    levels = real_array(noise_var, "noise_levels", axes=1, finite=True)
    if levels.ndim != 1 or len(levels) < 2 or not (levels > 0).all() or not (np.diff(levels) > 0).all():
        raise InputError(
            "`noise_levels` must be at least two positive variances, ascending, on one axis; "
            f"got {told(noise_var)}. Pass for example `numpy.logspace(-10, 2, 73)`."
        )
    return levels


class Match(NamedTuple):
    """The theory's prediction at each level, and the nearest level of each step."""

    levels: Float[np.ndarray, " levels"]
    expected: Float[np.ndarray, "levels samples orders"]
    nearest: Int[np.ndarray, " steps"]
    distance: Float[np.ndarray, " steps"]


def match(
    w_star: Selection,
    measured: Float[np.ndarray, "steps orders"],
    *,
    noise_levels: Sequence[float] | np.ndarray | None,
    salience: float,
) -> Match:
    """Return the nearest level of each step: the given ones tried, or the default ones and finer ones around the best.

    Examples
    --------
    >>> import torch
    >>> i_and = torch.tensor([[0.0, 1.0, 1.0, 2.0]], dtype=torch.float64)
    >>> w_star = Selection(i_and, torch.zeros_like(i_and))
    >>> found = match(w_star, np.array([[0.6, 0.4]]), noise_levels=None, salience=0.03)
    >>> found.levels[found.nearest].round(3), found.distance.round(2)
    (array([0.007]), array([0.]))
    """
    levels = default_levels(w_star.n_players) if noise_levels is None else check_levels(noise_levels)
    expected = strength_by_level(w_star, levels, salience=salience)
    index, distance = _nearest_of(expected, measured)
    if noise_levels is None:
        finer = finer_levels(levels, index)
        expected = np.concatenate([expected, strength_by_level(w_star, finer, salience=salience)])
        levels = np.concatenate([levels, finer])
        ascending = levels.argsort()
        levels, expected = levels[ascending], expected[ascending]
        index, distance = _nearest_of(expected, measured)
    return Match(levels, expected, index, distance)


def _nearest_of(
    expected: Float[np.ndarray, "levels samples orders"], measured: Float[np.ndarray, "steps orders"]
) -> tuple[Int[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    distance = total_variation(measured[:, None], share(expected.mean(axis=1)))
    index = nearest(distance)
    return index, np.take_along_axis(distance, index[:, None], axis=1)[:, 0]


def resample(
    found: Match, strength: Float[np.ndarray, "steps samples orders"], *, n_bootstrap: int, seed: int
) -> tuple[Float[np.ndarray, "steps draws"], Float[np.ndarray, "steps draws"]]:
    """Return nearest level and distance in each draw of samples; theory and measurement see the same samples.

    Examples
    --------
    >>> one_sample = np.array([[[3.0, 1.0]], [[1.0, 1.0]]])
    >>> found = Match(np.array([1e-2, 1e-1]), one_sample, np.array([0]), np.array([0.0]))
    >>> resample(found, one_sample[1:], n_bootstrap=2, seed=0)
    (array([[0.1, 0.1]]), array([[0., 0.]]))
    """
    weights = resampling_weights(strength.shape[1], n_bootstrap, seed)
    noise, tv = np.empty((2, len(strength), n_bootstrap))
    for start in range(0, n_bootstrap, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        theory = share(weights[chunk] @ found.expected).swapaxes(0, 1)  # (draws, levels, orders)
        distance = total_variation(share(weights[chunk] @ strength)[:, :, None], theory)
        index = nearest(distance)
        tv[:, chunk] = np.take_along_axis(distance, index[..., None], axis=-1)[..., 0]
        noise[:, chunk] = np.where(np.isnan(tv[:, chunk]), np.nan, found.levels[index])
    return noise, tv


def interval(
    draws: Float[np.ndarray, "steps draws"], estimate: Float[np.ndarray, " steps"], edges: tuple[float, float]
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    """Return two quantiles of the draws, stretched to contain the estimate; NaN where that is NaN.

    Examples
    --------
    >>> interval(np.array([[1.0, 2.0, 3.0]]), np.array([0.5]), (0.25, 0.75))
    (array([0.5]), array([2.5]))
    """
    low, high = quantiles_over_draws(draws[..., None], edges)
    return np.minimum(low[:, 0], estimate), np.maximum(high[:, 0], estimate)


def tilted(p: Float[np.ndarray, " orders"], tilt: Float[np.ndarray, "*tilts"]) -> Float[np.ndarray, "*tilts orders"]:
    r"""Return ``p`` tilted over orders, $q_k \propto p_k e^{\theta k}$.

    Examples
    --------
    >>> tilted(np.array([0.5, 0.5]), np.array([0.0, np.log(3)]))
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    k = np.arange(1, len(p) + 1)
    log_q = np.where(p > 0, np.log(np.where(p > 0, p, 1.0)), -np.inf) + tilt[..., None] * k
    q = np.exp(log_q - log_q.max(axis=-1, keepdims=True))
    return np.asarray(q / q.sum(axis=-1, keepdims=True))


def nearest_tilt(
    measured: Float[np.ndarray, "steps orders"], p: Float[np.ndarray, " orders"]
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    """Return the tilt of ``p`` nearest to each measured distribution, and its distance.

    Searched over [-20, 20] in steps of 0.01, then of 0.0002 around the best; NaN where a distribution is undefined.

    Examples
    --------
    >>> tilt, distance = nearest_tilt(np.array([[0.25, 0.75]]), np.array([0.5, 0.5]))
    >>> tilt.round(2), distance.round(3)
    (array([1.1]), array([0.]))
    """
    tilt, distance = np.full(len(measured), np.nan), np.full(len(measured), np.nan)
    if np.isnan(p).any():
        return tilt, distance
    for t in np.flatnonzero(~np.isnan(measured).any(axis=-1)):
        grid = np.linspace(-20, 20, 4001)
        for width in (0.01, 0.0):
            away = total_variation(measured[t], tilted(p, grid))
            best = away.argmin()
            tilt[t], distance[t] = grid[best], away[best]
            grid = grid[best] + np.linspace(-width, width, 101)
    return tilt, distance
