"""One writer at a time for each run."""

import json
import os
import random
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakSet

from filelock import FileLock, Timeout

from interdyn.errors import NotARunError, StorageError
from interdyn.store._atomic import TEMP_PREFIX
from interdyn.store._files import names_in
from interdyn.store._run import FOLDERS, holds_a_run

try:
    import fcntl
except ImportError:  # Windows: `filelock` uses its locks, which child processes do not inherit
    _has_flock = False
else:
    _has_flock = True

LOCK_NAME = "run.lock"
_PATIENCE = 10.0  # seconds that a writer waits for those that only ask whether there is one
_BEFORE_RUN_JSON = {"recipe.toml", "env.json", LOCK_NAME}


class Hold:
    """The right to write to the run in a folder, held by this process until it is released or taken over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._descriptor: int | None = None  # of the lock file, where the system has such locks
        self._other: FileLock | None = None

    def __bool__(self) -> bool:
        """Whether it is still held."""
        return self._descriptor is not None or self._other is not None

    def take(self, earlier: "Hold | None") -> None:
        """Take the right, from an ``earlier`` holder in this process if there is one.

        Raises
        ------
        Timeout, OSError
            If another process has it; if the file system refuses.
        """
        if earlier is not None:
            self._descriptor, self._other = earlier._descriptor, earlier._other
            earlier._descriptor = earlier._other = None
        elif _has_flock:
            descriptor = os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
            with ExitStack() as refused:
                refused.callback(os.close, descriptor)
                if not _locked(descriptor):
                    raise Timeout(str(self._folder / LOCK_NAME))
                refused.pop_all()
            self._descriptor = descriptor
        else:
            lock = FileLock(self._folder / LOCK_NAME, timeout=0, thread_local=False)
            lock.acquire()
            self._other = lock
        _HELD.add(self)
        self._sign()

    def _sign(self) -> None:
        """Write the holder into the lock, for processes that are refused."""
        if self._descriptor is not None:
            text = json.dumps(
                {
                    "process": os.getpid(),
                    "host": socket.gethostname(),
                    "since": datetime.now(UTC).isoformat(timespec="seconds"),
                    "command": " ".join(sys.argv)[:200],
                }
            )
            with suppress(OSError):  # on a full disk the holder stays unnamed
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Release it; does nothing if it was taken over, or this process was forked from the holder."""
        _HELD.discard(self)
        descriptor, self._descriptor = self._descriptor, None
        other, self._other = self._other, None
        if descriptor is not None:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # forked children may have it, too
            os.close(descriptor)
        if other is not None:
            other.release()

    def forget(self) -> None:
        """Close what a forked child has inherited, so that the lock ends with its holder, which keeps it."""
        descriptor, self._descriptor, self._other = self._descriptor, None, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def is_of(self, folder: Path) -> bool:
        """Return whether it is the right to write in this folder, by its path or its lock file."""
        if self._folder == folder.resolve():
            return True
        with suppress(OSError):
            return self._descriptor is not None and os.path.samestat(
                os.fstat(self._descriptor), (folder / LOCK_NAME).stat()
            )
        return False


_HELD: WeakSet[Hold] = WeakSet()


def _forget_all() -> None:
    for hold in list(_HELD):
        hold.forget()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _locked(descriptor: int) -> bool:
    """Take the lock, unless a writer has it; waits for those that only ask (`is_written`), which share it meanwhile."""
    end = time.monotonic() + _PATIENCE
    while not _flocked(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > end or not _flocked(descriptor, fcntl.LOCK_SH):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(random.uniform(0, 0.002))  # two writers that come at once do not keep step
    return True


def _flocked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_written(folder: Path | str) -> bool:
    """Return whether a process has the right to write to the run in a folder now; nothing is written.

    Where the system cannot say, as on Windows or on a file system without locks, the answer is yes.

    Examples
    --------
    >>> is_written("nowhere")
    False
    """
    try:
        descriptor = os.open(Path(folder) / LOCK_NAME, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not (_has_flock and _flocked(descriptor, fcntl.LOCK_SH))  # given back when the file is closed
    except OSError:
        return True
    finally:
        os.close(descriptor)


@contextmanager
def writing(folder: Path, *, take_over: bool = False) -> Iterator[Hold]:
    """Hold the right to write to the run in ``folder``.

    The system releases it when the process ends, however it ends; forked children do not have it. Temporary files left
    by a killed writer are removed on entry.

    Parameters
    ----------
    take_over
        Take the right from its holder in this process, for example when a notebook cell is run again.

    Raises
    ------
    NotARunError
        If the folder contains something that is not a run; nothing is touched.
    StorageError
        If another process is writing to this run, or the folder cannot be written to.
    """
    _refuse_foreign(folder)
    hold = Hold(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = next((one for one in list(_HELD) if one and one.is_of(folder)), None)
        if earlier is not None and not take_over:
            raise Timeout(str(folder / LOCK_NAME))
        hold.take(earlier)
    except Timeout as error:
        raise StorageError(
            f"one process at a time writes to a run; got a second one for {folder}: {_owner(folder)} writes there. "
            "Wait until it ends or end it, or choose another folder."
        ) from error
    except OSError as error:
        raise StorageError(
            f"a run needs a writable folder with file locks; got {folder}: "
            f"{error.strerror or error}. Choose another folder."
        ) from error
    with ExitStack() as stack:
        stack.callback(hold.release)
        sweep(folder)
        yield hold


def sweep(folder: Path) -> list[str]:
    """Remove the temporary files in the folder of a run, and return their names; call it inside `writing`."""
    found = leftovers(folder)
    for name in found:
        with suppress(OSError):  # readers ignore them
            (folder / name).unlink(missing_ok=True)
    return found


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files left by a killed writer in the folder of a run."""
    places = ("", *FOLDERS, "figures")
    return [
        f"{place}{'/' if place else ''}{name}"
        for place in places
        for name in names_in(folder / place)
        if name.startswith(TEMP_PREFIX)
    ]


def _owner(folder: Path) -> str:
    """Return who holds the lock, if it is recorded."""
    try:
        told = json.loads((folder / LOCK_NAME).read_text(encoding="utf-8"))
        process, host, since, command = (told[key] for key in ("process", "host", "since", "command"))
    except (OSError, ValueError, KeyError, TypeError):
        return "an unknown process"
    if process == os.getpid() and host == socket.gethostname():
        return f"this process, since {since}, with a tracker that is not closed,"
    return f"process {process} on {host}, since {since} ({command}),"


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder with content that belongs to no run."""
    try:
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else [folder.name][: folder.exists()]
    except OSError as error:
        raise StorageError(
            f"a run needs a readable folder; got {folder}: {error.strerror or error}. Choose another folder."
        ) from error
    foreign = sorted(n for n in names if n not in _BEFORE_RUN_JSON and not n.startswith(TEMP_PREFIX))
    if foreign and "run.json" not in names and not holds_a_run(folder):
        raise NotARunError(
            f"a new run needs an empty folder; got {folder}, which contains `{foreign[0]}` and is not a run. "
            "Choose another folder: `out` in Python, --out of a command."
        )
