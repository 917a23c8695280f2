"""A simpler explanation to beat: the final distribution over orders, tilted."""

import numpy as np
from jaxtyping import Float

from interdyn.theory._search import total_variation


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
