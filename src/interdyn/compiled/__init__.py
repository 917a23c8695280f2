"""Compiled loops: Numba where it is, vectors of four numbers, worker threads. Importing this room loads no Numba."""

from interdyn.compiled._numba import INNER, available, compiled, source_stamp
from interdyn.compiled._workers import in_workers, one_torch_thread, worker_count

__all__ = ["INNER", "available", "compiled", "in_workers", "one_torch_thread", "source_stamp", "worker_count"]
