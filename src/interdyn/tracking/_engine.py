"""Measuring in other processes: units are submitted to an executor, resubmitted if lost, and collected."""

import hashlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from secrets import token_hex
from time import monotonic, sleep
from zlib import crc32

from interdyn import store
from interdyn._arguments import number, told
from interdyn.errors import EngineError, InputError, StorageError
from interdyn.store import Measurement
from interdyn.tracking._pool import WorkerDiedError
from interdyn.tracking._units import Done, Order, Unit, Work, forget_here, keep_here, measure_unit

_TRIES = 3  # for a unit that gets lost
_UNKNOWN, _LEAST, _FACTOR = 1800.0, 300.0, 20.0  # seconds without an answer before units are resubmitted
_HOUR = 3600.0
_POLL = 2.0  # seconds between checks of what another process writes
_NAMED = 5  # failures in a sentence


@dataclass(frozen=True)
class Shard:
    """Which part of the units this process measures, of ``count`` processes that share a run; the first is 1.

    Examples
    --------
    >>> [Shard.of("2/3").has(index) for index in range(4)]
    [False, True, False, False]
    """

    index: int
    count: int

    @classmethod
    def of(cls, text: str) -> "Shard":
        """Return the shard named by ``i/N``.

        Raises
        ------
        InputError
            If it is not of that form.
        """
        first, _, second = text.partition("/")
        if first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second):
            return cls(int(first), int(second))
        raise InputError(f"a shard must be I/N, with I from 1 to N; got {text!r}. For example: --shard 1/4")

    def has(self, number: int) -> bool:
        """Return whether the unit with that number belongs to this shard."""
        return number % self.count == self.index - 1


@dataclass
class _Job:
    """A unit that is not measured yet."""

    unit: Unit
    future: "Future[Done] | None" = None
    lost: int = 0


@dataclass
class _Step:
    """A step whose units are being measured: the units of each group, what is finished, and complete groups."""

    units: dict[str, list[Unit]]
    parts: dict[Unit, Measurement] = field(default_factory=dict)
    whole: dict[str, Measurement] = field(default_factory=dict)


class Engine:
    """Submits the units of a run to an executor, and combines their measurements.

    Parameters
    ----------
    run
        The run whose folder the units are written to.
    work
        What the units have in common.
    executor
        Where they are measured; None: in this process.
    block
        Samples per unit; None: all samples of a group.
    shard
        Which of the units this process measures; None: all.
    patience
        Seconds without an answer from the executor after which unfinished units are resubmitted, up to three times.
        None: twenty times as long as a unit took, at least five minutes; half an hour before the first.
    progress
        Called with the number of measured units and the number of all units.

    Notes
    -----
    A unit is done when its file is complete, whatever its future says; a unit submitted twice writes identical bits.
    """

    def __init__(
        self,
        run: store.Run,
        work: Work,
        executor: Executor | None = None,
        *,
        block: int | None = None,
        shard: Shard | None = None,
        patience: float | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        if executor is not None and not callable(getattr(executor, "submit", None)):
            raise InputError(
                f"`executor` must be a concurrent.futures.Executor; got {told(executor)}. Pass one, or leave it out."
            )
        if patience is not None:
            patience = number(patience, "patience", least=0, do="Pass seconds, or leave it out.")
        self._run, self._work, self._block, self._shard = run, work, block, shard
        self._own = None if executor is not None else ThreadPoolExecutor(1)
        self._executor: Executor = executor or self._own  # type: ignore[assignment]  # one of them is there
        self._patience, self._progress = patience, progress
        mine = f"work-{0 if shard is None else shard.index}-"  # one per shard
        store.drop_units(run, mine)  # left by a process that was killed
        self._file = run.path / "units" / f"{mine}{token_hex(8)}.pickle"
        self._name = self._publish()
        self._jobs: dict[Unit, _Job] = {}
        self._back: SimpleQueue[tuple[_Job, Future[Done]]] = SimpleQueue()
        self._steps: dict[int, _Step] = {}
        self._touched: set[int] = set()  # steps with news
        self._moved, self._slowest, self._done = monotonic(), 0.0, 0
        self.failures: dict[Unit, str] = {}
        """What could not be measured, and why."""
        self.moved: Counter[str] = Counter()
        """Bytes of work and weights loaded, by process, as ``host:number``."""

    def _publish(self) -> str:
        """Write the work where workers find it, and return its name."""
        if self._own is not None:
            name = f"here {id(self)}"
            keep_here(name, self._work)
            return name
        data = self._work.packed()
        store.write_atomic(self._file, data)
        return hashlib.sha256(data).hexdigest()

    def submit(self, step: int, *, source: str = "", index: int | None = None) -> None:
        """Submit the unmeasured units of a step whose weights are saved.

        Parameters
        ----------
        source
            Where they are saved, if not in the run.
        index
            Index of the step among the planned ones; None: not known. Shards divide the units by it.
        """
        if step in self._steps:
            return
        reader, at, new = store.Reader(self._run), _Step({}), []
        self._steps[step] = at
        self._touched.add(step)
        each = sum(len(store.blocks_of(len(group), self._block)) for group in self._work.groups)
        first = crc32(str(step).encode()) if index is None else index * each
        for group in self._work.groups:
            blocks = store.blocks_of(len(group), self._block)
            units = at.units[group.name] = [Unit(step, group.name, block, source) for block in blocks]
            measured = reader.measurement(step, group=group.name)
            if measured is not None:
                at.whole[group.name] = measured
                self._done += len(units)
                continue
            for place, unit in enumerate(units, start=first):
                if not self._find(unit) and (self._shard is None or self._shard.has(place)):
                    new.append(_Job(unit))
            first += len(units)
        self._progress(self._done)
        self._jobs |= {job.unit: job for job in new}
        for job in new:
            self._hand_out(job)

    @property
    def waiting(self) -> int:
        """How many units of this process are not measured yet."""
        return len(self._jobs)

    def collect(self, *, wait_for: float = 0.0) -> list[tuple[int, list[Measurement]]]:
        """Return the steps completed within ``wait_for`` seconds, with the measurements of all groups."""
        with suppress(Empty):  # no further results
            if self._jobs and wait_for > 0:
                self._take(*self._back.get(timeout=wait_for))
            while True:
                self._take(*self._back.get_nowait())
        self._watch()
        steps = list(self._touched) if self._shard is None else list(self._steps)  # other shards may have written
        self._touched.clear()
        whole = [(step, at) for step in steps if self._is_whole(at := self._steps[step])]
        return [(step, [at.whole[name] for name in at.units]) for step, at in whole]

    def drop(self, step: int) -> None:
        """Remove the unit files of a step whose measurements are written."""
        store.drop_units(self._run, f"step_{step:08d}.")
        self._steps.pop(step, None)

    def close(self) -> None:
        """Cancel what has not started, and remove what the units had in common."""
        for job in self._jobs.values():
            if job.future is not None:
                job.future.cancel()
        if self._own is not None:
            self._own.shutdown(cancel_futures=True)
            forget_here(self._name)
        else:
            store.drop_units(self._run, self._file.name)

    def check(self) -> None:
        """Raise if something could not be measured.

        Raises
        ------
        EngineError
            With the units and the reasons.
        """
        if not self.failures:
            return
        named = "; ".join(f"{unit}: {why}" for unit, why in list(self.failures.items())[:_NAMED])
        more = len(self.failures) - _NAMED
        raise EngineError(
            f"all units must be measured; got {len(self.failures)} that could not be, in {self._run.path}: {named}"
            f"{f'; and {more} more' if more > 0 else ''}. Finished measurements are kept; run the same command again "
            "to retry the others."
        )

    def _hand_out(self, job: _Job) -> None:
        order = Order(job.unit, str(self._run.path.resolve()), self._run.id, self._name, self._file.name)
        try:
            future = job.future = self._executor.submit(measure_unit, order)
        except RuntimeError as error:  # broken, or shut down
            raise self._broken(error) from error
        future.add_done_callback(lambda done: self._back.put((job, done)))

    def _broken(self, error: BaseException) -> EngineError:
        return EngineError(
            f"the executor must accept work; got {type(error).__name__}: {str(error).rstrip('.')}. "
            f"Finished measurements are kept in {self._run.path}; run the same command again."
        )

    def _take(self, job: _Job, future: "Future[Done]") -> None:
        """Take the result of a unit; if it was submitted twice, the first measurement counts."""
        if job.unit not in self._jobs or (future is not job.future and (future.cancelled() or future.exception())):
            return
        if future.cancelled():
            self._lose(job, "the executor cancelled it")
            return
        error = future.exception()
        if isinstance(error, EngineError):
            raise error
        if isinstance(error, BrokenExecutor):
            raise self._broken(error) from error
        if isinstance(error, StorageError | WorkerDiedError):
            self._lose(job, str(error))
        elif error is not None:
            self._fail(job, f"{type(error).__name__}: {error}")
        elif not self._is_done(job.unit):
            self._lose(job, f"a worker measured it, but its file is not in {self._run.path}: is that folder shared?")
        else:
            done = future.result()
            self._slowest = max(self._slowest, done.seconds)
            self.moved[f"{done.host}:{done.process}"] += done.bytes_read
            self._settle(job)

    def _find(self, unit: Unit) -> bool:
        """Return whether the file of a unit exists and is complete; keep it if so."""
        found = store.Reader(self._run).unit(unit.step, unit.group, unit.block)
        if found is not None and unit not in self._steps[unit.step].parts:
            self._steps[unit.step].parts[unit] = found
            self._done += 1
        return found is not None

    def _is_done(self, unit: Unit) -> bool:
        """Return whether a unit or its group is measured, perhaps by another shard, which then removes units."""
        return self._find(unit) or store.read_measurement(self._run, unit.step, group=unit.group) is not None

    def _settle(self, job: _Job) -> None:
        self._moved = monotonic()
        self._touched.add(job.unit.step)
        del self._jobs[job.unit]
        self._progress(self._done)

    def _fail(self, job: _Job, why: str) -> None:
        self._moved = monotonic()
        self.failures[job.unit] = why
        del self._jobs[job.unit]

    def _lose(self, job: _Job, why: str) -> None:
        """Resubmit a lost unit, unless it was lost too often."""
        job.lost += 1
        if job.lost >= _TRIES:
            self._fail(job, f"lost {job.lost} times: {why}")
        else:
            self._hand_out(job)

    def _watch(self) -> None:
        """Resubmit what the executor has not answered for a long time; what is on disk by now is done."""
        if not self._jobs or monotonic() - self._moved < self._limit():
            return
        self._moved = monotonic()
        for job in list(self._jobs.values()):
            if self._is_done(job.unit):
                self._settle(job)
            elif job.future is not None:
                job.future.cancel()
                self._lose(job, "no worker answered")

    def _limit(self) -> float:
        if self._patience is not None:
            return self._patience
        return max(_LEAST, _FACTOR * self._slowest) if self._slowest else _UNKNOWN

    def _is_whole(self, at: _Step) -> bool:
        """Return whether all groups of a step are measured, combining them; other shards write theirs, too."""
        for name, units in at.units.items():
            if name in at.whole:
                continue
            if any(unit in self._jobs or unit in self.failures for unit in units):
                return False
            others = [unit for unit in units if unit not in at.parts]
            if others and all(store.has_unit(self._run, u.step, u.group, u.block) for u in others):
                others = [unit for unit in others if not self._find(unit)]
            if not others:
                at.whole[name] = store.joined([at.parts.pop(unit) for unit in units])
                continue
            there = store.read_measurement(self._run, units[0].step, group=name)
            if there is None:
                return False
            at.whole[name] = there
        return True


def wait_for(
    ready: Callable[[], bool],
    lacking: str,
    patience: float | None,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Wait for what the first shard writes.

    Raises
    ------
    EngineError
        If nothing has come within ``patience`` seconds, by default an hour.
    """
    until = monotonic() + (_HOUR if patience is None else patience)
    while not ready():
        if monotonic() > until:
            raise EngineError(
                f"the first shard starts the run and trains; waited {(patience or _HOUR) / 60:.3g} minutes for it: "
                f"{lacking}. Start it: --shard 1/N"
            )
        meanwhile()
        sleep(_POLL if patience is None else min(_POLL, patience / 4))
