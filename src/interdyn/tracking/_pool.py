"""A pool of processes that survives its workers: a killed worker fails one call and is replaced."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any

from interdyn._arguments import whole


class WorkerDiedError(RuntimeError):
    """The process that ran a call has ended; the caller may submit the call again."""


class Pool(Executor):
    """Processes that are spawned, not forked; a killed one fails its call alone, and is replaced.

    Parameters
    ----------
    workers
        How many processes.

    Raises
    ------
    InputError
        If it is not a positive integer.

    Notes
    -----
    Each worker is a pool of one process, so it is known which call it ran; that call fails with `WorkerDiedError`.
    Workers end when this process does, however it ends.

    Examples
    --------
    >>> with Pool(1) as pool:
    ...     pool.submit(divmod, 7, 2).result()
    (3, 1)
    """

    def __init__(self, workers: int) -> None:
        workers = whole(workers, "workers", least=1, do="Pass the number of processes that measure.")
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="interdyn")
        self._mine = threading.local()
        self._started: dict[int, ProcessPoolExecutor] = {}

    @property
    def processes(self) -> list[int]:
        """Process ids of all processes started, including those that have ended."""
        return list(self._started)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in a worker; function and arguments are pickled."""
        return self._threads.submit(self._done, fn, args, kwargs)

    def _done(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return self._worker().submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self._mine.worker = None
            raise WorkerDiedError("its process ended; it was killed, or memory ran out") from None

    def _worker(self) -> ProcessPoolExecutor:
        """Return the process of this thread."""
        worker: ProcessPoolExecutor | None = getattr(self._mine, "worker", None)
        if worker is None:
            context = multiprocessing.get_context("spawn")
            worker = self._mine.worker = ProcessPoolExecutor(1, mp_context=context, initializer=_begin)
            self._started[worker.submit(os.getpid).result()] = worker
        return worker

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, once they have finished their current calls."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for worker in self._started.values():
            worker.shutdown(wait=wait, cancel_futures=cancel_futures)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # such as Ctrl-C: running calls can be repeated
            self._threads.shutdown(wait=False, cancel_futures=True)
            for process in self._started:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
        self.shutdown()


def _begin() -> None:
    """Leave Ctrl-C to the parent process, and end when that has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
