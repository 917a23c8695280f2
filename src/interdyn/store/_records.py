"""What a run contains: for each step network, training state and measurements; and how its samples are shown."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from interdyn._version import VERSION
from interdyn.errors import StorageError
from interdyn.store._files import map_arrays, names_in, write_arrays
from interdyn.store._run import STEP_NAME, Run, check_inside

TABLES = ("v", "i_and", "i_or", "objective", "gap", "noise_bound", "sample_ids")


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
        Wall time since the previous checkpoint: ``training``, ``evaluation``.
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
        Class whose output was measured, int64, shape ``(samples,)``: for a training sample the one used in training.
        None without classes, and in runs written before it was recorded.
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


def file_of(folder: str, step: int, group: str = "") -> str:
    """Return the name of a file within its run."""
    return f"{folder}/step_{step:08d}{'.' if group else ''}{group}.safetensors"


def unit_file(step: int, group: str, block: tuple[int, int]) -> str:
    """Return the name of the file of a block of samples, by its first index and the one after its last."""
    return file_of("units", step, f"{group}.{block[0]:06d}-{block[1]:06d}")


def _identity(run: Run, file: str, step: int | None = None) -> dict[str, Any]:
    found = {"file": file, "config_hash": run.config_hash, "version": VERSION, "run": run.identity}
    return found if step is None else {"step": step, **found}


def _write(run: Run, file: str, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
    if not run.path.is_dir():  # must not be created again without the rest
        raise StorageError(f"a run is written to its folder; got {run.path}, which no longer exists. Put it back.")
    write_arrays(run.path / file, arrays, header=header)


def write_checkpoint(run: Run, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; users open it with ``safetensors.torch.load_file``.

    Raises
    ------
    StorageError
        If the file system refuses, or the step is not in the run's plan.
    """
    check_inside(run, checkpoint.step)
    file = file_of("checkpoints", checkpoint.step)
    losses = {"losses": dict(checkpoint.losses), "seconds": dict(checkpoint.seconds)}
    _write(run, file, checkpoint.weights, _identity(run, file, checkpoint.step) | losses)


def write_trainer(run: Run, step: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the state of training at ``step`` (optimiser, random states).

    Raises
    ------
    StorageError
        If the file system refuses, or the step is not in the run's plan.
    """
    check_inside(run, step)
    file = file_of("trainer", step)
    _write(run, file, arrays, _identity(run, file, step))


def trainer_steps(run: Run) -> list[int]:
    """Return the steps whose state of training is on disk, ascending."""
    names = names_in(run.path / "trainer")
    return sorted(int(match[1]) for name in names if (match := STEP_NAME.fullmatch(name)))


def drop_trainers(run: Run, *, before: int) -> None:
    """Remove the states of training before step ``before``; only the latest is needed to resume."""
    for step in trainer_steps(run):
        if step < before:
            with suppress(OSError):  # it only takes up space
                (run.path / file_of("trainer", step)).unlink()


def write_measurement(run: Run, measurement: Measurement, *, entry: Mapping[str, Any] | None = None) -> None:
    """Append the tables of one group of samples at one step.

    Parameters
    ----------
    entry
        What else is known about the step, losses and ``seconds``: used if the checkpoint is damaged.

    Raises
    ------
    StorageError
        If the file system refuses, or step or group are not in the run's plan.
    """
    check_inside(run, measurement.step)
    if measurement.group not in run.groups:
        raise StorageError(f"`group` must be one of {list(run.groups)}; got {measurement.group!r}.")
    write_tables(run, file_of("measurements", measurement.step, measurement.group), measurement, entry=entry)


def write_tables(run: Run, file: str, measurement: Measurement, *, entry: Mapping[str, Any] | None = None) -> None:
    """Write the tables of a measurement, of a complete group or of some of its samples, to a file of the run."""
    header = _identity(run, file, measurement.step) | {
        "group": measurement.group,
        "status": list(measurement.status),
        "unit": measurement.unit,
        "settings": json.loads(json.dumps(dict(measurement.settings), default=str)),
        "forward_passes": measurement.forward_passes,
        "seconds": dict(measurement.seconds),
    }
    if entry is not None:
        header["entry"] = dict(entry)
    arrays = {name: getattr(measurement, name) for name in TABLES}
    if measurement.targets is not None:
        arrays["targets"] = measurement.targets
    _write(run, file, arrays, header)


def map_interactions(
    run: Run, step: int, *, group: str
) -> tuple[Float[np.ndarray, "samples subsets"], Float[np.ndarray, "samples subsets"]] | None:
    """Return ``i_and, i_or`` of a measurement that was read before, for access to few of their entries, or None.

    Entries are read from disk on access, and are not checked again. The file stays open as long as the arrays are kept,
    so keep few.
    """
    found = map_arrays(run.path / file_of("measurements", step, group), ("i_and", "i_or"))
    return None if found is None else (found[0], found[1])


Pieces = tuple[tuple[str, int], ...]
"""The pieces of a sample in reading order: the text of each, and its player, below 0 for none."""


@dataclass(frozen=True)
class Exhibit:
    """The samples of one group as they are shown to people; not the network's inputs.

    Attributes
    ----------
    group, sample_ids
        The group; indices into the data set, shape ``(samples,)``.
    pictures
        8-bit images, grey or red, green, blue, shape ``(samples, height, width, 1 or 3)``; None if there are none.
    points
        Points of clouds, float32, shape ``(samples, points, 2 or 3)``; None if there are none.
    players
        The player of each pixel ``(samples, height, width)`` or point ``(samples, points)``, below 0 for none.
    pieces
        Words or columns of each sample; empty if there are none.
    classes
        Name of each class, if the data have names.
    """

    group: str
    sample_ids: Int[np.ndarray, " samples"]
    pictures: UInt8[np.ndarray, "samples height width colours"] | None = None
    points: Float[np.ndarray, "samples points axes"] | None = None
    players: Int[np.ndarray, "samples ..."] | None = None
    pieces: tuple[Pieces, ...] = ()
    classes: tuple[str, ...] = ()


def write_exhibit(run: Run, exhibit: Exhibit) -> None:
    """Write how the samples of a group are shown, in the folder ``exhibits``.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    arrays: dict[str, Any] = {"sample_ids": exhibit.sample_ids}
    for name in ("pictures", "points", "players"):
        if getattr(exhibit, name) is not None:
            arrays[name] = getattr(exhibit, name)
    file = f"exhibits/{exhibit.group}.safetensors"
    header = {"group": exhibit.group, "pieces": exhibit.pieces, "classes": exhibit.classes}
    _write(run, file, arrays, _identity(run, file) | header)
