"""When to measure: functions ``step -> bool``, and how to join them."""

from collections.abc import Callable

from interdyn.errors import InputError

Schedule = Callable[[int], bool]
"""Whether to measure at an optimiser step; 0 is the network before training."""


def every(k: int, *, start: int = 0) -> Schedule:
    """Measure at ``start`` and at every ``k``-th step from there on.

    Raises
    ------
    InputError
        If ``k`` is below 1 or ``start`` below 0.

    Examples
    --------
    >>> due = every(10, start=5)
    >>> [step for step in range(30) if due(step)]
    [5, 15, 25]
    """
    if k < 1 or start < 0:
        raise InputError(f"`every` needs k of 1 or more and a start of 0 or more; got {k} and {start}.")
    return lambda step: step >= start and (step - start) % k == 0


def log_spaced(per_decade: int = 8, *, first: int = 1) -> Schedule:
    """Measure at step 0, at ``first``, and from there at ``per_decade`` steps in each factor of ten, without an end.

    Interactions change over factors of time, not over differences; so the cost of measuring grows with the logarithm of
    the training alone.

    Raises
    ------
    InputError
        If ``per_decade`` or ``first`` is below 1.

    Examples
    --------
    >>> due = log_spaced(4)
    >>> [step for step in range(200) if due(step)]
    [0, 1, 2, 3, 6, 10, 18, 32, 56, 100, 178]
    """
    if per_decade < 1 or first < 1:
        raise InputError(
            f"`log_spaced` needs `per_decade` and `first` of 1 or more; got {per_decade} and {first}. "
            "Leave them at 8 and 1."
        )
    points = {0}
    ahead = [0]  # number of the next point

    def is_due(step: int) -> bool:
        while (point := round(first * 10 ** (ahead[0] / per_decade))) <= step:
            points.add(point)
            ahead[0] += 1
        return step in points

    return is_due


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
    >>> due = any_of(every(6), at(1))
    >>> [step for step in range(9) if due(step)]
    [0, 1, 6]
    """
    return lambda step: any(schedule(step) for schedule in schedules)


def all_of(*schedules: Schedule) -> Schedule:
    """Measure when all of the schedules do.

    Examples
    --------
    >>> due = all_of(every(2), every(3))
    >>> [step for step in range(13) if due(step)]
    [0, 6, 12]
    """
    return lambda step: all(schedule(step) for schedule in schedules)


def due(schedule: Schedule, after: int, step: int) -> bool:
    """Return whether the schedule has a step in ``after + 1 .. step``, so that rare calls miss nothing.

    Examples
    --------
    >>> due(at(5), 3, 8), due(at(5), 5, 8)
    (True, False)
    """
    return any(schedule(s) for s in range(after + 1, step + 1))
