"""The one place where a network is measured: masked outputs, their split, and the record of both."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from interdyn._arguments import instance
from interdyn._typing import Model, Solver
from interdyn.compiled import worker_count
from interdyn.errors import InputError
from interdyn.game import FeatureNames, Inputs, Output, OutputKey, Players, value_table
from interdyn.measurement._config import Group, MeasurementConfig, configured
from interdyn.measurement._stored import as_record
from interdyn.sparsify import BAR_FROM, LONGEST, identified as identified_ranges, split
from interdyn.store import Measurement
from interdyn.values import Identified, Interactions, ValueTable

_OF_THE_GAME = (
    *("players", "feature_mask", "baselines", "layer", "output_key", "batch_size", "allow_fewer", "names"),
    "calibrate_batch_norm",
)
_FEW = 4  # players of a trial
_OF_THE_SPLIT = ("noise_bound", "solver", "tol", "max_iter", "merge_order_one", "order_weight", "rates", "threads")


def measure(
    model: Model,
    inputs: Inputs,
    *,
    target: Any = None,
    config: MeasurementConfig | None = None,
    players: Players | None = None,
    feature_mask: Any = None,
    baselines: Any = None,
    batch_size: int | str | None = None,
    perturbations_per_eval: int | None = None,
    output: Output | None = None,
    output_key: OutputKey | None = None,
    layer: str | None = None,
    additional_forward_args: Any = None,
    sample_ids: Sequence[int] | None = None,
    allow_fewer: bool | None = None,
    names: FeatureNames | None = None,
    calibrate_batch_norm: Inputs | None = None,
    device: str | torch.device | None = None,
    noise_bound: float | Tensor | np.ndarray | None = None,
    solver: Solver | None = None,
    tol: float | Literal["auto"] | None = None,
    max_iter: int | None = None,
    merge_order_one: bool | None = None,
    order_weight: float | None = None,
    rates: Sequence[float] | None = None,
    threads: int | None = None,
    identified: bool = False,
    allow_large: bool = False,
    show_progress: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Interactions:
    """Explain a model's output on each sample by the sparsest AND and OR interactions of its players.

    Parameters
    ----------
    model, inputs, target, players, feature_mask, baselines, batch_size, perturbations_per_eval, output, output_key, \
layer, additional_forward_args, sample_ids, allow_fewer, names, calibrate_batch_norm, progress
        As in `interdyn.value_table`; the names are captum's where captum has them.
    noise_bound, solver, tol, max_iter, merge_order_one, order_weight, rates, threads
        As in `interdyn.sparsify.split`, with the same defaults.
    device
        Where tables and interactions are stored, ``"cpu"`` or ``"cuda"``; by default the network's device.
    config
        All options above in one record, as trackers and recipes use it; arguments passed in addition override it.
    allow_large
        Accept more than 20 million masked inputs, and a split that is expected to take more than ten minutes.
    show_progress
        Show a progress bar for the masked inputs and, from 13 players, one for the split, on standard error; by default
        only the second, on a terminal.
    identified
        Fill ``.identified``: the ranges that sparsity alone leaves open for mean order, orders and the strongest
        interactions, at the cost of a few hundred splits per sample (`interdyn.sparsify.identified`); NaN for samples
        that a constant explains.

    Returns
    -------
    Interactions
        Tables of shape ``(samples, 2**n)``, in the unit of the output, with residual and certified gap;
        ``forward_passes`` and ``seconds`` (``"forward"``, ``"split"``) are the cost.

    Raises
    ------
    InterdynError
        As `value_table` and `split`, before any forward pass where possible.
    Exception
        What the network itself raises: the same object, with a note on the inputs it was given.

    Notes
    -----
    ``value_table`` followed by ``split``. Source: paper, section 2.

    Examples
    --------
    >>> import torch
    >>> model = lambda x: 3 * x[:, 0] * x[:, 1] + x[:, 2]
    >>> options = {"output": "regression", "noise_bound": 0.0, "tol": 1e-5}
    >>> found = measure(model, torch.ones(1, 3), feature_mask=torch.arange(3), **options)
    >>> found[0].top(2)
         value  kind  players
            +3  AND   0 1
            +1  AND   2
    """
    given = locals()
    config = configured(MeasurementConfig(output="log-odds", tol=1e-3) if config is None else config, given)
    table, found = measured(
        model,
        inputs,
        config,
        target=target,
        sample_ids=sample_ids,
        additional_forward_args=additional_forward_args,
        perturbations_per_eval=perturbations_per_eval,
        allow_large=allow_large,
        allow_long_split=allow_large,
        show_progress=show_progress,
        progress=progress,
    )
    if not identified:
        return found
    start = time.perf_counter()
    ranges = _identified(found, threads=config.threads, allow_large=allow_large)
    seconds = {**found.seconds, "split": found.seconds["split"] + time.perf_counter() - start}
    return replace(found, identified=ranges, seconds=seconds)


def _identified(found: Interactions, *, threads: int | None, allow_large: bool) -> Identified:
    """Return the ranges of all samples; NaN for those that a constant explains, which have no interactions to range."""
    rows = (found.objective > 0).nonzero()[:, 0]
    if len(rows) == len(found):
        return identified_ranges(found, threads=threads, allow_large=allow_large)
    if not len(rows):
        raise InputError(
            "`identified` needs samples that vary with their players by more than twice the noise bound; got none. "
            "Leave it out."
        )
    return identified_ranges(found.sample(rows), threads=threads, allow_large=allow_large).spread(rows, len(found))


def measured(
    model: Model,
    inputs: Inputs,
    config: MeasurementConfig,
    *,
    target: Any = None,
    sample_ids: Sequence[int] | None = None,
    additional_forward_args: Any = None,
    perturbations_per_eval: int | None = None,
    allow_large: bool = False,
    allow_long_split: bool = False,
    show_progress: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ValueTable, Interactions]:
    """Return the tables of masked outputs and their interactions; see `interdyn.measure`.

    Both are on the network's device, unless the config names another. ``allow_long_split`` accepts a split that is
    expected to take more than ten minutes.
    """
    worker_count(config.threads)  # refused before any forward pass, as is a device that does not exist
    device = None if config.device is None else checked_device(config.device)

    def further(n: int, samples: int) -> tuple[float, float]:
        return config.split_seconds(n, samples), LONGEST

    table = value_table(
        model,
        inputs,
        target=target,
        output=("regression" if target is None else "log-odds") if config.output is None else config.output,
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
    settings = {**found.settings, **table.provenance}
    return table, replace(
        found, forward_passes=table.forward_passes, seconds=seconds, names=table.names, settings=settings
    )


def recorded(model: Model, group: Group, *, step: int) -> Measurement:
    """Return what a run keeps of the network at ``step``, measured on one group of samples; arrays on the CPU.

    Raises
    ------
    ModelError, NonFiniteError
        If the network returns something unusable.
    """
    ids, target, config = group.sample_ids, group.target, replace(group.config, names=None)  # names are not kept
    table, found = measured(
        model, group.samples, config, target=target, sample_ids=ids, allow_long_split=True, show_progress=False
    )
    label = {"output": "multi-label"} if config.output == "multi-label" else {}
    found = replace(found, settings={**found.settings, **label, **group.about})
    apart = config.output in ("multi-label", "regression")  # a target then names an output, not the class of a sample
    classes = None if target is None or target.is_floating_point() or apart else target
    return as_record(step, group.name, table, found, sample_ids=np.asarray(ids), seconds=found.seconds, targets=classes)


def batch_rows(model: Model, group: Group) -> int:
    """Return how many rows go through a network at once when a group is measured: the value of ``"auto"`` here."""
    few = group.first(1).drawn(min(group.n_players, _FEW))
    table, _ = measured(model, few.samples, replace(few.config, names=None), target=few.target, show_progress=False)
    return int(table.provenance["batch_rows"])


def checked_device(name: str | torch.device) -> torch.device:
    """Return the device of that name; ``"auto"`` is a GPU if there is one.

    Raises
    ------
    InputError
        If there is no such device.

    Examples
    --------
    >>> checked_device("cpu")
    device(type='cpu')
    """
    instance(name, "device", (str, torch.device), do='Pass "cpu".')
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f'`device` must be one that torch can use here; got {str(name)!r}: {str(error).splitlines()[0]} Pass "cpu".'
        ) from error
    return device
