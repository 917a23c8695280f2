"""What workers write: the measurement of a block of samples, each in a separate file, until a group is complete."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from interdyn.store._files import names_in
from interdyn.store._records import TABLES, Measurement, unit_file, write_tables
from interdyn.store._run import Run, check_inside


def blocks_of(samples: int, size: int | None) -> list[tuple[int, int]]:
    """Return the blocks into which that many samples are cut; one block if ``size`` is None.

    Examples
    --------
    >>> blocks_of(20, 8), blocks_of(20, None)
    ([(0, 8), (8, 16), (16, 20)], [(0, 20)])
    """
    step = samples if size is None else size
    return [(start, min(start + step, samples)) for start in range(0, samples, step)]


def write_unit(run: Run, measurement: Measurement, block: tuple[int, int]) -> None:
    """Write the measurement of a block of samples; workers do so while another process has the run locked.

    Raises
    ------
    StorageError
        If the file system refuses, or the step is not in the run's plan.
    """
    check_inside(run, measurement.step)
    write_tables(run, unit_file(measurement.step, measurement.group, block), measurement)


def has_unit(run: Run, step: int, group: str, block: tuple[int, int]) -> bool:
    """Return whether the file of a block exists; it is not read."""
    return (run.path / unit_file(step, group, block)).is_file()


def joined(parts: Sequence[Measurement]) -> Measurement:
    """Return the measurement of all samples of consecutive blocks of a group at one step.

    Numeric settings that differ, such as a tolerance chosen for each block, become their maximum; passes and seconds
    are summed.

    Examples
    --------
    >>> table, one = np.zeros((1, 2)), np.zeros(1)
    >>> parts = [Measurement(0, "test", table, table, table, one, one, one, np.array([i])) for i in (4, 7)]
    >>> joined(parts).sample_ids, joined(parts).v.shape
    (array([4, 7]), (2, 2))
    """
    first = parts[0]
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in TABLES}
    if first.targets is not None:
        arrays["targets"] = np.concatenate([part.targets for part in parts if part.targets is not None])
    return Measurement(
        first.step,
        first.group,
        **arrays,
        status=tuple(sentence for part in parts for sentence in part.status),
        unit=first.unit,
        settings=_settings([part.settings for part in parts]),
        forward_passes=sum(part.forward_passes for part in parts),
        seconds={name: sum(part.seconds[name] for part in parts) for name in first.seconds},
    )


def _settings(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    out = dict(each[0])
    for other in each[1:]:
        out |= {k: max(out[k], v) for k, v in other.items() if isinstance(v, int | float) and k in out}
    return out


def drop_units(run: Run, beginning: str = "") -> None:
    """Remove the unit files whose names start with the given prefix, and the folder if it is then empty."""
    folder = run.path / "units"
    for name in names_in(folder):
        if name.startswith(beginning):
            with suppress(OSError):  # it only takes up space
                (folder / name).unlink()
    with suppress(OSError):
        folder.rmdir()
