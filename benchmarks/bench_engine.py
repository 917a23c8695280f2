"""Measuring in other processes: what a second worker gains, and what is sent to it.

A network is trained first and its checkpoints are kept; then they are measured by one worker and by two, of a pool of
processes and of Ray started here. The number of samples is chosen so that one worker takes about ``--seconds``. The
clock starts when the first unit is handed out and stops when the last measurement is written; workers have started
before, with everything imported and the compiled solver loaded. All ways must give the same bits, which is checked.

Bytes: of the orders that are sent with the units; of what the processes read, once each (the network and the samples)
or once for each checkpoint (its weights); and what the network in each order would have come to.

Run: ./run bench engine
"""

import argparse
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _record import Record as Figures
from interdyn import store
from interdyn.errors import MissingExtraError
from interdyn.measurement import recorded
from interdyn.recipes import Recipe, Trainer, load_recipe, load_samples
from interdyn.recipes._measuring import choose_groups
from interdyn.recipes._training import measured_steps, total_steps
from interdyn.recipes._units import resolved, work_of
from interdyn.sparsify import split
from interdyn.tracking import Engine, Pool, Record, Work

RECIPE = "digits-cnn"
BLOCK = 8  # samples of a unit
GOALS = {"pool": 1.6, "Ray": 1.5}
LEAST = 60.0  # seconds of measuring by one worker, for a figure that is kept


class Counting(Executor):
    """An executor that counts what it hands to another one, as it is pickled."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self.orders = self.bytes = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Count a call and hand it on."""
        self.orders += 1
        self.bytes += len(pickle.dumps((fn, args, kwargs)))
        return self._inner.submit(fn, *args, **kwargs)


def warm(players: int) -> int:
    """Load what measuring needs, stay until the other workers have a call too, and say which process it is."""
    split(np.random.default_rng(0).standard_normal((4, 2**players)), threads=1)
    time.sleep(1.0)
    return os.getpid()


@contextmanager
def workers(kind: str, count: int, players: int) -> Iterator[Executor]:
    """Give an executor whose workers have all started."""
    if kind == "pool":
        opened: Executor = Pool(count)
    else:
        from interdyn.tracking.ray import RayExecutor

        opened = RayExecutor(count)
    with opened as executor:
        seen: set[int] = set()
        while len(seen) < count:
            seen |= {call.result() for call in [executor.submit(warm, players) for _ in range(count)]}
        yield executor


class Case:
    """A trained recipe whose checkpoints are on disk and not measured."""

    def __init__(self, folder: Path, seconds: float) -> None:
        plain = load_recipe(RECIPE, overrides=["measure.mislabelled_samples=0", f"units.samples={BLOCK}"])
        self.samples = load_samples(plain.data)
        trainer = Trainer(plain, self.samples)
        self.steps = measured_steps(plain, total_steps(plain.training, len(self.samples.train_ids)))
        networks = []
        for step in self.steps:
            trainer.advance(step)
            networks.append(trainer.weights())
        each = self._seconds_of_a_sample(plain, trainer)
        wanted = BLOCK * ceil(seconds / each / len(self.steps) / BLOCK)
        wanted = min(wanted, len(self.samples.test_ids))
        self.recipe = resolved(
            plain.model_copy(update={"measure": plain.measure.model_copy(update={"test_samples": wanted})}),
            self.samples,
            folder,
            in_units=True,
            allow_code=False,
        )
        self.groups = choose_groups(self.recipe, self.samples)
        self.network, self.folder = trainer.network, folder
        record = self.record(folder)
        run = record.open()
        for step, weights in zip(self.steps, networks, strict=True):
            store.write_checkpoint(run, store.Checkpoint(step, weights, losses={}, seconds={"training": 0.0}))
        record.close(summary=False)

    def _seconds_of_a_sample(self, recipe: Recipe, trainer: Trainer) -> float:
        group = choose_groups(recipe, self.samples)[0].block(0, BLOCK)
        recorded(trainer.network, group, step=0)  # loads
        start = time.process_time()  # which other processes do not lengthen
        recorded(trainer.network, group, step=0)
        return (time.process_time() - start) / BLOCK

    def record(self, folder: Path) -> Record:
        """Return the record of the run in a folder, as recipes have it."""
        return Record(
            self.groups,
            folder,
            recipe=self.recipe.plain(),
            steps=self.steps,
            keep_weights=True,
            exhibits=(),
            strict=True,
        )

    def work(self) -> Work:
        """Return what all units have in common."""
        return work_of(self.recipe, self.samples, self.groups, allow_code=False)

    def measured_by(
        self, executor: Executor, folder: Path
    ) -> tuple[float, float, Engine, dict[int, store.Measurement]]:
        """Measure a copy of the run; return seconds, those of this process's work, the engine, and the measurements."""
        shutil.copytree(self.folder, folder)
        record = self.record(folder)
        run = record.open()
        engine = Engine(run, self.work(), executor, block=BLOCK)
        record.measure_with(engine)
        start, worked = time.perf_counter(), time.process_time()
        for step in self.steps:
            record.keep(step, self.network, {"seconds": {"training": 0.0}}, saved=True)
        record.settle()
        took, worked = time.perf_counter() - start, time.process_time() - worked
        found = {step: store.read_measurement(run, step, group="test") for step in self.steps}
        record.close(summary=False)
        return took, worked, engine, {step: one for step, one in found.items() if one is not None}


def same(one: dict[int, store.Measurement], other: dict[int, store.Measurement]) -> bool:
    """Return whether two runs have the same numbers to the last bit."""
    tables = ("v", "i_and", "i_or", "objective", "gap")
    return one.keys() == other.keys() and all(
        np.array_equal(getattr(one[step], name), getattr(other[step], name)) for step in one for name in tables
    )


def add_bytes(figures: Figures, case: Case, engine: Engine, sent: Counting, counts: dict[str, int], name: str) -> None:
    """Record what was sent and read."""
    n, batch = counts["n"], counts["batch"]
    for what, value, unit in (
        ("units", sent.orders, ""),
        ("an order, pickled", sent.bytes / sent.orders, "bytes"),
        ("all orders", sent.bytes / 1e6, "MB"),
        ("read by the processes: network, samples, weights", sum(engine.moved.values()) / 1e6, "MB"),
        ("processes that read", len(engine.moved), ""),
        ("the same with network and samples in each order", sent.orders * len(case.work().packed()) / 1e6, "MB"),
    ):
        figures.add(f"{name}: {what}", value, unit, n=n, batch=batch)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=70.0, help="of measuring by one worker")
    parser.add_argument("--kinds", nargs="+", default=list(GOALS), choices=list(GOALS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = Figures("engine")
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        case = Case(base / "run", options.seconds)
        n, samples = case.groups[0].n_players, len(case.groups[0])
        print(f"  {RECIPE}: {len(case.steps)} checkpoints of {samples} samples, {BLOCK} in a unit, n = {n}")
        first: dict[int, store.Measurement] | None = None
        brief = False
        for kind in options.kinds:
            took = {}
            for count in (1, 2):
                title = f"{kind}, {count} worker{'s' * (count > 1)}"
                try:
                    with workers(kind, count, n) as executor:
                        sent = Counting(executor)
                        took[count], worked, engine, found = case.measured_by(sent, base / f"{kind}-{count}")
                except MissingExtraError as error:
                    print(f"  {kind}: left out. {error}")
                    break
                if first is not None and not same(first, found):
                    raise SystemExit(f"{title}: other numbers than those of the first way.")
                first = found if first is None else first
                figures.add(f"{title}: measuring", took[count], "s", n=n, batch=samples)
                figures.add(f"{title}: processor time of the driver", worked, "s", n=n, batch=samples)
                add_bytes(figures, case, engine, sent, {"n": n, "batch": samples}, title)
            brief |= took.get(1, LEAST) < LEAST
            if len(took) == 2:
                goal = f"{kind}: 1 worker / 2 workers (goal {GOALS[kind]})"
                figures.add(goal, took[1] / took[2], "times", n=n, batch=samples)
    if brief:
        print(f"  nothing is written: for that one worker must measure for {LEAST:.0f} s")
    else:
        figures.write()


if __name__ == "__main__":
    main()
