"""The one reader of what a run has measured: intact files, and damaged ones with the reason."""

import re
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from interdyn.store._files import DamagedError, load_arrays, load_header
from interdyn.store._records import TABLES, Checkpoint, Exhibit, Measurement, file_of, unit_file
from interdyn.store._run import Run

_T = TypeVar("_T")
_NAME = re.compile(r"(?!\.)(?:step_(\d+))?(?:\.?(.+?))?\.safetensors")
_Arrays = Mapping[str, np.ndarray]
_Header = Mapping[str, Any]


class Reader:
    """Reads the files of a run, and remembers which are damaged.

    Parameters
    ----------
    run
        The run.

    Notes
    -----
    A file that is truncated, whose digest does not match, or that is not the file its name states (of another step,
    group or run) is **damaged**; it counts as missing and is listed in `damaged`. A file that the system cannot read,
    because of a disk error or a lack of permission, is neither: every method then raises `StorageError`, and
    `SchemaError` if a newer version wrote it.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.damaged: dict[str, str] = {}
        """Name of each damaged file within the run, with the reason."""

    @property
    def damage(self) -> str:
        """A sentence on what is damaged; empty if all that was read is intact."""
        if not self.damaged:
            return ""
        (first, why), others = next(iter(self.damaged.items())), len(self.damaged) - 1
        more = f" and {others} more" if others else ""
        return f"A file of the run is damaged: {first} ({why}){more}; the rest is used. `interdyn check` lists all."

    def steps(self, known: Container[int] = ()) -> Iterator[tuple[dict[str, Any], list[Measurement]]]:
        """Yield each step, and its measurements, where all groups are measured, except the ``known`` ones.

        A step counts once all of its groups are complete.
        """
        for step in self.run.steps:
            if step in known or (entry := self.entry(step)) is None:
                continue
            found = [self.measurement(step, group=group) for group in self.run.groups]
            whole = [measurement for measurement in found if measurement is not None]
            if len(whole) == len(found):
                yield entry, whole

    def entry(self, step: int) -> dict[str, Any] | None:
        """Return step, losses and seconds of a checkpoint, or None if there is none; no weights are read.

        In a tracked training, which cannot make it again, a damaged one is read from the measurements.
        """
        file = file_of("checkpoints", step)
        found = self._load(file, step, _entry, arrays=False)
        if found is None and self.run.open_ended and file in self.damaged:
            for group in self.run.groups:
                rescued = self._load(file_of("measurements", step, group), step, _rescued, arrays=False)
                if rescued is not None:
                    return {"step": step, **rescued}
        return found

    def checkpoint(self, step: int) -> Checkpoint | None:
        """Return the checkpoint of a step, or None if there is no intact one."""
        return self._load(file_of("checkpoints", step), step, _checkpoint)

    def trainer(self, step: int) -> dict[str, np.ndarray] | None:
        """Return the state of training at a step, or None if there is no intact one."""
        return self._load(file_of("trainer", step), step, lambda arrays, _: dict(arrays))

    def measurement(self, step: int, *, group: str) -> Measurement | None:
        """Return the tables of a group at a step, or None if there is no intact file of them."""
        return self._load(file_of("measurements", step, group), step, _measurement, group=group)

    def unit(self, step: int, group: str, block: tuple[int, int]) -> Measurement | None:
        """Return what a worker wrote for a block of samples, or None if there is no intact file of it."""
        return self._load(unit_file(step, group, block), step, _measurement, group=group)

    def exhibit(self, group: str) -> Exhibit | None:
        """Return how the samples of a group are shown, or None if there is no intact file of it."""
        return self._load(f"exhibits/{group}.safetensors", None, _exhibit, group=group)

    def look(self, file: str) -> None:
        """Read a file by its name within the run, for `damaged`; one that a run does not have is ignored."""
        folder, name = file.split("/")
        match = _NAME.fullmatch(name)
        if match is None:
            return
        step, group = int(match[1] or 0), match[2] or ""
        if folder == "checkpoints":
            self.checkpoint(step)
        elif folder == "trainer":
            self.trainer(step)
        elif folder == "measurements":
            self.measurement(step, group=group)
        elif folder == "exhibits":
            self.exhibit(group)
        elif folder == "units":
            self._load(file, step, _measurement, group=group.rpartition(".")[0])

    def _load(
        self,
        file: str,
        step: int | None,
        build: Callable[[_Arrays, _Header], _T],
        *,
        group: str | None = None,
        arrays: bool = True,
    ) -> _T | None:
        """Return the content of a file, or None if there is none; a damaged one is remembered."""
        self.damaged.pop(file, None)
        path = self.run.path / file
        try:
            found: tuple[_Arrays, _Header] | None
            if arrays:
                found = load_arrays(path)
            else:
                header = load_header(path)
                found = None if header is None else ({}, header)
            if found is None:
                return None
            self._check(file, step, group, found[1])
            return build(*found)
        except DamagedError as damage:
            self.damaged[file] = str(damage)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.damaged[file] = "an entry of its header is missing"
        return None

    def _check(self, file: str, step: int | None, group: str | None, header: _Header) -> None:
        """Refuse a file that is not the one its name states."""
        origin = (header.get("run") or {}).get("id") or self.run.id
        if header.get("config_hash") != self.run.config_hash or (self.run.id and origin != self.run.id):
            raise DamagedError("it belongs to another run")
        if header.get("file", file) != file or header.get("step") != step:
            raise DamagedError(f"it is {header.get('file', 'another file')} under another name")
        if group is not None and header.get("group") != group:
            raise DamagedError("it belongs to another group")


def read_checkpoint(run: Run, step: int) -> Checkpoint | None:
    """Return the checkpoint of ``step``, or None if the run has no intact one; see `Reader`."""
    return Reader(run).checkpoint(step)


def read_history(run: Run) -> list[dict[str, Any]]:
    """Return step, losses and seconds of every checkpoint of the run so far, without weights; see `Reader`."""
    reader = Reader(run)
    return [entry for step in run.steps if (entry := reader.entry(step)) is not None]


def read_trainer(run: Run, step: int) -> dict[str, np.ndarray] | None:
    """Return the state of training at ``step``, or None if the run has no intact one; see `Reader`."""
    return Reader(run).trainer(step)


def read_measurement(run: Run, step: int, *, group: str) -> Measurement | None:
    """Return the tables of ``group`` at ``step``, or None if the run has no intact file of them; see `Reader`."""
    return Reader(run).measurement(step, group=group)


def read_exhibit(run: Run, group: str) -> Exhibit | None:
    """Return how the samples of a group are shown, or None if the run does not contain it, as older ones do not."""
    return Reader(run).exhibit(group)


def _entry(_: _Arrays, header: _Header) -> dict[str, Any]:
    return {"step": header["step"], **_numbers(header["losses"]), "seconds": _numbers(header["seconds"])}


def _rescued(_: _Arrays, header: _Header) -> dict[str, Any]:
    """Return losses and seconds of a step as repeated in a measurement; those of earlier versions have none."""
    entry = dict(header.get("entry") or {})
    seconds = _numbers(entry.pop("seconds", {}))
    return {**_numbers(entry), "seconds": seconds}


def _checkpoint(arrays: _Arrays, header: _Header) -> Checkpoint:
    return Checkpoint(header["step"], arrays, _numbers(header["losses"]), _numbers(header["seconds"]))


def _measurement(arrays: _Arrays, header: _Header) -> Measurement:
    tables = {name: arrays[name] for name in TABLES}
    samples = len(tables["sample_ids"])
    if any(len(table) != samples for table in tables.values()):
        raise DamagedError("its tables do not match")
    return Measurement(
        step=header["step"],
        group=header["group"],
        targets=arrays.get("targets"),
        status=tuple(str(sentence) for sentence in header["status"]),
        unit=str(header["unit"]),
        settings=dict(header["settings"]),
        forward_passes=int(header["forward_passes"]),
        seconds=_numbers(header["seconds"]),
        **tables,
    )


def _exhibit(arrays: _Arrays, header: _Header) -> Exhibit:
    return Exhibit(
        header["group"],
        arrays["sample_ids"],
        arrays.get("pictures"),
        arrays.get("points"),
        arrays.get("players"),
        tuple(tuple((str(text), int(player)) for text, player in row) for row in header.get("pieces", ())),
        tuple(str(name) for name in header.get("classes", ())),
    )


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    """Return numbers by name, unchanged."""
    out = dict(found)
    if any(not isinstance(number, int | float) for number in out.values() if number is not None):
        raise DamagedError("its header contains something that is not a number")
    return out
