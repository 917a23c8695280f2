"""What masked features are set to."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from interdyn.errors import InputError, PlayersError


def mean_baseline(data: Tensor) -> Tensor:
    """Return the mean of a data set over its samples (dim 0), shape ``(1, *shape)``.

    Examples
    --------
    >>> mean_baseline(torch.tensor([[0.0, 2.0], [2.0, 2.0]]))
    tensor([[1., 2.]])
    """
    if data.ndim < 1 or not len(data):
        raise InputError(f"`data` must hold samples along dim 0; got shape {tuple(data.shape)}.")
    return data.double().mean(0, keepdim=True).to(data.dtype if data.is_floating_point() else torch.float32)


def blur_baseline(inputs: Tensor, sigma: float = 2.0) -> Tensor:
    r"""Return pictures blurred by a Gaussian of ``sigma`` pixels over the last two axes, edges repeated.

    Raises
    ------
    InputError
        If ``sigma`` is not positive, the input has fewer than three axes, or it holds whole numbers.

    Examples
    --------
    >>> blur_baseline(torch.ones(1, 1, 4, 4)).round(decimals=4).unique()
    tensor([1.])
    """
    if not sigma > 0 or inputs.ndim < 3:
        raise InputError(
            f"a blur needs `sigma` > 0 and pictures (samples, ..., height, width); got {sigma} and "
            f"{tuple(inputs.shape)}."
        )
    if not inputs.is_floating_point():
        raise InputError(f"a blur needs floating-point pictures; got {inputs.dtype}. Pass `inputs.float()`.")
    radius = max(1, math.ceil(3 * sigma))
    weight = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
    weight = (weight / weight.sum()).to(inputs)
    flat = inputs.reshape(-1, 1, *inputs.shape[-2:])
    flat = torch.nn.functional.pad(flat, (radius, radius, radius, radius), mode="replicate")
    flat = torch.nn.functional.conv2d(flat, weight[None, None, :, None])
    return torch.nn.functional.conv2d(flat, weight[None, None, None, :]).reshape(inputs.shape)


def baseline_tensors(baselines: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return a tensor that broadcasts to each input, from None, a number, a tensor, ``"mean"``, ``"blur"`` or a tuple.

    Raises
    ------
    PlayersError
        If a baseline does not broadcast to its input, is not a whole number for an input of whole numbers, a tuple has
        another length than the inputs, or the mean of a single input is asked for.
    """
    given = baselines if isinstance(baselines, tuple) else (baselines,) * len(inputs)
    if len(given) != len(inputs):
        raise PlayersError(f"`baselines` must have one entry for each of {len(inputs)} inputs; got {len(given)}.")
    return tuple(_one(b, x) for b, x in zip(given, inputs, strict=True))


def broadcasts_to(shape: Sequence[int], to: Sequence[int]) -> bool:
    """Return whether an array of ``shape`` broadcasts to exactly ``to``.

    Examples
    --------
    >>> broadcasts_to((3, 1), (2, 3, 4)), broadcasts_to((2, 2, 3, 4), (2, 3, 4))
    (True, False)
    """
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(to), strict=False))


def _one(baseline: Any, x: Tensor) -> Tensor:
    if isinstance(baseline, str):
        if baseline not in ("mean", "blur"):
            raise PlayersError(f'`baselines` as a word must be "mean", "blur" or "mean-embedding"; got {baseline!r}.')
        if baseline == "mean" and len(x) == 1:
            raise PlayersError(
                '`baselines="mean"` is the mean of the inputs that are passed; got one, which is its own mean, so that '
                "masking would change nothing. Pass several, or `baselines=mean_baseline(x_train)`."
            )
        out = mean_baseline(x) if baseline == "mean" else blur_baseline(x)
    else:
        out = torch.as_tensor(0.0 if baseline is None else baseline)
    given, out = out, out.to(device=x.device, dtype=x.dtype)
    if not (x.is_floating_point() or x.is_complex() or torch.equal(out.double(), given.to(x.device).double())):
        raise PlayersError(
            f"a baseline for an input of type {x.dtype} must hold numbers of that type; got {_shown(given)}. "
            "Round it, or pass the input as floating point."
        )
    if not broadcasts_to(out.shape, x.shape):
        raise PlayersError(
            f"a baseline must broadcast to its input of shape {tuple(x.shape)} (dim 0 = samples); got "
            f"{tuple(out.shape)}. Pass a number, or a tensor with one entry for each feature."
        )
    return out


def _shown(baseline: Tensor) -> str:
    return f"{baseline.item():g}" if baseline.numel() == 1 else f"a tensor of {baseline.dtype}"


def described(baselines: Any) -> str:
    """Return in words what masked features are set to, for the provenance of a table.

    Examples
    --------
    >>> described(None), described((0.5, "mean")), described(torch.zeros(3))
    ('0', '0.5, mean', 'tensor of shape (3,)')
    """
    if isinstance(baselines, tuple):
        return ", ".join(described(b) for b in baselines)
    if baselines is None:
        return "0"
    shape = tuple(getattr(baselines, "shape", ()))
    return f"tensor of shape {shape}" if shape else str(baselines)
