"""Numbers of a finished run that recipes expect and studies compare, by name."""

from collections.abc import Callable

import numpy as np

from interdyn.recipes import _late
from interdyn.values import PredictionSummary, RunResult, TheorySummary

Quantity = Callable[[RunResult], float | bool | None]
HIGH = 4  # order at and above which an interaction is of high order (`interdyn.dynamics.HIGH_ORDER`)
_LOW = 0.5  # orders above the smallest mean order up to which a network counts as one of low order
_ACCURACY = 0.85  # on test samples, at which networks are compared


def _orders(result: RunResult) -> np.ndarray:
    """Return the mean order over steps; NaN where it is not defined."""
    found = None if result.first is None else result.first.mean_order
    return np.array([np.nan]) if found is None else found.value


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _at(column: np.ndarray | None, index: int) -> float | None:
    return None if column is None else _number(column[index])


def _turned(order: np.ndarray, *, rise: bool) -> float | None:
    """Return the mean order at the start, or the largest after the smallest one, minus the smallest one."""
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


def _high_ratio(result: RunResult) -> float | None:
    """Return ``H / V`` at the end, as in `interdyn.dynamics.pattern_signal`, but for the first group."""
    group = result.first
    if group is None or group.strength is None or group.effect is None or not group.effect[-1] > 0:
        return None
    high = sum(float(kind[-1, HIGH - 1 :].sum()) for kind in group.strength.values())
    return _number(high / group.effect[-1])


def _place(result: RunResult, name: str) -> float | None:
    found: float | None = None if result.phases is None else getattr(result.phases, name)
    return found


def _loss_at(result: RunResult, name: str) -> float | None:
    """Return the training loss at a place, linear in ``log(1 + step)`` between two checkpoints."""
    place = _place(result, name)
    if place is None or result.train_loss is None:
        return None
    return _number(np.interp(np.log1p(place), np.log1p(result.steps), result.train_loss))


def _low_share(result: RunResult) -> float | None:
    """Return the share of training, on the axis ``log(1 + step)``, with a mean order of at most the smallest plus 0.5.

    Between checkpoints the mean order is interpolated linearly on that axis.
    """
    order = _orders(result)
    known = np.isfinite(order)
    if known.sum() < 2:
        return None
    x, above = np.log1p(np.asarray(result.steps)[known]), order[known] - np.nanmin(order) - _LOW
    low, high = np.minimum(above[1:], above[:-1]), np.maximum(above[1:], above[:-1])
    crosses = (low < 0) & (high > 0)
    part = np.where(crosses, -low / np.where(crosses, high - low, 1.0), high <= 0)
    return _number((part * np.diff(x)).sum() / (x[-1] - x[0]))


def _first_accurate(result: RunResult) -> int | None:
    """Return the first checkpoint that classifies 85 % of all test samples correctly."""
    if result.test_accuracy is None:
        return None
    there = np.flatnonzero(np.asarray(result.test_accuracy) >= _ACCURACY)
    return int(there[0]) if len(there) else None


def _when_accurate(result: RunResult, column: np.ndarray) -> float | None:
    at = _first_accurate(result)
    return None if at is None else _at(column, at)


def _theory_ahead(result: RunResult) -> bool | None:
    """Return whether the theory is shown to predict the tables better than all its rivals."""
    low = _predicted(result).gain_low
    return None if low is None else low > 0


QUANTITIES: dict[str, Quantity] = {
    "spindle": lambda result: None if result.phases is None else result.phases.spindle,
    "start_mean_order": lambda result: _number(_orders(result)[0]),
    "least_mean_order": lambda result: _least(_orders(result)),
    "end_mean_order": lambda result: _number(_orders(result)[-1]),
    "mean_order_fall": lambda result: _turned(_orders(result), rise=False),
    "mean_order_rise": lambda result: _turned(_orders(result), rise=True),
    "high_share": _high_share,
    "high_ratio": _high_ratio,
    "low_share": _low_share,
    "order_at_85": lambda result: _when_accurate(result, _orders(result)),
    "step_at_85": lambda result: _when_accurate(result, result.steps),
    "boundary": lambda result: result.phases is not None and result.phases.boundary_step is not None,
    "fall_ends": lambda result: _place(result, "fall_ends"),
    "rise_starts": lambda result: _place(result, "rise_starts"),
    "fall_ends_loss": lambda result: _loss_at(result, "fall_ends"),
    "rise_starts_loss": lambda result: _loss_at(result, "rise_starts"),
    "gap_onset": lambda result: _place(result, "gap_onset_step"),
    "harm": lambda result: None if result.harm is None else result.harm.found,
    "harm_start": lambda result: None if result.harm is None else result.harm.step,
    "best_step": lambda result: None if result.harm is None else result.harm.best_step,
    "theory_correlation": lambda result: _predicted(result).correlation.get(_predicted(result).theory),
    "theory_gain": lambda result: _predicted(result).gain,
    "theory_ahead": _theory_ahead,
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
"""Name to a function of a run's result; None if the run has no such number. Accuracies, losses, shares: at the end."""

SHARES = frozenset({"spindle", "boundary", "harm", "theory_ahead"})
"""Quantities that are 0 or 1 in a run, so that over seeds they are shares."""
