"""Between memory and disk: the record of a measurement, and all that a run holds."""

from collections.abc import Mapping
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


def read_looks(run: store.Run) -> tuple[list[dict[str, Any]], dict[str, list[Measurement]]]:
    """Return losses and seconds of every step, and each group's measurements, of the steps that can be compared.

    Those are all, unless a tracked training was interrupted and went on with another plan: then the steps whose samples
    and players are as many as those of the last.

    Raises
    ------
    IncompleteRunError
        If a group has not been measured at every step.
    """
    history = store.read_history(run)
    stored = {group: _measured(run, group) for group in run.groups}
    alike = [all(rows[i].v.shape == rows[-1].v.shape for rows in stored.values()) for i in range(len(history))]
    kept = {name: [m for m, same in zip(rows, alike, strict=True) if same] for name, rows in stored.items()}
    return [entry for entry, same in zip(history, alike, strict=True) if same], kept


def _measured(run: store.Run, group: str) -> list[Measurement]:
    """Return the measurements of a group at all steps, as they are on disk."""
    found = []
    for step in run.steps:
        measurement = store.read_measurement(run, step, group=group)
        if measurement is None:  # removed while the run was going on
            raise IncompleteRunError(
                f"the analysis needs group `{group}` at step {step}; got no whole file of it in "
                f"{run.path}. {store.to_measure(run)}"
            )
        found.append(measurement)
    return found


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as plain data; a tensor of bounds is in the tables already."""
    return {key: value for key, value in settings.items() if isinstance(value, str | bool | int | float)}
