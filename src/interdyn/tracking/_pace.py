"""How a budget is spread over a training that goes faster, or is dearer to look at, than its plan foresaw."""

import math
from bisect import bisect_right
from collections.abc import Sequence

from interdyn.tracking._plan import MIN_LOOKS, Plan


class Pace:
    """Says at each planned look whether it is taken, so that what the budget still pays for reaches to the end.

    Parameters
    ----------
    plan
        What a look consists of and is expected to cost.
    looks
        The steps of all planned looks, ascending.
    share
        Share of the training time that looking may take.
    steps
        First and last step of the training.
    spent
        Seconds of looking when the plan was made.
    taken
        Planned looks that are taken already, in networks kept aside until then.

    Examples
    --------
    >>> plan, looks = Plan(6, 8, None, seconds=1.0, share=0.1, sentence=""), range(10, 101, 10)
    >>> pace = Pace(plan, looks, share=0.1, steps=(0, 100), spent=0.0, taken=0)
    >>> [s for s in looks if pace.allows(s, training=0.5 * s, looking=pace.taken)[0]]  # 50 seconds instead of 100
    [20, 40, 60, 80, 100]
    """

    def __init__(
        self, plan: Plan, looks: Sequence[int], *, share: float, steps: tuple[int, int], spent: float, taken: int
    ) -> None:
        self.taken = taken
        """Looks taken by now."""
        self._expected, self._looks, self._share, self._spent = plan.seconds, looks, share, spent
        self._first, self._length = steps[0], steps[1]
        self._credit = 0.0
        self._told = False

    def allows(self, step: int, *, training: float, looking: float) -> tuple[bool, str]:
        """Return whether a look that is due now is taken; and, at the last one, if the least evidence was not reached.

        Parameters
        ----------
        training, looking
            Seconds of training and of looking up to now.
        """
        whole = training * self._length / max(step - self._first, 1)  # if it goes on at its present speed
        ahead = len(self._looks) - bisect_right(self._looks, step) + 1
        left = max(self._share * whole - looking, 0.0) / self._each(looking)
        self._credit += min(left / ahead, 1.0)
        allowed = left >= 1 and self._credit >= 1 - 1e-9
        if allowed:
            self._credit -= 1.0
            self.taken += 1
        if ahead > 1 or self._told or self.taken >= min(MIN_LOOKS, len(self._looks)):
            return allowed, ""
        self._told = True
        needed = (looking + (MIN_LOOKS - self.taken + allowed) * self._each(looking)) / whole
        return allowed, (
            f"{self.taken} looks were within {self._share:.1%} of this training, and {MIN_LOOKS} are the least "
            f"evidence: it went faster, or looks took longer, than when the plan was made. Next time, a budget of "
            f"{math.ceil(1000 * needed) / 1000:.3f} or more."
        )

    def _each(self, looking: float) -> float:
        """Return the expected seconds of a look, verdicts included; never less than the plan's."""
        return max(self._expected, (looking - self._spent) / self.taken if self.taken else 0.0, 1e-9)
