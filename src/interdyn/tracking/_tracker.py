"""One line in a training loop: measure the network, keep what was found, say where the training is."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch

from interdyn import store
from interdyn._typing import Solver
from interdyn.dynamics import OnlineVerdict, Stage
from interdyn.errors import InputError
from interdyn.game import FeatureNames, Output, Players
from interdyn.measurement import MeasurementConfig, checked_groups, configured
from interdyn.schedules import Schedule, at, due, log_spaced
from interdyn.spectra import SalienceRule
from interdyn.tracking._checkpoints import load_weights
from interdyn.tracking._measuring import bare, is_first
from interdyn.tracking._plan import Pace, Plan, renamed, share_of
from interdyn.tracking._pricing import Estimate, Pricing
from interdyn.tracking._record import Logger, Record
from interdyn.values import SampleTable, Trajectory

_PENDING = 4  # networks kept aside until the speed of training is known
_SETTLED = 0.5  # seconds of training after which its speed is


class Tracker:
    """Follows a training from inside its loop, without disturbing it.

    Parameters
    ----------
    probe
        Samples to measure: ``(x, y)`` with labels, ``(x, None)`` for a regression, or several groups, as
        ``{"test": (x, y), "train": (x, y)}``; verdicts are about the first. 24 samples in random order are plenty. A
        group that is measured in a way of its own, such as with another feature mask, is ``(x, y, config)``.
    players, feature_mask, baselines, layer, output, batch_size, allow_fewer, device, noise_bound, solver, tol, \
max_iter, merge_order_one, order_weight, rates, threads, salience, salience_rule, names
        As in `interdyn.measurement.MeasurementConfig`; 10 players are plenty.
    config
        All of these in one record; what is passed beside it goes before it.
    schedule
        When to measure: a function ``step -> bool``; by default `log_spaced`.
    budget
        Largest share of the training time that measuring may take, as ``0.05``; players, samples and steps are chosen
        to fit, see `plan`. None: no limit.
    total_steps
        Length of the training in steps; a budget needs it.
    out
        Folder of the run, in which everything is kept; a run that is there is continued. None: nothing is written.
    keep_weights
        Keep the weights of each measured step in ``out``, too; `interdyn.store.read_checkpoint` reads them.
    losses
        Called with the network at each measured step, returns ``train_loss``, ``test_loss`` and, for a classifier,
        ``train_accuracy``, ``test_accuracy``; see `mean_losses`. What `observe` is given goes before it.
    sample_ids
        A number for each sample, which with the seed of ``players`` fixes the draw of its players; of several groups
        by name.
    stop_when
        ``"over-fitting"``: `should_stop` becomes true once over-fitting is established.
    loggers
        Where each measurement is written besides ``out``: those of `interdyn.tracking.loggers`, or any with
        `log_metrics`.
    strict
        Raise what goes wrong while measuring. By default it is kept in `problems` and warned of, and training goes on.

    Raises
    ------
    InputError, ShapeError
        If an argument cannot be used; never later, unless ``strict``.

    Notes
    -----
    The network is measured in eval mode under ``inference_mode``, its modes and all generators are put back, autocast
    is off, wrappers of ``torch.compile`` and of data-parallel training are left aside; so the trained weights are bit
    by bit those of a training that was not measured. In distributed training rank 0 measures.

    Examples
    --------
    >>> import torch
    >>> from interdyn.players import columns
    >>> x, y = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    >>> tracker = Tracker((x, y), players=columns(), schedule=at(0, 5))
    >>> network = torch.nn.Linear(4, 2)
    >>> for step in range(6):
    ...     measured = tracker.observe(step, network)
    >>> tracker.steps, str(tracker.verdict.stage)
    ((0, 5), 'no verdict')
    """

    def __init__(
        self,
        probe: Any,
        *,
        config: MeasurementConfig | None = None,
        players: Players | None = None,
        feature_mask: Any = None,
        baselines: Any = None,
        layer: str | None = None,
        output: Output | None = None,
        batch_size: int | str | None = None,
        allow_fewer: bool | None = None,
        device: str | torch.device | None = None,
        noise_bound: float | torch.Tensor | np.ndarray | None = None,
        solver: Solver | None = None,
        tol: float | Literal["auto"] | None = None,
        max_iter: int | None = None,
        merge_order_one: bool | None = None,
        order_weight: float | None = None,
        rates: Sequence[float] | None = None,
        threads: int | None = None,
        salience: float | None = None,
        salience_rule: SalienceRule | None = None,
        names: FeatureNames | None = None,
        schedule: Schedule | None = None,
        budget: float | None = None,
        total_steps: int | None = None,
        out: str | Path | Record | None = None,
        keep_weights: bool = False,
        losses: Callable[[Any], Mapping[str, float]] | None = None,
        sample_ids: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
        stop_when: Literal["over-fitting"] | None = None,
        loggers: Sequence[Logger] = (),
        strict: bool = False,
    ) -> None:
        config = configured(config, locals())
        self._groups = checked_groups(probe, config, sample_ids=sample_ids)
        if stop_when not in (None, "over-fitting"):
            raise InputError(f'`stop_when` must be "over-fitting" or None; got {stop_when!r}. Choose one.')
        self._schedule = log_spaced() if schedule is None else schedule
        self._share, self.total_steps = share_of(budget), total_steps
        self.stop_when, self.losses = stop_when, losses
        """What finds the losses of a measured step; None: they are passed to `observe`, or not known."""
        self.plan: Plan | None = None
        """What each measurement consists of, once it is known; None without a budget."""
        self._pending: list[tuple[int, Any, dict[str, float]]] = []
        self._blind: str = ""
        self._last, self._steady = -1, False
        self._left: float | None = None
        self._pace: Pace | None = None
        self._first: int | None = None
        self._recorded_seconds = 0.0
        self.training_seconds = 0.0
        """Wall time between the calls of `observe`."""
        self.measuring_seconds = 0.0
        """Wall time inside `observe` and for verdicts."""
        self._record = (
            out if isinstance(out, Record) else Record(self._groups, out, keep_weights=keep_weights, strict=strict)
        )
        self.history = self._record.history
        """What was measured up to now."""
        self.problems = self._record.problems
        """What went wrong while measuring, in words."""
        self.loggers = list(loggers)
        """Where each measurement is written, by `log_metrics`; one that fails is a problem, and measuring goes on."""

    looking_seconds = renamed("looking_seconds", "measuring_seconds")

    def estimate(self, model: Any, *, step_seconds: float | None = None) -> Estimate:
        """Return what measuring is expected to cost, before training starts, by a trial of a few masked samples.

        Parameters
        ----------
        model
            The network that will be trained; it is left as it is.
        step_seconds
            Seconds of one step of training, where they are known; then a budget's plan is known as well.

        Raises
        ------
        InputError, ShapeError, ModelError
            If the network cannot be measured: a good moment to find out.

        Examples
        --------
        >>> import torch
        >>> from interdyn.players import columns
        >>> tracker = Tracker((torch.zeros(8, 4), torch.arange(8) % 2), players=columns(), total_steps=100)
        >>> cost = tracker.estimate(torch.nn.Linear(4, 2), step_seconds=0.01)
        >>> cost.measurements, cost.share < 10
        (16, True)
        """
        return self._pricing().estimate(model, share=self._share, step_seconds=step_seconds)

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
            Optimiser steps done so far. Calls may be rare: what fell due since the last call is measured now.
        model
            The network in training; what is measured is inside `torch.compile` and data-parallel wrappers.
        train_loss, test_loss, train_accuracy, test_accuracy
            Mean losses and accuracies now, where they are known.

        Returns
        -------
        Whether this call measured; what it found is in `verdict`.
        """
        entered = perf_counter()
        if self._left is not None:
            self.training_seconds += entered - self._left
        is_due = self._asked(step)
        if is_due is False:
            self._last, self._left = step, perf_counter()
            self.measuring_seconds += self._left - entered
            return False
        self._left = None  # until this call ends, whose time is counted as a whole
        losses = {"train_loss": train_loss, "test_loss": test_loss}
        losses |= {"train_accuracy": train_accuracy, "test_accuracy": test_accuracy}
        try:
            if not is_first() or step <= self._last:
                return False
            act = partial(self._observe, int(step), model, losses, is_due)
            return self._record.guarded(f"step {step}", act, otherwise=False)
        finally:
            self._steady = is_first() and (self._share is None or self.plan is not None or bool(self._blind))
            self._left = perf_counter()
            self.measuring_seconds += self._left - entered

    def measure_saved(self, step: int, model: Any) -> bool:
        """Measure the weights that ``out`` keeps of a step, if its measurement is missing or damaged.

        Parameters
        ----------
        step
            A step of the run in ``out``.
        model
            A network that takes those weights; a copy of it is measured.

        Returns
        -------
        Whether this call measured.

        Raises
        ------
        InterdynError
            What goes wrong while measuring, if the tracker is ``strict``.
        """
        try:
            known = self._record.path is None or step in self.steps
            saved = None if known else store.read_checkpoint(self._record.open(), step)
            if saved is None:
                return False
            network = copy.deepcopy(bare(model))
            load_weights(network, saved.weights)
            entry = {**saved.losses, "seconds": dict(saved.seconds)}
            act = partial(self._record.keep, step, network, entry, saved=True)
            return self._record.guarded(f"step {step}", act, otherwise=False)
        finally:
            self._left = perf_counter()

    def _asked(self, step: int) -> bool | None:
        """Return whether a measurement is due, quickly, as a step may be short; None where that takes more."""
        if not self._steady or step != self._last + 1:
            return None
        if self._blind:
            return False
        with suppress(Exception):  # it is asked again where that is told
            return bool(self._schedule(step))
        return None

    def _observe(self, step: int, model: Any, given: dict[str, Any], is_due: bool | None) -> bool:
        after, self._last = self._last, step
        is_due = (due(self._schedule, after, step) if is_due is None else is_due) and not self._blind
        losses = {k: float(v) for k, v in given.items() if v is not None} if is_due else {}  # waits for the device
        if self._first is None and (told := self._record.begun_again(step)):
            self._record.report(told)
        self._first = step if self._first is None else self._first
        if self._share is not None and self.plan is None and not self._blind:
            if is_due and step not in self.history.steps:
                self._pending.append((step, copy.deepcopy(bare(model)), losses))
            settled = self.training_seconds >= _SETTLED or len(self._pending) >= _PENDING
            return self._settle(step, model) if settled and step > self._first else False
        if not is_due or step in self.history.steps or not self._affordable(step):
            return False
        return self._measure(step, model, losses)

    def _settle(self, step: int, model: Any) -> bool:
        """Make the plan, and measure the networks kept aside."""
        assert self._first is not None
        assert self._share is not None
        if self.total_steps is None:
            raise InputError("a `budget` needs the length of the training; got no `total_steps`. Pass it.")
        expected = self.training_seconds / (step - self._first) * self.total_steps
        pricing, begun = self._pricing(), perf_counter()
        price = pricing.of(model, allowance=self._share * expected)
        spent = self.measuring_seconds + perf_counter() - begun
        plan = pricing.plan(price, share=self._share, training_seconds=expected, spent=spent)
        pending, self._pending = self._pending, []
        if isinstance(plan, str):
            self._blind = plan
            self._record.report(plan)
            return False
        self.plan = plan
        steps = plan.measurements or tuple(s for s in range(self.total_steps + 1) if self._schedule(s))
        if plan.measurements is not None:
            self._schedule = at(*steps)
        taken = [entry for entry in pending if entry[0] in steps]
        course = (self._first, self.total_steps)
        self._pace = Pace(plan, steps, share=self._share, course=course, spent=spent, taken=len(taken))
        for then, network, losses in taken:
            self._measure(then, network, losses)
        return bool(taken)

    def _pricing(self) -> Pricing:
        judged = bool(self.loggers or self.stop_when)
        return Pricing(self._groups, self._schedule, self.total_steps, judged)

    def _affordable(self, step: int) -> bool:
        """Return whether a measurement that is due is within the budget, if the training goes on at its speed."""
        if self._pace is None:
            return True
        allowed, short = self._pace.allows(step, training=self.training_seconds, measuring=self.measuring_seconds)
        if short:
            self._record.report(short)
        return allowed

    def _measure(self, step: int, model: Any, given: Mapping[str, float]) -> bool:
        """Find the losses of a step that is due, and measure there."""
        begun, find = perf_counter(), self.losses
        act = partial(dict, given) if find is None else lambda: {**find(bare(model)), **given}
        losses = self._record.guarded(f"step {step}, losses", act, otherwise=given)
        trained, self._recorded_seconds = self.training_seconds - self._recorded_seconds, self.training_seconds
        entry = {**losses, "seconds": {"training": trained, "evaluation": perf_counter() - begun}}
        return self._record.keep(step, model, entry, plan=self.plan, loggers=self.loggers)

    @property
    def steps(self) -> tuple[int, ...]:
        """The measured steps."""
        return self.history.steps

    @property
    def trajectory(self) -> Trajectory:
        """Strength per order of the first group at the steps that belong together, with the losses that were passed."""
        return self.history.trajectory()

    @property
    def verdict(self) -> OnlineVerdict | None:
        """What the measurements up to now say; None before the first. Computed when it is asked for."""
        begun = perf_counter()
        verdict = self.history.verdict(self.steps[-1]) if self.steps else None
        spent = perf_counter() - begun
        if self._left is not None:  # it is no time of training; within `observe` it is counted there
            self._left += spent
            self.measuring_seconds += spent
        return verdict

    @property
    def should_stop(self) -> bool:
        """Whether ``stop_when`` has come about."""
        verdict = self._record.guarded("verdict", lambda: self.verdict, otherwise=None) if self.stop_when else None
        return verdict is not None and verdict.stage is Stage.OVER_FITTING

    @property
    def best_step(self) -> int | None:
        """The last measured step before over-fitting began; before that is established, the last one."""
        verdict, steps = self.verdict, self.steps
        if verdict is None or verdict.since is None:
            return steps[-1] if steps else None
        return max((s for s in steps if s <= verdict.since), default=steps[0])

    def samples(
        self, step: int | None = None, *, history: bool = True, training: Sequence[str] | None = None
    ) -> SampleTable:
        """Return profile and over-fitting score of each sample; see `interdyn.measurement.History.samples`."""
        return self.history.samples(step, history=history, training=training)

    @property
    def share(self) -> float:
        """Share of the training time that measuring has taken up to now."""
        return self.measuring_seconds / max(self.training_seconds, 1e-12)

    def close(self) -> None:
        """Analyse what was measured and write the summary; more may follow, in another process too."""
        self._record.guarded("closing", partial(self._record.close, summary=bool(self.steps)), otherwise=None)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
