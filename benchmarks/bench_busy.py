"""What a busy machine does to our own work: CPU time beside two processes that never rest, over CPU time alone.

Threads are those of a default environment. A network's own forward passes are not among the work: they are the user's.

Run: ./run bench busy
"""

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

import interdyn as ix
from _record import Record
from bench_split import real_tables
from bench_theory import final_network
from interdyn.game._masking import Masking
from interdyn.theory import fit_noise, strength_by_level, target_weights


def works() -> dict[str, Callable[[], object]]:
    """Return pieces of work that consist of many small products."""
    v = real_tables(10, 16)
    final = final_network(10, 20)
    measured = strength_by_level(target_weights(final), np.geomspace(1e-1, 1e-8, 14))
    pictures, ids = torch.randn(16, 1, 8, 8), torch.arange(64).reshape(1, 1, 8, 8) // 7
    masking = Masking((pictures,), (torch.zeros(()),), (ids,), 10)
    return {
        "split of 64 tables of n = 10": lambda: ix.sparsify.split(v),
        "fit of the theory, 14 checkpoints": lambda: fit_noise(final, measured),
        "masked inputs of 16 pictures, 10 times": lambda: [
            masking.rows(at, at + 1024) for _ in range(10) for at in range(0, 16 * 1024, 1024)
        ],
    }


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median CPU time of ``work``, of all threads of this process."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return sorted(found)[repeats // 2]


def main() -> None:
    """Measure and record."""
    record = Record("busy")
    todo = works()
    for work in todo.values():
        work()
    alone = {name: cpu_seconds(work, 5) for name, work in todo.items()}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    time.sleep(1)
    try:
        beside = {name: cpu_seconds(work, 5) for name, work in todo.items()}
    finally:
        for process in busy:
            process.kill()
    for name in todo:
        record.add(f"{name}: CPU time alone", alone[name], "s", n=10)
        record.add(f"{name}: ratio beside two busy processes / alone", beside[name] / alone[name], "times", n=10)
    record.write()


if __name__ == "__main__":
    main()
