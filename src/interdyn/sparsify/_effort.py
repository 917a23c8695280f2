"""The cost of a split, estimated before it starts: time and memory; and a progress bar while it runs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from time import perf_counter

import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import number, whole
from interdyn.compiled import worker_count
from interdyn.errors import TooLargeError
from interdyn.sparsify._admm import Outcome
from interdyn.sparsify._problem import Problem
from interdyn.sparsify._solve import WITHIN, Watch, solve
from interdyn.values import MAX_PLAYERS, n_players_from_size

LONGEST = 600.0
"""Seconds that a call may be expected to take without ``allow_large=True``."""

BAR_FROM = 13
"""Number of players from which a progress bar is shown on a terminal."""

_STEPS, _GROWTH, _FINENESS = 600.0, 1.25, 0.3  # steps at n = 10 and tol = 1e-3, and how they grow
_STEP_SECONDS = 2e-9  # of one table, divided by n 2^n, on an ordinary processor
_LITTLE = 2**28  # bytes that are always available
_SURE = 8.0  # no processor takes more than this many times the expected time
_TRIAL_STEPS = 4
_TRIAL_COST = 20.0  # of a trial, in steps: its own, the start, the certificate
_TRIAL_PLAYERS = 18  # at most: more players take proportionally longer, and their trial many seconds


def expected_seconds(n: int, tables: int, *, tol: float = 1e-3, threads: int | None = None) -> float:
    """Return roughly how long a split of ``tables`` tables of ``n`` players takes.

    If that may be more than ten minutes, a trial of some steps measures the speed of this machine. Tables differ: few
    take more than three times as long.

    Examples
    --------
    >>> expected_seconds(10, 100, threads=1) < expected_seconds(14, 100, threads=1)
    True
    """
    n, tables = whole(n, "n", most=MAX_PLAYERS), whole(tables, "tables")
    tol = number(tol, "tol", least=0, most=1, open_=True, do="It is a relative gap: pass 1e-3, for example.")
    rounds = max(tables / worker_count(threads), min(tables, 1))  # tables for one thread
    steps = float(rounds * _STEPS * _GROWTH ** (n - 10) * (1e-3 / tol) ** _FINENESS)
    size, tried = n * 2.0**n, min(n, _TRIAL_PLAYERS)
    sure = _SURE * steps * _STEP_SECONDS * size <= LONGEST
    return steps * (_STEP_SECONDS * size if sure else _step_seconds(tried) * size / (tried * 2.0**tried))


@lru_cache(maxsize=8)
def _step_seconds(n: int) -> float:
    """Return the time of a step of one table on this machine, from a trial."""
    tables = 1 if n >= WITHIN else 4  # as many as are solved side by side
    v = torch.randn(tables, 2**n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    trial = Problem.weighted(v - v[:, :1], torch.zeros(tables, 1, dtype=torch.float64), 0.0)
    if n < WITHIN:
        solve(trial, tol=1e-9, max_iter=1, threads=1)  # loads compiled code
    start = perf_counter()
    solve(trial, tol=1e-9, max_iter=_TRIAL_STEPS, threads=1)
    return (perf_counter() - start) / (tables * _TRIAL_COST)


def refuse_slow(problem: Problem, *, tol: float, repeats: int, workers: int) -> None:
    """Refuse a split that is expected to take longer than `LONGEST`.

    Raises
    ------
    TooLargeError
        With the expected time.
    """
    n, tables = n_players_from_size(problem.v.shape[-1]), len(problem.v)
    seconds = repeats * expected_seconds(n, tables, tol=tol, threads=workers)
    if seconds > LONGEST:
        raise TooLargeError(
            f"splitting {tables:,} tables of {n} players to tol = {tol:.0e} takes about {seconds / 60:,.0f} minutes in "
            f"{workers} threads on this machine; the limit is {LONGEST / 60:.0f} minutes. Use fewer players, fewer "
            "tables or a coarser `tol`, or pass `allow_large=True`."
        )


def refuse_unfit(v: Float[Tensor, "batch subsets"]) -> None:
    """Refuse tables of too many players, and results that do not fit into the available memory.

    Raises
    ------
    TooLargeError
        With the memory needed and available.
    """
    n = n_players_from_size(v.shape[-1])
    if n > MAX_PLAYERS:
        raise TooLargeError(
            f"a split takes tables of at most {MAX_PLAYERS} players; got n = {n}. Group features into fewer players."
        )
    if v.device.type != "cpu":
        return
    needed = 3 * v.numel() * 8
    if needed < _LITTLE:
        return
    free = _free_bytes()
    if free is not None and needed > free:
        raise TooLargeError(
            f"the interactions of {len(v):,} tables of {n} players need {needed / 2**30:.1f} GiB; "
            f"{free / 2**30:.1f} GiB are free. Split fewer tables at a time and keep what you need of each part."
        )


def _free_bytes() -> int | None:
    """Return the memory that this process can still allocate, None if the system does not report it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        free = min(free, max(limit - used, 0))
    except (OSError, ValueError):  # no limit is the word "max"
        pass
    return free


@contextmanager
def progress_of(problem: Problem, *, tol: float, show: bool | None) -> Iterator[Watch | None]:
    """Return a function that moves a progress bar on standard error; None if none is shown.

    A table counts by how far its gap has come from 1 to ``tol``, on a logarithmic scale.
    """
    n, tables = n_players_from_size(problem.v.shape[-1]), len(problem.v)
    if show is None:
        show = n >= BAR_FROM and sys.stderr.isatty()
    if not show or not tables:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as drawn:
        task = drawn.add_task(f"split of {tables} table{'s' * (tables > 1)}", total=float(tables))

        def moved(best: Outcome) -> None:
            gap = problem.relative_gap(best.primal, best.dual)
            gap = torch.nan_to_num(gap, nan=1.0).clamp(tol, 1.0)
            drawn.update(task, completed=float((gap.log() / torch.tensor(tol).log()).sum()))

        yield moved
        drawn.update(task, completed=float(tables))
