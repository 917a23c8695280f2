"""Comparing a finished run with what its recipe expects."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from interdyn.recipes._schema import ExpectedSection
from interdyn.values import PredictionResult, PredictionSummary, RunResult, TheorySummary

NOT_CHECKED = {
    "phase_2_distance_max": (
        "distances of order distributions cannot tell the theory from what is not the theory; expect "
        "theory_correlation_min or theory_gain_min"
    )
}
"""Expectations of before that are read and not checked, with the reason."""

_SAME = 1e-3  # of a correlation: other processors round otherwise, and then a neighbouring parameter may be best


@dataclass(frozen=True)
class Check:
    """One expectation and how it went.

    Attributes
    ----------
    key
        Key of the recipe's expected block.
    needed
        What was expected, in words.
    got
        What the run has; None where the run has no such number.
    holds
        Whether the expectation holds; it does not where the run has no such number.
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
    return [_check(key, limit, _QUANTITIES[key](result)) for key, limit in wanted.items()]


def check_prediction(result: RunResult, again: PredictionResult) -> Check:
    """Return whether the correlations that a run holds are those that its tables give.

    Parameters
    ----------
    result
        What the run says.
    again
        What `interdyn.measurement.prediction_again` finds.

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


def _orders(result: RunResult) -> np.ndarray:
    """Return the mean order over steps; NaN where it is not defined."""
    found = None if result.first is None else result.first.mean_order
    return np.array([np.nan]) if found is None else found.value


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _turned(order: np.ndarray, *, rise: bool) -> float | None:
    """Return the mean order at the start, or the largest after the least one, minus the least one."""
    if np.isnan(order).all():
        return None
    lowest = int(np.nanargmin(order))
    return _number((np.nanmax(order[lowest:]) if rise else order[0]) - order[lowest])


def _overall(result: RunResult) -> TheorySummary:
    return TheorySummary() if result.theory is None else result.theory.overall


def _predicted(result: RunResult) -> PredictionSummary:
    found = None if result.prediction is None else result.prediction.overall
    return PredictionSummary() if found is None else found


def _gap_growth(result: RunResult) -> float | None:
    """Return the gap between test and training loss at the end, minus the gap at the start."""
    gap = result.loss_gap
    return None if gap is None else _number(gap[-1] - gap[0])


_QUANTITIES: dict[str, Callable[[RunResult], float | bool | None]] = {
    "spindle": lambda result: None if result.phases is None else result.phases.spindle,
    "start_mean_order_min": lambda result: _number(_orders(result)[0]),
    "mean_order_fall_min": lambda result: _turned(_orders(result), rise=False),
    "mean_order_rise_min": lambda result: _turned(_orders(result), rise=True),
    "boundary": lambda result: result.phases is not None and result.phases.boundary_step is not None,
    "theory_correlation_min": lambda result: _predicted(result).correlation.get(_predicted(result).theory),
    "theory_gain_min": lambda result: _predicted(result).gain,
    "noise_rank_correlation_max": lambda result: _overall(result).noise_rank_correlation,
    "loss_gap_growth_min": _gap_growth,
    "train_accuracy_min": lambda result: None if result.train_accuracy is None else float(result.train_accuracy[-1]),
    "solver_gap_max": lambda result: result.solver.max_gap,
    "planted_error_max": lambda result: (result.planted or {}).get("max_error"),
}
