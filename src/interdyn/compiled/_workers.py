"""Worker threads for compiled loops, as many as this process may use; and a temporary limit on torch's threads."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from interdyn._arguments import whole
from interdyn.errors import InputError

_POLL = 0.1  # seconds between checks of the workers
_SMALL = 2**22  # entries up to which one thread is as fast


def _quota() -> float:
    """Return how many cores a container's quota allows; infinite without one."""
    try:
        allowed, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return float(allowed) / float(period)  # "max" is not a number
    except (OSError, ValueError):
        return float("inf")


def worker_count(threads: int | None = None) -> int:
    """Return how many worker threads to use: ``threads``, else ``INTERDYN_THREADS``, else the cores at hand.

    The cores at hand are those that this process may run on, within the quota of its container.

    Raises
    ------
    InputError
        If either is not a positive integer.

    Examples
    --------
    >>> worker_count(3)
    3
    """
    if threads is not None:
        return whole(threads, "threads", least=1, most=2**16, do="Leave it out for all cores.")
    given = os.environ.get("INTERDYN_THREADS", "").strip()
    if given:
        if not given.isdecimal() or int(given) < 1:
            raise InputError(f"INTERDYN_THREADS must be an integer, 1 or more; got {given!r}. Unset it for all cores.")
        return int(given)
    return cores_at_hand()


def cores_at_hand() -> int:
    """Return how many cores this process may run on, within the quota of its container.

    Examples
    --------
    >>> cores_at_hand() >= 1
    True
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, round(min(usable, _quota())))


def in_workers(
    work: Callable[[], None], workers: int, *, stop: Callable[[], None], watch: Callable[[], None] | None = None
) -> None:
    """Run ``work()`` in each of ``workers`` new threads and wait for all of them.

    Parameters
    ----------
    work
        Lets other threads run while it works, and ends soon after ``stop()`` was called.
    workers
        How many threads.
    stop
        Called when waiting is interrupted, for example by Ctrl-C, or one of the threads fails.
    watch
        Called now and then from the calling thread while the others work.
    """
    with ThreadPoolExecutor(workers, "interdyn") as pool, ExitStack() as failing:
        failing.callback(stop)
        running = {pool.submit(work) for _ in range(workers)}
        while running:
            ended, running = wait(running, timeout=_POLL, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()  # an error in a thread is raised in this one, once the others have stopped
            if watch is not None:
                watch()
        failing.pop_all()


@contextmanager
def one_torch_thread(*, entries: int = 0) -> Iterator[None]:
    """Limit torch to one thread inside the block, if its arrays have no more than a few million ``entries``.

    For many small products in a row: a team of threads that waits for its slowest member at every product takes minutes
    for milliseconds of work when another process uses one of the cores.
    """
    with torch_threads(torch.get_num_threads() if entries > _SMALL else 1):
        yield


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Limit torch to that many threads inside the block."""
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
