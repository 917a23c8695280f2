"""The runs in a folder, by name, as they are now."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interdyn import store
from interdyn.errors import InterdynError
from interdyn.measurement import Growing
from interdyn.plot import run_view
from interdyn.report import payload_of, render, samples_of, uses_of

_DEEP = 2  # folders below the given one in which runs are looked for


@dataclass(frozen=True)
class Listed:
    """A run in the list.

    Attributes
    ----------
    name
        Its folder, relative to that of all runs, with ``/``.
    recipe, steps, last, finished
        Its recipe; how many checkpoints there are, of how many; the last; whether it has come to its end.
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
                name = "." if folder == root else folder.relative_to(root).as_posix()
                found[name] = folder
            elif depth < _DEEP:
                below += [p for p in _inside(folder) if p.is_dir() and not p.is_symlink() and not p.name.startswith(".")]
        level = sorted(below)
    return found


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
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
    """One run that is looked at: its page, and what changes on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._growing = Growing(path)
        self._payload: dict[str, Any] | None = None
        self._finished: float | None = None
        self.version = 0
        """Counts up with everything new."""

    def refresh(self) -> bool:
        """Read what is new; return whether there was anything.

        Raises
        ------
        InterdynError
            If the run cannot be read now.
        """
        summary = self.path / "summary.json"
        finished = summary.stat().st_mtime if summary.is_file() else None
        if finished != self._finished or (finished is None and self._growing.update()) or not self.version:
            self._finished = finished
            self._payload = None
            self.version += 1
            return True
        return False

    def _content(self) -> dict[str, dict[str, Any]]:
        if self._finished is not None:
            run = store.open_run(self.path)
            analysis = store.read_analysis(run) if (self.path / "analysis.json").is_file() else {}
            return {"summary": store.read_summary(run), "analysis": analysis}
        self._growing.update()
        return self._growing.analysis()

    def payload(self) -> dict[str, Any]:
        """Return what the page's JavaScript draws now."""
        if self._payload is None:
            content = self._content()
            view = run_view(content["summary"], content["analysis"])
            self._payload = payload_of(view, used=uses_of(self.path)) | {"version": self.version}
        return self._payload

    def page(self, *, live: str) -> str:
        """Return the page; ``live`` is where it asks for what is new."""
        content = self._content()
        view = run_view(content["summary"], content["analysis"])
        table = samples_of(content["analysis"])
        return render(view, used=uses_of(self.path), table=table, live=live)
