"""The record of a training: what is measured at a step, kept in memory, in the run directory and by loggers."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from interdyn import store
from interdyn.errors import (
    EngineError,
    IncompleteRunError,
    InterdynError,
    InterdynWarning,
    NonFiniteError,
    StorageError,
)
from interdyn.game import bare
from interdyn.measurement import Group, History, check_names, exhibit_of, recorded
from interdyn.store import Checkpoint, Exhibit, Measurement
from interdyn.tracking._backlog import Backlog
from interdyn.tracking._checkpoints import weights_of
from interdyn.tracking._engine import Engine, wait_for
from interdyn.tracking._environment import environment
from interdyn.tracking._measuring import is_first
from interdyn.tracking._plan import Plan
from interdyn.tracking._said import Logger, scalars_of, tell
from interdyn.values import MeasurementCount

_T = TypeVar("_T")

_TURN = 1.0  # seconds between checks of an engine, which find what other shards have written


class _Known(NamedTuple):
    """What is known about a step before it is measured, and where its numbers go."""

    entry: Mapping[str, Any]
    checkpoint: Checkpoint | None
    loggers: Sequence[Logger]


class Record:
    """The record of a training: in memory and, with a ``path``, on disk.

    The folder is locked from its first use until the record is closed; it may then be opened again.

    Parameters
    ----------
    groups
        The samples that are measured; the config of the first group applies to spectra and verdicts.
    path
        Folder of the run; what it contains becomes part of the record. None: nothing is written.
    recipe
        What identifies the run, with its name, as plain data; by default the samples and how they are measured. A
        folder with another run is refused.
    steps
        The planned steps; None: any. In a planned run the weights of a step are on disk before it is measured; in
        others a step exists once it is measured.
    keep_weights
        Write the weights of the network at each step.
    exhibits
        How the samples are shown in the report; None: found when they are measured.
    device
        Where the network is trained, for the folder's ``env.json``.
    strict
        Raise errors; otherwise they are kept in ``problems``, and the first one is a warning.
    window
        How many nearby steps a measurement takes; a ``recipe``, if given, states it itself.
    shared
        Write in addition to the process that has the run locked, as all shards after the first do.

    Raises
    ------
    InputError
        If names do not fit the samples.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        path: str | Path | None = None,
        *,
        recipe: Mapping[str, Any] | None = None,
        steps: Sequence[int] | None = None,
        keep_weights: bool = False,
        exhibits: Sequence[Exhibit] | None = None,
        device: str = "cpu",
        strict: bool = False,
        window: int = 1,
        shared: bool = False,
    ) -> None:
        if exhibits is None:
            check_names(groups[0])
        self.path = None if path is None else Path(path)
        self.problems: list[str] = []
        self.missed: Counter[str] = Counter()
        """How many measurements that fell due were not taken, by reason."""
        self.over_budget = 0
        """How many were taken although the budget did not pay for them."""
        self.sources: dict[int, str] = {}
        """Where the weights of a step are saved, if not in the run; for an engine."""
        self._groups, self._recipe, self._steps, self._keep_weights = groups, recipe, steps, keep_weights
        self._exhibits, self._device, self._strict, self._window = exhibits, device, strict, window
        self._shared = shared
        self._stack = ExitStack()
        self._run: store.Run | None = None
        self._hold: store.Hold | None = None
        self._backlog = Backlog()
        self._engine: Engine | None = None
        self._handed: dict[int, _Known] = {}
        self._exhibited: tuple[int, ...] = ()

    @cached_property
    def history(self) -> History:
        """What was measured so far; in a folder, with its recipe's settings."""
        if self.path is not None and is_first():
            history = History.read(self.open())
            if history.damage and self._steps is None:  # a planned run measures it again
                self.report(history.damage, always=True)
            return history
        config = self._groups[0].config
        return History(
            [g.name for g in self._groups],
            salience=config.salience,
            salience_rule=config.salience_rule,
            window=self._window,
        )

    def open(self) -> store.Run:
        """Return the run in the folder, which is created or continued.

        Another record of the same folder in this process, such as that of a notebook cell before it is run again, is
        closed and writes nothing from then on.

        Raises
        ------
        RecipeError, StorageError
            If another training is in the folder, or another process writes to it.
        """
        if self._run is not None and not self._may_write:
            raise StorageError(
                f"one tracker at a time writes to a run; got a second one for {self.path}: this process started "
                "another tracker there, or was forked from the tracker's process. Its measurements stay in memory only."
            )
        if self._run is None:
            assert self.path is not None
            with ExitStack() as stack:  # a run that cannot be started is not kept locked
                if self._shared:
                    wait_for(partial(store.holds_a_run, self.path), f"no run has started in {self.path}", None)
                else:
                    self._hold = stack.enter_context(store.writing(self.path, take_over=True))
                run = store.begin_run(
                    self.path,
                    self._identity(self.path) if self._recipe is None else self._recipe,
                    steps=self._steps,
                    groups=[group.name for group in self._groups],
                    environment=environment(self._device),
                )
                for exhibit in self._exhibits or ():
                    if store.read_exhibit(run, exhibit.group) is None:
                        store.write_exhibit(run, exhibit)
                self._run, self._stack = run, stack.pop_all()
            if self._steps is None and (self.path / "summary.json").is_file():
                with suppress(InterdynError):  # an unreadable summary is about to be replaced
                    counted = store.read_result(self._run).measurements or MeasurementCount(planned=0, taken=0)
                    self.missed, self.over_budget = Counter(counted.missed), counted.over_budget
        return self._run

    @property
    def _may_write(self) -> bool:
        return self._shared or bool(self._hold)

    @property
    def counts(self) -> MeasurementCount:
        """How many measurements fell due so far, were taken, and were missed; a window counts once."""
        taken = self.history.count
        planned = taken + self.missed.total()
        return MeasurementCount(planned=planned, taken=taken, missed=dict(self.missed), over_budget=self.over_budget)

    def _identity(self, path: Path) -> dict[str, Any]:
        """Return what distinguishes the run of a tracker from another one, as plain data."""
        first = self._groups[0].config
        settings = first.settings() | {"samples": [group.identity() for group in self._groups]}
        if others := {g.name: g.config.settings() for g in self._groups if g.config.settings() != first.settings()}:
            settings["groups"] = others
        if self._window > 1:
            settings["window"] = self._window
        name = path.name.encode("utf-8", "replace").decode()  # bytes that are not text cannot be written
        out: dict[str, Any] = {"name": name or "tracked", "tracker": settings}
        if first.salience is not None or first.salience_rule != "mean-effect":
            given = {"salience": first.salience, "salience_rule": first.salience_rule}
            out["analysis"] = {key: value for key, value in given.items() if value is not None}
        return out

    def begun_again(self, step: int) -> str:
        """Return a warning if a training starts at a step that the folder already has; empty otherwise."""
        known = self.history.steps
        tracked = self.path is not None and self._steps is None and self._engine is None
        if not tracked or not known or step > known[0]:
            return ""
        return (
            f"{self.path} already has measurements of steps {known[0]} to {known[-1]}, from a training that started "
            "earlier; these steps are not measured again. If this is another training, use another folder."
        )

    def guarded(self, where: str, act: Callable[[], _T], *, otherwise: _T) -> _T:
        """Return what ``act`` returns; if it fails, report that, unless ``strict``, and return ``otherwise``."""
        try:
            return act()
        except Exception as error:
            if self._strict or isinstance(error, EngineError):  # otherwise nothing would be measured any more
                raise
            self.report(" ".join([f"{where}: {type(error).__name__}: {error}", *getattr(error, "__notes__", ())]))
            return otherwise

    def report(self, problem: str, *, always: bool = False) -> None:
        """Add a problem; warn about the first one, or about this one if ``always``."""
        if always or not self.problems:
            warnings.warn(f"the tracker met a problem; training continues. {problem}", InterdynWarning, stacklevel=4)
        self.problems.append(problem)

    def keep(
        self,
        step: int,
        model: Any,
        entry: Mapping[str, Any],
        *,
        plan: Plan | None = None,
        loggers: Sequence[Logger] = (),
        saved: bool = False,
    ) -> bool:
        """Measure every group at a step and keep the result; return whether the network could be measured.

        Parameters
        ----------
        entry
            What else is known about the step: losses, ``seconds``.
        plan
            How many players and samples; None: all.
        loggers
            Where its numbers are also written.
        saved
            Whether the network is already on disk, so that measurements there belong to it.
        """
        groups, on_disk, weights_first = self._groups, self.path is not None, self._steps is not None
        if plan is not None:
            groups = [group.first(plan.n_samples).drawn(plan.n_players) for group in groups]
        if on_disk and weights_first and not saved:
            self._put(step, (), entry, self._checkpoint(step, model, entry))
        counts = on_disk and not saved and not weights_first
        known = _Known(entry, self._checkpoint(step, model, entry) if counts else None, loggers)
        if self._engine is not None:
            self._handed[step] = known
            at = None if self._steps is None else list(self._steps).index(step)
            self._engine.submit(step, source=self.sources.get(step, ""), index=at)
            self.collect()
            return True
        try:
            measured = [
                (store.read_measurement(self.open(), step, group=group.name) if saved else None)
                or recorded(model, group, step=step)
                for group in groups
            ]
        except NonFiniteError as error:
            if self._strict:
                raise
            self.report(f"step {step}: {error}")
            self.missed["outputs that are not finite"] += 1
            return False
        self._keep(step, measured, known)
        return True

    def _keep(self, step: int, measured: Sequence[Measurement], known: _Known) -> None:
        """Keep the measurements of all groups at a step: in memory, on disk and in loggers."""
        self.history.add(measured, known.entry)
        if self.path is not None:
            self.guarded(f"step {step}, exhibit", partial(self._exhibit, measured), otherwise=None)
            self._put(step, measured, known.entry, known.checkpoint)
        for logger in known.loggers:
            self.guarded(f"step {step}, {type(logger).__name__}", partial(self._log, logger, step), otherwise=None)

    def measure_with(self, engine: Engine) -> None:
        """Let an engine measure everything from now on; `settle` waits for it."""
        self._engine = engine

    def settle(self) -> None:
        """Wait until everything submitted is measured.

        Raises
        ------
        EngineError
            If something could not be measured; the rest is kept.
        """
        while self._engine is not None:
            self.collect(wait_for=_TURN)
            if not self._engine.waiting:
                self._engine.check()
                return

    def collect(self, *, wait_for: float = 0.0) -> None:
        """Keep what an engine has measured by now, or within ``wait_for`` seconds."""
        if self._engine is None:
            return
        for step, measured in self._engine.collect(wait_for=wait_for):
            self._keep(step, measured, self._handed.pop(step))
            self._engine.drop(step)

    def _checkpoint(self, step: int, model: Any, entry: Mapping[str, Any]) -> Checkpoint:
        weights = weights_of(bare(model)) if self._keep_weights else {}
        losses = {key: value for key, value in entry.items() if key != "seconds"}
        return Checkpoint(step, weights, losses=losses, seconds=entry["seconds"])

    def _put(
        self, step: int, measured: Sequence[Measurement], entry: Mapping[str, Any], checkpoint: Checkpoint | None
    ) -> None:
        """Write what is new about a step, after what could not be written before."""
        late = bool(self._backlog)
        self._backlog.add(measured, entry, checkpoint)
        self.guarded(f"step {step}, run", lambda: self._backlog.write(self.open()), otherwise=None)
        if shed := self._backlog.shed():
            self.report(f"the weights of step {shed[0]} cannot be written and do not fit into memory; they are lost.")
        if late and not self._backlog:
            tell("Everything that could not be written earlier is written now.")

    def _exhibit(self, measured: Sequence[Measurement]) -> None:
        """Write how the samples are shown, once for each number of samples and players that is measured."""
        count, masks = measured[0].v.shape
        if self._exhibits is not None or self._exhibited == (count, masks):
            return
        for group in self._groups:
            found = exhibit_of(group.first(count).drawn(masks.bit_length() - 1))
            if found is not None:
                store.write_exhibit(self.open(), found)
        self._exhibited = (count, masks)

    def _log(self, logger: Logger, step: int) -> None:
        strength = self.history.seen(step, self._groups[0].name).spectrum.strength
        verdict = self.history.verdict(step)
        assert verdict is not None
        logger.log_metrics(scalars_of(strength, verdict), step)

    def close(self, *, summary: bool) -> None:
        """Release the folder, after writing the results of everything in it if a ``summary`` is wanted.

        Raises
        ------
        StorageError
            If something cannot be written; it stays in memory, and closing again retries.
        """
        if self._engine is not None:
            self._engine.close()
        try:
            if self._backlog and summary:
                self._backlog.write(self.open())
        except StorageError as error:
            raise StorageError(f"{error} It is kept in memory: close the tracker again to retry.") from error
        finally:
            with self._stack:
                run, self._run = self._run, None
                if run is not None and summary and self._may_write and not self._backlog:
                    _write_summary(run.path, self.counts)
            self.history.over = summary


def summarise(folder: Path | str) -> None:
    """Analyse what a tracker has kept in its folder and write the results there, as its `close` would have done.

    For a training that was killed, or one that ended in another process.

    Raises
    ------
    StorageError
        If a process is still writing there.
    IncompleteRunError
        If nothing is measured.
    NotARunError, SchemaError
        As `interdyn.store.open_run`.
    """
    run = store.open_run(Path(folder))
    with store.writing(run.path):
        if not run.steps:
            raise IncompleteRunError(f"a summary needs a measured step; got none in {run.path}. Measure a step first.")
        _write_summary(run.path)


def _write_summary(folder: Path, counts: MeasurementCount | None = None) -> None:
    run = store.open_run(folder)
    told = {} if counts is None else {"measurements": counts}
    store.write_result(run, History.read(run).result().model_copy(update=told))
