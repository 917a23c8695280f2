"""The list of the runs in a folder: state, progress, verdict, and small curves of order and losses."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import Float

from interdyn import store
from interdyn.errors import IncompleteRunError, InterdynError
from interdyn.plot import StepAxis, has_numbers
from interdyn.report import _first
from interdyn.report._runs import Followed, find_runs
from interdyn.values import RunResult

_WIDE, _HIGH = 120, 30  # of a small line, in pixels
_STATES = ("growing", "stopped", "finished", "damaged")
_FILES = ("run.json", "summary.json", "measurements", "checkpoints")
"""Files that change when a run has new results."""


@dataclass(frozen=True)
class Spark:
    """Small curves over training: a text alternative, and the points of each curve by its role."""

    alt: str
    lines: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls, name: str, steps: Float[np.ndarray, " steps"], curves: dict[str, Float[np.ndarray, " steps"] | None]
    ) -> "Spark | None":
        """Return curves on one scale, by role; None where there are no numbers.

        Examples
        --------
        >>> Spark.of("loss", np.array([0.0, 1.0]), {"test": np.array([2.0, 1.0])})
        Spark(alt='loss: 2 at the start, minimum 1, now 1', lines=(('test', '2.0,2.0 118.0,28.0'),))
        """
        drawn = {role: values for role, values in curves.items() if values is not None and has_numbers(values)}
        if not drawn:
            return None
        everything = np.concatenate(list(drawn.values()))
        low, high = float(np.nanmin(everything)), float(np.nanmax(everything))
        place = StepAxis.of(steps).position(steps)
        x = 2 + (_WIDE - 4) * (place - place[0]) / (float(place[-1] - place[0]) or 1.0)
        lines = []
        for role, values in drawn.items():
            y = 2 + (_HIGH - 4) * (1 - (values - low) / ((high - low) or 1.0))
            points = [f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b)]
            lines.append((role, " ".join(points)))
        last = next(reversed(drawn.values()))
        known = last[np.isfinite(last)]
        words = f"{name}: {known[0]:.3g} at the start, minimum {known.min():.3g}, now {known[-1]:.3g}"
        return cls(words, tuple(lines))


@dataclass(frozen=True)
class Listed:
    """A run in the list.

    Attributes
    ----------
    name
        Folder of the run, relative to the folder of all runs, with ``/``.
    state
        ``"growing"``, ``"stopped"`` (unfinished, and no process writes to it), ``"finished"`` or ``"damaged"``.
    recipe, done, planned, last
        Recipe; number of checkpoints, measured and planned (None: open-ended); the last step.
    at
        Time of the last measurement, in seconds since 1970.
    headline, advice
        What happened, and what to do; empty before the first measurement.
    order, loss
        Curves of the mean order, and of training and held-out loss.
    trouble
        Why the run cannot be shown; empty where it can.
    """

    name: str
    state: str
    recipe: str = ""
    done: int = 0
    planned: int | None = None
    last: int | None = None
    at: float = 0.0
    headline: str = ""
    advice: str = ""
    order: Spark | None = None
    loss: Spark | None = None
    trouble: str = ""


def listed(name: str, run: Followed) -> Listed:
    """Return the line of a run in the list, with the error where it cannot be read."""
    try:
        opened, alive = store.open_run(run.path), run.alive
        finished = (run.path / "summary.json").is_file()
        line = Listed(
            name,
            "finished" if finished else "growing" if alive else "stopped",
            opened.recipe_name,
            planned=None if opened.open_ended else len(opened.steps),
            at=max((part.stat().st_mtime for part in _parts(run.path) if part.is_dir()), default=0.0),
        )
        try:
            return _told(line, run.result(brief=True), alive=alive)
        except IncompleteRunError as error:  # nothing is measured, or what is there is damaged
            return replace(line, state="damaged", trouble=_words(error)) if finished else line
    except (InterdynError, OSError, KeyError, ValueError) as error:
        return Listed(name, "damaged", trouble=_words(error))


def _words(error: Exception) -> str:
    return " ".join(str(error).split())


def _told(line: Listed, result: RunResult, *, alive: bool) -> Listed:
    """Return the line of a run with its result."""
    order = None if result.first is None or result.first.mean_order is None else result.first.mean_order.value
    return replace(
        line,
        done=len(result.steps),
        last=int(result.steps[-1]),
        headline=_first.headline(result, alive=alive),
        advice=_first.advice(result, alive=alive).sentence,
        order=Spark.of("mean order", result.steps, {"order": order}),
        loss=Spark.of("loss", result.steps, {"train": result.train_loss, "test": result.test_loss}),
    )


def _parts(path: Path) -> list[Path]:
    return [part for name in _FILES if (part := path / name).exists()]


@dataclass
class Listing:
    """The lines of all runs in a folder; each is read again, on its own thread, when its files have changed.

    Attributes
    ----------
    folder
        Folder of the runs.
    follow
        Returns the run of a name in a folder.
    """

    folder: Path
    follow: Callable[[str, Path], Followed]
    _known: dict[str, tuple[object, Listed]] = field(default_factory=dict)
    _reading: dict[str, "Future[None]"] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def lines(self, *, patience: float = 0.0) -> list[Listed]:
        """Return the lines, growing runs first; one not read again within ``patience`` seconds is old or empty."""
        runs = find_runs(self.folder)
        with self._lock:
            for name in [name for name in self._known if name not in runs]:
                del self._known[name]
            for name, path in runs.items():
                marks = _marks(path)
                if name not in self._reading and self._known.get(name, (None,))[0] != marks:
                    self._reading[name] = self._reader.submit(self._read, name, path, marks)
            reading = list(self._reading.values())
        if patience:
            wait(reading, timeout=patience)
        with self._lock:
            found = [self._known[name][1] if name in self._known else Listed(name, "growing") for name in runs]
        return sorted(found, key=lambda one: (_STATES.index(one.state), -one.at, one.name))

    def _read(self, name: str, path: Path, marks: object) -> None:
        try:
            line = listed(name, self.follow(name, path))
        finally:
            with self._lock:
                self._reading.pop(name, None)
        with self._lock:
            self._known[name] = marks, line


def _marks(path: Path) -> object:
    """Return a value that changes when the run may have new results, or has lost its writer."""
    try:
        found = tuple((part.name, part.stat().st_mtime_ns, part.stat().st_size) for part in _parts(path))
    except OSError:  # it is being deleted
        return None
    return found, any(name == "summary.json" for name, *_ in found) or store.is_written(path)
