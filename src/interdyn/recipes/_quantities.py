"""Numbers of a finished run that recipes expect and studies compare, by name."""

from collections.abc import Callable

import numpy as np

from interdyn.recipes import _late
from interdyn.values import PredictionSummary, RunResult, TheorySummary

Quantity = Callable[[RunResult], float | bool | None]
HIGH = 4  # orders from which on an interaction counts as one of high order (`interdyn.dynamics.HIGH_ORDER`)


def _orders(result: RunResult) -> np.ndarray:
    """Return the mean order over steps; NaN where it is not defined."""
    found = None if result.first is None else result.first.mean_order
    return np.array([np.nan]) if found is None else found.value


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _at(column: np.ndarray | None, index: int) -> float | None:
    return None if column is None else _number(column[index])


def _turned(order: np.ndarray, *, rise: bool) -> float | None:
    """Return the mean order at the start, or the largest after the least one, minus the least one."""
    if np.isnan(order).all():
        return None
    lowest = int(np.nanargmin(order))
    return _number((np.nanmax(order[lowest:]) if rise else order[0]) - order[lowest])


def _least(column: np.ndarray | None) -> float | None:
    return None if column is None or np.isnan(column).all() else _number(np.nanmin(column))


def _overall(result: RunResult) -> TheorySummary:
    return TheorySummary() if result.theory is None else result.theory.overall


def _predicted(result: RunResult) -> PredictionSummary:
    found = None if result.prediction is None else result.prediction.overall
    return PredictionSummary() if found is None else found


def _gap_growth(result: RunResult) -> float | None:
    """Return the gap between test and training loss at the end, minus the gap at the start."""
    gap = result.loss_gap
    return None if gap is None else _number(gap[-1] - gap[0])


def _high_share(result: RunResult) -> float | None:
    """Return the share of high orders in the salient strength at the end."""
    found = None if result.first is None else result.first.order_distribution
    return None if found is None else _number(found.value[-1, HIGH - 1 :].sum())


def _place(result: RunResult, name: str) -> float | None:
    found: float | None = None if result.phases is None else getattr(result.phases, name)
    return found


QUANTITIES: dict[str, Quantity] = {
    "spindle": lambda result: None if result.phases is None else result.phases.spindle,
    "start_mean_order": lambda result: _number(_orders(result)[0]),
    "least_mean_order": lambda result: _least(_orders(result)),
    "end_mean_order": lambda result: _number(_orders(result)[-1]),
    "mean_order_fall": lambda result: _turned(_orders(result), rise=False),
    "mean_order_rise": lambda result: _turned(_orders(result), rise=True),
    "high_share": _high_share,
    "boundary": lambda result: result.phases is not None and result.phases.boundary_step is not None,
    "fall_ends": lambda result: _place(result, "fall_ends"),
    "rise_starts": lambda result: _place(result, "rise_starts"),
    "gap_onset": lambda result: _place(result, "gap_onset_step"),
    "harm": lambda result: None if result.harm is None else result.harm.found,
    "harm_start": lambda result: None if result.harm is None else result.harm.step,
    "best_step": lambda result: None if result.harm is None else result.harm.best_step,
    "theory_correlation": lambda result: _predicted(result).correlation.get(_predicted(result).theory),
    "theory_gain": lambda result: _predicted(result).gain,
    "noise_rank_correlation": lambda result: _overall(result).noise_rank_correlation,
    "loss_gap": lambda result: _at(result.loss_gap, -1),
    "loss_gap_growth": _gap_growth,
    "train_loss": lambda result: _at(result.train_loss, -1),
    "test_loss": lambda result: _at(result.test_loss, -1),
    "least_test_loss": lambda result: _least(result.test_loss),
    "train_accuracy": lambda result: _at(result.train_accuracy, -1),
    "test_accuracy": lambda result: _at(result.test_accuracy, -1),
    "solver_gap": lambda result: result.solver.max_gap,
    "train_end_mean_order": _late.end_mean_order_of("train"),
    "mislabelled_end_mean_order": _late.end_mean_order_of("mislabelled"),
    "late_order_change": _late.late_order_change,
    "late_train_order_change": lambda result: _late.late_order_change(result, "train"),
    "late_test_accuracy_change": _late.late_test_accuracy_change,
    "memorised_step": _late.memorised_step,
    "generalised_step": _late.generalised_step,
    "generalisation_delay": _late.generalisation_delay,
    "order_lead": _late.order_lead,
    "test_error_bump": _late.error_bump,
    "planted_error": lambda result: (result.planted or {}).get("max_error"),
}
"""Name to what gives the number of a run; None where the run has none. Accuracies, losses and shares are of the end."""
