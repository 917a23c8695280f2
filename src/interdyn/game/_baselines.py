"""The values that masked features take."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from interdyn._arguments import choice, number
from interdyn.errors import InputError, InputWarning, PlayersError, ShapeError
from interdyn.game._forward import Forward, find_layer
from interdyn.game._outputs import LAST_TOKEN
from interdyn.game._samples import tensor_of


def seems_channels_last(shape: Sequence[int]) -> bool:
    """Return whether a sample looks like an image with up to four channels in its last axis.

    Examples
    --------
    >>> seems_channels_last((32, 32, 3)), seems_channels_last((3, 32, 32))
    (True, False)
    """
    return len(shape) == 3 and 1 <= shape[-1] <= 4 < min(shape[:2])


def mean_baseline(data: Tensor) -> Tensor:
    """Return the mean of a data set over its samples (dim 0), shape ``(1, *shape)``.

    Examples
    --------
    >>> mean_baseline(torch.tensor([[0.0, 2.0], [2.0, 2.0]]))
    tensor([[1., 2.]])
    """
    data = tensor_of(data, "data")
    if data.is_complex() or data.ndim < 1 or not len(data):
        raise InputError(f"`data` must have samples along dim 0; got shape {tuple(data.shape)}. Pass several samples.")
    return data.double().mean(0, keepdim=True).to(data.dtype if data.is_floating_point() else torch.float32)


def blur_baseline(inputs: Tensor, sigma: float = 2.0, *, channels: Literal["first", "last"] = "first") -> Tensor:
    r"""Return images blurred by a Gaussian of ``sigma`` pixels over the last two axes, with repeated edges.

    With ``channels="last"``, over the two axes before the last one.

    Raises
    ------
    InputError
        If ``sigma`` is not positive, or the input has fewer than three axes or contains integers.

    Examples
    --------
    >>> blur_baseline(torch.ones(1, 1, 4, 4)).round(decimals=4).unique()
    tensor([1.])
    """
    inputs = tensor_of(inputs, "inputs")
    choice(channels, "channels", ("first", "last"))
    sigma = number(sigma, "sigma", least=0, most=1000, do="Pass 2, for example.")
    if not sigma > 0 or inputs.ndim < 3 or 0 in inputs.shape:
        raise InputError(
            f"a blur needs `sigma` > 0 and images (samples, ..., height, width); got {sigma} and "
            f"{tuple(inputs.shape)}. Pass a batch of images."
        )
    if not inputs.is_floating_point():
        raise InputError(f"a blur needs floating-point images; got {inputs.dtype}. Pass `inputs.float()`.")
    if channels == "last":
        return blur_baseline(inputs.movedim(-1, 1), sigma).movedim(1, -1)
    radius = max(1, math.ceil(3 * sigma))
    weight = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
    weight = (weight / weight.sum()).to(inputs)
    flat = inputs.reshape(-1, 1, *inputs.shape[-2:])
    flat = torch.nn.functional.pad(flat, (radius, radius, radius, radius), mode="replicate")
    flat = torch.nn.functional.conv2d(flat, weight[None, None, :, None])
    return torch.nn.functional.conv2d(flat, weight[None, None, None, :]).reshape(inputs.shape)


def baseline_tensors(
    baselines: Any,
    inputs: tuple[Tensor, ...],
    *,
    channels: Literal["first", "last"] | None = None,
    model: Any = None,
    layer: str | None = None,
) -> tuple[Tensor, ...]:
    """Return a tensor that broadcasts to each input, from None, a number, a tensor, ``"mean"``, ``"blur"`` or a tuple.

    ``"mean-embedding"`` is the mean of the embedding named by ``layer``.

    Raises
    ------
    PlayersError
        If a baseline does not broadcast to its input or is not an integer for an integer input, if a tuple has another
        length than the inputs, or if the mean of a single input is requested.
    """
    if isinstance(baselines, str) and baselines == "mean-embedding":
        baselines = _mean_embedding(model, layer)
    given = baselines if isinstance(baselines, tuple) else (baselines,) * len(inputs)
    if len(given) != len(inputs):
        raise PlayersError(f"`baselines` must have one entry for each of {len(inputs)} inputs; got {len(given)}.")
    return tuple(_one(b, x, channels) for b, x in zip(given, inputs, strict=True))


def broadcasts_to(shape: Sequence[int], to: Sequence[int]) -> bool:
    """Return whether an array of ``shape`` broadcasts to exactly ``to``.

    Examples
    --------
    >>> broadcasts_to((3, 1), (2, 3, 4)), broadcasts_to((2, 2, 3, 4), (2, 3, 4))
    (True, False)
    """
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(to), strict=False))


def _one(baseline: Any, x: Tensor, channels: Literal["first", "last"] | None) -> Tensor:
    if isinstance(baseline, str):
        if baseline not in ("mean", "blur"):
            raise PlayersError(f'`baselines` as a string must be "mean", "blur" or "mean-embedding"; got {baseline!r}.')
        if baseline == "mean" and len(x) == 1:
            raise PlayersError(
                '`baselines="mean"` is the mean of the inputs passed; got a single one, which is its own mean, so that '
                "masking would change nothing. Pass several, or `baselines=mean_baseline(x_train)`."
            )
        if baseline == "blur" and channels is None and seems_channels_last(x.shape[1:]):
            raise PlayersError(
                f"a blur acts on the last two axes of an image; got a sample of shape {tuple(x.shape[1:])}, whose "
                "channels "
                'seem to be last. Pass baselines=blur_baseline(inputs, channels="last"), or "first" if they are first.'
            )
        out = mean_baseline(x) if baseline == "mean" else blur_baseline(x, channels=channels or "first")
    else:
        try:
            out = tensor_of(0.0 if baseline is None else baseline, "baselines").detach()
        except ShapeError as error:
            raise PlayersError(str(error)) from None
    if out.is_complex() and not x.is_complex():
        raise PlayersError(f"a baseline must be real, as its input is; got {out.dtype}. Pass the real part.")
    given, out = out, out.to(device=x.device, dtype=x.dtype)
    if not (x.is_floating_point() or x.is_complex() or torch.equal(out.double(), given.to(x.device).double())):
        raise PlayersError(
            f"a baseline for an input of type {x.dtype} must contain numbers of that type; got {_shown(given)}. "
            "Round it, or pass the input as floating point."
        )
    if not broadcasts_to(out.shape, x.shape):
        raise PlayersError(
            f"a baseline must broadcast to its input of shape {tuple(x.shape)} (dim 0 = samples); got "
            f"{tuple(out.shape)}. Pass a number, or a tensor with one entry for each feature."
        )
    return out


def _mean_embedding(model: Any, layer: str | None) -> Tensor:
    """Return the mean of all vectors of an embedding, shape ``(width,)``.

    Raises
    ------
    PlayersError
        If ``layer`` does not name an embedding.
    """
    module = None if layer is None else find_layer(model, layer)
    if not isinstance(module, torch.nn.Embedding):
        got = "none" if module is None else f"{layer!r}, a {type(module).__name__}"
        raise PlayersError(
            f'the baseline "mean-embedding" needs `layer` to name a token embedding; got {got}. Name it, for '
            'example: layer="bert.embeddings.word_embeddings"'
        )
    return module.weight.detach().mean(0)


def check_mask_token(forward: Forward, baseline: Tensor, x: Tensor, ids: Tensor, attention: Tensor | None) -> None:
    """Refuse a mask token that the network treats as padding or end of sequence; warn where that is likely.

    Raises
    ------
    PlayersError
        If the baseline is the padding or end token of the network's config, or occurs where the attention mask is 0.
    """
    if x.ndim != 2 or x.is_floating_point() or x.is_complex() or baseline.numel() != 1:
        return
    token, config = int(baseline), getattr(forward.model, "config", None)
    fixed = (
        attention is not None and forward.reading.key == LAST_TOKEN
    )  # the caller determines what is attended and read
    apart = [getattr(config, name, None) for name in ("pad_token_id", "eos_token_id")]
    known = {i for given in apart for i in (given if isinstance(given, list) else [given])} if not fixed else set()
    padded = attention is not None and attention.shape == x.shape and bool((x[attention == 0] == token).any())
    if token in known or (padded and not fixed):
        raise PlayersError(
            f"the mask token must differ from the tokens for padding and end of sequence; got {token}, which is one of "
            "them: masking would change which position is read. Pass another token, for example [MASK] or the one for "
            "unknown words."
        )
    ends = (x[:, -1] == token) & (ids.expand(len(ids), x.shape[1])[:, -1] == -1)
    embedded = forward.model.modules() if isinstance(forward.model, torch.nn.Module) else ()
    padding = any(isinstance(m, torch.nn.Embedding) and m.padding_idx == token for m in embedded)
    if (bool(ends.any()) or padding) and not fixed:
        warnings.warn(
            f"the mask token, {token}, is also the padding token: a network that searches for the end of the sequence "
            "reads another position once words are masked. If yours does, pass another token.",
            InputWarning,
            stacklevel=5,
        )


def _shown(baseline: Tensor) -> str:
    return f"{baseline.item():g}" if baseline.numel() == 1 else f"a tensor of {baseline.dtype}"


def described(baselines: Any) -> str:
    """Describe what masked features are set to, for the provenance of a table.

    Examples
    --------
    >>> described(None), described((0.5, "mean")), described(torch.zeros(3)), described(torch.arange(3))
    ('0', '0.5, mean', '0', 'tensor of shape (3,)')
    """
    if isinstance(baselines, tuple):
        return ", ".join(described(b) for b in baselines)
    if isinstance(baselines, Mapping):
        return ", ".join(f"{name}: {described(b)}" for name, b in baselines.items())
    if baselines is None:
        return "0"
    shape = tuple(getattr(baselines, "shape", ()))
    if not shape:
        return f"{baselines:g}" if isinstance(baselines, float | int) else str(baselines)
    values = tensor_of(baselines, "baselines").reshape(-1)
    same = len(values) > 0 and bool((values == values[0]).all())
    return f"{values[0].item():g}" if same else f"tensor of shape {shape}"
