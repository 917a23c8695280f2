"""What the network uses: how the output of each sample adds up at each step, and how the sample is displayed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt64

from interdyn.errors import IncompleteRunError
from interdyn.plot._naming import Naming, naming_of
from interdyn.plot._tables import thresholds, without_constant
from interdyn.plot.panels import group_name
from interdyn.report._used import LEVELS, Chosen, K, codes_of, codes_of_classes, packed, quantised, record_of
from interdyn.schedules import groups_of
from interdyn.spectra import Matched
from interdyn.store import Exhibit, Measurement, Reader, Run, map_interactions, open_run, read_salience, read_window

TOP = 8  # interactions shown of each sample
_MOST, _LEAST = 100, 16  # samples shown of each group
_SHOWN = 36_000  # samples times groups times steps: of long runs fewer samples are shown
_BYTES = 1_000_000  # of images: larger ones are shown coarser


@dataclass(frozen=True)
class _Kept:
    """What the page needs from one measurement: the outputs and strongest interactions of its first samples."""

    shape: tuple[int, ...]  # of the value tables
    unit: str
    ids: list[int]  # of all samples
    targets: list[int] | None
    base: Float[np.ndarray, " samples"]
    output: Float[np.ndarray, " samples"]
    threshold: Float[np.ndarray, " samples"]
    salient: Int[np.ndarray, " samples"]  # how many
    place: Int[np.ndarray, "samples top"]
    value: Float[np.ndarray, "samples top"]
    error: Float[np.ndarray, "samples top"] | None = None  # of the mean over the steps of a window; None for one step
    common: Float[np.ndarray, "samples top"] | None = None  # what all of its steps have
    codes: UInt64[np.ndarray, " used"] | None = None  # of what is used most over all samples; None: not matched


@dataclass(frozen=True)
class _Named:
    """The players of a group's samples, for as long as the samples are the same."""

    key: tuple[Any, ...]
    naming: Naming
    matched: Matched | None


class Uses:
    """What the network of a run uses; while the run grows, a further call reads only what is new.

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
        self._named: dict[str, _Named] = {}
        self._reader: Reader | None = None

    @property
    def damage(self) -> str:
        """What could not be read, as a sentence; empty where all files are intact."""
        return "" if self._reader is None else self._reader.damage

    def record(self) -> dict[str, Any] | None:
        """Return samples and their strongest interactions for the page; None where no group has been measured.

        Returns
        -------
        dict[str, Any] | None
            ``groups``: for each group its display name, its samples (number, label, names of players, image, points
            or words), for every step base value, output and the strongest interactions of each sample, the values over
            training of those that are strongest at the end, and what is used over all samples (``used``; None where no
            name means the same in every sample); arrays are packed. For a run with windows, one entry for every
            measurement, at its first step, with the standard error and the part that all steps share.

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
            self._kept, self._windows, self._named, self._reader = {}, {}, {}, Reader(run)
        else:
            last.run = run
        groups = [found for name in run.groups if (found := self._group(run, name)) is not None]
        return {"groups": groups, "top": TOP} if groups else None

    def _group(self, run: Run, name: str) -> dict[str, Any] | None:
        assert self._reader is not None
        rule = _rule(run)
        for step in run.steps:
            if (name, step) not in self._kept and (m := self._reader.measurement(step, group=name)) is not None:
                self._kept[name, step] = _kept(m, self._players(name, m), rule)
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
        count = min(len(last.output), max(_LEAST, _SHOWN // (len(alike) * len(run.groups))))
        chosen = self._chosen(run, name, alike, count)
        looked = _Looked(run, name, last.place[:count], None if chosen is None else chosen.places)
        courses = {g: row for g in measured if (row := looked.at(g)) is not None}
        kept = [measured[group] for group in courses]
        naming = self._named[name].naming
        exhibit = self._exhibit(name, last.ids)
        return {
            "name": group_name(name),
            "steps": [group[0] for group in courses],
            "unit": last.unit,
            "players": last.shape[1].bit_length() - 1,
            "ids": last.ids[:count],
            "labels": None if last.targets is None else last.targets[:count],
            "classes": [] if exhibit is None else list(exhibit.classes),
            "names": [list(row) for row in naming.rows[:count]],
            "naming": naming.sentence,
            "kind": naming.kind,
            "used": _used(
                chosen,
                naming,
                [(row[2], one.threshold[:count]) for row, one in zip(courses.values(), kept, strict=True)],
            ),
            "base": packed(np.stack([one.base[:count] for one in kept])),
            "output": packed(np.stack([one.output[:count] for one in kept])),
            "salient": packed(np.stack([one.salient[:count] for one in kept])),
            "subsets": packed(_small(np.stack([one.place[:count] for one in kept]))),
            "values": quantised(np.stack([one.value[:count] for one in kept])),
            "courses": quantised(np.stack([mean for mean, *_ in courses.values()]), LEVELS),
            **({} if size == 1 else _of_windows(courses, kept, count)),
            **_shown(exhibit, count),
        }

    def _exhibit(self, name: str, ids: Sequence[int]) -> Exhibit | None:
        """Return the sample views; None for a tracked training that was resumed with other samples."""
        assert self._reader is not None
        exhibit = self._reader.exhibit(name)
        return exhibit if exhibit is not None and len(exhibit.sample_ids) == len(ids) else None

    def _players(self, name: str, m: Measurement) -> Matched | None:
        """Return the players of the first samples of a group, matched by names; None where that is not possible."""
        count = min(len(m.v), _MOST)
        key = (m.v.shape, m.sample_ids.tobytes(), str(m.settings.get("players")))
        known = self._named.get(name)
        if known is None or known.key != key:
            n, exhibit = m.v.shape[1].bit_length() - 1, self._exhibit(name, m.sample_ids.tolist())
            naming = naming_of(exhibit, m.settings, n=n, samples=count)
            matched = None if naming.keys is None else Matched(naming.keys, others=naming.others)
            known = self._named[name] = _Named(key, naming, matched)
        return known.matched

    def _chosen(self, run: Run, name: str, steps: Sequence[int], shown: int) -> Chosen | None:
        """Return the interactions of a group's samples on the page; None where they cannot be matched."""
        matched, last = self._named[name].matched, self._kept[name, steps[-1]]
        by_step = [codes for step in steps if (codes := self._kept[name, step].codes) is not None]
        tables = map_interactions(run, steps[-1], group=name)
        if matched is None or not by_step or tables is None:
            return None
        count = len(last.output)
        own = (tables[0][:count], tables[1][:count])
        labels = None if last.targets is None else last.targets[:count]
        of_classes = codes_of_classes(matched, *own, threshold=last.threshold, labels=labels)
        return Chosen.of(matched, codes_of(by_step, *of_classes, samples=shown)).first(shown)

    def _measured(self, run: Run, name: str, steps: tuple[int, ...]) -> _Kept | None:
        """Return what the page needs from one measurement, whose steps were read before."""
        if len(steps) == 1:
            return self._kept[name, steps[0]]
        if (name, steps) not in self._windows:
            tables = [map_interactions(run, step, group=name) for step in steps]
            whole = [one for one in tables if one is not None]
            if len(whole) < len(steps):
                return None
            single = [self._kept[name, step] for step in steps]
            count = len(single[-1].output)
            both = np.stack([without_constant(*(x[:count] for x in one)) for one in whole])
            mean, error, common = means(both)
            parts = {
                key: np.mean([getattr(one, key) for one in single], axis=0) for key in ("base", "output", "threshold")
            }
            parts |= _strongest(mean, parts["threshold"])
            error, common = (np.take_along_axis(one, parts["place"], axis=1) for one in (error, common))
            self._windows[name, steps] = replace(single[-1], **parts, error=error, common=common)
        return self._windows[name, steps]


def _used(
    chosen: Chosen | None, naming: Naming, rows: Sequence[tuple[np.ndarray, np.ndarray]]
) -> dict[str, Any] | None:
    """Return what is used over all samples, from the entries and thresholds of each step; None without a match."""
    if chosen is None:
        return None
    return record_of(chosen, naming, np.stack([chosen.values(*row) for row in rows]))


def _rule(run: Run) -> dict[str, Any]:
    """Return the salience rule of the run; the default where its recipe cannot be read."""
    try:
        return read_salience(run)
    except IncompleteRunError:
        return {}


def _kept(m: Measurement, matched: Matched | None, rule: Mapping[str, Any]) -> _Kept:
    """Return the part of a measurement that is kept; interactions are AND, then OR, without the constant."""
    count = min(len(m.v), _MOST)
    effect = np.abs(m.v[:, -1] - m.v[:, 0])
    threshold = thresholds(without_constant(m.i_and, m.i_or), effect, **rule)[:count]
    i_and, i_or = m.i_and[:count], m.i_or[:count]
    return _Kept(
        m.v.shape,
        m.unit,
        m.sample_ids.tolist(),
        None if m.targets is None else m.targets.tolist(),
        m.v[:count, 0].astype(np.float32),
        m.v[:count, -1].astype(np.float32),
        threshold,
        **_strongest(without_constant(i_and, i_or), threshold),
        codes=None if matched is None else matched.strongest(i_and, i_or, threshold=threshold, k=K),
    )


def _strongest(both: Float[np.ndarray, "samples both"], threshold: Float[np.ndarray, " samples"]) -> dict[str, Any]:
    """Return the number of salient interactions, and place and value of the strongest, 0 where not salient."""
    strength, top = np.abs(both), min(TOP, both.shape[1])
    place = np.argpartition(-strength, top - 1, axis=1)[:, :top]
    value = np.take_along_axis(both, place, axis=1)
    order = np.argsort(-np.abs(value), axis=1, kind="stable")
    place, value = (np.take_along_axis(one, order, axis=1) for one in (place, value))
    value = np.where(np.abs(value) >= threshold[:, None], value, 0.0)
    salient = ((strength >= threshold[:, None]) & (both != 0)).sum(axis=1)
    return {"place": place.astype(np.int32), "value": value, "salient": salient.astype(np.int32)}


def _small(places: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """Return integers in the smallest type that the page reads."""
    most = int(places.max(initial=0))
    return places.astype(np.uint8 if most < 2**8 else np.int16 if most < 2**15 else np.int32)


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


@dataclass(frozen=True)
class _Looked:
    """Which entries of the tables are read at every step; their files are closed again."""

    run: Run
    name: str
    place: Int[np.ndarray, "samples top"]
    used: Int[np.ndarray, "samples used"] | None  # -1: nowhere

    def at(self, steps: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return mean and error of the first, and mean of the second, over the steps of a measurement."""
        rows, used = [], []
        for step in steps:
            if (both := map_interactions(self.run, step, group=self.name)) is None:
                return None
            rows.append(_entries(*both, self.place))
            if self.used is not None:
                used.append(_entries(*both, np.maximum(self.used, 0)))
        return (*means(np.stack(rows))[:2], np.mean(used, axis=0) if used else np.zeros((len(self.place), 0)))


def _of_windows(
    courses: Mapping[tuple[int, ...], tuple[np.ndarray, ...]], kept: Sequence[_Kept], count: int
) -> dict[str, Any]:
    """Return what the page also has for a run with windows; errors are 0 where `counts` is one step."""
    return {
        "counts": [len(steps) for steps in courses],
        "ends": [steps[-1] for steps in courses],
        "errors": quantised(np.stack([(np.zeros_like(m.value) if m.error is None else m.error)[:count] for m in kept])),
        "kept": quantised(np.stack([(m.value if m.common is None else m.common)[:count] for m in kept])),
        "course_errors": quantised(np.stack([error for _, error, _ in courses.values()])),
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
    """Return the samples as the page shows them; without sample views, players have numbers."""
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
