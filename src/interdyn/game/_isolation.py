"""The one place where a user's network is run: on a private copy, without side effects.

If a network cannot be copied, or a function is passed instead, it is run itself, and everything it holds is restored.
Inference mode is never used: tables that were built in it could not be trained with.
"""

import random
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from interdyn.errors import DisturbedError, InputError, InterdynWarning
from interdyn.game._private import LAZY, emptied, foreign_hooks, held, is_outside, private_copy, returning_hooks
from interdyn.game._user_code import Explained, attempted

_AUTOCAST = ("cpu", "cuda", "mps", "xpu", "hpu")
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_SCALARS = (bool, int, float, complex, str, bytes)
_GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks")


@contextmanager
def isolated(model: Any) -> Iterator[Any]:
    """Return what is run in place of a model inside the block; the model is unchanged after the block.

    A module is copied without foreign hooks, and the copy is set to eval mode by its own ``eval()`` and deleted after
    the block. A warning names foreign hooks that return a value. If it cannot be copied, the module itself is run, and
    its parameters, buffers, attributes and own generators are restored, as are those of the modules that a function
    uses, whose mode and hooks are left alone. The generators of Python, NumPy and torch are always restored. Wrappers
    of `torch.compile`, of data-parallel training and of Fabric are removed, autocast is off, and no gradients are
    recorded.

    Raises
    ------
    DisturbedError
        At the end of the block, if the network has changed.
    InputError
        If the parameters are sharded over several processes.

    Notes
    -----
    Memory: a copy of parameters and buffers, see `copy_bytes`; on the CPU if the network cannot be copied.

    Examples
    --------
    >>> model = nn.Dropout().train()
    >>> with isolated(model) as network:
    ...     print(network.training, network is model)
    False False
    >>> model.training
    True
    """
    network = bare(model)
    is_module = isinstance(network, nn.Module)
    with ExitStack() as stack:
        _quieten(stack)
        for put_back, state in _generators():
            stack.callback(put_back, state)
        if is_module and (layers := returning_hooks(network)):
            warnings.warn(
                f"a network is measured without hooks added from outside; got hooks that return a value on "
                f"{', '.join(layers[:3])}. To measure with them, pass a function: lambda x: network(x).",
                InterdynWarning,
                stacklevel=4,
            )
        private = private_copy(network) if is_module else None
        used = [network] if is_module else [t for t in held(network) if isinstance(t, nn.Module)]
        state = _State(used, keep=private is None)
        shared = _State(_classes(used), keep=True)
        try:
            if private is not None:
                _set_to_eval(private)
                yield private
            elif is_module:
                for hooks, foreign in foreign_hooks(held(network)):
                    for key in foreign:
                        hooks.pop(key)
                _set_to_eval(network)
                yield network
            else:
                yield network
        finally:
            shared.put_back()
            if private is not None:
                emptied(private, network)
            elif is_module:
                attempted(partial(network.train, state.training))  # what it does not undo itself is undone below
            state.put_back()
        state.compare()


def _set_to_eval(network: nn.Module) -> None:
    with suppress(NotImplementedError), Explained(_of_eval):  # networks of torch.export have one mode
        network.eval()


def _of_eval(error: Exception) -> str:
    return (
        f"a network must be set to eval mode by its own `eval()` to be measured, which raised this "
        f"{type(error).__name__}. Correct its `eval` or `train`."
    )


def _quieten(stack: ExitStack) -> None:
    """Turn off what training may have turned on: gradients, autocast, compilation, global hooks."""
    stack.enter_context(torch.inference_mode(False))
    stack.enter_context(torch.no_grad())
    for kind in _AUTOCAST:
        if torch.is_autocast_enabled(kind):
            stack.enter_context(torch.autocast(kind, enabled=False))
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
        stack.enter_context(torch.compiler.set_stance("force_eager"))
    for name in _GLOBAL_HOOKS:
        if hooks := getattr(nn.modules.module, name, None):
            stack.callback(hooks.update, dict(hooks))
            hooks.clear()


def _generators() -> list[tuple[Callable[[Any], Any], Any]]:
    """Return the state of every global generator, each with the function that restores it."""
    found: list[tuple[Callable[[Any], Any], Any]] = [
        (random.setstate, random.getstate()),
        (np.random.set_state, np.random.get_state()),  # noqa: NPY002  # what networks of others draw from
        (torch.set_rng_state, torch.get_rng_state()),
    ]
    for devices in (torch.cuda, torch.xpu):
        if devices.is_available() and devices.is_initialized():
            indices = range(devices.device_count())
            found += [(partial(devices.set_rng_state, device=i), devices.get_rng_state(i)) for i in indices]
    if torch.backends.mps.is_available():
        found.append((torch.mps.set_rng_state, torch.mps.get_rng_state()))
    return found


def copy_bytes(model: Any) -> int:
    """Return the bytes that measuring a network takes besides the masked inputs: a copy of its parameters and buffers.

    Examples
    --------
    >>> copy_bytes(nn.Linear(9, 10))
    400
    """
    network = bare(model)
    if not isinstance(network, nn.Module):
        return 0
    tensors = {id(t): t for parts in (network.parameters(), network.buffers()) for t in parts}
    return sum(t.numel() * t.element_size() for t in tensors.values() if not isinstance(t, LAZY))


class _State:
    """The complete state of some networks at one time: contents of containers, tensors, own generators.

    With ``keep``, values are stored as well, on the CPU, and `put_back` restores them; otherwise only checksums are,
    by which `compare` detects a change.
    """

    def __init__(self, roots: list[Any], *, keep: bool) -> None:
        things = held(*roots, objects=keep)
        if roots and isinstance(roots[0], type):
            self._classes = [(kind, _data(kind)) for kind in roots]
            things = held(*(data for _, data in self._classes), objects=False)
        else:
            self._classes = []
            self.training = bool(roots) and roots[0].training
        self._keep = keep
        self._contents = [(owner, holder, _content(holder)) for owner in things for holder in _holders(owner, keep)]
        self._lazy = [(t, type(t)) for t in things if isinstance(t, LAZY | nn.modules.lazy.LazyModuleMixin)]
        self._tensors = [t for t in things if isinstance(t, Tensor) and _is_plain(t)]
        self._marks, self._sums = [_mark(t, keep) for t in self._tensors], _sums(self._tensors)
        self._values = [(t.data, t.detach().to("cpu", copy=True)) for t in self._tensors] if keep else []
        arrays = [a for a in things if isinstance(a, np.ndarray)] if keep else []
        self._arrays = [(array, array.copy()) for array in arrays]
        self._generators = [pair for thing in things if keep for pair in _own_generator(thing)]

    def put_back(self) -> None:
        """Restore the complete state; without ``keep`` nothing is done."""
        if not self._keep:
            return
        for kind, data in self._classes:
            for name in _data(kind).keys() - data.keys():
                delattr(kind, name)
            for name, value in data.items():
                if vars(kind).get(name) is not value:
                    setattr(kind, name, value)
        for lazy, as_it_was in self._lazy:  # of another class once its shape is known
            if type(lazy) is not as_it_was:
                if isinstance(lazy, Tensor):
                    lazy.data = lazy.data.new_empty(0)
                lazy.__class__ = as_it_was
        for _, holder, content in self._contents:
            if not _is_same(holder, content):
                holder.clear()
                (holder.extend if isinstance(holder, list | deque) else holder.update)(content)
        for tensor, (place, value), (_, pointer, needs_grad) in zip(
            self._tensors, self._values, self._marks, strict=True
        ):
            if tensor.data_ptr() != pointer:
                tensor.data = place
            tensor.data.copy_(value)
            if tensor.is_leaf:
                tensor.requires_grad_(needs_grad)
        for array, copied in self._arrays:
            array[...] = copied
        for put_back, state in self._generators:
            put_back(state)

    def compare(self) -> None:
        """Raise if the network has changed.

        Raises
        ------
        DisturbedError
            If a container, a tensor or the mode of a module differs.
        """
        for owner, holder, content in self._contents:
            if not _is_same(holder, content):
                raise _disturbed(_change(owner, holder, content))
        sums = zip(self._tensors, self._marks, self._sums, _sums(self._tensors), strict=True)
        for tensor, mark, before, after in sums:
            if before != after or mark != _mark(tensor, self._keep):
                raise _disturbed(f"a tensor of shape {tuple(tensor.shape)}")


def _disturbed(what: str) -> DisturbedError:
    return DisturbedError(
        f"measuring must not change a network; running it changed {what}. Keep what `forward` changes in attributes of "
        "its modules, or measure saved checkpoints: interdyn watch."
    )


def _change(owner: Any, holder: Any, content: Any) -> str:
    if isinstance(owner, nn.Module) and isinstance(holder, dict):
        for name in {**holder, **content}:
            if _differ(holder, content, name):
                return f"`{name}` of {type(owner).__name__}"
    return f"a {type(holder).__name__} that it holds"


_NOTHING = object()


def _is_equal(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and isinstance(a, _SCALARS) and a == b)


def _differ(holder: dict[Any, Any], content: dict[Any, Any], name: Any) -> bool:
    return not _is_equal(holder.get(name, _NOTHING), content.get(name, _NOTHING))


def _is_same(holder: Any, content: Any) -> bool:
    if len(holder) != len(content):
        return False
    if isinstance(holder, dict):
        return list(holder) == list(content) and not any(_differ(holder, content, name) for name in content)
    if isinstance(holder, set):
        return bool(holder == content)
    return all(_is_equal(a, b) for a, b in zip(holder, content, strict=True))


def _holders(owner: Any, keep: bool) -> list[Any]:
    """Return the containers in which an object stores its content, hooks among them."""
    if isinstance(owner, nn.Module):
        if isinstance(owner, torch.jit.ScriptModule):
            return []
        hooks = [v for name, v in vars(owner).items() if name.endswith("_hooks") and isinstance(v, dict)]
        return [vars(owner), *hooks]
    if isinstance(owner, dict | list | set | deque):
        return [owner]
    plain = keep and hasattr(owner, "__dict__") and not isinstance(owner, Tensor) and not is_outside(owner)
    return [vars(owner)] if plain and not callable(owner) else []


def _content(holder: Any) -> Any:
    return dict(holder) if isinstance(holder, dict) else set(holder) if isinstance(holder, set) else list(holder)


def _is_plain(tensor: Tensor) -> bool:
    """Return whether the bits of a tensor can be read and written: not sparse, quantised, lazy or without data."""
    if isinstance(tensor, LAZY) or tensor.layout != torch.strided:
        return False
    known = type(tensor) in (Tensor, nn.Parameter) or type(tensor).__name__ == "Buffer"
    return known and not tensor.is_quantized and tensor.device.type != "meta"


def _mark(tensor: Tensor, keep: bool) -> tuple[int, int, bool]:
    """Return version, address and whether it is trainable; a restored tensor has another version."""
    version = 0 if keep or tensor.is_inference() else tensor._version
    return version, tensor.data_ptr(), tensor.requires_grad


def _sums(tensors: list[Tensor]) -> list[int]:
    """Return the sum of the bits of each tensor as integers: equal where nothing changed, also for NaN."""
    sums: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        data = tensor.detach()
        data = torch.view_as_real(data.resolve_conj()) if data.is_complex() else data
        kind = _INTEGERS[data.element_size()]
        sums.setdefault(data.device, []).append(data.view(kind).sum(dtype=kind).long())
    told = {device: iter(torch.stack(parts).tolist()) for device, parts in sums.items()}
    return [next(told[tensor.device]) for tensor in tensors]


def _own_generator(thing: Any) -> list[tuple[Callable[[Any], Any], Any]]:
    if isinstance(thing, torch.Generator):
        return [(thing.set_state, thing.get_state())]
    if isinstance(thing, np.random.Generator):
        bits = thing.bit_generator
        return [(partial(setattr, bits, "state"), bits.state)]
    if isinstance(thing, np.random.RandomState):
        return [(thing.set_state, thing.get_state())]
    return [(thing.setstate, thing.getstate())] if isinstance(thing, random.Random) else []


def _classes(networks: list[nn.Module]) -> list[type]:
    """Return the classes of all modules except torch's own: their attributes are shared by every copy."""
    kinds = {kind for network in networks for m in network.modules() for kind in type(m).__mro__}
    return [kind for kind in kinds if kind.__module__.partition(".")[0] not in ("torch", "builtins", "typing", "abc")]


def _data(kind: type) -> dict[str, Any]:
    """Return the attributes of a class except its methods."""
    descriptors = (property, classmethod, staticmethod)
    kept = {name: v for name, v in vars(kind).items() if not (name.startswith("__") or name == "_abc_impl")}
    return {name: v for name, v in kept.items() if not callable(v) and not isinstance(v, descriptors)}


def bare(model: Any) -> Any:
    """Return the network inside `torch.compile`, data-parallel wrappers and Fabric's: the same parameters.

    Raises
    ------
    InputError
        If the parameters are sharded over several processes: running it would involve all of them.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> bare(nn.DataParallel(network)) is network
    True
    """
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, wrappers) or type(model).__name__ == "_FabricModule":
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        elif _processes() > 1 and _is_sharded(model):
            raise InputError(
                "the process that measures needs all parameters of the network; got one whose parameters are sharded "
                "over processes (FSDP, DeepSpeed ZeRO-3 or tensor parallel). Measure its checkpoints instead: "
                "interdyn watch."
            )
        else:
            return model


def _processes() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _is_sharded(model: Any) -> bool:
    """Return whether running the network alone would wait for other processes forever; by names, to import nothing."""
    if not isinstance(model, nn.Module):
        return False
    wrapped = any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules())
    return wrapped or any(type(p).__name__ == "DTensor" or hasattr(p, "ds_id") for p in model.parameters())
