"""Measuring in other processes: units handed to an executor, handed out again where they are lost, put together."""

import hashlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from time import monotonic, sleep
from zlib import crc32

from interdyn import store
from interdyn._arguments import told
from interdyn.errors import EngineError, InputError, StorageError
from interdyn.store import Measurement
from interdyn.tracking._pool import WorkerDiedError
from interdyn.tracking._units import Done, Order, Unit, Work, forget_here, keep_here, measure_unit

_TRIES = 3  # of a unit that is lost on its way
_UNKNOWN, _LEAST, _FACTOR = 1800.0, 300.0, 20.0  # seconds without news before units are handed out again
_HOUR = 3600.0
_POLL = 2.0  # seconds between looks at what another process writes
_NAMED = 5  # failures in a sentence


@dataclass(frozen=True)
class Shard:
    """Which part of the units this process measures, of ``count`` that share a run; the first is 1.

    Examples
    --------
    >>> [Shard.of("2/3").has(index) for index in range(4)]
    [False, True, False, False]
    """

    index: int
    count: int

    @classmethod
    def of(cls, text: str) -> "Shard":
        """Return the shard that ``i/N`` names.

        Raises
        ------
        InputError
            If it names none.
        """
        first, _, second = text.partition("/")
        if first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second):
            return cls(int(first), int(second))
        raise InputError(f"a shard must be I/N, with I from 1 to N; got {text!r}. For example: --shard 1/4")

    def has(self, number: int) -> bool:
        """Return whether a unit of that number is one of this shard."""
        return number % self.count == self.index - 1


@dataclass
class _Job:
    """A unit that is not measured yet."""

    unit: Unit
    future: "Future[Done] | None" = None
    lost: int = 0


@dataclass
class _Step:
    """A step of which units are measured: those of each group, what is there of them, and whole groups."""

    units: dict[str, list[Unit]]
    parts: dict[Unit, Measurement] = field(default_factory=dict)
    whole: dict[str, Measurement] = field(default_factory=dict)


class Engine:
    """Hands the units of a run to an executor, and puts their measurements together.

    Parameters
    ----------
    run
        The run in whose folder units are written.
    work
        What they have in common.
    executor
        Where they are measured; None: in this process.
    block
        Samples of a unit; None: those of a group.
    shard
        Which of the units are this process's; None: all.
    patience
        Seconds without news from the executor after which what it has not done is handed out again, up to three times.
        None: twenty times as long as a unit took, five minutes at least; half an hour before the first.
    progress
        Called with how many units are measured, and of how many.

    Notes
    -----
    A unit is done when its file is whole, whatever a future says; one that is handed out twice writes the same bits.
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
        self._run, self._work, self._block, self._shard = run, work, block, shard
        self._own = None if executor is not None else ThreadPoolExecutor(1)
        self._executor: Executor = executor or self._own  # type: ignore[assignment]  # one of them is there
        self._patience, self._progress = patience, progress
        mine = f"work-{0 if shard is None else shard.index}-"  # shards have one each
        self._file = run.path / "units" / f"{mine}{token_hex(8)}.pickle"
        store.drop_work(run, mine)  # of a process that was killed
        self._name = self._publish()
        self._jobs: dict[Unit, _Job] = {}
        self._steps: dict[int, _Step] = {}
        self._moved, self._slowest, self._done = monotonic(), 0.0, 0
        self.failures: dict[Unit, str] = {}
        """What could not be measured, and why."""
        self.moved: Counter[str] = Counter()
        """Bytes of works and weights that were loaded, by process, as ``host:number``."""

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
        """Hand out what is not measured of a step, whose weights are saved.

        Parameters
        ----------
        source
            Where they are saved, if not in the run.
        index
            Which one it is of the steps that are planned; None: not known. By it shards divide the units.
        """
        if step in self._steps:
            return
        reader, at = store.Reader(self._run), _Step({})
        self._steps[step] = at
        each = sum(len(store.blocks_of(len(group), self._block)) for group in self._work.groups)
        number = crc32(str(step).encode()) if index is None else index * each
        for group in self._work.groups:
            blocks = store.blocks_of(len(group), self._block)
            units = at.units[group.name] = [Unit(step, group.name, block, source) for block in blocks]
            measured = reader.measurement(step, group=group.name)
            if measured is not None:
                at.whole[group.name] = measured
                self._done += len(units)
                continue
            for index, unit in enumerate(units, start=number):
                if not self._find(unit) and (self._shard is None or self._shard.has(index)):
                    self._jobs[unit] = _Job(unit)
            number += len(units)
        self._progress(self._done)
        for job in list(self._jobs.values()):
            if job.future is None:
                self._hand_out(job)

    @property
    def waiting(self) -> int:
        """How many units of this process are not measured yet."""
        return len(self._jobs)

    def collect(self, *, wait_for: float = 0.0) -> list[tuple[int, list[Measurement]]]:
        """Return the steps that have become whole, with the measurements of all groups, within so many seconds."""
        futures = [job.future for job in self._jobs.values() if job.future is not None]
        if futures:
            wait(futures, timeout=wait_for, return_when=FIRST_COMPLETED)
        for job in list(self._jobs.values()):
            if job.future is not None and job.future.done():
                self._take(job)
        self._watch()
        return [(step, list(at.whole.values())) for step, at in self._steps.items() if self._is_whole(at)]

    def drop(self, step: int) -> None:
        """Remove the files of the units of a step whose measurements are written."""
        store.drop_units(self._run, step)
        self._steps.pop(step, None)

    def close(self) -> None:
        """Take back what is not begun, and remove what the units had in common."""
        for job in self._jobs.values():
            if job.future is not None:
                job.future.cancel()
        if self._own is not None:
            self._own.shutdown(cancel_futures=True)
            forget_here(self._name)
        else:
            self._file.unlink(missing_ok=True)
        with suppress(OSError):  # not empty: what was begun goes on there
            (self._run.path / "units").rmdir()

    def check(self) -> None:
        """Raise what could not be measured.

        Raises
        ------
        EngineError
            Names the units and the reasons.
        """
        if not self.failures:
            return
        named = "; ".join(f"{unit}: {why}" for unit, why in list(self.failures.items())[:_NAMED])
        more = len(self.failures) - _NAMED
        raise EngineError(
            f"all units must be measured; got {len(self.failures)} that could not be, in {self._run.path}: {named}"
            f"{f'; and {more} more' if more > 0 else ''}. What is measured is kept; give the same command again to try "
            "these once more."
        )

    def _hand_out(self, job: _Job) -> None:
        order = Order(job.unit, str(self._run.path.resolve()), self._run.id, self._name, self._file.name)
        try:
            job.future = self._executor.submit(measure_unit, order)
        except RuntimeError as error:  # it is broken, or shut down
            raise self._broken(error) from error

    def _broken(self, error: BaseException) -> EngineError:
        return EngineError(
            f"the executor must take work; got {type(error).__name__}: {error} What is measured is kept in "
            f"{self._run.path}; give the same command again."
        )

    def _take(self, job: _Job) -> None:
        """Find out what came of a unit."""
        assert job.future is not None
        if job.future.cancelled():
            self._lose(job, "the executor cancelled it")
            return
        error = job.future.exception()
        if isinstance(error, EngineError):
            raise error
        if isinstance(error, BrokenExecutor):
            raise self._broken(error) from error
        if isinstance(error, StorageError | WorkerDiedError):
            self._lose(job, str(error))
        elif error is not None:
            self._fail(job, f"{type(error).__name__}: {error}")
        elif not self._is_done(job.unit):
            self._lose(job, f"a worker measured it, and its file is not in {self._run.path}: is that folder shared?")
        else:
            done = job.future.result()
            self._slowest = max(self._slowest, done.seconds)
            self.moved[f"{done.host}:{done.process}"] += done.bytes_read
            self._settle(job)

    def _find(self, unit: Unit) -> bool:
        """Return whether the file of a unit is there and whole; then it is kept."""
        found = store.Reader(self._run).unit(unit.step, unit.group, unit.block)
        if found is not None and unit not in self._steps[unit.step].parts:
            self._steps[unit.step].parts[unit] = found
            self._done += 1
        return found is not None

    def _is_done(self, unit: Unit) -> bool:
        """Return whether a unit is measured, or its whole group is: by another shard, which drops units then."""
        return self._find(unit) or store.read_measurement(self._run, unit.step, group=unit.group) is not None

    def _settle(self, job: _Job) -> None:
        self._moved = monotonic()
        del self._jobs[job.unit]
        self._progress(self._done)

    def _fail(self, job: _Job, why: str) -> None:
        self._moved = monotonic()
        self.failures[job.unit] = why
        del self._jobs[job.unit]

    def _lose(self, job: _Job, why: str) -> None:
        """Hand out a unit again that was lost, unless that was too often."""
        job.lost += 1
        if job.lost >= _TRIES:
            self._fail(job, f"lost {job.lost} times: {why}")
        else:
            self._hand_out(job)

    def _watch(self) -> None:
        """Hand out again what an executor has not answered for long; what is on disk by now is done."""
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
        """Return whether all groups of a step are measured, putting them together; other shards write theirs, too."""
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
            there = store.read_measurement(self._run, units[0].step, group=name) if self._shard else None
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
        If it has not come for so many seconds, an hour by default.
    """
    until = monotonic() + (_HOUR if patience is None else patience)
    while not ready():
        if monotonic() > until:
            raise EngineError(
                f"the first shard begins the run and trains; got nothing of it for {(patience or _HOUR) / 60:.3g} "
                f"minutes: {lacking}. Start it: --shard 1/N"
            )
        meanwhile()
        sleep(_POLL if patience is None else min(_POLL, patience / 4))
