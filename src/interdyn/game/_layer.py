"""Masking a feature map inside the network, with the part before it run once for each sample.

The masked map is put in by a forward hook on the layer. To spare the part before it, the model is called with *one*
row of input while the hook returns many rows of masked maps: everything after the layer then runs on all of them, and
what by-passes it (a residual branch) broadcasts, because all rows belong to one sample. Whether the model allows this
is tried out against a full batch first; one that does not runs the full batch (``method = "full"``).
"""

import difflib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from interdyn.errors import InputError, ModelError
from interdyn.game._masking import Masking

_TOLERANCE = 1e-4  # between one-row and full-batch runs, relative: float32 kernels differ with the batch


def _module(model: Any, layer: str) -> torch.nn.Module:
    """Return the named module.

    Raises
    ------
    InputError
        If the model is no module or has no such layer; lists the nearest names.
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"`layer` needs a torch.nn.Module; got {type(model).__name__}. Mask the input instead.")
    names: dict[str, torch.nn.Module] = dict(model.named_modules())
    if layer not in names or not layer:
        near = difflib.get_close_matches(layer, names, n=3, cutoff=0.0)
        raise InputError(f"`layer` must name a module of the model; got {layer!r}. The nearest are {', '.join(near)}.")
    return names[layer]


def _hooked(module: torch.nn.Module, hook: Callable[[Any], Any], work: Callable[[], Any]) -> Any:
    handle = module.register_forward_hook(lambda _module, _inputs, out: hook(out))
    try:
        return work()
    finally:
        handle.remove()


def feature_maps(model: Any, layer: str, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...]) -> Tensor:
    """Return the layer's output for each sample, shape ``(samples, ...)``."""
    seen: list[Any] = []
    _hooked(_module(model, layer), lambda out: seen.append(out), lambda: model(*inputs, *arguments))
    if len(seen) != 1 or not isinstance(seen[0], Tensor) or len(seen[0]) != len(inputs[0]):
        got = [tuple(s.shape) if isinstance(s, Tensor) else type(s).__name__ for s in seen]
        raise ModelError(
            f"layer {layer!r} must give one tensor with a row for each sample, once in a forward pass; got {got}. "
            "Choose another layer."
        )
    return seen[0].clone()


class LayerRunner:
    """Forward passes with masked feature maps of one sample at a time."""

    def __init__(self, model: Any, layer: str, inputs: tuple[Tensor, ...], masking: Masking) -> None:
        self.model, self.inputs, self.masking = model, inputs, masking
        self._module = _module(model, layer)
        self.method = ""

    def values(self, run: Callable[..., Tensor], sample: int, start: int, stop: int) -> Tensor:
        """Return the scalar outputs of subsets ``start..stop-1`` of one sample."""
        rows = torch.full((stop - start,), sample, device=self.masking.presence.device)
        (maps,) = self.masking.masked(rows, self.masking.presence[start:stop])
        if not self.method:
            self.method = "one row" if self._one_row_works(run, rows[:2], maps[-2:]) else "full"
        return self._pass(run, rows, maps, one_row=self.method == "one row")

    def _pass(self, run: Callable[..., Tensor], rows: Tensor, maps: Tensor, *, one_row: bool) -> Tensor:
        inputs = [x[rows[:1] if one_row else rows] for x in self.inputs]
        result = _hooked(self._module, lambda _: maps, lambda: run(inputs, rows))
        assert isinstance(result, Tensor)
        return result

    def _one_row_works(self, run: Callable[..., Tensor], rows: Tensor, maps: Tensor) -> bool:
        full = self._pass(run, rows, maps, one_row=False)
        try:
            single = self._pass(run, rows, maps, one_row=True)
        except (RuntimeError, ModelError):
            return False
        return bool(torch.allclose(single, full, rtol=_TOLERANCE, atol=_TOLERANCE * float(full.abs().max() + 1)))
