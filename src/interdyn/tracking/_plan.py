"""What measuring may cost: a plan of players, samples and steps, and its pace during training."""

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from interdyn._numbers import percent
from interdyn.errors import InputError, deprecated
from interdyn.schedules import Schedule, apart, due_steps

_NAMED = {"glance": 0.01, "look": 0.05, "study": 0.20}  # names of shares, deprecated

MIN_PLAYERS, MIN_SAMPLES, MIN_MEASUREMENTS = 8, 8, 10
"""The minimum evidence (or all there is): a verdict on less is not reliable."""

FEWEST_PLAYERS = 6
"""What a plan is reduced to where the minimum evidence does not fit; below that nothing is measured."""

RESERVE = 0.1
"""Part of a budget kept in reserve: training may be faster, and measuring slower, than in the trials."""

_SAMPLES = (8, 12, 16, 24, 32, 48, 64, 96, 128)
_PLAYERS = (6, 7, 8, 9, 10, 11, 12)


def renamed(old: str, new: str) -> Any:
    """Return a deprecated property ``old`` for an attribute that is now ``new``."""

    def get(owner: Any) -> Any:
        name = type(owner).__name__
        deprecated(f"{name}.{old}", f"`{name}.{new}`", since="0.2")
        return getattr(owner, new)

    return property(get)


@dataclass(frozen=True)
class Plan:
    """What each measurement consists of.

    Attributes
    ----------
    n_players, n_samples
        Players per sample, samples per group.
    measurements
        The steps to measure at, ascending; None: whenever the schedule says so.
    seconds
        Expected seconds of the measurement at one step.
    share
        Expected share of the training time that measuring takes.
    sentence
        The plan as a sentence.
    window
        How many nearby steps each measurement takes.
    """

    n_players: int
    n_samples: int
    measurements: tuple[int, ...] | None
    seconds: float
    share: float
    sentence: str
    window: int = 1

    looks = renamed("looks", "measurements")


def share_of(budget: float | str | None) -> float | None:
    """Return the share of the training time that a budget allows; None for no limit.

    Raises
    ------
    InputError
        If it is not a share between 0 and 1.

    Warns
    -----
    DeprecationWarning
        If it is one of the old names of shares; names the share.

    Examples
    --------
    >>> share_of(0.1), share_of(None)
    (0.1, None)
    """
    if budget is None:
        return None
    if isinstance(budget, str) and budget in _NAMED:
        share = _NAMED[budget]
        deprecated(f"budget={budget!r}", f"`budget={share}`", since="0.2", stacklevel=2)
        return share
    if isinstance(budget, bool) or not isinstance(budget, float | int) or not 0 < budget < 1:
        raise InputError(
            f"`budget` must be a share of the training time between 0 and 1; got {budget!r}. Pass 0.05 for 5 %, or "
            "None for no limit."
        )
    return float(budget)


def planned(
    price: Callable[[int, int], float],
    schedule: Schedule,
    *,
    share: float,
    training_seconds: float,
    total_steps: int,
    most_players: int,
    most_samples: int,
    fixed_players: bool = False,
    first: int = 0,
    kept: Sequence[int] = (),
    spent: float = 0.0,
    window: int = 1,
) -> Plan | str:
    """Return the plan with the most evidence that fits the budget, or why there is none.

    Among all plans that fit and leave the `RESERVE` (which the minimum evidence may use), the one with the most
    evidence: 30 steps, 24 samples and 10 players are enough, and smaller numbers count by their share, for players
    squared. Fewer than 8 players are used only where 8 do not fit, fewer than 20 steps only where 20 do not. The last
    step is always included.

    Parameters
    ----------
    price
        Expected seconds of the measurement at one step, by numbers of players and of samples.
    training_seconds, total_steps
        Expected seconds of the whole training without measuring; its optimiser steps.
    most_players, most_samples
        The numbers available.
    fixed_players
        Whether the players are given explicitly, so that none can be left out.
    first, kept
        Step from which the schedule is evaluated; earlier steps whose networks are kept.
    spent
        Seconds that the trials have taken already, which are part of the budget.
    window
        How many nearby steps each measurement takes and pays for; only complete measurements are left out.
    """
    usable = (1 - RESERVE) * training_seconds
    allowance = share * usable - spent
    steps = apart(sorted({*kept, *due_steps(schedule, first, total_steps), total_steps}), window, total_steps)
    players, samples = _choices(most_players, most_samples, fixed_players)
    counts = sorted({min(len(steps), c) for c in (len(steps), 40, 30, 2 * MIN_MEASUREMENTS, MIN_MEASUREMENTS)})
    least = (min(n for n in players), samples[0], min(len(steps), MIN_MEASUREMENTS))
    enough = (*least_evidence(most_players, most_samples, fixed_players), least[2])
    reserve = share * RESERVE * training_seconds

    def paid(plan: tuple[int, int, int]) -> bool:
        n, k, at = plan
        return at * window * price(n, k) <= allowance + (reserve if plan == enough else 0.0)

    fits = [plan for plan in itertools.product(players, samples, counts) if paid(plan)]
    if not fits:
        needed = (spent + least[2] * window * price(least[0], least[1])) / usable
        return (
            f"Only the last network is measured: the minimum evidence ({least[0]} players, {least[1]} samples, "
            f"{least[2]} {_called(window)}) with its reserve would take {percent(needed)} of the training time or "
            f"more; the budget is {percent(share)}. Raise it to {math.ceil(1000 * needed) / 1000:.3f} or more, or pass "
            "`budget=None`."
        )
    spare = min(2 * MIN_MEASUREMENTS, len(steps))  # the minimum remains if each takes twice as long as expected
    n, k, count = max(fits, key=lambda p: (p[0] >= min(MIN_PLAYERS, most_players), p[2] >= spare, *_evidence(p)))
    chosen = None if count == len(steps) else _thinned(steps, count)
    seconds = price(n, k)
    whole = spent + count * window * seconds
    expected = whole / training_seconds
    sentence = (
        f"{count} measurements of {k} samples of {n} players{of_near(window)}, {window * seconds:.2g} s each, "
        f"{whole:.2g} s in all: {percent(expected)} of the training time."
    )
    return Plan(n, k, chosen, seconds, expected, sentence, window)


def of_near(window: int) -> str:
    """Return the phrase for the steps of each measurement; empty for single ones."""
    return "" if window == 1 else f" at {window} nearby steps"


def _called(window: int) -> str:
    return "steps" if window == 1 else f"windows of {window} steps"


def richest(
    price: Callable[[int, int], float], *, limit: float, most_players: int, most_samples: int, fixed_players: bool
) -> tuple[int, int] | None:
    """Return the players and samples with the most evidence whose measurement takes at most ``limit`` seconds.

    None where the minimum evidence takes longer.

    Examples
    --------
    >>> choices = {"most_players": 10, "most_samples": 24, "fixed_players": False}
    >>> richest(lambda n, k: 2**n * k / 1000, limit=4.2, **choices), richest(lambda n, k: 9.0, limit=4.2, **choices)
    ((8, 16), None)
    """
    players, samples = _choices(most_players, most_samples, fixed_players)
    enough = [n for n in players if n >= min(MIN_PLAYERS, most_players)]
    fits = [(n, k) for n in enough for k in samples if price(n, k) <= limit]
    return max(fits, key=lambda one: _evidence((*one, MIN_MEASUREMENTS)), default=None)


def least_evidence(most_players: int, most_samples: int, fixed_players: bool) -> tuple[int, int]:
    """Return the players and samples of the minimum evidence, or all there is.

    Examples
    --------
    >>> least_evidence(12, 32, fixed_players=False), least_evidence(12, 4, fixed_players=True)
    ((8, 8), (12, 4))
    """
    return most_players if fixed_players else min(MIN_PLAYERS, most_players), min(MIN_SAMPLES, most_samples)


def _choices(most_players: int, most_samples: int, fixed_players: bool) -> tuple[list[int], list[int]]:
    """Return the numbers of players and of samples that a measurement may have."""
    players = [most_players] if fixed_players else [n for n in _PLAYERS if n < most_players] + [most_players]
    return players, [k for k in _SAMPLES if k < most_samples] + [most_samples]


def _evidence(plan: tuple[int, int, int]) -> tuple[float, float]:
    """Return the evidence of a plan, from steps, samples and players, each capped at what is enough."""
    n, k, count = plan
    enough = min(count / 30, 1) * min(k / 24, 1) * min(n / 10, 1) ** 2
    return enough, count * k * n


def _thinned(steps: list[int], count: int) -> tuple[int, ...]:
    """Return ``count`` of the steps, evenly by position, including the first and the last.

    Examples
    --------
    >>> _thinned([0, 1, 2, 4, 8, 16, 32], 4)
    (0, 2, 8, 32)
    """
    last = len(steps) - 1
    if count == 1:
        return (steps[-1],)
    return tuple(steps[round(i * last / (count - 1))] for i in range(count))


class Pace:
    """Decides at each planned measurement whether it is taken, so that the budget lasts to the end.

    Parameters
    ----------
    plan
        What a measurement consists of and is expected to cost.
    steps
        The steps of all planned measurements, ascending.
    share
        Share of the training time that measuring may take.
    course
        First and last step of the training.
    spent
        Seconds of measuring when the plan was made.
    taken
        Planned measurements already taken, of networks kept until then.

    Examples
    --------
    >>> plan, steps = Plan(6, 8, None, seconds=1.0, share=0.1, sentence=""), range(10, 101, 10)
    >>> pace = Pace(plan, steps, share=0.1, course=(0, 100), spent=0.0, taken=0)
    >>> [s for s in steps if pace.allows(s, training=0.5 * s, measuring=pace.taken)[0]]  # 50 seconds instead of 100
    [20, 40, 60, 80, 100]
    """

    def __init__(
        self, plan: Plan, steps: Sequence[int], *, share: float, course: tuple[int, int], spent: float, taken: int
    ) -> None:
        self.taken = taken
        """Measurements taken so far."""
        self._expected, self._steps, self._share, self._spent = plan.seconds * plan.window, steps, share, spent
        self._first, self._length = course
        self._credit = 0.0
        self._told = False

    def allows(self, step: int, *, training: float, measuring: float) -> tuple[bool, str]:
        """Return whether a measurement due now is taken; at the last one, also a warning if the minimum was missed.

        Parameters
        ----------
        training, measuring
            Seconds of training and of measuring so far.
        """
        whole = training * self._length / max(step - self._first, 1)  # at its present speed
        ahead = len(self._steps) - bisect_right(self._steps, step) + 1
        left = max(self._share * whole - measuring, 0.0) / self._each(measuring)
        self._credit += min(left / ahead, 1.0)
        allowed = left >= 1 and self._credit >= 1 - 1e-9
        if allowed:
            self._credit -= 1.0
            self.taken += 1
        if ahead > 1 or self._told or self.taken >= min(MIN_MEASUREMENTS, len(self._steps)):
            return allowed, ""
        self._told = True
        needed = (measuring + (MIN_MEASUREMENTS - self.taken + allowed) * self._each(measuring)) / whole
        return allowed, (
            f"{self.taken} measurements were within {percent(self._share)} of this training, and {MIN_MEASUREMENTS} "
            f"are the minimum evidence: training was faster, or measuring slower, than when the plan was made. Next "
            f"time, pass a budget of {math.ceil(1000 * needed) / 1000:.3f} or more."
        )

    def _each(self, measuring: float) -> float:
        """Return the expected seconds of a measurement, with verdicts and nearby steps; not less than planned."""
        return max(self._expected, (measuring - self._spent) / self.taken if self.taken else 0.0, 1e-9)
