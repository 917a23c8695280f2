"""What a budget pays for during training: which networks are measured, kept for later, or skipped."""

import math
from collections.abc import Mapping
from itertools import pairwise
from time import perf_counter
from typing import Any

from interdyn._numbers import percent
from interdyn.schedules import apart, at, due, due_steps
from interdyn.tracking._measuring import copied
from interdyn.tracking._plan import Pace, Plan, of_near, richest
from interdyn.tracking._pricing import Pricing, copies_kept

SETTLED = 0.5
"""Seconds of training after which its speed is known, and a budget is planned if the length is known."""

OPEN = 10.0
"""Seconds of training after which players and samples are chosen if the length is not known."""

_SUSTAINED = 1 / 3  # of a budget's seconds so far: about how often a step of a logarithmic schedule falls due
_LONG = 60.0  # seconds that the last network may take beyond the budget, if that is more than the budget


class Budget:
    """A share of the training time, and what it pays for.

    If the length of the training is known, the whole of it is planned. Otherwise measuring never takes more than the
    share of the time so far: the first networks that fall due are kept; after ten seconds of training, or once the
    minimum evidence is paid for, players and samples are chosen for good. The kept networks are measured first; after
    that a measurement is taken when it is due and paid for, or as soon as it is paid for.

    Parameters
    ----------
    share
        Largest share of the training time.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.plan: Plan | None = None
        self.refusal = ""
        """Why nothing fits; empty otherwise."""
        self.waiting: list[tuple[int, Any, Mapping[str, float]]] = []
        """Step, copy and losses of each kept network, in training order."""
        self.owed = False
        """Whether a measurement fell due that is not paid for yet."""
        self._pace: Pace | None = None
        self._planned: Any = None
        self._try_at = 0.0
        self.costs: list[float] = []
        """Seconds of each measured step so far."""
        self._least_seconds: float | None = None

    @property
    def decided(self) -> bool:
        """Whether players and samples are chosen, or nothing fits."""
        return self.plan is not None or bool(self.refusal)

    @property
    def planned(self) -> bool:
        """Whether the steps are planned to the end, or nothing fits; otherwise what falls due may wait."""
        return self._pace is not None or bool(self.refusal)

    def wakes_at(self, measuring: float, *, known: bool) -> float:
        """Return the seconds of training before which there is nothing to do unless a step falls due.

        Parameters
        ----------
        measuring
            Seconds of measuring so far.
        known
            Whether the length of the training is known.
        """
        if not self.decided:
            return self._settles_at(known=known)
        if self.plan is None or not (self.waiting or self.owed):
            return math.inf
        return 0.0 if self._pace is not None else (measuring + self._each() * self.plan.window) / self.share

    def _settles_at(self, *, known: bool) -> float:
        """Return the seconds of training from which players and samples can be chosen."""
        return max(SETTLED if known else OPEN, self._try_at)

    def put_aside(self, step: int, model: Any, losses: Mapping[str, float]) -> int:
        """Keep a copy of a network that is due; return how many networks, this or others, were dropped.

        If as many as allowed are kept, it is copied only if it is farther from the last one than the closest two are
        from each other, by the logarithm of the step; of those two the later one is dropped.
        """
        places = [math.log1p(kept[0]) for kept in self.waiting] + [math.log1p(step)]
        gaps = [after - before for before, after in pairwise(places)]
        full = len(self.waiting) >= copies_kept(model)[0]
        if full and gaps[-1] <= min(gaps[:-1]):
            return 1
        if full:
            closest = min(range(len(gaps) - 1), key=gaps.__getitem__)
            del self.waiting[closest + 1]
        self.waiting.append((step, copied(model), losses))
        return int(full)

    def settle(self, pricing: Pricing, model: Any, *, course: tuple[int, int], clock: tuple[float, float]) -> str:
        """Choose players and samples if it is time to; return a message about it.

        Parameters
        ----------
        course
            First and current step of the training.
        clock
            Seconds of training and of measuring so far.
        """
        (first, step), (training, measuring) = course, clock
        if step <= first or training < self._settles_at(known=bool(pricing.total_steps)):
            return ""
        if pricing.total_steps is None:
            return self._chosen(pricing, model, training, measuring)
        lasts = training / (step - first) * max(pricing.total_steps - first, 1)
        begun = perf_counter()
        price = pricing.of(model, allowance=self.share * lasts)
        spent = measuring + perf_counter() - begun
        kept = [one[0] for one in self.waiting]
        ahead: dict[str, Any] = {"first": step + 1, "kept": kept}
        plan = pricing.plan(price, share=self.share, training_seconds=lasts, spent=spent, **ahead)
        if isinstance(plan, str):
            self.refusal, self._least_seconds = plan, price(*pricing.least)
            return plan
        due_ahead = due_steps(pricing.schedule, step + 1, pricing.total_steps)
        all_due = sorted({*kept, *due_ahead, pricing.total_steps})
        steps = plan.measurements or apart(all_due, pricing.window, pricing.total_steps)
        self.plan, self._planned = plan, at(*steps)
        taken = sum(one in steps for one in kept)
        course = (first, pricing.total_steps)
        self._pace = Pace(plan, steps, share=self.share, course=course, spent=spent, taken=taken)
        return plan.sentence

    def _chosen(self, pricing: Pricing, model: Any, training: float, measuring: float) -> str:
        """Choose by what the time so far can sustain, or the minimum evidence once it is paid for."""
        window = pricing.window
        limit = self.share * training * _SUSTAINED / window
        begun = perf_counter()
        price = pricing.of(model, allowance=limit * 10)
        trials = perf_counter() - begun
        spent = measuring + trials
        found = richest(price, limit=limit, **pricing.limits)
        least = self._least_seconds = price(*pricing.least)
        if found is None and self.share * training - spent >= least * window:
            found = pricing.least
        if found is None:
            told = bool(self._try_at)
            self._try_at = max(1.5 * training, (spent + trials + least * window) / self.share)
            if told:
                return ""
            return (
                f"Nothing is measured in the first {self._try_at:.3g} s of training: {percent(self.share)} of "
                f"that time is less than the minimum evidence takes, {least * window:.2g} s or more per measurement. "
                "Pass a larger `budget`."
            )
        n, k = found
        self.plan = Plan(
            n,
            k,
            None,
            price(n, k),
            self.share,
            f"Measurements of {k} samples of {n} players{of_near(window)}, {price(n, k) * window:.2g} s each, are "
            f"taken as often as {percent(self.share)} of the training time so far pays for them. Pass `total_steps` to "
            "plan the whole training.",
            window,
        )
        return self.plan.sentence

    def affords(self, training: float, measuring: float, *, steps: int | None = None) -> bool:
        """Return whether one more measurement is paid for by the time so far; for a plan, `Pace` decides.

        ``steps``: how many of a window, by default all. In a plan, the first step of a window pays for all of them.
        """
        if self._pace is not None:
            return True
        assert self.plan is not None
        return self.share * training - measuring >= self._each() * (self.plan.window if steps is None else steps)

    def _each(self) -> float:
        """Return the seconds of a step: as planned, or as measured so far if that is more."""
        assert self.plan is not None
        return max(self.plan.seconds, sum(self.costs) / len(self.costs) if self.costs else 0.0)

    def next_waiting(self, training: float, measuring: float) -> tuple[int, Any, Mapping[str, float]] | None:
        """Remove and return the next kept network that is paid for."""
        if not self.waiting or self.plan is None or not self.affords(training, measuring):
            return None
        return self.waiting.pop(0)

    def drop_unplanned(self) -> int:
        """Drop the kept networks that the plan does not contain, or all if nothing fits; return how many."""
        kept = [one for one in self.waiting if self._planned is None or self._planned(one[0])]
        dropped = len(self.waiting) - len(kept if not self.refusal else [])
        self.waiting = [] if self.refusal else kept
        return dropped

    def give_up(self) -> int:
        """Drop at the end what was not paid for; return how many."""
        given_up = len(self.waiting) + self.owed
        self.waiting, self.owed = [], False
        return given_up

    def allows(self, after: int, step: int, training: float, measuring: float) -> tuple[bool, str]:
        """Return whether to measure what fell due after ``after``; at the end, also a warning if it was too little."""
        if self.plan is None:
            return False, ""
        if self._pace is not None:
            if not due(self._planned, after, step):
                return False, ""
            return self._pace.allows(step, training=training, measuring=measuring)
        if self.waiting or not self.affords(training, measuring):
            return False, ""
        return True, ""

    def take_last(self, step: int, pricing: Pricing, training: float, measuring: float) -> tuple[bool, Plan | None]:
        """Return whether the last network is not paid for, and what its measurement consists of.

        None if it is not paid for and would take longer than a minute.
        """
        self.waiting = [one for one in self.waiting if one[0] != step]
        if self.plan is not None:
            paid, plan = self.share * training - measuring >= self.plan.seconds, self.plan
        else:
            seconds = self._least_seconds or 0.0
            plan = Plan(*pricing.least, None, seconds, self.share, "")
            paid = seconds > 0 and self.share * training - measuring >= seconds
        if not paid and plan.seconds > max(_LONG, self.share * training):
            return True, None
        self.owed = False
        return not paid, plan
