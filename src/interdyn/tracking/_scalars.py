"""What a look tells as a few numbers with names, and who takes them."""

from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from interdyn.dynamics import OnlineVerdict, Stage

PHASES = {Stage.NO_VERDICT: 0.0, Stage.PHASE_1: 1.0, Stage.PHASE_2: 2.0, Stage.OVER_FITTING: 3.0}
"""The number of each stage in a chart: 0 no verdict, 1 phase 1, 2 phase 2, 3 over-fitting has begun."""


class Logger(Protocol):
    """Whatever takes numbers with names: `interdyn.tracking.loggers`, and the loggers of Lightning as they are."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> Any:
        """Take the numbers of one look."""


def scalars_of(strength: Float[np.ndarray, "samples orders"], verdict: OnlineVerdict) -> dict[str, float]:
    """Return the numbers of one look, in groups: each order's strength, the mean order, the phase.

    Parameters
    ----------
    strength
        Sum of the absolute interactions of each order, shape ``(samples, orders)``, in the unit of the output.
    verdict
        The verdict at this look.

    Returns
    -------
    ``interactions/order_01/strength`` and so on, means over samples; ``interactions/mean_order``, the mean of the order
    weighted by strength, absent where nothing is salient; ``interactions/phase``, see `PHASES`.

    Examples
    --------
    >>> verdict = OnlineVerdict(8, Stage.PHASE_1, None, None, 0.9, False, "At step 8: phase 1.")
    >>> scalars_of(np.array([[3.0, 1.0], [1.0, 1.0]]), verdict)
    {'interactions/order_01/strength': 2.0, 'interactions/order_02/strength': 1.0, 'interactions/mean_order': 1.333...,
    'interactions/phase': 1.0}
    """
    mean = strength.mean(axis=0)
    out = {f"interactions/order_{k:02d}/strength": float(value) for k, value in enumerate(mean, start=1)}
    if mean.sum() > 0:
        out["interactions/mean_order"] = float(mean @ np.arange(1.0, len(mean) + 1) / mean.sum())
    out["interactions/phase"] = PHASES[verdict.stage]
    return out
