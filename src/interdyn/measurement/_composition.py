"""The one place where a network is measured: masked outputs, their split, the record of both."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interdyn._typing import Model
from interdyn.compiled import worker_count
from interdyn.errors import InputError
from interdyn.game import value_table
from interdyn.measurement._config import Group, MeasurementConfig
from interdyn.measurement._stored import as_record
from interdyn.sparsify import BAR_FROM, LONGEST, split
from interdyn.store import Measurement
from interdyn.values import Interactions, ValueTable

_OF_THE_GAME = ("players", "feature_mask", "baselines", "layer", "batch_size", "allow_fewer")
_OF_THE_SPLIT = ("noise_bound", "solver", "tol", "max_iter", "merge_order_one", "order_weight", "rates", "threads")


def measured(
    model: Model,
    inputs: Tensor | tuple[Tensor, ...],
    config: MeasurementConfig,
    *,
    target: int | Sequence[int] | Tensor | None = None,
    sample_ids: Sequence[int] | None = None,
    additional_forward_args: Any = None,
    perturbations_per_eval: int | None = None,
    allow_large: bool = False,
    allow_long_split: bool = False,
    show_progress: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ValueTable, Interactions]:
    """Return the tables of masked outputs and their interactions; see `interdyn.measure`.

    Both are where the network is, unless the config names a device. ``allow_long_split`` accepts a split that is
    expected to take more than ten minutes.
    """
    worker_count(config.threads)  # refused before any forward pass, as a device is that does not exist
    device = None if config.device is None else checked_device(config.device)

    def further(n: int, samples: int) -> tuple[float, float]:
        return config.split_seconds(n, samples), LONGEST

    table = value_table(
        model,
        inputs,
        target=target,
        output=config.output or ("regression" if target is None else "log-odds"),
        sample_ids=sample_ids,
        additional_forward_args=additional_forward_args,
        perturbations_per_eval=perturbations_per_eval,
        allow_large=allow_large,
        show_progress=bool(show_progress),
        progress=progress,
        further=None if allow_long_split else further,
        **{name: getattr(config, name) for name in _OF_THE_GAME},
    )
    table = table if device is None else replace(table, values=table.values.to(device))
    bar = table.values.shape[-1] >= 2**BAR_FROM if show_progress else show_progress
    start = time.perf_counter()
    options = {name: getattr(config, name) for name in _OF_THE_SPLIT}
    found = split(table.values, unit=table.unit, allow_large=True, show_progress=bar, **options)
    seconds = {"forward": table.seconds, "split": time.perf_counter() - start}
    return table, replace(found, forward_passes=table.forward_passes, seconds=seconds)


def recorded(model: Model, group: Group, *, step: int) -> Measurement:
    """Return what a run keeps of the network at ``step``, measured on one group of samples; arrays on the CPU.

    Raises
    ------
    ModelError, NonFiniteError
        If the network returns something unusable.
    """
    inputs = group.inputs if len(group.inputs) > 1 else group.inputs[0]
    ids, target = group.sample_ids, group.target
    table, found = measured(
        model, inputs, group.config, target=target, sample_ids=ids, allow_long_split=True, show_progress=False
    )
    return as_record(step, group.name, table, found, sample_ids=np.asarray(ids), seconds=found.seconds, targets=target)


def checked_device(name: str | torch.device) -> torch.device:
    """Return the device of that name, ``"auto"`` for a graphics card if there is one.

    Raises
    ------
    InputError
        If there is no such device.

    Examples
    --------
    >>> checked_device("cpu")
    device(type='cpu')
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f'`device` must be one that torch can use here; got {str(name)!r}: {str(error).splitlines()[0]} Pass "cpu".'
        ) from error
    return device
