"""One writer at a time for each run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from interdyn.errors import NotARunError, StorageError
from interdyn.store._atomic import TEMP_PREFIX

LOCK_NAME = "run.lock"
_FOLDERS = (".", "checkpoints", "trainer", "measurements")
_BEFORE_RUN_JSON = {"recipe.toml", "env.json", LOCK_NAME}


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the right to write to the run in ``folder``.

    The system takes the right back when the process ends, however it ends, where it has locks of files. Temporary files
    that a killed writer left behind are removed on entry.

    Raises
    ------
    NotARunError
        If the folder holds something that is not a run; nothing is touched.
    StorageError
        If another process is writing to this run, or the folder cannot be written to.
    """
    _refuse_foreign(folder)
    lock = FileLock(folder / LOCK_NAME, timeout=0, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            f"one process at a time writes to a run; got a second one for {folder}. "
            "Wait for the first to end, or choose another folder with --out."
        ) from error
    except OSError as error:
        raise StorageError(
            f"a run needs a folder that can be written to; got {folder}: {error.strerror}. "
            "Choose another folder with --out."
        ) from error
    try:
        for name in _FOLDERS:
            for leftover in (folder / name).glob(f"{TEMP_PREFIX}*"):
                leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder with content that no run began."""
    if (folder / "run.json").exists() or not folder.exists():
        return
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else [folder.name]
    foreign = sorted(n for n in names if n not in _BEFORE_RUN_JSON and not n.startswith(TEMP_PREFIX))
    if foreign:
        raise NotARunError(
            f"a new run needs an empty folder; got {folder}, which holds `{foreign[0]}` and is not a run. "
            "Choose another folder with --out."
        )
