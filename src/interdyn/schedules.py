"""When to measure a network that trains: functions ``step -> bool``, and how to join them.

Any function ``step -> bool`` is a schedule; `interdyn.Tracker` takes one as ``schedule``.
"""

from collections.abc import Callable

from interdyn.errors import InputError

Schedule = Callable[[int], bool]
"""Whether to measure at an optimiser step; 0 is the network before training."""

__all__ = ["Schedule", "all_of", "any_of", "at", "every", "log_spaced"]


def every(k: int, *, start: int = 0) -> Schedule:
    """Measure at ``start`` and at every ``k``-th step from there on.

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
    if k < 1 or start < 0:
        raise InputError(f"`every` needs k of 1 or more and a start of 0 or more; got {k} and {start}.")
    return lambda step: step >= start and (step - start) % k == 0


def log_spaced(per_decade: int = 8, *, first: int = 1) -> Schedule:
    """Measure at step 0, at ``first``, and from there at ``per_decade`` steps in each factor of ten, without an end.

    Interactions change over factors of time, not over differences; so the cost of measuring grows with the logarithm
    of the training alone.

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
    if per_decade < 1 or first < 1:
        raise InputError(
            f"`log_spaced` needs `per_decade` and `first` of 1 or more; got {per_decade} and {first}. "
            "Leave them at 8 and 1."
        )
    points = {0}
    ahead = [0]  # number of the next point

    def schedule(step: int) -> bool:
        while (point := round(first * 10 ** (ahead[0] / per_decade))) <= step:
            points.add(point)
            ahead[0] += 1
        return step in points

    return schedule


def at(*steps: int) -> Schedule:
    """Measure at exactly these steps.

    Examples
    --------
    >>> [step for step in range(9) if at(0, 3, 7)(step)]
    [0, 3, 7]
    """
    chosen = frozenset(steps)
    return lambda step: step in chosen


def any_of(*schedules: Schedule) -> Schedule:
    """Measure when any of the schedules does.

    Examples
    --------
    >>> schedule = any_of(every(6), at(1))
    >>> [step for step in range(9) if schedule(step)]
    [0, 1, 6]
    """
    return lambda step: any(schedule(step) for schedule in schedules)


def all_of(*schedules: Schedule) -> Schedule:
    """Measure when all of the schedules do.

    Examples
    --------
    >>> schedule = all_of(every(2), every(3))
    >>> [step for step in range(13) if schedule(step)]
    [0, 6, 12]
    """
    return lambda step: all(schedule(step) for schedule in schedules)


def due(schedule: Schedule, after: int, step: int) -> bool:
    """Return whether the schedule measures anywhere in ``after + 1 .. step``, so that rare calls miss nothing.

    Examples
    --------
    >>> due(at(5), 3, 8), due(at(5), 5, 8)
    (True, False)
    """
    return any(schedule(s) for s in range(after + 1, step + 1))
