"""From a model and samples to their interactions."""

import difflib
import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from interdyn._typing import Model
from interdyn.compiled import worker_count
from interdyn.errors import InputError
from interdyn.game import Output, Players, value_table
from interdyn.sparsify import BAR_FROM, LONGEST, ORDER_WEIGHT, expected_seconds, first_tolerance, split
from interdyn.sparsify import identified as identified_ranges
from interdyn.values import Identified, Interactions

_SPLIT_OPTIONS = frozenset(inspect.signature(split).parameters) - {"v", "unit", "allow_large", "show_progress"}


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
    allow_large: bool = False,
    show_progress: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
    identified: bool = False,
    **split_options: Any,
) -> Interactions:
    """Explain a model's output on each sample by the sparsest AND and OR interactions of its players.

    Parameters
    ----------
    model, inputs, target, players, feature_mask, baselines, batch_size, perturbations_per_eval, output, layer, \
additional_forward_args, sample_ids, allow_fewer, progress
        As in `interdyn.value_table`; the names are captum's where captum has them.
    allow_large
        Accept more than 20 million masked inputs, and a split that is expected to take more than ten minutes.
    show_progress
        Draw a bar for the masked inputs and, from 13 players on, one for the split, on standard error; by default only
        the second, on a terminal.
    identified
        Fill ``.identified``: what sparsity alone leaves open of mean order, orders and the strongest interactions, at
        the cost of some hundred splits of each sample (`interdyn.sparsify.identified`); samples that a constant
        explains get NaN.
    **split_options
        Every option of `interdyn.sparsify.split`: ``noise_bound``, ``solver``, ``tol``, ``threads``, ...

    Returns
    -------
    Interactions
        Tables of shape ``(samples, 2**n)``, in the unit of the output, with residual and certified gap;
        ``forward_passes`` and ``seconds`` (``"forward"``, ``"split"``) say what it cost.

    Raises
    ------
    InputError
        If an option is unknown, before any forward pass; and all that `value_table` and `split` raise.

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
    for option in split_options:
        if option not in _SPLIT_OPTIONS:
            near = difflib.get_close_matches(option, _SPLIT_OPTIONS, n=1, cutoff=0.0)
            raise InputError(
                f"`measure` has no option {option!r}; did you mean {near[0]!r}? See `split` for all of them."
            )
    tol, weight = split_options.get("tol", 1e-3), split_options.get("order_weight", ORDER_WEIGHT)
    threads = worker_count(split_options.get("threads"))

    def split_seconds(n: int, samples: int) -> tuple[float, float]:
        certified = split_options.get("solver", "admm") == "admm"
        finest = first_tolerance(tol, weight, n)
        return expected_seconds(n, samples, tol=finest, threads=threads) * certified, LONGEST

    table = value_table(
        model,
        inputs,
        target=target,
        players=players,
        feature_mask=feature_mask,
        baselines=baselines,
        batch_size=batch_size,
        perturbations_per_eval=perturbations_per_eval,
        output=output,
        layer=layer,
        additional_forward_args=additional_forward_args,
        sample_ids=sample_ids,
        allow_fewer=allow_fewer,
        allow_large=allow_large,
        show_progress=bool(show_progress),
        progress=progress,
        further=split_seconds,
    )
    bar = table.values.shape[-1] >= 2**BAR_FROM if show_progress else show_progress
    start = time.perf_counter()
    found = split(table.values, unit=table.unit, allow_large=True, show_progress=bar, **split_options)
    ranges = _identified(found, threads=threads, allow_large=allow_large) if identified else None
    return replace(
        found,
        identified=ranges,
        forward_passes=table.forward_passes,
        seconds={"forward": table.seconds, "split": time.perf_counter() - start},
        settings={**found.settings, **table.provenance},
    )


def _identified(found: Interactions, *, threads: int, allow_large: bool) -> Identified:
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
