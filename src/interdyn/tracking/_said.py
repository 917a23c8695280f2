"""What is reported about a measurement elsewhere: its numbers for loggers, messages on standard error."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from interdyn.dynamics import Stage, Verdict
from interdyn.tracking._measuring import is_first

PHASES = {Stage.NO_VERDICT: 0.0, Stage.PHASE_1: 1.0, Stage.PHASE_2: 2.0}
"""The number of each stage in a chart: 0 no verdict, 1 phase 1, 2 phase 2."""
HARM = 3.0
"""The number in a chart where training harms, whatever the phase."""


class Logger(Protocol):
    """Whatever takes named numbers: `interdyn.tracking.loggers`, and the loggers of Lightning unchanged."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> Any:
        """Take the numbers of one measurement."""


def tell(sentence: str) -> None:
    """Report information through the logger ``interdyn``: on standard error, unless logging is set up otherwise.

    ``logging.getLogger("interdyn").setLevel(logging.WARNING)`` silences it.
    """
    logger = logging.getLogger("interdyn")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("interdyn: %(message)s"))
        logger.addHandler(handler)
    logger.info(sentence)


def nothing_yet(problems: Sequence[str]) -> str:
    """Return why nothing is measured, as a sentence: the first problem, if there is one.

    Examples
    --------
    >>> nothing_yet(["step 0: ValueError: no"]), nothing_yet([])
    ('Nothing is measured: step 0: ValueError: no', 'Nothing is measured yet.')
    """
    if problems:
        return f"Nothing is measured: {problems[0]}"
    return "Nothing is measured yet." if is_first() else "Nothing is measured in this process: rank 0 measures."


def starts_again(step: int, last: int) -> str:
    """Return the warning that steps start again within a training.

    Examples
    --------
    >>> starts_again(0, 7).partition(".")[0]
    '`step` must count over the whole training; got step 0 after step 7'
    """
    return (
        f"`step` must count over the whole training; got step {step:,} after step {last:,}. Calls up to step {last:,} "
        "are ignored. Do not start again at each epoch: step = epoch * len(loader) + batch."
    )


def scalars_of(strength: Float[np.ndarray, "samples orders"], verdict: Verdict) -> dict[str, float]:
    """Return the numbers of one measurement, in groups: strength of each order, mean order, phase.

    Parameters
    ----------
    strength
        Sum of the absolute interactions of each order, shape ``(samples, orders)``, in the unit of the output.
    verdict
        The verdict at this step.

    Returns
    -------
    dict[str, float]
        ``interactions/order_01/strength`` and so on, means over samples; ``interactions/mean_order``, the mean of the
        order weighted by strength, absent if nothing is salient; ``interactions/phase``, see `PHASES` and `HARM`.

    Examples
    --------
    >>> from interdyn.dynamics import online_verdict
    >>> from interdyn.values import Trajectory
    >>> strength = np.array([[3.0, 1.0], [1.0, 1.0]])
    >>> scalars_of(strength, online_verdict(Trajectory(np.array([8.0]), strength[None])))
    {'interactions/order_01/strength': 2.0, 'interactions/order_02/strength': 1.0, 'interactions/mean_order': 1.333...,
    'interactions/phase': 0.0}
    """
    mean = strength.mean(axis=0)
    out = {f"interactions/order_{k:02d}/strength": float(value) for k, value in enumerate(mean, start=1)}
    if mean.sum() > 0:
        out["interactions/mean_order"] = float(mean @ np.arange(1.0, len(mean) + 1) / mean.sum())
    out["interactions/phase"] = HARM if verdict.harm.found else PHASES[verdict.stage]
    return out
