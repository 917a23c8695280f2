"""What measuring costs, found by trial: before a training starts, and when its speed is known."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from threading import Timer
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from interdyn._numbers import percent
from interdyn.compiled import available
from interdyn.dynamics import online_verdict
from interdyn.game import bare, copy_bytes
from interdyn.measurement import Group, recorded
from interdyn.schedules import Schedule, apart, due_steps
from interdyn.sparsify import WITHIN, split
from interdyn.tracking._plan import (
    FEWEST_PLAYERS,
    MIN_MEASUREMENTS,
    Plan,
    least_evidence,
    of_near,
    planned,
    renamed,
)
from interdyn.tracking._said import tell
from interdyn.transforms import values_from_and
from interdyn.values import Trajectory

_TRIAL_PLAYERS = 8  # a price is found by trials with at most this many
_WARMING = 6.0  # how many times longer the first trial may take, which builds caches
_LARGER = 6.0  # cost of a trial of four samples with more players, in trials of one sample with the fewest
_TRIAL_SHARE = 0.1  # of all time that measuring may take
_AGAIN = 0.05  # of all time that measuring may take, for trials that are made twice
SLOW = 3.0  # seconds after which loading is reported
_COMPILES = (
    "Compiling the solver. This happens once per machine, takes up to two minutes, and counts neither as training nor "
    "as measuring time."
)
_MOST_BYTES, _FEWEST_COPIES, _MOST_COPIES = 2**28, 3, 8  # of kept networks


@dataclass(frozen=True)
class Estimate:
    """What measuring a training is expected to cost.

    Attributes
    ----------
    n_players, n_samples
        Players per sample, samples per group.
    seconds
        Seconds of the measurement at one step.
    measurements
        Number of measurements up to the last step, a window counting once; None if not known.
    share
        Share of the training time; None if not known.
    fits
        Whether the budget allows it; None without a budget, or if the training time is not known.
    sentence
        The estimate as a sentence.
    kept_bytes
        Largest memory of the copies of the network that a budget keeps until it is planned, on the network's device;
        0 without a budget.
    copy_bytes
        Memory of the private copy of the network that is measured, on its device, during a measurement.
    """

    n_players: int
    n_samples: int
    seconds: float
    measurements: int | None
    share: float | None
    fits: bool | None
    sentence: str
    kept_bytes: int = 0
    copy_bytes: int = 0

    looks = renamed("looks", "measurements")


@dataclass(frozen=True)
class Pricing:
    """Everything that the cost of measuring depends on, except the network.

    Attributes
    ----------
    groups
        What is measured at a step.
    schedule, total_steps
        When measurements fall due; length of the training, None if not known.
    judged
        Whether a verdict at every step is part of the price.
    window
        How many nearby steps each measurement takes.
    """

    groups: Sequence[Group]
    schedule: Schedule
    total_steps: int | None
    judged: bool
    window: int = 1

    def prepare(self, *, fewer: bool = True) -> float:
        """Load the compiled functions that measurements call, before any is timed; return the seconds it took.

        They are loaded once per process, and compiled if this is their first use on the machine. Large tables are split
        by another function than small ones, so it depends on the numbers of players that may be measured: ``fewer``
        states whether they include some below all, as in trials and plans.
        """
        begun, slow = perf_counter(), Timer(SLOW, tell, [_COMPILES])
        slow.start()
        try:
            for group in self.groups if available() else ():
                players = {group.n_players}
                if fewer and group.config.players is not None:
                    players.add(min(FEWEST_PLAYERS, group.n_players))
                for n in players if group.config.solver != "lp" else ():  # "sgd-paper" is certified by it, too
                    _load_solver(large=n >= WITHIN)
                _load_transforms()
        finally:
            slow.cancel()
        return perf_counter() - begun

    def of(self, model: Any, *, allowance: float | None = None) -> Callable[[int, int], float]:
        """Return the expected seconds of one step's measurement by numbers of players and of samples, from trials.

        ``allowance``: seconds for all trials together; if they do not suffice, the price is a lower bound.
        """
        first = self.groups[0]
        part = None if allowance is None else allowance / len(self.groups)
        price = _price(model, first, allowance=part)
        judging = _verdict_seconds(len(first), first.n_players) if self.judged else 0.0
        return lambda n, k: price(n, k) * len(self.groups) + judging

    @property
    def limits(self) -> dict[str, Any]:
        """The choices available: ``most_players``, ``most_samples``, ``fixed_players``."""
        return {
            "most_players": self.groups[0].n_players,
            "most_samples": min(len(group) for group in self.groups),
            "fixed_players": self.groups[0].config.players is None,
        }

    @property
    def least(self) -> tuple[int, int]:
        """Players and samples of the minimum evidence, or of all there is."""
        return least_evidence(**self.limits)

    def plan(
        self,
        price: Callable[[int, int], float],
        *,
        share: float,
        training_seconds: float,
        spent: float = 0.0,
        first: int = 0,
        kept: Sequence[int] = (),
    ) -> Plan | str:
        """Return the plan that fits the budget of a training of known length, or why none does."""
        assert self.total_steps is not None
        return planned(
            price,
            self.schedule,
            share=share,
            training_seconds=training_seconds,
            total_steps=self.total_steps,
            first=first,
            kept=kept,
            spent=spent,
            window=self.window,
            **self.limits,
        )

    def estimate(self, model: Any, *, share: float | None, step_seconds: float | None) -> Estimate:
        """Return the expected cost; with a budget and a speed of training, that of the plan."""
        lasts = None if step_seconds is None or self.total_steps is None else step_seconds * self.total_steps
        self.prepare()
        begun = perf_counter()
        price = self.of(model, allowance=None if share is None or lasts is None else share * lasts)
        spent = perf_counter() - begun  # the training will spend it again
        n, k, window = self.groups[0].n_players, min(len(group) for group in self.groups), self.window
        held = copy_bytes(model)
        last, kept = self.total_steps, 0 if share is None else math.prod(copies_kept(model))
        count = None if last is None else len(apart(sorted({*due_steps(self.schedule, 0, last), last}), window, last))
        if share is not None and lasts is not None:
            plan = self.plan(price, share=share, training_seconds=lasts, spent=spent)
            if isinstance(plan, str):
                return Estimate(n, k, price(n, k), 0, None, False, plan, kept, held)
            count = count if plan.measurements is None else len(plan.measurements)
            chosen = (plan.n_players, plan.n_samples, plan.seconds, count)
            return Estimate(*chosen, plan.share, True, plan.sentence, kept, held)
        seconds = price(n, k)
        each = seconds * window
        words = [f"A measurement of {k} samples of {n} players{of_near(window)} takes about {each:.2g} s"]
        if count is not None:
            words.append(f"{count} of them, up to step {self.total_steps}, take about {count * each:.2g} s")
        part = None if lasts is None or count is None else count * each / lasts
        if part is not None:
            words.append(f"this is {percent(part)} of the training time")
        elif share is not None and count is not None:
            words.append(f"{percent(share)} of a training of {count * each / share:.3g} s or more pays for all of them")
        elif share is not None:
            words.append(f"fewer are taken where {percent(share)} of the training time does not pay for that")
        sentence = "; ".join(words) + "."
        return Estimate(n, k, seconds, count, part, None, sentence, kept, held)


def copies_kept(model: Any) -> tuple[int, int]:
    """Return the largest number of copies of a network that a budget keeps, and the bytes of each.

    Three to eight: as many as fit in 256 MiB.

    Examples
    --------
    >>> copies_kept(nn.Linear(9, 10))
    (8, 400)
    """
    network = bare(model)
    tensors = (*network.parameters(), *network.buffers()) if isinstance(network, nn.Module) else ()
    size = sum(t.numel() * t.element_size() for t in tensors if not nn.parameter.is_lazy(t))
    return min(max(_MOST_BYTES // max(size, 1), _FEWEST_COPIES), _MOST_COPIES), size


@cache
def _load_solver(*, large: bool) -> None:
    split(torch.linspace(0.0, 1.0, 2 ** (WITHIN if large else 4), dtype=torch.float64) ** 2, threads=1)


@cache
def _load_transforms() -> None:
    values_from_and(torch.zeros(4, dtype=torch.float64))


def _price(model: Any, group: Group, *, allowance: float | None) -> Callable[[int, int], float]:
    """Return the expected seconds of measuring ``(players, samples)``: a constant plus a part per masked input.

    Both come from trials of one sample with few players and of four with more, after a warm-up that is not counted: the
    faster of two each if that is cheap, since other load on the processor only makes a trial longer. With an
    ``allowance``, seconds for all measurements together, the smallest trials come first, and they end once it is known
    that the minimum evidence costs more than is allowed; the price is then a lower bound.
    """

    def seconds(n: int | None, samples: int) -> tuple[float, int]:
        begun = perf_counter()
        tried = recorded(model, group.first(samples).drawn(n), step=0)
        return perf_counter() - begun, tried.v.size

    drawn, most_players = group.config.players is not None, group.n_players
    n = min(most_players, FEWEST_PLAYERS) if drawn else None
    cold, _ = seconds(n, 1)
    if allowance is not None and MIN_MEASUREMENTS * cold > _WARMING * allowance:
        return lambda _players, _samples: cold
    one, cells = seconds(n, 1)
    if allowance is not None and MIN_MEASUREMENTS * one > allowance:
        return lambda _players, _samples: one
    more = n
    if n is not None and (allowance is None or _LARGER * one <= _TRIAL_SHARE * allowance):
        more = min(most_players, _TRIAL_PLAYERS)
    four, more_cells = seconds(more, 4)
    if allowance is None or one + four <= _AGAIN * allowance:
        one, four = min(one, seconds(n, 1)[0]), min(four, seconds(more, 4)[0])
    slope = max((four - one) / max(more_cells - cells, 1), 0.1 * four / more_cells)
    constant = max(one - slope * cells, 0.0)
    tried, alone = (more_cells // min(4, len(group)) - 1).bit_length(), replace(group.config, threads=1)

    def expected(players: int, samples: int) -> float:
        # a table with more players takes more solver steps, too
        split, counted = (alone.split_seconds(k, 1) for k in (players, tried))
        rest = max(split - counted * 2.0 ** (players - tried), 0.0) if players > tried else 0.0
        return constant + samples * (slope * 2.0**players + rest)

    return expected


def _verdict_seconds(samples: int, orders: int) -> float:
    """Return the seconds of a verdict, from a trial on ten artificial measurements."""
    strength = np.random.default_rng(0).random((10, samples, orders))
    begun = perf_counter()
    online_verdict(Trajectory(np.arange(10.0), strength, None, None, ""))
    return perf_counter() - begun
