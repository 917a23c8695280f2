"""A pool of processes that outlives its workers: one that is killed fails one call and is replaced."""

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
    """The process that did a call has ended; whoever handed it out may do so again."""


class Pool(Executor):
    """Processes that are started afresh, not forked; one that is killed fails its call alone, and is replaced.

    Parameters
    ----------
    workers
        How many processes.

    Raises
    ------
    InputError
        If it is not a whole number from 1.

    Notes
    -----
    Each worker is a pool of one process, so that it is known which call it had: that fails with `WorkerDiedError`.
    Workers end when this process does, however it ends.

    Examples
    --------
    >>> with Pool(1) as pool:
    ...     pool.submit(divmod, 7, 2).result()
    (3, 1)
    """

    def __init__(self, workers: int) -> None:
        workers = whole(workers, "workers", least=1, do="Pass how many processes are to measure.")
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="interdyn")
        self._mine = threading.local()
        self._started: dict[int, ProcessPoolExecutor] = {}

    @property
    def processes(self) -> list[int]:
        """Numbers of the processes that were started, those that have ended among them."""
        return list(self._started)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a call done by a worker; function and arguments are pickled."""
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
        """End the workers, once they have done what they have in work."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for worker in self._started.values():
            worker.shutdown(wait=wait, cancel_futures=cancel_futures)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # Ctrl-C, for one: what is in work can be done again
            self._threads.shutdown(wait=False, cancel_futures=True)
            for process in self._started:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
        self.shutdown()


def _begin() -> None:
    """Leave Ctrl-C to the process that began this one, and end when that has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
