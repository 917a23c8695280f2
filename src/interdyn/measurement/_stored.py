"""Between memory and disk: the record of a measurement, and everything a run contains."""

import warnings
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from interdyn import store
from interdyn.errors import IncompleteRunError, InterdynWarning
from interdyn.store import Measurement
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Interactions, ValueTable


def as_record(
    step: int,
    group: str,
    table: ValueTable,
    found: Interactions,
    *,
    sample_ids: Int[np.ndarray, " samples"],
    seconds: Mapping[str, float],
    targets: Tensor | None = None,
) -> Measurement:
    """Return tables and interactions of a group of samples at one step, in the form that a run on disk keeps."""
    return Measurement(
        step=step,
        group=group,
        v=_array(table.values),
        i_and=_array(found.i_and),
        i_or=_array(found.i_or),
        objective=_array(found.objective),
        gap=_array(found.gap),
        noise_bound=_array(found.noise_bound),
        sample_ids=sample_ids,
        targets=None if targets is None else _array(targets.long()),
        status=tuple(str(sentence) for sentence in found.status),
        unit=table.unit,
        settings=_plain(found.settings),
        forward_passes=table.forward_passes,
        seconds=seconds,
    )


def interactions(measurement: Measurement) -> Interactions:
    """Return stored data as `Interactions`; the residual is recomputed from the tables.

    Examples
    --------
    >>> zero, one = np.zeros((1, 2)), np.zeros(1)
    >>> stored = Measurement(0, "test", zero, zero, zero, one, one, one, np.array([7]), status=("solved",))
    >>> interactions(stored).batch_shape
    (1,)
    """
    v, i_and, i_or = (torch.from_numpy(x) for x in (measurement.v, measurement.i_and, measurement.i_or))
    return Interactions(
        i_and=i_and,
        i_or=i_or,
        unit=measurement.unit,
        residual=v - values_from_and(i_and) - values_from_or(i_or),
        objective=torch.from_numpy(measurement.objective),
        gap=torch.from_numpy(measurement.gap),
        status=np.array(measurement.status),
        noise_bound=torch.from_numpy(measurement.noise_bound),
        settings=measurement.settings,
        forward_passes=measurement.forward_passes,
        seconds=measurement.seconds,
    )


def belonging(steps: Mapping[int, Hashable]) -> tuple[int, ...]:
    """Return the steps whose measurements belong together, ascending: those whose mark equals that of the last.

    Examples
    --------
    >>> belonging({0: "six players", 8: "five players", 16: "five players"})
    (8, 16)
    """
    ordered = sorted(steps)
    return tuple(step for step in ordered if steps[step] == steps[ordered[-1]])


def mark(measured: Iterable[Measurement]) -> Hashable:
    """Return the key that measurements which belong together share: samples and numbers of players of all groups."""
    return tuple((m.group, m.sample_ids.tobytes(), m.v.shape[-1]) for m in measured)


def measurements(run: store.Run) -> tuple[list[dict[str, Any]], dict[str, list[Measurement]]]:
    """Return losses and seconds of every step, and each group's measurements, for the steps that belong together.

    Damaged files are left out, with a warning.

    Raises
    ------
    IncompleteRunError
        If nothing is measured, or a group is missing at a step of the run's plan.
    StorageError
        If a file cannot be read.
    """
    reader = store.Reader(run)
    found = {entry["step"]: (entry, measured) for entry, measured in reader.steps()}
    lacking = [step for step in run.steps if step not in found]
    if lacking and (not run.open_ended or not found):
        raise not_measured(run, lacking[0])
    if reader.damaged:
        warnings.warn(reader.damage, InterdynWarning, stacklevel=3)
    kept = belonging({step: mark(measured) for step, (_, measured) in found.items()})
    return [found[step][0] for step in kept], {
        group: [found[step][1][i] for step in kept] for i, group in enumerate(run.groups)
    }


def not_measured(run: store.Run, step: int) -> IncompleteRunError:
    """Return the error for a step where a group is not measured that an analysis of the complete run needs."""
    absent = (group for group in run.groups if store.read_measurement(run, step, group=group) is None)
    group = next(absent, run.groups[0])
    return IncompleteRunError(
        f"the analysis needs group `{group}` at step {step}; got no complete file of it in {run.path}. "
        f"{store.to_measure(run)}"
    )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as plain data; a tensor of bounds is already in the tables."""
    plain = {key: value for key, value in settings.items() if isinstance(value, str | bool | int | float)}
    return plain | {key: settings[key] for key in ("n_parts",) if settings.get(key)}
