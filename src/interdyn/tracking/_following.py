"""The progress of a measured training: what falls due, what is paid for, which network is the last."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, Literal

from interdyn._arguments import told, whole
from interdyn._numbers import percent
from interdyn.dynamics import MIN_STEPS
from interdyn.errors import DisturbedError, InputError
from interdyn.game import bare
from interdyn.measurement import Group
from interdyn.schedules import MAX_STEP, Schedule, due, too_short
from interdyn.tracking._budget import Budget
from interdyn.tracking._entry import numbers, returned
from interdyn.tracking._measuring import Changes, is_first, left_over
from interdyn.tracking._plan import Plan
from interdyn.tracking._pricing import Pricing
from interdyn.tracking._record import Record
from interdyn.tracking._said import Logger, starts_again, tell
from interdyn.tracking._units import MEASURING
from interdyn.tracking._windows import NearBy
from interdyn.values import MeasurementCount

_UNPAID = "over the budget"
_BLIND = (
    '`stop_when="harm"` needs held-out losses and never stops without: pass `losses=`, or `test_loss=` to `observe`.'
)


class Following:
    """Follows a training: the part of `Tracker` that decides at each step; its arguments are those of a tracker."""

    def __init__(
        self,
        groups: Sequence[Group],
        record: Record,
        *,
        schedule: Schedule,
        share: float | None,
        total_steps: int | None,
        losses: Callable[[Any], Mapping[str, float]] | None,
        stop_when: Literal["harm"] | None,
        loggers: Sequence[Logger],
        window: int,
    ) -> None:
        if total_steps is not None and (why := too_short(window, total_steps)):
            raise InputError(why)
        self.window = window
        """How many nearby steps a measurement takes."""
        self._near_at = 0.0  # the step from which more than the schedule must be checked
        self._groups, self._record, self._schedule = groups, record, schedule
        self._budget, self.total_steps = None if share is None else Budget(share), total_steps
        self._told_length = total_steps is not None
        self.stop_when, self.losses = stop_when, losses
        """Computes the losses of a measured step; those that it does not return are the ones passed to `observe`."""
        self._last, self._stride, self._wakes = -1, 1, 0.0
        self._model: Any = None  # of the last call, and its count of weight changes by then
        self._changes, self._changed = Changes(), 0
        self._given: dict[str, Any] = {}
        self._entered = 0.0
        self._left: float | None = None
        self._first: int | None = None
        self._before = -1  # the last step of an earlier stretch, which a resumed training may repeat
        self._rank_told = self._counter_told = self._behind = False  # behind: the last call's step was below another
        self._disturbed = False  # by measuring; it is then not measured any more
        self._missed_at: int | None = None  # the last step that fell due and was not paid for
        self._tried: int | None = None  # the last step at which a measurement was started
        self._recorded_seconds = 0.0
        self.training_seconds = 0.0
        """Wall time between the calls of `observe`."""
        self.measuring_seconds = 0.0
        """Wall time inside `observe` and for verdicts."""
        self.preparing_seconds = 0.0
        """Wall time of loading compiled functions before the first measurement; not part of the others."""
        self._prepares = True  # unless other processes measure
        self.history = self._record.history
        """What was measured so far."""
        self.problems = self._record.problems
        """Descriptions of what went wrong while measuring."""
        if not isinstance(loggers, Iterable) or isinstance(loggers, str | bytes | Mapping):
            raise InputError(f"`loggers` must be a list of loggers; got {told(loggers)}. Pass [logger].")
        self.loggers = list(loggers)
        """Where each measurement is written, by `log_metrics`; a failure is a problem, and measuring continues."""

    @property
    def steps(self) -> tuple[int, ...]:
        """The measured steps."""
        return self.history.steps

    @property
    def plan(self) -> Plan | None:
        """What each measurement consists of, once known; None without a budget."""
        return None if self._budget is None else self._budget.plan

    @property
    def counts(self) -> MeasurementCount:
        """How many measurements fell due so far, were taken, and were missed, with reasons."""
        return self._record.counts

    def observe(
        self,
        step: int,
        model: Any,
        *,
        train_loss: float | None = None,
        test_loss: float | None = None,
        train_accuracy: float | None = None,
        test_accuracy: float | None = None,
    ) -> bool:
        """Measure the network if it is time to; call it at every step, before training (step 0) and after each update.

        Parameters
        ----------
        step
            Optimiser steps done so far in the whole training; one below an earlier one is ignored, with a warning.
            Calls may be infrequent: what fell due since the last call is measured now.
        model
            The network in training; `torch.compile` and data-parallel wrappers are removed for measuring.
        train_loss, test_loss, train_accuracy, test_accuracy
            Current mean losses and accuracies, if known; recorded where ``losses`` of the tracker does not return them.

        Returns
        -------
        bool
            Whether this call measured; the result is in `verdict`.
        """
        self._entered = perf_counter()
        step = step if type(step) is int and 0 <= step <= MAX_STEP else whole(step, "step", do="Count from 0.")
        if self._left is not None:
            self.training_seconds += self._entered - self._left
        is_due, before = self._asked(step), self._last
        self._given = {"train_loss": train_loss, "test_loss": test_loss}
        self._given |= {"train_accuracy": train_accuracy, "test_accuracy": test_accuracy}
        if step > before:
            self._stride = step - before if before >= 0 else 1
            self._model, self._changed, self._behind = model, self._changes.count(model), False
        if is_due is False:
            self._last = step
            self._leave()
            return False
        self._left = None  # until this call ends; its time is counted as a whole
        try:
            self._check_rank()
            if step < before:
                self._check_counter(step)
            if not is_first() or step <= before:
                return False
            act = partial(self._observe, int(step), model, self._given, is_due)
            return self._record.guarded(f"step {step}", act, otherwise=False)
        finally:
            if self.window > 1 and is_first():
                self._near_at = NearBy(self.window, self.history.steps, step, total_steps=self.total_steps).next
            self._leave()
            self._wakes = 0.0 if not is_first() else math.inf
            if self._wakes and self._budget is not None:
                self._wakes = self._budget.wakes_at(self.measuring_seconds, known=self.total_steps is not None)

    def lasts(self, total_steps: float | None) -> None:
        """Take over the length of a starting training from its framework, unless the tracker was given one."""
        if (
            self._told_length
            or total_steps is None
            or not 0 < total_steps < math.inf
            or total_steps == self.total_steps
        ):
            return
        if self._budget is not None and self._first is not None:  # another training with the same tracker
            self._budget, self._first = Budget(self._budget.share), None
        self.total_steps, self._near_at = int(total_steps), 0.0
        if why := too_short(self.window, self.total_steps):
            self.told(why)

    def told(self, problem: str) -> None:
        """Add a problem to `problems`, and warn about it."""
        if is_first():
            self._record.report(problem, always=True)

    def _once(self, problem: str) -> None:
        """Add a problem to `problems` and warn about it, unless it is there already."""
        if problem not in self.problems:
            self.told(problem)

    def _leave(self) -> None:
        """Count the time since the current call began."""
        self._left = perf_counter()
        self.measuring_seconds += self._left - self._entered

    def _clock(self) -> tuple[float, float]:
        """Return the seconds of training and of measuring so far, within a call."""
        return self.training_seconds, self.measuring_seconds + perf_counter() - self._entered

    def _check_rank(self) -> None:
        """Warn once if the environment describes several processes and this one is alone."""
        if not self._rank_told and (told := left_over(training=self.training_seconds > 0)):
            self._rank_told = True
            self._record.report(told, always=True)

    def _check_counter(self, step: int) -> None:
        """Warn once if steps start again within a training, as the counter of an epoch does."""
        self._behind = True
        if not self._counter_told and self._last > self._before and step not in self._record.sources:
            self._counter_told = True
            self.told(starts_again(step, self._last))

    def resumes(self) -> None:
        """Let the next steps be some that were already passed: a training starts again from a checkpoint."""
        self._before = self._last

    def _asked(self, step: int) -> bool | None:
        """Return quickly whether a measurement is due, since a step may be short; None if that takes a closer check."""
        if self.training_seconds >= self._wakes or step != self._last + 1 or step == self.total_steps:
            return None
        if self.window > 1 and step >= self._near_at:
            return None
        return self._record.guarded(f"step {step}", lambda: bool(self._schedule(step)), otherwise=False)

    def _observe(self, step: int, model: Any, given: dict[str, Any], is_due: bool | None) -> bool:
        after, self._last = self._last, step
        near = NearBy(self.window, self.history.steps, step, total_steps=self.total_steps)
        if self.window > 1:
            is_due = near.begins(self._schedule, after)
        elif is_due is None:
            is_due = due(self._schedule, after, step)
        at_the_end = self.total_steps is not None and after < self.total_steps <= step
        if self._first is None:
            self._first = step
            self._begin(step)
        if step in self.history.steps:
            return False
        if self._budget is None:
            return (is_due or at_the_end or near.wants(after)) and self._measure(step, model, given)
        measured = self._catch_up()
        if near.wants(after) and self._budget.plan is not None:
            measured |= self._budget.affords(*self._clock(), steps=1) and self._measure(step, model, given)
        elif not self._budget.decided or self._budget.waiting:
            if is_due:
                self._record.missed[_UNPAID] += self._budget.put_aside(step, model, numbers(given))
                self._missed_at = None if self._budget.waiting[-1][0] == step else step
            if not self._budget.decided:
                self._settle(step, model)
                measured = self._catch_up()
        elif is_due or (self._budget.owed and not near.covers):
            measured |= self._if_paid(near.since(after), step, model, given, is_due=is_due)
        return (at_the_end and self._measure_last(step, model, given)) or measured

    def _begin(self, step: int) -> None:
        """Report what is to be reported at the start, and do what is done once."""
        if told := self._record.begun_again(step):
            self._record.report(told)
        if self._budget is not None:
            share = percent(self._budget.share)
            tell(f"Measuring takes at most {share} of the training time; `budget=None` removes the limit.")
        if self._prepares:
            seconds = self._pricing().prepare(fewer=self._budget is not None)
            self._entered += seconds
            self.preparing_seconds += seconds

    def _settle(self, step: int, model: Any) -> None:
        """Choose players and samples by the budget if it is time to, and report them."""
        assert self._budget is not None
        assert self._first is not None
        said = self._budget.settle(self._pricing(), model, course=(self._first, step), clock=self._clock())
        if self._budget.decided:
            self._record.missed[_UNPAID] += self._budget.drop_unplanned()
        if self._budget.refusal:
            self._record.report(said, always=True)
        elif said:
            tell(said)

    def _catch_up(self) -> bool:
        """Measure the kept networks that are paid for by now."""
        measured = False
        while self._budget is not None and (kept := self._budget.next_waiting(*self._clock())):
            measured |= self._measure(*kept)
        return measured

    def _if_paid(self, after: int, step: int, model: Any, given: Mapping[str, Any], *, is_due: bool) -> bool:
        """Measure the network of a step if the budget pays for it."""
        assert self._budget is not None
        allowed, short = self._budget.allows(after, step, *self._clock())
        if short:
            self._record.report(short)
        if self._budget.planned:
            self._record.missed[_UNPAID] += not allowed
            self._missed_at = None if allowed else step
        else:  # what is not paid for is owed until the next one falls due
            self._record.missed[_UNPAID] += is_due and self._budget.owed
            self._budget.owed = not allowed
        return allowed and self._measure(step, model, given)

    def _pricing(self) -> Pricing:
        judged = bool(self.loggers or self.stop_when)
        return Pricing(self._groups, self._schedule, self.total_steps, judged, self.window)

    def _measure(self, step: int, model: Any, given: Mapping[str, Any], *, plan: Plan | None = None) -> bool:
        """Find the losses of a step that is due, and measure there."""
        self._tried = step
        if self._disturbed:
            self._record.missed["measuring disturbs the network"] += 1
            return False
        begun, act = perf_counter(), partial(self._record_step, step, model, given, plan)
        found = self._record.guarded(f"step {step}", act, otherwise=None)
        if self._budget is not None:
            self._budget.costs.append(perf_counter() - begun)
        if found is None:
            self._record.missed["an error, see `problems`"] += 1
        return bool(found)

    def _record_step(self, step: int, model: Any, given: Mapping[str, Any], plan: Plan | None) -> bool:
        begun, losses, none = perf_counter(), numbers(given), dict[str, Any]()
        if self.losses is not None:
            act = partial(returned, self.losses, bare(model), self._once)
            with MEASURING:  # units may be measured in other threads
                losses |= self._record.guarded(f"step {step}, losses", act, otherwise=none)
        trained, self._recorded_seconds = self.training_seconds - self._recorded_seconds, self.training_seconds
        seconds = {"training": trained, "evaluation": perf_counter() - begun}
        entry = {**losses, "seconds": seconds}
        try:
            kept = self._record.keep(step, model, entry, plan=plan or self.plan, loggers=self.loggers)
        except DisturbedError:
            self._disturbed = True
            raise
        if self.stop_when and self.history.count == MIN_STEPS and not self.history.sees_harm:
            tell(f"{_BLIND} The first {MIN_STEPS} measurements had none.")
        return kept

    def _measure_last(self, step: int, model: Any, given: Mapping[str, Any]) -> bool:
        """Measure the last network, even if the budget does not pay for it."""
        if step in self.history.steps or step == self._tried:
            return False
        budget, plan = self._budget, self.plan
        if budget is not None:
            unpaid, plan = budget.take_last(step, self._pricing(), *self._clock())
            if plan is None:
                self._record.missed[_UNPAID] += step != self._missed_at
                return False
            self._record.over_budget += unpaid
            self._record.missed[_UNPAID] -= step == self._missed_at
        begun = perf_counter()
        measured = self._measure(step, model, given, plan=plan)
        if budget is not None and plan is not None and not budget.decided:
            budget.plan = replace(plan, seconds=perf_counter() - begun)
            measured |= self._catch_up()
        return measured

    def close(self) -> None:
        """Measure the last network, analyse what was measured and write the summary; more measurements may follow.

        The last network is that of the last call of `observe`; if that was not measured and training continued since,
        it is counted as that of one call later.
        """
        self._end()

    def _end(self, *, between_steps: bool = True) -> None:
        """Close; ``between_steps``: whether weights that changed since the last call belong to a later step."""
        self._entered = perf_counter()
        try:
            self._record.guarded("the last network", partial(self._finish, between_steps), otherwise=None)
        finally:
            self._model, self._left = None, None
            self.resumes()
            self.measuring_seconds += perf_counter() - self._entered
            self._record.guarded("closing", partial(self._record.close, summary=bool(self.steps)), otherwise=None)

    def _finish(self, between_steps: bool) -> None:
        if self._model is None or not is_first():
            return
        changed = self._changes.count(self._model) != self._changed
        self._catch_up()
        if self._last not in (*self.history.steps, self._tried):
            if self._behind:
                self._record.missed["the last network, whose step is below an earlier one"] += 1
            elif between_steps or not changed:
                self._last += self._stride if changed else 0
                self._measure_last(self._last, self._model, self._given)  # the most recent losses
            else:
                self._record.missed["the last network, whose weights were changed after its last step"] += 1
        if self._budget is not None:
            self._record.missed[_UNPAID] += self._budget.give_up()
            if self.history.count <= self._record.over_budget and not self._budget.refusal:
                self._record.report(
                    f"the budget paid for no measurement: {percent(self._budget.share)} of {self.training_seconds:.2g} "
                    "s of training is less than the minimum evidence takes. Pass a larger `budget`, or None for no "
                    "limit.",
                    always=True,
                )
        if self.stop_when and self.history.count >= MIN_STEPS and not self.history.sees_harm:
            self._record.report(f"{_BLIND} This training had none.", always=True)
        if self.total_steps is None and (why := too_short(self.window, self._last)):
            self._record.report(why, always=True)
        self._record.missed += Counter()  # without those that are zero
        if self._record.missed or self._record.over_budget:
            tell(str(self.counts))
