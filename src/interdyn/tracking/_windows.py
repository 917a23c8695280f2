"""The nearby steps of a measurement during training: which is due, and what starts a new measurement."""

import math
from bisect import bisect_right
from collections.abc import Sequence

from interdyn.schedules import Schedule, due, last_begin, near_by, windows_of


class NearBy:
    """The window that is open at a step, derived from the measured steps; a resumed training has the same one.

    A measurement that begins at step ``s`` takes the steps `interdyn.schedules.near_by`. Until ``1.1 s`` no other
    begins; what falls due in between is covered. If the length of the training is known, one window ends with its last
    step, and a window that would overlap it is dropped. With infrequent calls a step may be late, but not after
    ``1.1 s``.

    Parameters
    ----------
    window
        How many steps a measurement takes; with 1, everything behaves as without windows.
    measured
        The measured steps, ascending.
    step
        The current step of the training.
    total_steps
        Where it ends; None if not known.

    Examples
    --------
    >>> from interdyn.schedules import every
    >>> running = NearBy(3, [0, 100], 105, total_steps=None)
    >>> running.wants(104), running.begins(every(5), 104), running.next
    (True, False, 110)
    """

    def __init__(self, window: int, measured: Sequence[int], step: int, *, total_steps: int | None) -> None:
        known = measured[: bisect_right(measured, step)] if window > 1 else ()
        numbers = windows_of(known, window)
        group = [one for one, number in zip(known, numbers, strict=True) if number == numbers[-1]]
        self._step, self._full = step, len(group) >= window
        self._begun = group[0] if group else -1
        self._near = tuple(one for one in near_by(group[0], window) if one > group[-1]) if group else ()
        self._last = None if window == 1 or total_steps is None or step > total_steps else last_begin(total_steps)

    @property
    def covers(self) -> bool:
        """Whether the step lies within a tenth after the start of the last measurement."""
        return 10 * self._step <= 11 * self._begun

    def wants(self, after: int) -> bool:
        """Return whether a nearby step of the last measurement falls in ``after + 1 .. step``."""
        return self.covers and not self._full and any(after < near <= self._step for near in self._near)

    def since(self, after: int) -> int:
        """Return the step after which a new measurement may fall due: ``after``, or the end of the window."""
        return max(after, 11 * self._begun // 10)

    def begins(self, schedule: Schedule, after: int) -> bool:
        """Return whether a new measurement falls due in ``after + 1 .. step``."""
        after, step, last = self.since(after), self._step, self._last
        if after >= step or (last is not None and step < last <= 11 * step // 10):
            return False
        return due(schedule, after, step) or (last is not None and after < last <= step)

    @property
    def next(self) -> float:
        """The next nearby step, or the next start of the last window; infinite if there is none."""
        ahead = [one for one in (*self._near, self._last) if one is not None and one > self._step]
        return min(ahead, default=math.inf)
