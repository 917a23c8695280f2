"""One line in a training loop: look at the network, keep what was seen, say where the training is."""

import copy
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Literal, TypeVar

from interdyn.dynamics import OnlineVerdict, Stage
from interdyn.errors import InputError, InterdynWarning, NonFiniteError
from interdyn.game import Players
from interdyn.measurement import History, MeasurementConfig
from interdyn.schedules import Schedule, at, due, log_spaced
from interdyn.sparsify import ORDER_WEIGHT
from interdyn.tracking._disk import Folder, begun_again
from interdyn.tracking._exhibits import Names
from interdyn.tracking._look import Looking, bare
from interdyn.tracking._pace import Pace
from interdyn.tracking._plan import Plan, share_of
from interdyn.tracking._pricing import Estimate, Pricing
from interdyn.tracking._probe import checked_probes
from interdyn.tracking._ranks import is_first
from interdyn.tracking._scalars import Logger, scalars_of
from interdyn.values import SampleTable, Trajectory

_T = TypeVar("_T")
_PENDING = 4  # networks kept aside until the speed of training is known
_SETTLED = 0.5  # seconds of training after which its speed is


class Tracker:
    """Follows a training from inside its loop, without disturbing it.

    Parameters
    ----------
    probe
        Samples to look at: ``(x, y)`` with labels, ``(x, None)`` for a regression, or several groups, as
        ``{"test": (x, y), "train": (x, y)}``; verdicts are about the first. 24 samples in random order are plenty.
    players, feature_mask, baselines, layer, output, batch_size
        As in `interdyn.measure`; 10 players are plenty.
    schedule
        When to look: a function ``step -> bool``; by default `log_spaced`.
    budget
        Largest share of the training time that looking may take, as ``0.05``, or ``"glance"`` (1 %), ``"look"`` (5 %),
        ``"study"`` (20 %); players, samples and time points are chosen to fit, see `plan`. None: no limit.
    total_steps
        Length of the training in steps; a budget needs it.
    out
        Folder of the run, in which everything is kept; a run that is there is continued. None: nothing is written.
    noise_bound, order_weight
        As in `interdyn.sparsify.split`.
    sample_ids
        A number for each sample, which with the seed of ``players`` fixes the draw of its players.
    names
        For the pages of ``out``: the name of each column, or a function from the token ids of a sample to their texts,
        as a tokeniser's ``convert_ids_to_tokens``.
    stop_when
        ``"over-fitting"``: `should_stop` becomes true once over-fitting is established.
    loggers
        Where each look is written besides ``out``: those of `interdyn.tracking.loggers`, or any with `log_metrics`.
    strict
        Raise what goes wrong while looking. By default it is kept in `problems` and warned of, and training goes on.

    Raises
    ------
    InputError, ShapeError
        If an argument cannot be used; never later, unless ``strict``.

    Notes
    -----
    The network is looked at in eval mode under ``inference_mode``, its modes and all generators are put back, autocast
    is off, wrappers of ``torch.compile`` and of data-parallel training are left aside; so the trained weights are bit
    by bit those of a training that was not looked at. In distributed training rank 0 looks.

    Examples
    --------
    >>> import torch
    >>> from interdyn.players import columns
    >>> x, y = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    >>> tracker = Tracker((x, y), players=columns(), schedule=at(0, 5))
    >>> network = torch.nn.Linear(4, 2)
    >>> for step in range(6):
    ...     looked = tracker.observe(step, network)
    >>> tracker.steps, str(tracker.verdict.stage)
    ((0, 5), 'no verdict')
    """

    def __init__(
        self,
        probe: Any,
        *,
        players: Players | None = None,
        feature_mask: Any = None,
        baselines: Any = None,
        layer: str | None = None,
        output: Any = None,
        batch_size: int | str = "auto",
        schedule: Schedule | None = None,
        budget: float | Literal["glance", "look", "study"] | None = None,
        total_steps: int | None = None,
        out: str | Path | None = None,
        noise_bound: float = 0.02,
        order_weight: float = ORDER_WEIGHT,
        sample_ids: Sequence[int] | None = None,
        names: Names | None = None,
        stop_when: Literal["over-fitting"] | None = None,
        loggers: Sequence[Logger] = (),
        strict: bool = False,
    ) -> None:
        self._probes = checked_probes(probe, sample_ids=sample_ids)
        if output is None:
            output = "regression" if self._probes[0].target is None else "log-odds"
        if (players is None) == (feature_mask is None):
            raise InputError("a tracker needs `players` or a `feature_mask`; got both or neither. Pass columns().")
        if stop_when not in (None, "over-fitting"):
            raise InputError(f'`stop_when` must be "over-fitting" or None; got {stop_when!r}.')
        self._looking = Looking(
            MeasurementConfig(
                players=players,
                feature_mask=feature_mask,
                baselines=baselines,
                layer=layer,
                output=output,
                batch_size=batch_size,
                noise_bound=noise_bound,
                order_weight=order_weight,
            )
        )
        self._schedule = log_spaced() if schedule is None else schedule
        self._share, self.total_steps = share_of(budget), total_steps
        self.stop_when, self._strict = stop_when, strict
        self.loggers = list(loggers)
        """Where each look is written, by `log_metrics`; one that fails is a problem, and looking goes on."""
        self.plan: Plan | None = None
        """What each look consists of, once it is known; None without a budget."""
        self.problems: list[str] = []
        """What went wrong while looking, in words."""
        self._pending: list[tuple[int, Any, dict[str, float]]] = []
        self.history = History([probe.name for probe in self._probes])
        """What was measured up to now."""
        self._blind: str = ""
        self._last, self._steady = -1, False
        self._left: float | None = None
        self._pace: Pace | None = None
        self._first: tuple[int, float] | None = None
        self.training_seconds = 0.0
        """Wall time between the calls of `observe`."""
        self.looking_seconds = 0.0
        """Wall time inside `observe` and for verdicts."""
        self._folder = None if out is None else Folder(Path(out), self._looking, self._probes, names)
        if self._folder is not None and is_first():
            for measured, losses in self._folder.looks():
                self.history.add(measured, losses)

    def estimate(self, model: Any, *, step_seconds: float | None = None) -> Estimate:
        """Return what looking is expected to cost, before training starts, by a trial of a few masked samples.

        Parameters
        ----------
        model
            The network that will be trained; it is left as it is.
        step_seconds
            Seconds of one step of training, where they are known; then a budget's plan is known as well.

        Raises
        ------
        InputError, ShapeError, ModelError
            If the network cannot be looked at: a good moment to find out.

        Examples
        --------
        >>> import torch
        >>> from interdyn.players import columns
        >>> tracker = Tracker((torch.zeros(8, 4), torch.arange(8) % 2), players=columns(), total_steps=100)
        >>> cost = tracker.estimate(torch.nn.Linear(4, 2), step_seconds=0.01)
        >>> cost.looks, cost.share < 10
        (16, True)
        """
        return self._pricing().estimate(model, share=self._share, step_seconds=step_seconds)

    def observe(
        self, step: int, model: Any, *, train_loss: float | None = None, test_loss: float | None = None
    ) -> bool:
        """Look at the network if it is time to; call it at every step, before training (step 0) and after each update.

        Parameters
        ----------
        step
            Optimiser steps done so far. Calls may be rare: a look that fell due since the last call is taken now.
        model
            The network in training; what is looked at is inside `torch.compile` and data-parallel wrappers.
        train_loss, test_loss
            Mean losses now, where they are known.

        Returns
        -------
        Whether this call looked; what it saw is in `verdict`.
        """
        entered = perf_counter()
        if self._left is not None:
            self.training_seconds += entered - self._left
        is_due = self._asked(step)
        if is_due is False:
            self._last, self._left = step, perf_counter()
            self.looking_seconds += self._left - entered
            return False
        self._left = None  # until this call ends, whose time is counted as a whole
        losses = {"train_loss": train_loss, "test_loss": test_loss}
        try:
            if not is_first() or step <= self._last:
                return False
            act = partial(self._observe, int(step), model, losses, is_due)
            return self._guarded(f"step {step}", act, otherwise=False)
        finally:
            self._steady = is_first() and (self._share is None or self.plan is not None or bool(self._blind))
            self._left = perf_counter()
            self.looking_seconds += self._left - entered

    def _asked(self, step: int) -> bool | None:
        """Return whether a look is due, in the shortest way, as a step may be a moment; None where that takes more."""
        if not self._steady or step != self._last + 1:
            return None
        if self._blind:
            return False
        with suppress(Exception):  # it is asked again where that is told
            return bool(self._schedule(step))
        return None

    def _guarded(self, where: str, act: Callable[[], _T], *, otherwise: _T) -> _T:
        """Return what ``act`` returns; if it fails, report that, unless ``strict``, and return ``otherwise``."""
        try:
            return act()
        except Exception as error:
            if self._strict:
                raise
            self._report(f"{where}: {type(error).__name__}: {error}")
            return otherwise

    def _observe(self, step: int, model: Any, given: dict[str, Any], is_due: bool | None) -> bool:
        after, self._last = self._last, step
        is_due = (due(self._schedule, after, step) if is_due is None else is_due) and not self._blind
        losses = {k: float(v) for k, v in given.items() if v is not None} if is_due else {}  # waits for the device
        if self._first is None and self._folder and (told := begun_again(self._folder.path, self.steps, step)):
            self._report(told)
        self._first = self._first or (step, perf_counter())
        if self._share is not None and self.plan is None and not self._blind:
            if is_due and step not in self.history.steps:
                self._pending.append((step, copy.deepcopy(bare(model)), losses))
            settled = self.training_seconds >= _SETTLED or len(self._pending) >= _PENDING
            return self._settle(step, model) if settled and step > self._first[0] else False
        if not is_due or step in self.history.steps or not self._affordable(step):
            return False
        self._look(step, model, losses)
        return True

    def _settle(self, step: int, model: Any) -> bool:
        """Make the plan, and look at the networks kept aside."""
        assert self._first is not None
        assert self._share is not None
        if self.total_steps is None:
            raise InputError("a `budget` needs the length of the training; got no `total_steps`. Pass it.")
        expected = self.training_seconds / (step - self._first[0]) * self.total_steps
        pricing, begun = self._pricing(), perf_counter()
        price = pricing.of(model, allowance=self._share * expected)
        spent = self.looking_seconds + perf_counter() - begun
        plan = pricing.plan(price, share=self._share, training_seconds=expected, spent=spent)
        pending, self._pending = self._pending, []
        if isinstance(plan, str):
            self._blind = plan
            self._report(plan)
            return False
        self.plan = plan
        looks = plan.looks or tuple(s for s in range(self.total_steps + 1) if self._schedule(s))
        if plan.looks is not None:
            self._schedule = at(*looks)
        taken = [entry for entry in pending if entry[0] in looks]
        steps = (self._first[0], self.total_steps)
        self._pace = Pace(plan, looks, share=self._share, steps=steps, spent=spent, taken=len(taken))
        for then, network, losses in taken:
            self._look(then, network, losses)
        return bool(taken)

    def _pricing(self) -> Pricing:
        judged = bool(self.loggers or self.stop_when)
        return Pricing(self._looking, self._probes, self._schedule, self.total_steps, judged)

    def _affordable(self, step: int) -> bool:
        """Return whether a look that is due is within the budget of a training that goes on at its present speed."""
        if self._pace is None:
            return True
        allowed, short = self._pace.allows(step, training=self.training_seconds, looking=self.looking_seconds)
        if short:
            self._report(short)
        return allowed

    def _look(self, step: int, model: Any, losses: dict[str, float]) -> None:
        plan = self.plan
        probes = [p if plan is None else p.first(plan.n_samples) for p in self._probes]
        n = None if plan is None or self._looking.config.players is None else plan.n_players
        try:
            measured = [self._looking.at(model, probe, step=step, n_players=n) for probe in probes]
        except NonFiniteError as error:
            self._report(f"step {step}: the network's outputs are not finite any more: {error}")
            return
        self.history.add(measured, losses)
        if (folder := self._folder) is not None:
            write = partial(folder.write, measured, losses, training_seconds=self.training_seconds)
            self._guarded(f"step {step}, run", write, otherwise=None)
            self._guarded(f"step {step}, exhibit", partial(folder.exhibit, measured), otherwise=None)
        for logger in self.loggers:
            self._guarded(f"step {step}, {type(logger).__name__}", partial(self._log, logger, step), otherwise=None)

    def _log(self, logger: Logger, step: int) -> None:
        strength = self.history.seen(step, self._probes[0].name).spectrum.strength
        logger.log_metrics(scalars_of(strength, self._verdict(step)), step)

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps looked at."""
        return self.history.steps

    @property
    def trajectory(self) -> Trajectory:
        """Strength per order of the first group at the steps that belong together, with the losses that were passed."""
        return self.history.trajectory()

    @property
    def verdict(self) -> OnlineVerdict | None:
        """What the looks up to now say; None before the first. Computed when it is asked for."""
        return self._verdict(self.steps[-1]) if self.steps else None

    def _verdict(self, step: int) -> OnlineVerdict:
        begun = perf_counter()
        verdict = self.history.verdict(step)
        assert verdict is not None
        spent = perf_counter() - begun
        if self._left is not None:  # it is no time of training; within `observe` it is counted there
            self._left += spent
            self.looking_seconds += spent
        return verdict

    @property
    def should_stop(self) -> bool:
        """Whether ``stop_when`` has come about."""
        verdict = self._guarded("verdict", lambda: self.verdict, otherwise=None) if self.stop_when else None
        return verdict is not None and verdict.stage is Stage.OVER_FITTING

    @property
    def best_step(self) -> int | None:
        """The last look before over-fitting began; before that is established, the last look."""
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
        """Share of the training time that looking has taken up to now."""
        return self.looking_seconds / max(self.training_seconds, 1e-12)

    def close(self) -> None:
        """Analyse what was seen and write the summary; more looks may follow, in another process too."""
        if self._folder is not None:
            self._guarded("closing", partial(self._folder.close, summary=bool(self.steps)), otherwise=None)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _report(self, problem: str) -> None:
        if not self.problems:
            warnings.warn(f"the tracker met a problem; training goes on. {problem}", InterdynWarning, stacklevel=4)
        self.problems.append(problem)
