"""The device of a network in training, and which process measures in distributed training."""

import copy
import os
from typing import Any

import torch
from torch import Tensor, distributed, nn

from interdyn.game import bare, private_copy


def device_of(model: Any) -> torch.device:
    """Return the device of a network's parameters; the CPU for a function or a network without parameters."""
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


def copied(model: Any) -> Any:
    """Return a copy of a network, without its wrappers, that later training steps do not change."""
    return private_copy(bare(model)) or copy.deepcopy(bare(model))


def _in_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _launched() -> tuple[str, int]:
    """Return the variable by which a launcher numbers this process, and the number, if it is not 0.

    ``RANK`` is that of torchrun and Accelerate, ``LOCAL_RANK`` that of Lightning.
    """
    name = "RANK" if os.environ.get("RANK") else "LOCAL_RANK"
    told = os.environ.get(name, "")
    return name, int(told) if told.isdigit() else 0


def _launched_alone() -> bool:
    """Return whether no launcher announces several processes; all that start several set ``WORLD_SIZE``."""
    return os.environ.get("WORLD_SIZE", "1") in ("", "0", "1")


def left_over(*, training: bool) -> str:
    """Return a warning if a launcher's variable contradicts the state of this process; empty otherwise.

    ``training``: whether training steps were done; several processes would have joined a group by then.
    """
    name, rank = _launched()
    if _in_group() or not rank:
        return ""
    alone = _launched_alone()
    if not alone and not training:
        return ""
    consequence = "It is measured nevertheless." if alone else "Nothing is measured in this process."
    others = " and WORLD_SIZE names no others" if alone else ""
    return (
        f"the environment sets {name}={rank}, as for one of several processes of a distributed training, but this "
        f"process is in no process group{others}. {consequence} If it is alone, the variable is a leftover: unset "
        f"{name}{'' if alone else ' and WORLD_SIZE'}."
    )


def is_first() -> bool:
    """Return whether this process measures: rank 0 of a distributed training, or the only process.

    Before the process group exists, the rank is the launcher's, so a tracker may be created first; a leftover rank in a
    process without others is ignored.

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
    """Return the decision of rank 0; every process must call it equally often.

    If only the measuring process left the loop, the others would wait for its gradients forever.

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
    """Detects in-place changes of a network's weights, by the version counters of PyTorch.

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
        """Return a number that grows with each change; called at every step, so it checks three weights only."""
        if model is not self._model:
            trained = [p for p in model.parameters() if p.requires_grad] if isinstance(model, nn.Module) else []
            weights = [p for p in trained if not nn.parameter.is_lazy(p) and not p.is_inference()]
            chosen = {0, len(weights) // 2, len(weights) - 1} if weights else ()
            self._weights = [weights[i] for i in chosen]
            self._model = model if len(weights) == len(trained) else None  # lazy parameters get their shape later
        changes = 0
        for weight in self._weights:  # faster than a generator
            changes += weight._version
        return changes
