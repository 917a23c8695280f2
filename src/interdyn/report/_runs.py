"""The runs in a folder, by name, as they are now."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import RLock

from interdyn import store
from interdyn.errors import IncompleteRunError
from interdyn.measurement import History
from interdyn.report._page import render
from interdyn.report._uses import Uses
from interdyn.values import RunResult

_DEEP = 2  # levels of folders below the given one that are searched for runs


def find_runs(root: Path) -> dict[str, Path]:
    """Return every run below a folder by name; links are not followed."""
    found: dict[str, Path] = {}
    level = [root]
    for depth in range(_DEEP + 1):
        below: list[Path] = []
        for folder in level:
            if (folder / "run.json").is_file():
                name = folder.resolve().name if folder == root else folder.relative_to(root).as_posix()
                found[name] = folder
            elif depth < _DEEP:
                below += _folders(folder)
        level = sorted(below)
    return found


def _folders(folder: Path) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith(".")]
    except OSError:  # it has just been removed, or may not be read
        return []


class Followed:
    """One run that a page follows: whether there are new results, and its page."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.version = 0
        """Counts up with each change."""
        self._history: History | None = None  # of a run that grows
        self._finished: float | None = None  # when its results were written
        self._uses = Uses(path)
        self._alone = RLock()

    def refresh(self) -> int:
        """Read what is new, and return the version.

        Raises
        ------
        InterdynError
            If the run cannot be read now.
        """
        with self._alone:
            summary = self.path / "summary.json"
            finished = summary.stat().st_mtime if summary.is_file() else None
            if finished is not None and finished != self._finished and not store.has_result(store.open_run(self.path)):
                finished = None  # it is damaged
            new = finished != self._finished or not self.version
            if finished is None and self._history is not None:
                new |= self._history.update()
            elif finished is None:
                self._history = History.read(self.path)
                new = True
            self._finished = finished
            self.version += new
            return self.version

    def result(self, *, brief: bool = False) -> RunResult:
        """Return the result of the run so far.

        Parameters
        ----------
        brief
            For a finished run, as in `interdyn.store.read_result`.

        Raises
        ------
        InterdynError
            If nothing has been measured yet, or the run cannot be read now.
        """
        with self._alone:
            if brief and (self.path / "summary.json").is_file():
                with suppress(IncompleteRunError):  # it is damaged
                    return store.read_result(self.path, brief=True)
            self.refresh()
            if self._history is not None and self._finished is None:
                return self._history.result_so_far()
            return store.read_result(self.path)

    @property
    def alive(self) -> bool:
        """Whether a process writes to the run now."""
        return store.is_written(self.path)

    def page(self, *, bare: bool, home: str = "") -> str:
        """Return the current page; ``home`` is the address of the list of all runs.

        Raises
        ------
        InterdynError
            If nothing has been measured yet, or the run cannot be read now.
        """
        with self._alone, ThreadPoolExecutor(1) as beside:
            used = beside.submit(self._uses.record)
            result = self.result()
            shown = used.result()
            if self._uses.damage and self._uses.damage not in result.verdict:
                result = result.model_copy(update={"verdict": (*result.verdict, self._uses.damage)})
            return render(result, used=shown, live=True, bare=bare, alive=self.alive, home=home)
