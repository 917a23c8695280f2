"""The measurement of a network in training, as it is inside its wrappers, and who measures in a distributed one."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import distributed, nn

from interdyn.errors import InputError
from interdyn.measurement import Group, recorded
from interdyn.store import Measurement


def measure_group(model: Any, group: Group, *, step: int) -> Measurement:
    """Return tables and interactions of a group, for the network as it is now and where it is."""
    network = bare(model)
    with torch.autocast(device_of(network).type, enabled=False), _uncompiled():
        return recorded(network, group, step=step)


def bare(model: Any) -> Any:
    """Return the network inside `torch.compile`, DataParallel and DistributedDataParallel: the same parameters.

    Raises
    ------
    InputError
        If several processes hold a part of the parameters each: to run it, all would have to.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> bare(nn.DataParallel(network)) is network
    True
    """
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, wrappers):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        elif _world_size() > 1 and _is_sharded(model):
            raise InputError(
                "a network that is measured must be whole in the process that measures; got one whose parameters are "
                "spread over processes (FSDP, DeepSpeed ZeRO-3 or tensor parallel). Measure its checkpoints instead: "
                "interdyn watch."
            )
        else:
            return model


def _is_sharded(model: Any) -> bool:
    """Return whether running the network alone would wait for other processes for ever; by names, to import nothing."""
    if not isinstance(model, nn.Module):
        return False
    wrapped = any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules())
    return wrapped or any(type(p).__name__ == "DTensor" or hasattr(p, "ds_id") for p in model.parameters())


def _uncompiled() -> AbstractContextManager[Any]:
    """Run as written what `torch.compile` took hold of, in whatever way, so that measuring compiles nothing anew."""
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


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
