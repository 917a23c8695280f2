"""Comparing a finished run with what its recipe expects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from interdyn.recipes._schema import ExpectedSection

Summary = Mapping[str, Any]


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


def checks(summary: Summary, expected: ExpectedSection) -> list[Check]:
    """Return one `Check` for each key of the expected block, in its order.

    Examples
    --------
    >>> checks({"mean_order": [3.5, 1.5, 2.5]}, ExpectedSection(mean_order_fall_min=1.0))
    [Check(key='mean_order_fall_min', needed='at least 1.0', got=2.0, holds=True)]
    """
    wanted = expected.model_dump(exclude_none=True)
    return [_check(key, limit, _QUANTITIES[key](summary)) for key, limit in wanted.items()]


def _check(key: str, limit: float | bool, got: float | bool | None) -> Check:
    if isinstance(limit, bool):
        return Check(key, "yes" if limit else "no", got, got is limit)
    if key.endswith("_min"):
        return Check(key, f"at least {limit}", got, got is not None and got >= limit)
    return Check(key, f"at most {limit}", got, got is not None and got <= limit)


def _orders(summary: Summary) -> np.ndarray:
    """Return the mean order over steps; NaN where it is not defined."""
    return np.array(summary.get("mean_order") or [np.nan], dtype=float)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _start_mean_order(summary: Summary) -> float | None:
    return _number(_orders(summary)[0])


def _lowest(order: np.ndarray) -> int | None:
    """Return the place of the least mean order, the first one."""
    return None if np.isnan(order).all() else int(np.nanargmin(order))


def _fall(summary: Summary) -> float | None:
    """Return the mean order at the start minus the least one."""
    order = _orders(summary)
    lowest = _lowest(order)
    return None if lowest is None else _number(order[0] - order[lowest])


def _rise(summary: Summary) -> float | None:
    """Return the largest mean order after the least one, minus the least one."""
    order = _orders(summary)
    lowest = _lowest(order)
    return None if lowest is None else _number(np.nanmax(order[lowest:]) - order[lowest])


def _boundary(summary: Summary) -> bool:
    return _entry(summary, "phases", "boundary_step") is not None


def _entry(summary: Summary, block: str, key: str) -> Any:
    return (summary.get(block) or {}).get(key)


def _gap_growth(summary: Summary) -> float | None:
    """Return the gap between test and training loss at the end, minus the gap at the start."""
    if not summary.get("train_loss") or not summary.get("test_loss"):
        return None
    gap = np.array(summary["test_loss"], dtype=float) - np.array(summary["train_loss"], dtype=float)
    return _number(gap[-1] - gap[0])


def _last_accuracy(summary: Summary) -> float | None:
    accuracy = summary.get("train_accuracy")
    return float(accuracy[-1]) if accuracy else None


_QUANTITIES: dict[str, Callable[[Summary], float | bool | None]] = {
    "spindle": lambda summary: _entry(summary, "phases", "spindle"),
    "start_mean_order_min": _start_mean_order,
    "mean_order_fall_min": _fall,
    "mean_order_rise_min": _rise,
    "boundary": _boundary,
    "phase_2_distance_max": lambda summary: _entry(summary, "theory_summary", "mean_tv_phase_2"),
    "noise_rank_correlation_max": lambda summary: _entry(summary, "theory_summary", "noise_rank_correlation"),
    "loss_gap_growth_min": _gap_growth,
    "train_accuracy_min": _last_accuracy,
    "solver_gap_max": lambda summary: _entry(summary, "solver", "max_gap"),
    "planted_error_max": lambda summary: _entry(summary, "planted", "max_error"),
}
