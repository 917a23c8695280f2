"""The runs in a folder, by name, as they are now."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from interdyn import store
from interdyn.errors import InterdynError
from interdyn.measurement import History
from interdyn.report._page import render
from interdyn.report._uses import Uses

_DEEP = 2  # folders below the given one in which runs are looked for


@dataclass(frozen=True)
class Listed:
    """A run in the list.

    Attributes
    ----------
    name
        Its folder, relative to that of all runs, with ``/``.
    recipe, done, planned, last, finished
        Its recipe; how many checkpoints there are, of how many (None: open-ended); the last step; whether it has come
        to its end.
    trouble
        Why it cannot be shown; empty where it can.
    """

    name: str
    recipe: str = ""
    done: int = 0
    planned: int | None = None
    last: int | None = None
    finished: bool = False
    trouble: str = ""


def find_runs(root: Path) -> dict[str, Path]:
    """Return every run below a folder by name; nothing outside it, links are not followed."""
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


def listed(name: str, path: Path) -> Listed:
    """Return the line of a run in the list; whatever is wrong with it is said there."""
    try:
        run = store.open_run(path)
        history = store.read_history(run)
    except (InterdynError, OSError, KeyError, ValueError) as error:
        return Listed(name, trouble=" ".join(str(error).split()))
    steps = [entry["step"] for entry in history]
    return Listed(
        name,
        run.recipe_name,
        len(steps),
        None if run.open_ended else len(run.steps),
        steps[-1] if steps else None,
        (path / "summary.json").is_file(),
    )


class Followed:
    """One run that a page follows: whether there is something new, and its page."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.version = 0
        """Counts up with everything new."""
        self._history: History | None = None  # of a run that grows
        self._finished: float | None = None  # when its results were written
        self._uses = Uses(path)

    def refresh(self) -> int:
        """Read what is new, and return the version.

        Raises
        ------
        InterdynError
            If the run cannot be read now.
        """
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

    def page(self, *, bare: bool) -> str:
        """Return the page as it is now.

        Raises
        ------
        InterdynError
            If nothing has been measured yet, or the run cannot be read now.
        """
        self.refresh()
        with ThreadPoolExecutor(1) as beside:
            used = beside.submit(self._uses.record)
            if self._history is not None and self._finished is None:
                result = self._history.result_so_far()
            else:
                result = store.read_result(self.path)
            shown = used.result()
            if self._uses.damage and self._uses.damage not in result.verdict:
                result = result.model_copy(update={"verdict": (*result.verdict, self._uses.damage)})
            return render(result, used=shown, live=True, bare=bare)
