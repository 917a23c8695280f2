"""Between memory and disk: the record of a measurement, and all that a run holds."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from interdyn import store
from interdyn.errors import IncompleteRunError
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
    """Return tables and interactions of a group of samples at one step, as a run on disk keeps them."""
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
    """Return what was stored as `Interactions`; the residual is computed again from the tables.

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
    """Return the steps whose measurements belong together, ascending: those whose mark is that of the last.

    Examples
    --------
    >>> belonging({0: "six players", 8: "five players", 16: "five players"})
    (8, 16)
    """
    ordered = sorted(steps)
    return tuple(step for step in ordered if steps[step] == steps[ordered[-1]])


def mark(measured: Iterable[Measurement]) -> Hashable:
    """Return by what measurements of all groups at a step belong to those at another: samples and number of players."""
    return tuple((m.group, m.sample_ids.tobytes(), m.v.shape[-1]) for m in measured)


def measurements(run: store.Run) -> tuple[list[dict[str, Any]], dict[str, list[Measurement]]]:
    """Return losses and seconds of every step, and each group's measurements, of the steps that belong together.

    Raises
    ------
    IncompleteRunError
        If a group has not been measured at every step.
    """
    history = {entry["step"]: entry for entry in store.read_history(run)}
    found = {step: _measured(run, step) for step in run.steps}
    kept = belonging({step: mark(rows) for step, rows in found.items()})
    return [history[step] for step in kept], {
        group: [found[step][i] for step in kept] for i, group in enumerate(run.groups)
    }


def _measured(run: store.Run, step: int) -> list[Measurement]:
    """Return the measurements of all groups at a step, as they are on disk."""
    found = []
    for group in run.groups:
        measurement = store.read_measurement(run, step, group=group)
        if measurement is None:  # removed while the run was going on
            raise not_measured(run, step, group)
        found.append(measurement)
    return found


def not_measured(run: store.Run, step: int, group: str) -> IncompleteRunError:
    """Return the error for a measurement that an analysis of the whole run lacks."""
    return IncompleteRunError(
        f"the analysis needs group `{group}` at step {step}; got no whole file of it in {run.path}. "
        f"{store.to_measure(run)}"
    )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as plain data; a tensor of bounds is in the tables already."""
    return {key: value for key, value in settings.items() if isinstance(value, str | bool | int | float)}
