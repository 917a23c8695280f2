"""How a network is measured, and the one place where it is: masked outputs, their split, the record of both."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from torch import Tensor

from interdyn._typing import Model, Solver
from interdyn.compiled import worker_count
from interdyn.game import FeatureNames, Output, Players, value_table
from interdyn.measurement._stored import as_record
from interdyn.sparsify import BAR_FROM, LONGEST, ORDER_WEIGHT, expected_seconds, first_tolerance, split
from interdyn.store import Measurement
from interdyn.values import Interactions, ValueTable


@dataclass(frozen=True, kw_only=True)
class MeasurementConfig:
    """How a network is measured: everything but the network, the samples and the step.

    Attributes
    ----------
    players, feature_mask, baselines, layer, output, batch_size, allow_fewer, names
        As in `interdyn.value_table`.
    noise_bound, solver, tol, max_iter, merge_order_one, order_weight, rates, threads
        As in `interdyn.sparsify.split`.
    """

    players: Players | None = None
    feature_mask: Any = None
    baselines: Any = None
    layer: str | None = None
    output: Output = "log-odds"
    batch_size: int | str = "auto"
    allow_fewer: bool = False
    names: FeatureNames | None = None
    noise_bound: float | Tensor | np.ndarray = 0.02
    solver: Solver = "admm"
    tol: float | Literal["auto"] = "auto"
    max_iter: int | None = None
    merge_order_one: bool = True
    order_weight: float = ORDER_WEIGHT
    rates: Sequence[float] = (1e-4, 1e-5, 1e-6)
    threads: int | None = None

    def split_seconds(self, n: int, samples: int) -> float:
        """Return about how long splitting the tables of so many samples of ``n`` players takes; 0: not known."""
        if self.solver != "admm":
            return 0.0
        finest = first_tolerance(self.tol, self.order_weight, n)
        return expected_seconds(n, samples, tol=finest, threads=self.threads)


_OF_THE_GAME = ("players", "feature_mask", "baselines", "layer", "output", "batch_size", "allow_fewer", "names")
_OF_THE_SPLIT = tuple(field.name for field in fields(MeasurementConfig) if field.name not in _OF_THE_GAME)


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

    ``allow_long_split`` accepts a split that is expected to take more than ten minutes.
    """
    worker_count(config.threads)  # refused before any forward pass

    def further(n: int, samples: int) -> tuple[float, float]:
        return config.split_seconds(n, samples), LONGEST

    table = value_table(
        model,
        inputs,
        target=target,
        sample_ids=sample_ids,
        additional_forward_args=additional_forward_args,
        perturbations_per_eval=perturbations_per_eval,
        allow_large=allow_large,
        show_progress=bool(show_progress),
        progress=progress,
        further=None if allow_long_split else further,
        **{name: getattr(config, name) for name in _OF_THE_GAME},
    )
    bar = table.values.shape[-1] >= 2**BAR_FROM if show_progress else show_progress
    start = time.perf_counter()
    options = {name: getattr(config, name) for name in _OF_THE_SPLIT}
    found = split(table.values, unit=table.unit, allow_large=True, show_progress=bar, **options)
    seconds = {"forward": table.seconds, "split": time.perf_counter() - start}
    return table, replace(found, forward_passes=table.forward_passes, seconds=seconds, names=table.names)


def recorded(
    model: Model,
    inputs: Tensor | tuple[Tensor, ...],
    config: MeasurementConfig,
    *,
    step: int,
    group: str,
    target: Tensor | None,
    sample_ids: Sequence[int],
) -> Measurement:
    """Return what a run keeps of the network at ``step``, measured on one group of samples.

    Raises
    ------
    ModelError, NonFiniteError
        If the network returns something unusable.
    """
    table, found = measured(
        model, inputs, config, target=target, sample_ids=sample_ids, allow_long_split=True, show_progress=False
    )
    ids = np.asarray(sample_ids)
    return as_record(step, group, table, found, sample_ids=ids, seconds=found.seconds, targets=target)
