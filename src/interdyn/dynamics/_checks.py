"""What every finder asks of its input, and the constants they share."""

import numpy as np
from jaxtyping import Float

from interdyn.errors import InputError

MIN_STEPS = 6
MIN_SAMPLES = 2
ALPHA = 0.025  # of each of the two tests; a false second phase then stays well below 5 %


def check_settings(level: float, n_bootstrap: int) -> None:
    """Refuse a level outside (0, 1) and too few replicates to have p-values below `ALPHA`."""
    if not 0 < level < 1:
        raise InputError(f"`level` must lie between 0 and 1; got {level}. For a 90 % interval pass level=0.9.")
    if n_bootstrap < 100:
        raise InputError(
            f"`n_bootstrap` must be at least 100 for a p-value to be worth its name; got {n_bootstrap}. "
            "Leave it at 500."
        )


def checked_steps(steps: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """Return the steps as float64, strictly ascending, finite and not negative."""
    out = np.asarray(steps, dtype=np.float64)
    if out.ndim != 1 or not np.isfinite(out).all() or (out < 0).any() or (np.diff(out) <= 0).any():
        raise InputError(
            f"`steps` must be one row of finite numbers, not negative and strictly ascending; got {steps!r}. "
            "Sort the checkpoints by step and keep one of each."
        )
    return out
