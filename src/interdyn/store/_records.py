"""What a run holds: for each step network, state of training and measurements; what its samples look like."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from interdyn.errors import StorageError
from interdyn.store._files import map_arrays, read_arrays, read_header, write_arrays
from interdyn.store._run import STEP_NAME, VERSION, Run, check_inside

_TABLES = ("v", "i_and", "i_or", "objective", "gap", "noise_bound", "sample_ids")


@dataclass(frozen=True)
class Checkpoint:
    """A network at one step, with its losses there.

    Attributes
    ----------
    step
        Optimiser step; 0 is the network before training.
    weights
        Parameters and buffers by name, as in a ``state_dict``.
    losses
        ``train_loss``, ``test_loss`` and, for a classifier, ``train_accuracy``, ``test_accuracy``.
    seconds
        Wall time since the checkpoint before: ``training``, ``evaluation``.
    """

    step: int
    weights: Mapping[str, np.ndarray]
    losses: Mapping[str, float]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Measurement:
    """The tables of one group of samples at one step.

    Attributes
    ----------
    step, group
        Optimiser step; name of the group of samples.
    v, i_and, i_or
        Value tables and interactions, float64, shape ``(samples, 2**n)``; the residual follows from them.
    objective, gap, noise_bound
        See `values.Interactions`; float64, shape ``(samples,)``.
    sample_ids
        Indices into the data set, shape ``(samples,)``.
    status
        One sentence for each sample.
    unit
        Unit of ``v``.
    settings
        Options of the split; plain data.
    forward_passes, seconds
        Cost: masked inputs given to the network; wall time by part (``forward``, ``split``).
    targets
        Class whose output was measured, int64, shape ``(samples,)``: of a training sample the one given in training.
        None where there are no classes, and in runs written before it was kept.
    """

    step: int
    group: str
    v: Float[np.ndarray, "samples subsets"]
    i_and: Float[np.ndarray, "samples subsets"]
    i_or: Float[np.ndarray, "samples subsets"]
    objective: Float[np.ndarray, " samples"]
    gap: Float[np.ndarray, " samples"]
    noise_bound: Float[np.ndarray, " samples"]
    sample_ids: Int[np.ndarray, " samples"]
    status: tuple[str, ...] = ()
    unit: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    forward_passes: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    targets: Int[np.ndarray, " samples"] | None = None


def _path(run: Run, folder: str, step: int, group: str = "") -> Path:
    return run.path / folder / f"step_{step:08d}{'.' if group else ''}{group}.safetensors"


def _identity(run: Run, step: int) -> dict[str, Any]:
    return {"step": step, "config_hash": run.config_hash, "version": VERSION}


def _belongs(run: Run, step: int, header: Mapping[str, Any]) -> bool:
    return header.get("step") == step and header.get("config_hash") == run.config_hash


def write_checkpoint(run: Run, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; users open it with ``safetensors.torch.load_file``.

    Raises
    ------
    StorageError
        If the file system refuses, or the step is not in the run's plan.
    """
    check_inside(run, checkpoint.step)
    header = _identity(run, checkpoint.step) | {
        "losses": dict(checkpoint.losses),
        "seconds": dict(checkpoint.seconds),
    }
    write_arrays(_path(run, "checkpoints", checkpoint.step), checkpoint.weights, header=header)


def read_checkpoint(run: Run, step: int) -> Checkpoint | None:
    """Return the checkpoint of ``step``, or None where the run has no whole one."""
    found = read_arrays(_path(run, "checkpoints", step))
    if found is None or not _belongs(run, step, found[1]):
        return None
    weights, header = found
    return Checkpoint(step=step, weights=weights, losses=header["losses"], seconds=header["seconds"])


def read_history(run: Run) -> list[dict[str, Any]]:
    """Return step, losses and seconds of every checkpoint the run has by now; no weights are read."""
    history = []
    for step in run.steps:
        header = read_header(_path(run, "checkpoints", step))
        if header is not None and _belongs(run, step, header):
            history.append({"step": step, **header["losses"], "seconds": header["seconds"]})
    return history


def write_trainer(run: Run, step: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the state of training at ``step`` (optimiser, random numbers).

    Raises
    ------
    StorageError
        If the file system refuses, or the step is not in the run's plan.
    """
    check_inside(run, step)
    write_arrays(_path(run, "trainer", step), arrays, header=_identity(run, step))


def read_trainer(run: Run, step: int) -> dict[str, np.ndarray] | None:
    """Return the state of training at ``step``, or None where the run has no whole one."""
    found = read_arrays(_path(run, "trainer", step))
    return None if found is None or not _belongs(run, step, found[1]) else found[0]


def trainer_steps(run: Run) -> list[int]:
    """Return the steps whose state of training is on disk, ascending."""
    names = ((run.path / "trainer").glob("step_*")) if (run.path / "trainer").is_dir() else ()
    return sorted(int(match[1]) for name in names if (match := STEP_NAME.fullmatch(name.name)))


def drop_trainers(run: Run, *, before: int) -> None:
    """Remove the states of training older than step ``before``; only the newest serves to resume."""
    for step in trainer_steps(run):
        if step < before:
            with suppress(OSError):  # it only takes room
                _path(run, "trainer", step).unlink()


def write_measurement(run: Run, measurement: Measurement) -> None:
    """Append the tables of one group of samples at one step.

    Raises
    ------
    StorageError
        If the file system refuses, or step or group are not in the run's plan.
    """
    check_inside(run, measurement.step)
    if measurement.group not in run.groups:
        raise StorageError(f"`group` must be one of {list(run.groups)}; got {measurement.group!r}.")
    header = _identity(run, measurement.step) | {
        "group": measurement.group,
        "status": list(measurement.status),
        "unit": measurement.unit,
        "settings": json.loads(json.dumps(dict(measurement.settings), default=str)),
        "forward_passes": measurement.forward_passes,
        "seconds": dict(measurement.seconds),
    }
    arrays = {name: getattr(measurement, name) for name in _TABLES}
    if measurement.targets is not None:
        arrays["targets"] = measurement.targets
    write_arrays(_path(run, "measurements", measurement.step, measurement.group), arrays, header=header)


def read_measurement(run: Run, step: int, *, group: str) -> Measurement | None:
    """Return the tables of ``group`` at ``step``, or None where the run has no whole file of them."""
    found = read_arrays(_path(run, "measurements", step, group))
    if found is None or not _belongs(run, step, found[1]):
        return None
    arrays, header = found
    return Measurement(
        step=step,
        group=group,
        targets=arrays.get("targets"),
        status=tuple(header["status"]),
        unit=header["unit"],
        settings=header["settings"],
        forward_passes=header["forward_passes"],
        seconds=header["seconds"],
        **{name: arrays[name] for name in _TABLES},
    )


def map_interactions(
    run: Run, step: int, *, group: str
) -> tuple[Float[np.ndarray, "samples subsets"], Float[np.ndarray, "samples subsets"]] | None:
    """Return ``i_and, i_or`` of a measurement that was read before, to look at few of their entries, or None.

    Entries are read from disk as they are looked at, and are not held against the checksum again. The file stays open
    as long as the arrays are kept, so keep few.
    """
    found = map_arrays(_path(run, "measurements", step, group), ("i_and", "i_or"))
    return None if found is None else (found[0], found[1])


Pieces = tuple[tuple[str, int], ...]
"""The pieces of a sample in reading order: what is written, and its player, below 0 for none."""


@dataclass(frozen=True)
class Exhibit:
    """The samples of one group, to be looked at; not what the network sees.

    Attributes
    ----------
    group, sample_ids
        The group; indices into the data set, shape ``(samples,)``.
    pictures
        8-bit pictures, grey or red, green, blue, shape ``(samples, height, width, 1 or 3)``; None where there are none.
    points
        Points of clouds, float32, shape ``(samples, points, 2 or 3)``; None where there are none.
    players
        The player of each pixel ``(samples, height, width)`` or point ``(samples, points)``, below 0 for none.
    pieces
        Words or columns of each sample; empty where there are none.
    classes
        Name of each class, where the data name them.
    """

    group: str
    sample_ids: Int[np.ndarray, " samples"]
    pictures: UInt8[np.ndarray, "samples height width colours"] | None = None
    points: Float[np.ndarray, "samples points axes"] | None = None
    players: Int[np.ndarray, "samples ..."] | None = None
    pieces: tuple[Pieces, ...] = ()
    classes: tuple[str, ...] = ()


def write_exhibit(run: Run, exhibit: Exhibit) -> None:
    """Write what the samples of a group look like, in the folder ``exhibits``.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    arrays: dict[str, Any] = {"sample_ids": exhibit.sample_ids}
    for name in ("pictures", "points", "players"):
        if getattr(exhibit, name) is not None:
            arrays[name] = getattr(exhibit, name)
    header: dict[str, Any] = {"group": exhibit.group, "config_hash": run.config_hash, "version": VERSION}
    header |= {"pieces": exhibit.pieces, "classes": exhibit.classes}
    write_arrays(run.path / "exhibits" / f"{exhibit.group}.safetensors", arrays, header=header)


def read_exhibit(run: Run, group: str) -> Exhibit | None:
    """Return what the samples of a group look like, or None where the run does not hold it, as older ones do not.

    Raises
    ------
    SchemaError
        If a newer version wrote it.
    """
    found = read_arrays(run.path / "exhibits" / f"{group}.safetensors")
    if found is None or found[1].get("config_hash") != run.config_hash:
        return None
    arrays, header = found
    return Exhibit(
        group,
        arrays["sample_ids"],
        arrays.get("pictures"),
        arrays.get("points"),
        arrays.get("players"),
        tuple(tuple((str(text), int(player)) for text, player in row) for row in header.get("pieces", ())),
        tuple(str(name) for name in header.get("classes", ())),
    )
