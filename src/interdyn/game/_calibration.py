"""Batch-norm statistics that fit the weights: recomputed on some inputs before a network is measured."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from interdyn.errors import InputError
from interdyn.game._forward import Forward
from interdyn.game._samples import Samples, samples_of

CALIBRATION_ROWS = 512
"""Rows of a data set on which statistics are computed: its first."""

_BATCH = 128  # rows per forward pass
_Norm: Any = nn.modules.batchnorm._BatchNorm  # of all dimensions, lazy and synchronised ones


def calibration_rows(given: Any) -> Samples:
    """Return the inputs on which statistics are computed, checked; the first 512 of a data set.

    Raises
    ------
    InputError
        If there are fewer than two.

    Examples
    --------
    >>> len(calibration_rows(torch.zeros(3, 4)))
    3
    """
    rows = samples_of(given, most=CALIBRATION_ROWS)
    if len(rows) < 2:
        raise InputError(
            f"`calibrate_batch_norm` needs at least two rows of inputs; got {len(rows)}. Pass a few hundred of the "
            "training inputs."
        )
    return rows


def batch_norms(network: nn.Module) -> list[Any]:
    """Return the batch-norm layers that keep running statistics.

    Examples
    --------
    >>> len(batch_norms(nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, track_running_stats=False))))
    1
    """
    return [m for m in network.modules() if isinstance(m, _Norm) and m.running_mean is not None]


def calibrate(forward: Forward, given: Any, *, inputs: int) -> int | None:
    """Recompute the batch-norm statistics of the network of a forward pass; return the number of rows used.

    Each layer gets the mean over batches of the mean and of the unbiased variance of its input, as
    `torch.optim.swa_utils.update_bn` computes them, but in eval mode, so that nothing else behaves as in training, and
    each layer passes on what it does in training. None if the network has no batch norm with running statistics.

    Parameters
    ----------
    forward
        Runs the private copy.
    given
        As in `calibration_rows`; None to do nothing.
    inputs
        How many inputs the network takes when it is measured.

    Raises
    ------
    InputError
        If the rows cannot go through the network, or it has no accessible layers.
    """
    network = forward.model
    if given is None:
        return 0 if isinstance(network, nn.Module) and batch_norms(network) else None
    rows = calibration_rows(given)
    if not isinstance(network, nn.Module):
        raise InputError(
            "`calibrate_batch_norm` needs the network itself, a torch.nn.Module whose layers are accessible; got "
            f"{type(network).__name__}. Pass the network, or leave it out."
        )
    if any(isinstance(m, torch.jit.ScriptModule) and hasattr(m, "running_var") for m in network.modules()):
        raise InputError(
            "`calibrate_batch_norm` needs batch norm that runs in Python; got a scripted network. Pass the network it "
            "was scripted from, or leave it out."
        )
    norms = batch_norms(network)
    if not norms:
        return None
    run, tensors = _on_rows(forward, rows, inputs)
    with _statistics(norms):
        for batch in torch.arange(len(rows), device=tensors[0].device).tensor_split(math.ceil(len(rows) / _BATCH)):
            run.run([x[batch] for x in tensors], batch)
    return len(rows)


def _on_rows(forward: Forward, rows: Samples, inputs: int) -> tuple[Forward, tuple[Tensor, ...]]:
    """Return a forward pass over the rows, called as for the samples, and its inputs."""
    if any(isinstance(a, Tensor) and a.ndim and len(a) == forward.samples for a in forward.arguments):
        raise InputError(
            "`calibrate_batch_norm` takes inputs only; got `additional_forward_args` with a row for each sample. Pass "
            "these as further inputs, by name or in a tuple."
        )
    if len(rows.inputs) != inputs:
        raise InputError(
            f"`calibrate_batch_norm` must contain what the network takes, {inputs} inputs; got {len(rows.inputs)}. "
            "Pass inputs without labels, or a data set."
        )
    run, tensors = Forward.of(forward.model, rows, None, "regression")
    return replace(run, arguments=forward.arguments, styles=forward.styles), tensors


@contextmanager
def _statistics(norms: list[Any]) -> Iterator[None]:
    """Let each layer normalise by the incoming batch, and at the end by the mean over all batches."""
    seen: dict[int, tuple[int, Tensor, Tensor]] = {}

    def note(norm: Any, given: tuple[Tensor, ...]) -> None:
        x = given[0].to(torch.promote_types(given[0].dtype, torch.float32))
        variance, mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
        count = x.numel() // max(x.shape[1], 1)
        times, means, variances = seen.get(id(norm), (0, 0 * mean, 0 * mean))
        seen[id(norm)] = times + 1, means + mean, variances + variance * (count / max(count - 1, 1))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    handles = [norm.register_forward_pre_hook(note) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    for norm in norms:
        if id(norm) in seen:
            times, means, variances = seen[id(norm)]
            norm.running_mean.copy_(means / times)
            norm.running_var.copy_(variances / times)
