"""The base of results: frozen records whose arrays are lists in JSON, checked against the run's shape."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationInfo
from pydantic.dataclasses import dataclass

from interdyn.errors import RunError


def numbers_of(raw: Any) -> np.ndarray:
    """Return nested lists as an array of floats, null as NaN; what is not numbers becomes empty and fits no shape."""
    try:
        return np.array(raw, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)


def _lists(array: np.ndarray) -> list[Any]:
    found: list[Any] = array.tolist()
    return found


def fits(*dims: str) -> Callable[[Any, ValidationInfo], Any]:
    """Return the check that an array, or a band, has the shape of the run's steps and orders."""

    def check(found: Any, info: Any) -> Any:  # a ValidationInfo cannot be checked at run time
        if info.context is None:  # made in this process
            return found
        wanted = tuple(info.context[dim] for dim in dims)
        for array in (found.value, found.low, found.high) if isinstance(found, Band) else (found,):
            if array is not None and array.shape != wanted:
                raise RunError(
                    f"`{info.field_name}` must be numbers of shape {wanted} (steps first, then orders); got "
                    f"{array.shape if array.size else 'something else'}. Run it again: `interdyn run RECIPE`."
                )
        return found

    return check


Numbers = Annotated[np.ndarray, BeforeValidator(numbers_of), PlainSerializer(_lists)]
"""An array of floats; in JSON nested lists, null for NaN."""

Flags = Annotated[np.ndarray, BeforeValidator(lambda raw: np.array(raw, dtype=bool)), PlainSerializer(_lists)]
OverSteps = Annotated[Numbers, AfterValidator(fits("steps"))]
OverOrders = Annotated[Numbers, AfterValidator(fits("steps", "orders"))]
Pair = tuple[float, float]


class Record(BaseModel):
    """Base of all parts of a result: frozen; unknown entries are ignored when it is read."""

    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True)


@dataclass(frozen=True, config=ConfigDict(arbitrary_types_allowed=True))
class Band:
    """A measured quantity and its interval; ``low`` and ``high`` are ``None`` where none was recorded."""

    value: Numbers
    low: Numbers | None = None
    high: Numbers | None = None

    def interval(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return ``(low, high)``, or ``None`` when either was not recorded."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class MeasurementCount(Record):
    """How many measurements of a training fell due and were taken, and why the others were not.

    Attributes
    ----------
    planned, taken
        How many fell due; how many of them were taken.
    missed
        Number of the others by reason; only if `interdyn.Tracker` was not killed.
    over_budget
        How many of those taken the budget did not pay for: the last network is measured nevertheless.

    Examples
    --------
    >>> str(MeasurementCount(planned=24, taken=20, missed={"over the budget": 4}))
    '24 measurements planned, 20 taken, 4 missed: over the budget (4).'
    """

    planned: int
    taken: int
    missed: Mapping[str, int] = {}
    over_budget: int = 0

    def __str__(self) -> str:
        why = ", ".join(f"{reason} ({count})" for reason, count in self.missed.items())
        missed = f", {sum(self.missed.values())} missed: {why}" if why else ""
        beyond = f"; {self.over_budget} of them over the budget, for the last network" if self.over_budget else ""
        return f"{self.planned} measurements planned, {self.taken} taken{missed}{beyond}."
