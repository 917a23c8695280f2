"""How many workers one driver can feed: a simulation with constants measured here, up to 1,000 workers.

The *driver* is the process that hands out units (a checkpoint and a block of samples), reads what workers wrote, and
writes the measurements: one thread. What it spends on a unit is measured first, with the engine itself and real files
(a network of no cost measures them, outside the clock): handing out, what the executor does for a call, looking over
the units that are out, reading and checking a unit file, and the measurement of a whole checkpoint. Then workers are
simulated, event by event: each takes the next unit that is handed out, needs its seconds (give or take a fifth), and
its file waits until the driver comes to it. A cell is the time of a driver that costs nothing over that of ours.

At the end the job of docs/howto/clusters.md on paper: 1,000 checkpoints x 10,000 samples of a network of 7 billion
parameters.

Run: ./run scheduler
"""

import argparse
import heapq
import pickle
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _record import Record as Figures
from interdyn import store
from interdyn.errors import MissingExtraError
from interdyn.measurement import History, MeasurementConfig
from interdyn.measurement._config import checked_groups
from interdyn.players import columns
from interdyn.tracking import Engine, Pool, Record, Work
from interdyn.tracking._checkpoints import weights_of

PLAYERS = 10
SMALL, LARGE = 8, 64  # samples of a unit
UNITS, STEPS = 10, 12  # of a checkpoint; checkpoints, while constants are measured
WORKERS = (1, 10, 100, 300, 1000)
SECONDS = (0.1, 1.0, 10.0, 60.0)  # of a unit
ROUNDS = 20  # units of each worker
SPREAD = 0.2  # of the seconds of a unit
CALLS = 400  # without work, to measure what an executor needs for one


@dataclass(frozen=True)
class Costs:
    """Seconds of the driver."""

    submit: float  # to hand out a unit, without the executor
    call: float  # of the executor, for a call
    look: float  # to look at a unit that is out, each time round
    take: float  # to read, check and join the file of a unit
    add: float  # for each unit: to take a checkpoint into the history, with its spectra
    keep: float  # for each unit: to write the measurement of a checkpoint, and remove the files of its units
    file: int = 0  # bytes of a unit file

    @property
    def unit(self) -> float:
        """All that a unit costs, but for looks."""
        return self.submit + self.call + self.back

    @property
    def back(self) -> float:
        """What a unit costs that has come back."""
        return self.take + self.add + self.keep


FREE = Costs(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class Held(Executor):
    """Pickles calls, as every executor does, and keeps them until they are to be done."""

    def __init__(self) -> None:
        self.calls: list[tuple[Future[Any], bytes]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Keep a call."""
        out: Future[Any] = Future()
        self.calls.append((out, pickle.dumps((fn, args, kwargs))))
        return out

    def work(self) -> None:
        """Do all of them."""
        for future, data in self.calls:
            fn, args, kwargs = pickle.loads(data)
            future.set_result(fn(*args, **kwargs))


def measured(block: int, call: float, folder: Path) -> Costs:
    """Measure what a unit of so many samples costs the driver."""
    x = torch.randn(UNITS * block, PLAYERS, generator=torch.Generator().manual_seed(0))
    config = MeasurementConfig(players=columns(), baselines=0.0)
    groups = checked_groups((x, torch.arange(len(x)) % 2), config)
    network, steps = torch.nn.Linear(PLAYERS, 2), range(STEPS)
    record = Record(groups, folder, recipe={"name": "driver"}, steps=steps, strict=True, exhibits=())
    run, history, held = record.open(), History(["test"]), Held()
    for step in steps:
        store.write_checkpoint(run, store.Checkpoint(step, weights_of(network), losses={}, seconds={}))
    engine, units = Engine(run, Work(network, groups), held, block=block), STEPS * UNITS
    submit = _clock(lambda: [engine.submit(step, index=step) for step in steps]) / units
    looks = 20
    look = _clock(lambda: [engine.collect() for _ in range(looks)]) / looks / units
    held.work()
    size = sum(path.stat().st_size for path in (run.path / "units").glob("*.safetensors")) // units
    whole: list[tuple[int, list[store.Measurement]]] = []
    take = _clock(lambda: whole.extend(engine.collect())) / units
    assert len(whole) == STEPS

    def keep() -> None:
        for step, found in whole:
            store.write_measurement(run, found[0], entry={})
            engine.drop(step)

    add = _clock(lambda: [history.add(found, {}) for _, found in whole]) / units
    keeping = _clock(keep) / units
    engine.close()
    record.close(summary=False)
    return Costs(submit, call, look, take, add, keeping, size)


def _clock(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def seconds_of_a_call(executor: Executor) -> float:
    """Return the processor time that this process needs for a call without work."""
    with executor:
        for call in [executor.submit(abs, -1) for _ in range(CALLS)]:
            call.result()
        start = time.process_time()
        for call in [executor.submit(abs, -1) for _ in range(CALLS)]:
            call.result()
        return (time.process_time() - start) / CALLS


def makespan(workers: int, unit: float, costs: Costs, *, seed: int = 0) -> float:
    """Return the seconds until all units are measured and kept; the driver does one thing after the other."""
    units = workers * ROUNDS
    lasts = unit * (1 + SPREAD * np.random.default_rng(seed).uniform(-1, 1, units))
    free = [0.0] * workers  # when each worker is free; the next unit goes to the first of them
    done: list[float] = []  # when those units are measured that the driver has not come to
    now, given, taken = 0.0, 0, 0
    while taken < units:
        if given == units:
            now = max(now, done[0])
        for number in range(given, min(given + UNITS, units)):  # those of a checkpoint
            now += costs.submit + costs.call
            end = max(free[0], now) + lasts[number]
            heapq.heapreplace(free, end)
            heapq.heappush(done, end)
        given = min(given + UNITS, units)
        now += costs.look * (given - taken)
        while done and done[0] <= now:
            heapq.heappop(done)
            taken, now = taken + 1, now + costs.back
    return now


def shards(count: int, unit: float, costs: Costs) -> float:
    """Return the seconds of so many shards without a driver: each measures its part and, at worst, reads all units."""
    return makespan(count, unit, FREE) + count * ROUNDS * costs.back


def table(title: str, rows: list[tuple[str, Callable[[float], float]]], seconds: tuple[float, ...]) -> None:
    """Print shares by rows and by seconds of a unit."""
    print(f"\n  {title:<44}" + "".join(f"{f'{unit:g} s':>9}" for unit in seconds))
    for name, share in rows:
        print(f"  {name:>44}" + "".join(f"{share(unit):>9.0%}" for unit in seconds))


def simulate(figures: Figures, small: Costs, large: Costs) -> None:
    """Print and record how far it goes, why, and what helps."""

    def fed(workers: int, costs: Costs, longer: float = 1.0) -> Callable[[float], float]:
        return lambda unit: makespan(workers, longer * unit, FREE) / makespan(workers, longer * unit, costs)

    table(
        "share of a free driver's speed; a unit takes",
        [(f"{workers:,} worker{'s' * (workers > 1)}", fed(workers, small)) for workers in WORKERS],
        SECONDS,
    )
    most, times = WORKERS[-1], LARGE // SMALL
    table(
        f"{most:,} workers; {SMALL} samples take",
        [
            (f"units of {SMALL} samples", fed(most, small)),
            (f"units of {SMALL} samples, if looks cost nothing", fed(most, replace(small, look=0.0))),
            (f"units of {LARGE} samples", fed(most, large, times)),
            (f"ten runs of {most // 10} workers, a driver each", fed(most // 10, small)),
            (f"{most:,} shards without a driver", lambda unit: makespan(most, unit, FREE) / shards(most, unit, small)),
            (
                f"the same, units of {LARGE} samples",
                lambda unit: makespan(most, times * unit, FREE) / shards(most, times * unit, large),
            ),
        ],
        SECONDS,
    )
    print()
    for size, costs in ((SMALL, small), (LARGE, large)):
        named = f"units of {size} samples: samples a second that one driver takes in"
        figures.add(named, size / costs.unit, "", n=PLAYERS, batch=size)
    for unit in SECONDS:
        named = f"share of a free driver's speed, {most} workers, units of {unit:g} s"
        figures.add(named, fed(most, small)(unit), "", n=PLAYERS, batch=SMALL)


def on_paper(small: Costs, large: Costs) -> None:
    """Print the arithmetic of a job that is too large to be done here."""
    checkpoints, samples, parameters, tokens, block, few = 1000, 10_000, 7e9, 64, 500, 8
    speed = 989e12 * 0.4  # FLOP/s of bfloat16 that a maker states for an H100, and the share of it that is reached
    slope = (large.unit - small.unit) / (LARGE - SMALL)
    each = small.unit + slope * (block - SMALL)  # seconds of the driver for a unit
    flop = 2 * parameters * tokens * 2**PLAYERS
    units = checkpoints * samples // block
    bytes_of_a_sample = (large.file - small.file) / (LARGE - SMALL)
    print(f"\n  on paper: {checkpoints:,} checkpoints x {samples:,} samples, {parameters / 1e9:g} billion parameters,")
    print(f"  {tokens} tokens, n = {PLAYERS}, {speed / 1e12:.0f} TFLOP/s reached, units of {block} samples")
    for what, value, unit in (
        ("2 x parameters x tokens x 2^n: a sample", flop, "FLOP"),
        ("a sample on one GPU", flop / speed, "s"),
        ("a unit on one GPU", block * flop / speed, "s"),
        ("all", checkpoints * samples * flop / speed / 3600, "GPU hours"),
        ("weights read, each checkpoint once, 2 bytes a parameter", 2 * parameters * checkpoints / 1e12, "TB"),
        ("weights read, at most, once for each unit", 2 * parameters * units / 1e12, "TB"),
        ("a sample in a unit file", bytes_of_a_sample / 1e3, "kB"),
        ("unit files, and as much again for measurements", checkpoints * samples * bytes_of_a_sample / 1e9, "GB"),
        ("units", units, ""),
        ("the driver, for a unit", each, "s"),
        ("the driver, all units", units * each / 3600, "hours"),
        ("GPUs that one driver feeds", block * flop / speed / each, ""),
        (f"{few} samples at each checkpoint", checkpoints * few * flop / speed / 3600, "GPU hours"),
        (f"{few} samples at 24 checkpoints", 24 * few * flop / speed / 60, "GPU minutes"),
    ):
        print(f"  {what:<64} {value:>12,.4g} {unit}")


def main() -> None:
    """Measure, simulate, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("ray", "local"), default="ray", help="whose calls are counted")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures, call = Figures("scheduler"), 0.0
    for name in dict.fromkeys((options.engine, "local")):
        try:
            call = seconds_of_a_call(Pool(1) if name == "local" else _ray())
        except MissingExtraError as error:
            print(f"  calls of a pool instead: {error}")
            continue
        figures.add(f"a call without work, {name}: processor time here", 1e3 * call, "ms", n=PLAYERS)
        break
    with tempfile.TemporaryDirectory() as folder:
        costs = {size: measured(size, call, Path(folder) / str(size)) for size in (SMALL, LARGE)}
    for size, found in costs.items():
        for what, value in (
            ("to hand it out", found.submit),
            ("to look at it while it is out, each round", found.look),
            ("to read, check and join its file", found.take),
            ("its share of a checkpoint's spectra", found.add),
            ("its share of writing a checkpoint's measurement", found.keep),
            ("all of it, with the executor's call", found.unit),
        ):
            figures.add(f"a unit of {size} samples: {what}", 1e3 * value, "ms", n=PLAYERS, batch=size)
        figures.add(f"a unit of {size} samples: its file", found.file / 1e3, "kB", n=PLAYERS, batch=size)
    simulate(figures, costs[SMALL], costs[LARGE])
    on_paper(costs[SMALL], costs[LARGE])
    figures.write()


def _ray() -> Executor:
    from interdyn.tracking.ray import RayExecutor

    return RayExecutor(1)


if __name__ == "__main__":
    main()
