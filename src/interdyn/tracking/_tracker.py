"""One line in a training loop: measure the network, keep the results, and state where the training is."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch

from interdyn import store
from interdyn._arguments import told, whole
from interdyn._typing import Solver
from interdyn.dynamics import Verdict
from interdyn.errors import InputError, deprecated
from interdyn.game import FeatureNames, Output, OutputKey, Players
from interdyn.measurement import MeasurementConfig, checked_groups, configured
from interdyn.schedules import Schedule, checked_schedule, checked_window, log_spaced
from interdyn.spectra import SalienceRule
from interdyn.tracking._checkpoints import load_weights
from interdyn.tracking._engine import Engine, Shard
from interdyn.tracking._following import Following
from interdyn.tracking._measuring import copied, device_of
from interdyn.tracking._plan import renamed, share_of
from interdyn.tracking._pricing import Estimate
from interdyn.tracking._record import Record
from interdyn.tracking._said import Logger, nothing_yet, tell
from interdyn.tracking._units import Work
from interdyn.values import SampleTable, Trajectory


class Tracker(Following):
    """Follows a training from inside its loop, without disturbing it.

    Parameters
    ----------
    probe
        Samples to measure, see `interdyn.game.samples_of`: ``(x, y)`` with labels or values, a data set, a loader or a
        batch by name; or several groups, as ``{"test": (x, y), "train": (x, y, config)}``, with a config for a group
        that is measured differently. Verdicts are about the first group; 24 samples in random order are enough.
    players, feature_mask, baselines, layer, output, output_key, batch_size, allow_fewer, device, noise_bound, solver, \
tol, max_iter, merge_order_one, order_weight, rates, threads, salience, salience_rule, names, calibrate_batch_norm
        As in `interdyn.measurement.MeasurementConfig`; 10 players are enough.
    config
        All of these in one record; arguments passed in addition override it.
    schedule
        When to measure: a function ``step -> bool``; by default `log_spaced`.
    budget
        Largest share of the training time that measuring may take; players, samples and steps are chosen to fit, see
        `plan`. None: no limit; every step of the schedule is measured with all players and samples.
    total_steps
        Length of the training in steps: with it, the budget is planned for the whole training; without it, measuring
        never takes more than the share of the time so far. The callbacks of Lightning, Hugging Face and Keras set it.
    window
        How many steps a measurement takes, 1 to 5: the first when it falls due, the others spread over the following
        tenth of the training (`interdyn.schedules.near_by`). With 3, a measurement costs three times as much, counts
        as one in a budget, and gives curves and interactions with less noise; see ``docs/choosing/windows.md``.
    out
        Folder of the run, in which everything is kept; an existing run is continued. None: nothing is written.
    keep_weights
        Keep the weights of each measured step in ``out``, too; `interdyn.store.read_checkpoint` reads them.
    losses
        Called with the network at each measured step, returns ``train_loss``, ``test_loss`` and, for a classifier,
        ``train_accuracy``, ``test_accuracy``; see `mean_losses`. What it returns is recorded; losses passed to
        `observe` or `Watch.note` fill only what it does not return.
    sample_ids
        A number for each sample, which with the seed of ``players`` fixes the draw of its players; for several groups,
        by group name.
    stop_when
        ``"harm"``: `should_stop` becomes true once training harms (`interdyn.dynamics.find_harm`), which needs test
        losses or accuracies.
    loggers
        Where each measurement is written besides ``out``: those of `interdyn.tracking.loggers`, or any object with
        `log_metrics`.
    strict
        Raise errors that occur while measuring. By default they are kept in `problems`, and training continues.
    shard
        ``"i/N"``, for `watch`: measure this part of the units only; N processes with the same arguments share the
        folder ``out``. The first one starts the run, and the others wait for it.

    Raises
    ------
    InputError, ShapeError, PlayersError, TooLargeError
        If an argument cannot be used; never later, unless ``strict``.

    Notes
    -----
    A private copy of the network is measured, in eval mode, without autocast and without the wrappers of
    ``torch.compile`` and data-parallel training; a network that cannot be copied is run itself and its complete state
    is restored. All random generators are restored. The trained weights are therefore bit-identical to those of a
    training that was not measured. If a network is disturbed nevertheless, measuring ends with a warning. In
    distributed training, rank 0 measures.

    The last network is always measured, by `close` at the latest, whatever schedule and budget say; it is left out
    only if the budget does not pay for it and it would take more than a minute. How many measurements were planned,
    taken and missed, and why, is in `counts`, in the run's summary and report, and in a message at the end.

    With a budget, the first networks that fall due are copied, three to eight of them (see `estimate`), and measured
    once the speed of the training is known. Loading compiled functions, once per process, counts as
    `preparing_seconds`. Messages go through ``logging.getLogger("interdyn")``; its ``setLevel`` silences them.

    Examples
    --------
    >>> import torch
    >>> from interdyn.players import columns
    >>> from interdyn.schedules import at
    >>> x, y = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    >>> tracker = Tracker((x, y), players=columns(), schedule=at(0, 5), budget=None)
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
        output_key: OutputKey | None = None,
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
        calibrate_batch_norm: Any = None,
        schedule: Schedule | None = None,
        budget: float | None = 0.05,
        total_steps: int | None = None,
        window: int = 1,
        out: str | Path | Record | None = None,
        keep_weights: bool = False,
        losses: Callable[[Any], Mapping[str, float]] | None = None,
        sample_ids: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
        stop_when: Literal["harm", "over-fitting"] | None = None,
        loggers: Sequence[Logger] = (),
        strict: bool = False,
        shard: str | None = None,
    ) -> None:
        config = configured(config, locals())
        groups = checked_groups(probe, config, sample_ids=sample_ids)
        if stop_when not in (None, "harm", "over-fitting"):
            raise InputError(f'`stop_when` must be "harm" or None; got {told(stop_when)}. Choose one.')
        if stop_when == "over-fitting":
            new = "`stop_when='harm'` and pass test losses, on which it rests (`losses=` or `test_loss=`)"
            deprecated("stop_when='over-fitting'", new, since="0.2")
        window, share = checked_window(window), share_of(budget)
        schedule = log_spaced() if schedule is None else checked_schedule(schedule)
        if total_steps is not None:
            total_steps = whole(total_steps, "total_steps", least=1, do="Leave it out if it is not known.")
        for group in groups:
            group.check_players(fewer=share is not None)
        self.shard = None if shard is None else Shard.of(shard)
        """Which part of the units `watch` measures here; None: all."""
        if isinstance(out, Record):
            record = out
        else:
            shared = self.shard is not None and self.shard.index > 1
            record = Record(groups, out, keep_weights=keep_weights, strict=strict, window=window, shared=shared)
        super().__init__(
            groups,
            record,
            schedule=schedule,
            share=share,
            total_steps=total_steps,
            losses=losses,
            stop_when=None if stop_when is None else "harm",
            loggers=loggers,
            window=window,
        )

    looking_seconds = renamed("looking_seconds", "measuring_seconds")

    def estimate(self, model: Any, *, step_seconds: float | None = None) -> Estimate:
        """Return the expected cost of measuring, before training starts, from a trial with a few masked samples.

        Parameters
        ----------
        model
            The network that will be trained; it is not changed.
        step_seconds
            Seconds of one training step, if known; the plan of a budget is then known as well.

        Raises
        ------
        InputError, ShapeError, ModelError
            If the network cannot be measured: a good moment to find out.

        Examples
        --------
        >>> import torch
        >>> from interdyn.players import columns
        >>> probe = torch.zeros(8, 4), torch.arange(8) % 2
        >>> tracker = Tracker(probe, players=columns(), total_steps=100, budget=None)
        >>> cost = tracker.estimate(torch.nn.Linear(4, 2), step_seconds=0.01)
        >>> cost.measurements, cost.share < 10
        (16, True)
        """
        share = None if self._budget is None else self._budget.share
        return self._pricing().estimate(model, share=share, step_seconds=step_seconds)

    def measure_saved(self, step: int, model: Any) -> bool:
        """Measure the weights that ``out`` keeps of a step, if their measurement is missing or damaged.

        Parameters
        ----------
        step
            A step of the run in ``out``.
        model
            A network that fits those weights; a copy of it is measured.

        Returns
        -------
        bool
            Whether this call measured.

        Raises
        ------
        InterdynError
            Errors while measuring, if the tracker is ``strict``.
        """
        try:
            known = self._record.path is None or step in self.steps
            saved = None if known else store.read_checkpoint(self._record.open(), step)
            if saved is None:
                return False
            network = copied(model)
            load_weights(network, saved.weights)
            entry = {**saved.losses, "seconds": dict(saved.seconds)}
            act = partial(self._record.keep, step, network, entry, saved=True)
            return self._record.guarded(f"step {step}", act, otherwise=False)
        finally:
            self._left = perf_counter()

    def hand_out(
        self, network: Any, executor: Executor | None, *, block: int | None = None, patience: float | None = None
    ) -> None:
        """Have saved networks measured by an executor from now on, or in this process, in units; see `watch`.

        Raises
        ------
        InputError
            If the tracker has a budget or no folder, or the network cannot be pickled.
        """
        if self._budget is not None or self._record.path is None:
            raise InputError(
                "measuring in other processes needs a tracker with `out` and `budget=None`; got one without. Pass both."
            )
        block = None if block is None else whole(block, "block", least=1, do="Pass the number of samples of a unit.")
        config = self._groups[0].config
        work = Work(copied(network), tuple(self._groups), str(device_of(network)), threads=config.threads or 1)
        run = self._record.open()
        self._prepares = executor is None
        self._record.measure_with(Engine(run, work, executor, block=block, shard=self.shard, patience=patience))

    def observe_saved(self, step: int, network: Any, source: Path) -> bool:
        """Measure a network as `observe` does, or submit it as `hand_out` requested, from where it is saved."""
        self._record.sources[step] = str(source.resolve())
        return self.observe(step, network)

    def collect(self) -> None:
        """Keep the submitted measurements that have finished."""
        self._record.collect()

    def settle(self) -> None:
        """Wait until everything submitted is measured.

        Raises
        ------
        EngineError
            If something could not be measured; the rest is kept.
        """
        self._record.settle()

    @property
    def trajectory(self) -> Trajectory:
        """Strength per order of the first group at the steps that belong together, with the losses that were passed."""
        return self.history.trajectory()

    @property
    def verdict(self) -> Verdict:
        """What the measurements so far show; once the tracker is closed, judged once.

        Without any measurement there is no statement, ``step`` is NaN, and ``sentence`` says why: the first problem.
        """
        begun = perf_counter()
        verdict = self.history.verdict() or Verdict.of_nothing(nothing_yet(self.problems))
        spent = perf_counter() - begun
        if self._left is not None:  # not training time; within `observe` it is counted there
            self._left += spent
            self.measuring_seconds += spent
        return verdict

    @property
    def should_stop(self) -> bool:
        """Whether ``stop_when`` is fulfilled: training harms. Never without test losses or accuracies."""
        verdict = self._record.guarded("verdict", lambda: self.verdict, otherwise=None) if self.stop_when else None
        return verdict is not None and verdict.harm.found

    @property
    def best_step(self) -> int | None:
        """The measured step with the smallest test loss, where a single low value does not count; see `least_loss`.

        By the largest accuracy if no test loss is known; None if neither is, as ``verdict.harm.sentence`` states.
        """
        verdict = self.verdict
        return None if verdict.best_step is None else int(verdict.best_step)

    def samples(self, step: int | None = None, *, training: Sequence[str] | None = None) -> SampleTable:
        """Return profile and score of each sample; see `interdyn.measurement.History.samples`."""
        return self.history.samples(step, training=training)

    @property
    def share(self) -> float:
        """Share of the training time that measuring has taken so far."""
        return self.measuring_seconds / max(self.training_seconds, 1e-12)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self._record.path is not None:
            tell(
                f"stopped; all measurements so far are saved in {self._record.path}. The same tracker resumes there; "
                f"for a report: interdyn report {self._record.path}"
            )
