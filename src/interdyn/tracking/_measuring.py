"""Where a network in training is, and who measures in a distributed one."""

import copy
import os
from typing import Any

import torch
from torch import Tensor, distributed, nn

from interdyn.game import bare, private_copy


def device_of(model: Any) -> torch.device:
    """Return where the parameters of a network are; the CPU for a function or a network without any."""
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


def copied(model: Any) -> Any:
    """Return a copy of a network, or of what is inside its wrappers, that later steps of training do not change."""
    return private_copy(bare(model)) or copy.deepcopy(bare(model))


def _in_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _launched() -> tuple[str, int]:
    """Return the variable by which a launcher says which process this is, and the number: not 0 in all but the first.

    ``RANK`` is that of torchrun and Accelerate, ``LOCAL_RANK`` that of Lightning.
    """
    name = "RANK" if os.environ.get("RANK") else "LOCAL_RANK"
    told = os.environ.get(name, "")
    return name, int(told) if told.isdigit() else 0


def _launched_alone() -> bool:
    """Return whether no launcher says that there are several processes; all that start some set ``WORLD_SIZE``."""
    return os.environ.get("WORLD_SIZE", "1") in ("", "0", "1")


def left_over(*, training: bool) -> str:
    """Return a warning where a variable of a launcher contradicts what is seen of this process; empty otherwise.

    ``training``: whether steps of training have been done, by which time several processes would have met.
    """
    name, rank = _launched()
    if _in_group() or not rank:
        return ""
    alone = _launched_alone()
    if not alone and not training:
        return ""
    consequence = "It is measured all the same." if alone else "Nothing is measured in this process."
    others = " and WORLD_SIZE names no others" if alone else ""
    return (
        f"the environment says {name}={rank}, as in one of several processes of a distributed training, but this "
        f"process is in no process group{others}. {consequence} If it is alone, the variable is left over: unset "
        f"{name}{'' if alone else ' and WORLD_SIZE'}."
    )


def is_first() -> bool:
    """Return whether this process measures: rank 0 of a distributed training, or the only one.

    Before the processes have met, the rank is that of the launcher, so that a tracker may be made first; a rank that is
    left over in a process alone does not count.

    Examples
    --------
    >>> is_first()
    True
    """
    if _in_group():
        return distributed.get_rank() == 0
    return _launched_alone() or _launched()[1] == 0


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


class Changes:
    """Tells whether the weights of a network were changed in place, by the counters that PyTorch keeps of that.

    Examples
    --------
    >>> network, changes = nn.Linear(2, 1), Changes()
    >>> before = changes.count(network)
    >>> _ = nn.init.zeros_(network.weight)
    >>> changes.count(network) > before
    True
    """

    def __init__(self) -> None:
        self._model: Any = None
        self._weights: list[Tensor] = []

    def count(self, model: Any) -> int:
        """Return a number that grows with each change; it is asked at every step, so three weights stand for all."""
        if model is not self._model:
            trained = [p for p in model.parameters() if p.requires_grad] if isinstance(model, nn.Module) else []
            weights = [p for p in trained if not nn.parameter.is_lazy(p) and not p.is_inference()]
            chosen = {0, len(weights) // 2, len(weights) - 1} if weights else ()
            self._weights = [weights[i] for i in chosen]
            self._model = model if len(weights) == len(trained) else None  # lazy ones get their shape later
        changes = 0
        for weight in self._weights:  # a generator would take as long again
            changes += weight._version
        return changes
