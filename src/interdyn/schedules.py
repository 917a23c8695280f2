"""When to measure a network during training: functions ``step -> bool``, and how to combine them.

Any function ``step -> bool`` is a schedule; `interdyn.Tracker` takes one as ``schedule``.
"""

import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from interdyn._arguments import told, whole
from interdyn.errors import InputError, InterdynWarning

Schedule = Callable[[int], bool]
"""Whether to measure at an optimiser step; 0 is the network before training."""

MAX_STEP = 2**63 - 1
"""Largest step number."""

MOST_NEAR = 5
"""Most steps in a window."""

_MOST_POINTS = 10_000  # per decade
_MOST_LOOKS = 300_000  # tries for a step at which several schedules agree: about half a second
_spent: list[int] = []  # tries of the running search, and an entry for each search nested in it
_FEW = 8  # steps that an error names
_MOST_ASKED = 1_000_000  # steps of one gap for which a user's function is called: about a second

__all__ = ["Schedule", "all_of", "any_of", "at", "every", "log_spaced"]


@dataclass(frozen=True)
class _Known:
    """A schedule that can name its next step, so that a distant one is found without trying all steps between."""

    holds: Schedule
    next: Callable[[int, int], int | None]
    """Called as ``next(after, last)``: the first step of ``after + 1 .. last``, or None."""

    def __call__(self, step: int) -> bool:
        return self.holds(step)


def _next(schedule: Schedule, after: int, last: int) -> int | None:
    """Return the first step of ``after + 1 .. last`` at which a schedule measures, or None."""
    if isinstance(schedule, _Known):
        found = schedule.next(after, last)
        return found if found is not None and found <= last else None
    if last - after > _MOST_ASKED:
        warnings.warn(
            f"a user-defined schedule is evaluated at {_MOST_ASKED:,} steps at most between two calls; got a gap from "
            f"step {after:,} to step {last:,}, whose first steps were skipped. Call `observe` at every step, or build "
            "the schedule from those of interdyn.schedules.",
            InterdynWarning,
            stacklevel=2,
        )
    return next((step for step in range(max(after, last - _MOST_ASKED) + 1, last + 1) if schedule(step)), None)


def every(k: int, *, start: int = 0) -> Schedule:
    """Measure at ``start`` and at every ``k``-th step after it.

    Raises
    ------
    InputError
        If ``k`` is below 1 or ``start`` below 0.

    Examples
    --------
    >>> schedule = every(10, start=5)
    >>> [step for step in range(30) if schedule(step)]
    [5, 15, 25]
    """
    k, start = whole(k, "k", least=1, do="Pass 100, for example."), whole(start, "start", do="Leave it at 0.")
    return _Known(
        lambda step: step >= start and (step - start) % k == 0,
        lambda after, _: start if after < start else after + k - (after - start) % k,
    )


def log_spaced(per_decade: int = 8, *, first: int = 1) -> Schedule:
    """Measure at step 0, at ``first``, and from there at ``per_decade`` steps in each factor of ten, without end.

    Interactions change over factors of time, not over differences, so the cost of measuring need only grow with the
    logarithm of the length of the training.

    Raises
    ------
    InputError
        If ``per_decade`` or ``first`` is below 1.

    Examples
    --------
    >>> schedule = log_spaced(4)
    >>> [step for step in range(200) if schedule(step)]
    [0, 1, 2, 3, 6, 10, 18, 32, 56, 100, 178]
    """
    per_decade = whole(per_decade, "per_decade", least=1, most=_MOST_POINTS, do="Leave it at 8.")
    first = whole(first, "first", least=1, do="Leave it at 1.")
    points = [0]
    ahead = [0]  # number of the next point

    def grow(step: int) -> None:
        while points[-1] <= step:
            if (point := round(first * 10 ** (ahead[0] / per_decade))) > points[-1]:
                points.append(point)
            ahead[0] += 1

    def holds(step: int) -> bool:
        grow(step)
        return points[bisect_right(points, step) - 1] == step

    def following(after: int, _: int) -> int:
        grow(after)
        return points[bisect_right(points, after)]

    return _Known(holds, following)


def at(*steps: int) -> Schedule:
    """Measure at exactly these steps.

    Examples
    --------
    >>> [step for step in range(9) if at(0, 3, 7)(step)]
    [0, 3, 7]
    """
    chosen = frozenset(whole(step, "steps", do="Pass optimiser steps: at(0, 100, 1000).") for step in steps)
    ordered = sorted(chosen)
    return _Known(
        lambda step: step in chosen, lambda after, _: next(iter(ordered[bisect_right(ordered, after) :]), None)
    )


def checked_schedule(schedule: Any) -> Schedule:
    """Return a schedule.

    Raises
    ------
    InputError
        If it is not a function; names the schedule that measures at the steps in a list, or at each multiple.

    Examples
    --------
    >>> checked_schedule(at(0, 3))(3)
    True
    """
    if callable(schedule) and not isinstance(schedule, type):
        return cast(Schedule, schedule)
    do = "every(100)"
    if type(schedule) is int and schedule > 0:
        do = f"every({schedule})"
    elif isinstance(schedule, Sequence) and not isinstance(schedule, str | bytes):
        few = 0 < len(schedule) <= _FEW and all(type(step) is int for step in schedule)
        do = f"at({', '.join(map(str, schedule)) if few else '*steps'})"
    raise InputError(
        f"a schedule must be a function of the step; got {told(schedule)}. Pass {do} of interdyn.schedules."
    )


def _looks() -> Iterator[None]:
    """Yield once per try that schedules which never agree may take, nested searches included."""
    outermost = not _spent
    _spent.append(0)
    try:
        while _spent[0] < _MOST_LOOKS:
            _spent[0] += 1
            yield
    finally:
        _spent.clear() if outermost else _spent.pop()


def any_of(*schedules: Schedule) -> Schedule:
    """Measure when any of the schedules does.

    Examples
    --------
    >>> schedule = any_of(every(6), at(1))
    >>> [step for step in range(9) if schedule(step)]
    [0, 1, 6]
    """
    for schedule in schedules:
        checked_schedule(schedule)

    def following(after: int, last: int) -> int | None:
        found = [step for schedule in schedules if (step := _next(schedule, after, last)) is not None]
        return min(found, default=None)

    return _Known(lambda step: any(schedule(step) for schedule in schedules), following)


def all_of(*schedules: Schedule) -> Schedule:
    """Measure when all of the schedules do.

    Examples
    --------
    >>> schedule = all_of(every(2), every(3))
    >>> [step for step in range(13) if schedule(step)]
    [0, 6, 12]
    """
    for schedule in schedules:
        checked_schedule(schedule)

    def following(after: int, last: int) -> int | None:
        for _ in _looks():
            found = [_next(schedule, after, last) for schedule in schedules]
            steps = [step for step in found if step is not None]
            if not steps or len(steps) < len(found):
                return None
            if min(steps) == max(steps):
                return steps[0]
            after = max(steps) - 1
        return None

    return _Known(lambda step: all(schedule(step) for schedule in schedules), following)


def due(schedule: Schedule, after: int, step: int) -> bool:
    """Return whether the schedule measures anywhere in ``after + 1 .. step``, so that infrequent calls miss nothing.

    The schedules of this module are evaluated once, however distant the step; a user-defined function is called for
    each step between, at most for the last million.

    Warns
    -----
    InterdynWarning
        If a user-defined function was not called for all steps between.

    Examples
    --------
    >>> due(at(5), 3, 8), due(at(5), 5, 8)
    (True, False)
    """
    return _next(schedule, whole(after, "after", least=-1), whole(step, "step", most=MAX_STEP)) is not None


def due_steps(schedule: Schedule, first: int, last: int) -> list[int]:
    """Return all steps of ``first .. last`` at which the schedule measures, ascending.

    Examples
    --------
    >>> due_steps(every(3), 2, 10)
    [3, 6, 9]
    """
    steps, found = [], _next(schedule, first - 1, last)
    while found is not None:
        steps.append(found)
        found = _next(schedule, found, last)
    return steps


def checked_window(window: object) -> int:
    """Return how many nearby steps a measurement takes, 1 to `MOST_NEAR`.

    Raises
    ------
    InputError
        If it is not such a number.

    Examples
    --------
    >>> checked_window(3)
    3
    """
    return whole(window, "window", least=1, most=MOST_NEAR, do="Pass 3, or 1 for single steps.")


def shortest(window: int) -> int:
    """Return the length of the shortest training in which a tenth of the steps so far fits a window.

    Examples
    --------
    >>> shortest(1), shortest(3)
    (0, 22)
    """
    return 11 * (window - 1)


def too_short(window: int, total_steps: int) -> str:
    """Return why a window does not fit a training; empty if it does.

    Examples
    --------
    >>> too_short(3, 22)
    ''
    """
    if total_steps >= shortest(window):
        return ""
    return (
        f"a window of {window} steps, spread over a tenth of the training so far, needs a training of "
        f"{shortest(window)} steps or more; got {total_steps}. Train longer, or measure single steps: window = 1."
    )


def near_by(step: int, window: int) -> tuple[int, ...]:
    """Return the steps of the window that begins at ``step``, spread over a tenth of the training so far.

    Early on, where a tenth is shorter than that many steps, there are fewer.

    Examples
    --------
    >>> near_by(1000, 3), near_by(10, 3), near_by(0, 3)
    ((1000, 1050, 1100), (10, 11), (0,))
    """
    parts = 10 * max(window - 1, 1)
    return tuple(dict.fromkeys(step + step * j // parts for j in range(window)))


def last_begin(total_steps: int) -> int:
    """Return the start of the window that ends with the last step.

    Examples
    --------
    >>> last_begin(1000), near_by(910, 3)
    (910, (910, 955, 1001))
    """
    return -(-10 * total_steps // 11)


def apart(steps: Sequence[int], window: int, total_steps: int) -> list[int]:
    """Return the steps that begin a window, such that no two windows overlap and one ends with the last step.

    A step within a tenth after the previous start begins no window: the previous window covers it. The last window has
    priority: a window that would overlap it is dropped. Single steps are returned unchanged.

    Examples
    --------
    >>> apart([0, 1, 10, 100, 105, 120, 850, 1000], 3, 1000), apart([0, 10, 20], 1, 20)
    ([0, 1, 10, 100, 120, 910], [0, 10, 20])
    """
    if window == 1:
        return list(steps)
    last, found = last_begin(total_steps), list[int]()
    for step in steps:
        if (not found or 10 * step > 11 * found[-1]) and 11 * step < 10 * last:
            found.append(step)
    return [*found, last]


def with_near(begins: Sequence[int], window: int, total_steps: int) -> tuple[int, ...]:
    """Return all steps of the windows that begin at these steps, none after the last step.

    Examples
    --------
    >>> with_near([0, 10, 100, 910], 3, 1000)
    (0, 10, 11, 100, 105, 110, 910, 955, 1000)
    """
    return tuple(sorted({min(near, total_steps) for step in begins for near in near_by(step, window)}))


def windows_of(steps: Sequence[int], window: int) -> list[int]:
    """Return the number of the measurement that each measured step belongs to: 0, 1, ...

    A window consists of successive steps within a tenth after its first, at most ``window`` of them, so it follows from
    the steps alone, even if steps were lost or were measured in another run of the same training.

    Examples
    --------
    >>> windows_of([0, 10, 11, 100, 105, 110, 111], 3)
    [0, 1, 1, 2, 2, 2, 3]
    """
    numbers, first, count = list[int](), -1, 0
    for step in steps:
        if numbers and count < window and 10 * step <= 11 * first:
            count += 1
        else:
            first, count = step, 1
        numbers.append(numbers[-1] + (count == 1) if numbers else 0)
    return numbers


def groups_of(steps: Sequence[int], window: int) -> list[list[int]]:
    """Return the indices of the steps of each measurement.

    Examples
    --------
    >>> groups_of([0, 100, 105, 110], 3)
    [[0], [1, 2, 3]]
    """
    numbers = windows_of(steps, window)
    return [[i for i, number in enumerate(numbers) if number == one] for one in dict.fromkeys(numbers)]


def up_to_whole(steps: Sequence[int], window: int) -> int:
    """Return the number of steps up to the end of the last measurement whose window is complete.

    Examples
    --------
    >>> up_to_whole([0, 100, 105], 3), up_to_whole([0, 100, 105, 110], 3), up_to_whole([0, 100, 105, 200], 3)
    (1, 4, 3)
    """
    groups = groups_of(steps, window)
    if groups and len(groups[-1]) < len(near_by(steps[groups[-1][0]], window)):
        return groups[-1][0]
    return len(steps)
