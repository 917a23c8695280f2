"""What the network uses: the strongest interactions of each sample at each step, and what the samples look like."""

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from interdyn.plot.panels import group_name
from interdyn.schedules import groups_of
from interdyn.store import Exhibit, Measurement, Reader, Run, map_interactions, open_run, read_window

TOP = 5  # interactions shown of each sample
_MOST = 100  # samples shown of each group
_BYTES = 1_000_000  # of pictures: larger ones are shown coarser


@dataclass(frozen=True)
class _Kept:
    """What the page needs of one measurement: of its first samples the output and the strongest interactions."""

    shape: tuple[int, ...]  # of the value tables
    unit: str
    ids: list[int]  # of all samples
    targets: list[int] | None
    output: Float[np.ndarray, " samples"]
    place: Int[np.ndarray, "samples top"]
    value: Float[np.ndarray, "samples top"]
    error: Float[np.ndarray, "samples top"] | None = None  # of the mean over the steps of a window; None for one step
    common: Float[np.ndarray, "samples top"] | None = None  # what all of its steps have


class Uses:
    """What the network of a run uses; ask again while the run grows, and only what is new is read as a whole.

    Parameters
    ----------
    folder
        Of the run.

    Examples
    --------
    >>> Uses(Path("nowhere")).record()
    Traceback (most recent call last):
    interdyn.errors.NotARunError: a run directory was needed; got nowhere: ...
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[tuple[str, int], _Kept] = {}
        self._windows: dict[tuple[str, tuple[int, ...]], _Kept] = {}
        self._reader: Reader | None = None

    @property
    def damage(self) -> str:
        """What could not be read, in a sentence; empty where all is whole."""
        return "" if self._reader is None else self._reader.damage

    def record(self) -> dict[str, Any] | None:
        """Return samples and their strongest interactions for the page; None where no group has been measured.

        Returns
        -------
        dict[str, Any] | None
            ``groups``: for each group its name in words, its samples (number, label, picture, points or words), and for
            every step the strongest interactions and the course of those that are strongest at the end; arrays are
            packed (`packed`). Of a run with windows, for every measurement, at its first step, and with the standard
            error and what all steps have.

        Raises
        ------
        NotARunError, SchemaError
            As `interdyn.store.open_run`.
        """
        run = open_run(self._folder)
        last = self._reader
        if last is None or (run.config_hash, run.id) != (
            last.run.config_hash,
            last.run.id,
        ):  # another in the same folder
            self._kept, self._windows, self._reader = {}, {}, Reader(run)
        else:
            last.run = run
        groups = [found for name in run.groups if (found := self._group(run, name)) is not None]
        return {"groups": groups, "top": TOP} if groups else None

    def _group(self, run: Run, name: str) -> dict[str, Any] | None:
        assert self._reader is not None
        for step in run.steps:
            if (name, step) not in self._kept and (m := self._reader.measurement(step, group=name)) is not None:
                self._kept[name, step] = _kept(m)
        steps = [s for s in run.steps if (name, s) in self._kept]
        while steps and map_interactions(run, steps[-1], group=name) is None:  # it is being deleted
            steps.pop()
        if not steps:
            return None
        last = self._kept[name, steps[-1]]
        alike = [s for s in steps if self._kept[name, s].shape == last.shape]
        size = read_window(run)
        groups = [tuple(alike[i] for i in places) for places in groups_of(alike, size)]
        measured = {group: found for group in groups if (found := self._measured(run, name, group)) is not None}
        last = next(reversed(measured.values()), last)
        courses = {g: row for g in measured if (row := _course(run, g, name, last.place)) is not None}
        kept = [measured[group] for group in courses]
        count = len(last.output)
        exhibit = self._reader.exhibit(name)
        if exhibit is not None and len(exhibit.sample_ids) != len(last.ids):
            exhibit = None  # of a tracked training that went on with other samples
        return {
            "name": group_name(name),
            "steps": [group[0] for group in courses],
            "unit": last.unit,
            "players": last.shape[1].bit_length() - 1,
            "ids": last.ids[:count],
            "labels": None if last.targets is None else last.targets[:count],
            "classes": [] if exhibit is None else list(exhibit.classes),
            "output": packed(np.stack([one.output for one in kept])),
            "subsets": packed(np.stack([one.place for one in kept])),
            "values": quantised(np.stack([one.value for one in kept])),
            "courses": quantised(np.stack([mean for mean, _ in courses.values()])),
            **({} if size == 1 else _of_windows(courses, kept)),
            **_shown(exhibit, count),
        }

    def _measured(self, run: Run, name: str, steps: tuple[int, ...]) -> _Kept | None:
        """Return what the page needs of one measurement, whose steps were read as a whole before."""
        if len(steps) == 1:
            return self._kept[name, steps[0]]
        if (name, steps) not in self._windows:
            tables = [map_interactions(run, step, group=name) for step in steps]
            whole = [one for one in tables if one is not None]
            if len(whole) < len(steps):
                return None
            last, output = self._kept[name, steps[-1]], [self._kept[name, step].output for step in steps]
            both = np.stack([_both(*one, count=len(last.output)) for one in whole])
            mean, error, common = means(both)
            place, value = _strongest(mean)
            error, common = (np.take_along_axis(one, place, axis=1) for one in (error, common))
            parts = {"output": np.mean(output, axis=0), "place": place, "value": value}
            self._windows[name, steps] = replace(last, **parts, error=error, common=common)
        return self._windows[name, steps]


def packed(array: np.ndarray) -> dict[str, Any]:
    """Return an array as compressed text, which the page's JavaScript turns into a typed array.

    Examples
    --------
    >>> pack = packed(np.arange(3, dtype=np.int32))
    >>> pack["type"], pack["shape"], list(gzip.decompress(base64.b64decode(pack["data"]))[:5])
    ('int32', [3], [0, 0, 0, 0, 1])
    """
    solid = np.ascontiguousarray(array)
    data = base64.b64encode(gzip.compress(solid.tobytes(), compresslevel=6, mtime=0)).decode()
    return {"type": solid.dtype.name, "shape": list(solid.shape), "data": data}


def quantised(array: np.ndarray) -> dict[str, Any]:
    """Return an array as `packed` does, rounded to whole multiples of ``scale``, 1/32767 of the largest.

    Examples
    --------
    >>> pack = quantised(np.array([-2.0, 0.5]))
    >>> round(pack["scale"] * 32767, 6), pack["type"]
    (2.0, 'int16')
    """
    scale = float(np.abs(array).max(initial=0.0)) / 32767 or 1.0
    return {**packed(np.round(array / scale).astype(np.int16)), "scale": scale}


def _kept(m: Measurement) -> _Kept:
    """Return the part of a measurement that is kept; of the interactions AND first, OR after, without the constant."""
    count = min(len(m.v), _MOST)
    place, value = _strongest(_both(m.i_and, m.i_or, count=count))
    return _Kept(
        m.v.shape,
        m.unit,
        m.sample_ids.tolist(),
        None if m.targets is None else m.targets.tolist(),
        m.v[:count, -1].astype(np.float32),
        place,
        value,
    )


def _both(i_and: np.ndarray, i_or: np.ndarray, *, count: int) -> Float[np.ndarray, "count both"]:
    """Return AND and OR interactions of the first samples side by side, the constant as 0."""
    both = np.concatenate([i_and[:count], i_or[:count]], axis=1)
    both[:, [0, i_and.shape[1]]] = 0.0
    return both


def _strongest(
    both: Float[np.ndarray, "samples both"],
) -> tuple[Int[np.ndarray, "samples top"], Float[np.ndarray, "samples top"]]:
    """Return place and value of the strongest interactions of each sample, strongest first."""
    top = min(TOP, both.shape[1])
    place = np.argpartition(-np.abs(both), top - 1, axis=1)[:, :top]
    value = np.take_along_axis(both, place, axis=1)
    order = np.argsort(-np.abs(value), axis=1, kind="stable")
    return np.take_along_axis(place, order, axis=1).astype(np.int32), np.take_along_axis(value, order, axis=1)


def means(
    tables: Float[np.ndarray, "steps *entries"],
) -> tuple[Float[np.ndarray, "*entries"], Float[np.ndarray, "*entries"], Float[np.ndarray, "*entries"]]:
    """Return mean, standard error and kept part over the steps of a window: `interdyn.spectra.window_mean`, in NumPy.

    Examples
    --------
    >>> [x.tolist() for x in means(np.array([[1.0, -2.0], [3.0, 2.0]]))]
    [[2.0, 0.0], [1.0, 2.0], [1.0, 0.0]]
    """
    mean, steps = tables.mean(axis=0), len(tables)
    error = tables.std(axis=0, ddof=1) / np.sqrt(steps) if steps > 1 else np.zeros_like(mean)
    kept = np.maximum(tables.min(axis=0), 0.0) + np.minimum(tables.max(axis=0), 0.0)
    return mean, error, kept


def _course(
    run: Run, steps: Sequence[int], name: str, place: Int[np.ndarray, "first top"]
) -> tuple[Float[np.ndarray, "first top"], Float[np.ndarray, "first top"]] | None:
    """Return the interactions in the given places, mean and error over the steps; their files are closed again."""
    rows = [_entries(*both, place) for s in steps if (both := map_interactions(run, s, group=name)) is not None]
    return means(np.stack(rows))[:2] if len(rows) == len(steps) else None


def _of_windows(
    courses: Mapping[tuple[int, ...], tuple[np.ndarray, np.ndarray]], kept: Sequence[_Kept]
) -> dict[str, Any]:
    """Return what the page has besides of a run with windows; errors are 0 where `counts` says one step."""
    return {
        "counts": [len(steps) for steps in courses],
        "ends": [steps[-1] for steps in courses],
        "errors": quantised(np.stack([np.zeros_like(m.value) if m.error is None else m.error for m in kept])),
        "kept": quantised(np.stack([m.value if m.common is None else m.common for m in kept])),
        "course_errors": quantised(np.stack([error for _, error in courses.values()])),
    }


def _entries(
    i_and: Float[np.ndarray, "samples subsets"],
    i_or: Float[np.ndarray, "samples subsets"],
    place: Int[np.ndarray, "first top"],
) -> Float[np.ndarray, "first top"]:
    """Return the interactions in the given places, AND first, OR after; the constant, in place 0 of each, counts 0."""
    row, subset = np.arange(len(place))[:, None], place % i_and.shape[1]
    found = np.where(place < i_and.shape[1], i_and[row, subset], i_or[row, subset])
    return np.where(subset == 0, 0.0, found)


def _shown(exhibit: Exhibit | None, count: int) -> Mapping[str, Any]:
    """Return what the samples look like on the page; without an exhibit, players have numbers."""
    if exhibit is None:
        return {"look": "numbers"}
    if exhibit.pictures is not None and exhibit.players is not None:
        every = 1
        while exhibit.pictures[:count, ::every, ::every].size > _BYTES:
            every += 1
        pictures = exhibit.pictures[:count, ::every, ::every]
        players = exhibit.players[:count, ::every, ::every]
        return {"look": "pictures", "pictures": packed(pictures), "of": packed(players.astype(np.int8))}
    if exhibit.points is not None and exhibit.players is not None:
        points = exhibit.points[:count].astype(np.float32)
        return {"look": "points", "points": packed(points), "of": packed(exhibit.players[:count].astype(np.int8))}
    return {"look": "pieces", "pieces": _pieces(exhibit.pieces[:count])}


def _pieces(pieces: Sequence[Sequence[tuple[str, int]]]) -> list[list[list[Any]]]:
    return [[[text, player] for text, player in row] for row in pieces]
