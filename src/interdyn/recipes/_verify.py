"""Comparing a finished run with what its recipe expects."""

from dataclasses import dataclass

import numpy as np

from interdyn.recipes._quantities import QUANTITIES, Quantity
from interdyn.recipes._schema import ExpectedSection
from interdyn.values import PredictionResult, RunResult

NOT_CHECKED = {
    "phase_2_distance_max": (
        "distances of order distributions cannot distinguish the theory from other mechanisms; expect "
        "theory_correlation_min or theory_gain_min"
    )
}
"""Expectations of earlier versions that are read but not checked, with the reason."""

_SAME = 1e-3  # of a correlation: other processors round differently, and a neighbouring parameter may then be best


@dataclass(frozen=True)
class Check:
    """One expectation and its outcome.

    Attributes
    ----------
    key
        Key of the recipe's expected block.
    needed
        What was expected, as text.
    got
        What the run has; None if the run has no such number.
    holds
        Whether the expectation holds; it does not if the run has no such number.
    """

    key: str
    needed: str
    got: float | bool | None
    holds: bool


def checks(result: RunResult, expected: ExpectedSection) -> list[Check]:
    """Return one `Check` for each key of the expected block, in its order.

    Examples
    --------
    >>> result = RunResult.from_json({"steps": [0, 1, 2], "mean_order": [3.5, 1.5, 2.5]})
    >>> checks(result, ExpectedSection(mean_order_fall_min=1.0))
    [Check(key='mean_order_fall_min', needed='at least 1.0', got=2.0, holds=True)]
    """
    wanted = expected.model_dump(exclude_none=True, exclude=set(NOT_CHECKED))
    return [_check(key, limit, _quantity(key)(result)) for key, limit in wanted.items()]


def check_prediction(result: RunResult, again: PredictionResult) -> Check:
    """Return whether the stored correlations of a run are those that its tables give.

    Parameters
    ----------
    result
        The stored result of the run.
    again
        The result of `interdyn.measurement.prediction_again`.

    Examples
    --------
    >>> nothing = PredictionResult(reason="One sample was measured.")
    >>> check_prediction(RunResult(steps=np.zeros(1), prediction=nothing), nothing).holds
    True
    """
    stored = result.prediction or PredictionResult()
    apart = 0.0 if set(stored.mechanisms) == set(again.mechanisms) else np.inf
    pairs = [
        (one.correlation.value, again.mechanisms[name].correlation.value)
        for name, one in stored.mechanisms.items()
        if name in again.mechanisms
    ]
    if stored.ceiling is not None and again.ceiling is not None:
        pairs.append((stored.ceiling, again.ceiling))
    for then, now in pairs:
        if then.shape != now.shape or (np.isnan(then) != np.isnan(now)).any():
            apart = np.inf
        else:
            apart = max(apart, float(np.nanmax(np.abs(then - now), initial=0.0)))
    return Check("prediction", f"that of the stored tables, within {_SAME:g}", apart, apart <= _SAME)


def _check(key: str, limit: float | bool, got: float | bool | None) -> Check:
    if isinstance(limit, bool):
        return Check(key, "yes" if limit else "no", got, got is limit)
    if key.endswith("_min"):
        return Check(key, f"at least {limit}", got, got is not None and got >= limit)
    return Check(key, f"at most {limit}", got, got is not None and got <= limit)


def _quantity(key: str) -> Quantity:
    return QUANTITIES[key.removesuffix("_min").removesuffix("_max")]
