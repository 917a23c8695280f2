"""What looking costs, found by trial: before a training starts, and when its speed is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from interdyn.dynamics import latest_verdict
from interdyn.schedules import Schedule
from interdyn.tracking._look import Looking
from interdyn.tracking._plan import Plan, planned
from interdyn.tracking._probe import Probe
from interdyn.values import Trajectory


@dataclass(frozen=True)
class Estimate:
    """What looking at a training is expected to cost.

    Attributes
    ----------
    n_players, n_samples
        Players of each sample, samples of each group.
    seconds
        Of one look.
    looks
        How many there are up to the last step; None where the length of the training is not known.
    share
        Share of the training time; None where that is not known.
    fits
        Whether the budget allows it; None without a budget, or where the training time is not known.
    sentence
        The same in words.
    """

    n_players: int
    n_samples: int
    seconds: float
    looks: int | None
    share: float | None
    fits: bool | None
    sentence: str


@dataclass(frozen=True)
class Pricing:
    """Everything that the cost of looking depends on, besides the network.

    Attributes
    ----------
    looking, probes
        What a look is, and at which samples.
    schedule, total_steps
        When it falls due; length of the training, None where not known.
    judged
        Whether a verdict at every look is part of its price.
    """

    looking: Looking
    probes: Sequence[Probe]
    schedule: Schedule
    total_steps: int | None
    judged: bool

    def of(self, model: Any, *, allowance: float | None = None) -> Callable[[int, int], float]:
        """Return the expected seconds of one look for numbers of players and of samples, by trials on the network.

        ``allowance``: seconds for all looks together; where they are too few, the price is a lower bound.
        """
        first, most = self.probes[0], self.looking.most_players(self.probes[0])
        part = None if allowance is None else allowance / len(self.probes)
        price = self.looking.price(model, first, most_players=most, allowance=part)
        judging = _verdict_seconds(len(first), most) if self.judged else 0.0
        return lambda n, k: price(n, k) * len(self.probes) + judging

    def plan(
        self, price: Callable[[int, int], float], *, share: float, training_seconds: float, spent: float = 0.0
    ) -> Plan | str:
        """Return what fits the budget of a training of known length, or why nothing does."""
        assert self.total_steps is not None
        return planned(
            price,
            self.schedule,
            share=share,
            training_seconds=training_seconds,
            total_steps=self.total_steps,
            most_players=self.looking.most_players(self.probes[0]),
            most_samples=min(len(p) for p in self.probes),
            fixed_players=self.looking.config.players is None,
            spent=spent,
        )

    def estimate(self, model: Any, *, share: float | None, step_seconds: float | None) -> Estimate:
        """Return the expected cost; with a budget and a speed of training, that of the plan."""
        lasts = None if step_seconds is None or self.total_steps is None else step_seconds * self.total_steps
        begun = perf_counter()
        price = self.of(model, allowance=None if share is None or lasts is None else share * lasts)
        spent = perf_counter() - begun  # as it will be once more in the training
        n, k = self.looking.most_players(self.probes[0]), min(len(p) for p in self.probes)
        looks = None if self.total_steps is None else sum(self.schedule(s) for s in range(self.total_steps + 1))
        if share is not None and lasts is not None:
            plan = self.plan(price, share=share, training_seconds=lasts, spent=spent)
            if isinstance(plan, str):
                return Estimate(n, k, price(n, k), 0, None, False, plan)
            looks = looks if plan.looks is None else len(plan.looks)
            return Estimate(plan.n_players, plan.n_samples, plan.seconds, looks, plan.share, True, plan.sentence)
        seconds = price(n, k)
        words = [f"A look at {k} samples of {n} players takes about {seconds:.2g} s"]
        if looks is not None:
            words.append(f"{looks} looks up to step {self.total_steps} about {looks * seconds:.2g} s")
        part = None if lasts is None or looks is None else looks * seconds / lasts
        if part is not None:
            words.append(f"{part:.1%} of the training time")
        elif share is not None and looks is not None:
            words.append(f"all of it fits {share:.1%} of a training of {looks * seconds / share:.3g} s or more")
        return Estimate(
            n, k, seconds, looks, part, None, ": ".join(words[:2]) + "".join(f"; {w}" for w in words[2:]) + "."
        )


def _verdict_seconds(samples: int, orders: int) -> float:
    """Return how long a verdict takes, by a trial on ten measurements of nothing in particular."""
    strength = np.random.default_rng(0).random((10, samples, orders))
    begun = perf_counter()
    latest_verdict(Trajectory(np.arange(10.0), strength, None, None, ""))
    return perf_counter() - begun
