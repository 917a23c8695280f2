"""Where a network in training is, and who measures in a distributed one."""

import os
from typing import Any

import torch
from torch import distributed, nn


def device_of(model: Any) -> torch.device:
    """Return where the parameters of a network are; the CPU for a function or a network without any."""
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


def _in_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def is_first() -> bool:
    """Return whether this process measures: rank 0 of a distributed training, or the only one.

    Before the processes have met, the rank is that of the launcher (``RANK`` of torchrun and Accelerate,
    ``LOCAL_RANK`` of Lightning), so that a tracker may be made first.

    Examples
    --------
    >>> is_first()
    True
    """
    if _in_group():
        return distributed.get_rank() == 0
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0) == 0


def _world_size() -> int:
    return distributed.get_world_size() if _in_group() else 1


def agreed(decision: bool, device: torch.device) -> bool:
    """Return the decision of rank 0; every process must call it, as often as the others do.

    Were only the process that measures to leave the loop, the others would wait for its gradients for ever.

    Examples
    --------
    >>> agreed(True, torch.device("cpu"))
    True
    """
    if _world_size() == 1:
        return decision
    flag = torch.tensor(int(decision), device=device)
    distributed.broadcast(flag, src=0)
    return bool(flag.item())
