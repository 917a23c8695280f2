"""What looking may cost, and what it then consists of: players, samples and time points."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from interdyn.errors import InputError
from interdyn.schedules import Schedule

TIERS = {"glance": 0.01, "look": 0.05, "study": 0.20}
"""Named budgets, as shares of the training time."""

MIN_PLAYERS, MIN_SAMPLES, MIN_LOOKS = 6, 8, 10
"""The least evidence: below it a verdict would rest on too little, and nothing is measured."""

RESERVE = 0.1
"""Part of a budget that a plan leaves: training may turn out faster, and a look dearer, than in the trials."""

_SAMPLES = (8, 12, 16, 24, 32, 48, 64, 96, 128)
_PLAYERS = (6, 7, 8, 9, 10, 11, 12)


@dataclass(frozen=True)
class Plan:
    """What each look consists of.

    Attributes
    ----------
    n_players, n_samples
        Players of each sample, samples of each group.
    looks
        The steps to look at, ascending; None: whenever the schedule says so.
    seconds
        Expected seconds of one look.
    share
        Expected share of the training time that looking takes.
    sentence
        The same in words.
    """

    n_players: int
    n_samples: int
    looks: tuple[int, ...] | None
    seconds: float
    share: float
    sentence: str


def share_of(budget: float | str | None) -> float | None:
    """Return the share of the training time that a budget allows; None for no limit.

    Raises
    ------
    InputError
        If it is neither a share between 0 and 1 nor the name of one.

    Examples
    --------
    >>> share_of("look"), share_of(0.1), share_of(None)
    (0.05, 0.1, None)
    """
    if budget is None:
        return None
    if isinstance(budget, str):
        if budget not in TIERS:
            raise InputError(f"`budget` must be one of {', '.join(TIERS)}, or a share such as 0.05; got {budget!r}.")
        return TIERS[budget]
    if isinstance(budget, bool) or not 0 < budget < 1:
        raise InputError(
            f"`budget` must be a share of the training time between 0 and 1; got {budget!r}. For 5 % pass 0.05, for no "
            "limit None."
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
    spent: float = 0.0,
) -> Plan | str:
    """Return the plan with most evidence whose price fits the budget, or why there is none.

    Of all that fits and leaves the `RESERVE`, the plan with most evidence: 30 looks, 24 samples and 10 players are
    enough, and what falls short of that counts by its share, for players by the square.

    Parameters
    ----------
    price
        Expected seconds of one look for numbers of players and of samples.
    training_seconds, total_steps
        Expected seconds of the whole training without looking; its optimiser steps.
    most_players, most_samples
        What there is.
    fixed_players
        Whether the players are given one by one, so that none can be left out.
    spent
        Seconds that finding the price has taken already, which are part of the budget.
    """
    usable = (1 - RESERVE) * training_seconds
    allowance = share * usable - spent
    steps = [step for step in range(total_steps + 1) if schedule(step)]
    if not steps:
        return f"No look: the schedule has none up to step {total_steps}."
    players = [most_players] if fixed_players else [n for n in _PLAYERS if n < most_players] + [most_players]
    samples = [k for k in _SAMPLES if k < most_samples] + [most_samples]
    counts = sorted({min(len(steps), c) for c in (len(steps), 40, 30, 2 * MIN_LOOKS, MIN_LOOKS)})
    least = (min(n for n in players), samples[0], min(len(steps), MIN_LOOKS))
    fits = [(n, k, looks) for n in players for k in samples for looks in counts if looks * price(n, k) <= allowance]
    if not fits:
        needed = (spent + least[2] * price(least[0], least[1])) / usable
        return (
            f"No look: the least evidence ({least[0]} players, {least[1]} samples, {least[2]} looks) would take, "
            f"with a reserve, {needed:.1%} of the training time or more; the budget is {share:.1%}. Raise it to "
            f"{math.ceil(1000 * needed) / 1000:.3f} or more."
        )
    n, k, looks = max(fits, key=_evidence)
    chosen = None if looks == len(steps) else _thinned(steps, looks)
    seconds = price(n, k)
    expected = (spent + looks * seconds) / training_seconds
    return Plan(
        n,
        k,
        chosen,
        seconds,
        expected,
        f"{looks} looks at {k} samples of {n} players, {seconds:.2g} s each: {expected:.1%} of the training time.",
    )


def _evidence(plan: tuple[int, int, int]) -> tuple[float, float]:
    """Return how much a plan tells: the logarithms of looks, samples and masks, each with a ceiling that is enough."""
    n, k, looks = plan
    enough = min(looks / 30, 1) * min(k / 24, 1) * min(n / 10, 1) ** 2
    return enough, looks * k * n


def _thinned(steps: list[int], count: int) -> tuple[int, ...]:
    """Return ``count`` of the steps, evenly by position, the first and the last among them.

    Examples
    --------
    >>> _thinned([0, 1, 2, 4, 8, 16, 32], 4)
    (0, 2, 8, 32)
    """
    last = len(steps) - 1
    return tuple(steps[round(i * last / (count - 1))] for i in range(count))
