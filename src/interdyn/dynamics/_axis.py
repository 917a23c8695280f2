"""The logarithmic axis of training steps, and the checks that steps must pass."""

import numpy as np
from jaxtyping import Float

from interdyn._arguments import number, real_array, seed as checked_seed, told
from interdyn.errors import InputError

MIN_STEPS = 6
MIN_SAMPLES = 2


def checked_steps(
    steps: Float[np.ndarray, " steps"], *, level: float = 0.9, seed: int = 0
) -> Float[np.ndarray, " steps"]:
    """Return the steps as float64. They must be finite, not negative and strictly ascending; check level and seed."""
    checked_seed(seed)
    number(level, "level", least=0, most=1, open_=True, do="For a 90 % interval pass level=0.9.")
    out = real_array(steps, "steps")
    if out.ndim != 1 or not np.isfinite(out).all() or (out < 0).any() or (np.diff(out) <= 0).any():
        raise InputError(
            f"`steps` must be one-dimensional, finite, not negative and strictly ascending; got {told(steps)}. "
            "Sort the checkpoints by step and remove duplicates."
        )
    return out


def time_axis(steps: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """Map steps to ``[0, 1]`` by ``log1p(step / first positive step)``, which is defined at step 0 too.

    Examples
    --------
    >>> time_axis(np.array([0.0, 1.0, 3.0]))
    array([0. , 0.5, 1. ])
    """
    x = np.log1p(steps / steps[steps > 0][0])
    return np.asarray((x - x[0]) / (x[-1] - x[0]))


def steps_at(x: Float[np.ndarray, " points"], steps: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " points"]:
    """Invert `time_axis`: return the steps at places ``x`` of the axis defined by ``steps``.

    Examples
    --------
    >>> steps_at(np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 3.0])).round(12)
    array([0., 1., 3.])
    """
    unit = steps[steps > 0][0]
    low, high = np.log1p(steps[[0, -1]] / unit)
    return np.asarray(np.clip(np.expm1(low + x * (high - low)) * unit, steps[0], steps[-1]))
