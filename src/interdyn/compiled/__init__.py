"""Compiled loops: Numba if installed, vectors of four numbers, worker threads. Importing it loads no Numba."""

from interdyn.compiled._numba import INNER, available, compiled, source_stamp
from interdyn.compiled._workers import cores_at_hand, in_workers, one_torch_thread, torch_threads, worker_count

__all__ = [
    "INNER",
    "available",
    "compiled",
    "cores_at_hand",
    "in_workers",
    "one_torch_thread",
    "source_stamp",
    "torch_threads",
    "worker_count",
]
