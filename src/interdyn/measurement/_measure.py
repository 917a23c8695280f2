"""From a model and samples to their interactions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from torch import Tensor

from interdyn._typing import Model, Solver
from interdyn.errors import InputError
from interdyn.game import FeatureNames, Output, Players
from interdyn.measurement._composition import MeasurementConfig, measured
from interdyn.sparsify import ORDER_WEIGHT
from interdyn.sparsify import identified as identified_ranges
from interdyn.values import Identified, Interactions


def measure(
    model: Model,
    inputs: Tensor | tuple[Tensor, ...],
    *,
    target: int | Sequence[int] | Tensor | None = None,
    players: Players | None = None,
    feature_mask: Any = None,
    baselines: Any = None,
    batch_size: int | str = "auto",
    perturbations_per_eval: int | None = None,
    output: Output = "log-odds",
    layer: str | None = None,
    additional_forward_args: Any = None,
    sample_ids: Sequence[int] | None = None,
    allow_fewer: bool = False,
    names: FeatureNames | None = None,
    noise_bound: float | Tensor | np.ndarray = 0.02,
    solver: Solver = "admm",
    tol: float | Literal["auto"] = 1e-3,
    max_iter: int | None = None,
    merge_order_one: bool = True,
    order_weight: float = ORDER_WEIGHT,
    rates: Sequence[float] = (1e-4, 1e-5, 1e-6),
    threads: int | None = None,
    identified: bool = False,
    allow_large: bool = False,
    show_progress: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Interactions:
    """Explain a model's output on each sample by the sparsest AND and OR interactions of its players.

    Parameters
    ----------
    model, inputs, target, players, feature_mask, baselines, batch_size, perturbations_per_eval, output, layer, \
additional_forward_args, sample_ids, allow_fewer, names, progress
        As in `interdyn.value_table`; the names are captum's where captum has them.
    noise_bound, solver, tol, max_iter, merge_order_one, order_weight, rates, threads
        As in `interdyn.sparsify.split`.
    allow_large
        Accept more than 20 million masked inputs, and a split that is expected to take more than ten minutes.
    show_progress
        Draw a bar for the masked inputs and, from 13 players on, one for the split, on standard error; by default only
        the second, on a terminal.
    identified
        Fill ``.identified``: what sparsity alone leaves open of mean order, orders and the strongest interactions, at
        the cost of some hundred splits of each sample (`interdyn.sparsify.identified`); samples that a constant
        explains get NaN.

    Returns
    -------
    Interactions
        Tables of shape ``(samples, 2**n)``, in the unit of the output, with residual and certified gap;
        ``forward_passes`` and ``seconds`` (``"forward"``, ``"split"``) say what it cost.

    Raises
    ------
    InterdynError
        All that `value_table` and `split` raise, before any forward pass where that can be.

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
    config = MeasurementConfig(
        players=players,
        feature_mask=feature_mask,
        baselines=baselines,
        layer=layer,
        output=output,
        batch_size=batch_size,
        allow_fewer=allow_fewer,
        names=names,
        noise_bound=noise_bound,
        solver=solver,
        tol=tol,
        max_iter=max_iter,
        merge_order_one=merge_order_one,
        order_weight=order_weight,
        rates=rates,
        threads=threads,
    )
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
    found = replace(found, settings={**found.settings, **table.provenance})
    if not identified:
        return found
    start = time.perf_counter()
    ranges = _identified(found, threads=threads, allow_large=allow_large)
    seconds = {**found.seconds, "split": found.seconds["split"] + time.perf_counter() - start}
    return replace(found, identified=ranges, seconds=seconds)


def _identified(found: Interactions, *, threads: int | None, allow_large: bool) -> Identified:
    """Return the ranges of all samples; NaN for those that a constant explains, of which nothing can be said."""
    rows = (found.objective > 0).nonzero()[:, 0]
    if len(rows) == len(found):
        return identified_ranges(found, threads=threads, allow_large=allow_large)
    if not len(rows):
        raise InputError(
            "`identified` needs samples that vary with their players by more than twice the noise bound; got none. "
            "Leave it out."
        )
    return identified_ranges(found.sample(rows), threads=threads, allow_large=allow_large).spread(rows, len(found))
