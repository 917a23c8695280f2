"""Running a model without leaving a trace in it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def undisturbed(model: Any, inputs: Iterable[Tensor] = ()) -> Iterator[None]:
    """Run the block in eval and inference mode; then restore every submodule's mode and the generators' states.

    Batch-norm statistics do not change, because eval mode does not update them; dropout draws nothing. The states of
    the CPU generator and of the generators of the CUDA devices of the model and of ``inputs`` are those of before, also
    when the block raises.

    Examples
    --------
    >>> model = torch.nn.Dropout().train()
    >>> with undisturbed(model):
    ...     print(model.training)
    False
    >>> model.training
    True
    """
    modules = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    modes = [module.training for module in modules]
    tensors = [*model.parameters(), *model.buffers(), *inputs] if modules else [*inputs]
    devices = sorted({t.device.index for t in tensors if t.device.type == "cuda" and t.device.index is not None})
    with torch.random.fork_rng(devices=devices):
        try:
            if modules:
                model.eval()
            with torch.inference_mode():
                yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode
