"""A private copy of a network: what running it builds or changes stays on the copy and is deleted with it.

`copy.deepcopy` does most of it. It fails at tensors inside a graph, at locks and at open files, it shares functions,
and with a bound method it copies the owner of the method: all of this is handled in its memo, or corrected afterwards.
"""

import copy
import dis
import io
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType, NoneType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset

from interdyn.game._user_code import attempted

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
# packages whose hooks belong to their layer: weight norm, pruning, observers, captured outputs
_LAYERS = frozenset({"torch", "transformers", "peft", "accelerate", "torchao", "diffusers", "timm"})
_ATOMS = (NoneType, bool, int, float, complex, str, bytes, range, type, ModuleType, torch.dtype, torch.device)
_OUTSIDE = (Optimizer, LRScheduler, Dataset, DataLoader)  # a network may hold them, but does not run them
_LIVE = (threading.Thread, io.IOBase)  # copying an object that holds one would wait for it forever
_LOCKS: dict[type, Any] = {type(make()): make for make in (threading.Lock, threading.RLock)}
_SEQUENCES = (list, tuple, set, frozenset, deque)
LAZY: Any = nn.parameter.UninitializedTensorMixin  # type: ignore[attr-defined]  # of what has no shape yet
_CALLS = (FunctionType, MethodType, partial, weakref.ref)


def held(*roots: Any, objects: bool = True) -> list[Any]:
    """Return what is reachable from some networks or functions, each once, without hooks and what they hold.

    ``objects``: also inside objects of classes that are neither modules nor Python's own containers.
    """
    seen: dict[int, Any] = {}
    waiting = list(roots)
    while waiting:
        thing = waiting.pop()
        if not isinstance(thing, _ATOMS) and id(thing) not in seen:
            seen[id(thing)] = thing
            waiting += _inside(thing, objects=objects)
    return list(seen.values())


def _inside(thing: Any, *, objects: bool) -> Iterable[Any]:
    if isinstance(thing, nn.Module):
        if isinstance(thing, torch.jit.ScriptModule):
            return ()
        state = vars(thing)
        if type(thing).__getstate__ is not nn.Module.__getstate__:
            # Lightning's state excludes the trainer; that of a parametrised layer only raises
            own = attempted(lambda: dict(getattr(thing, "__getstate__")()))  # noqa: B009  # torch's has no types
            state = state if isinstance(own, Exception) else own
        return [value for name, value in state.items() if name not in _HOOKS]
    if isinstance(thing, dict):
        return thing.values()
    if isinstance(thing, _SEQUENCES):
        return thing
    if isinstance(thing, _CALLS):
        return _inside_call(thing)
    if isinstance(thing, Tensor | io.IOBase | threading.Thread) or is_outside(thing) or not objects:
        return ()
    slots = [getattr(thing, s, None) for c in type(thing).__mro__ for s in _slots(c)]
    return [*slots, *getattr(thing, "__dict__", {}).values()]


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _inside_call(call: Any) -> Iterable[Any]:
    if isinstance(call, MethodType):
        return (call.__self__, call.__func__)
    if isinstance(call, partial):
        return (call.func, call.args, call.keywords)
    if isinstance(call, weakref.ref):
        return ()
    cells = [cell.cell_contents for cell in call.__closure__ or () if cell != CellType()]
    return [*cells, *_global_networks(call), call.__defaults__, call.__kwdefaults__]


def _global_networks(function: FunctionType) -> list[nn.Module]:
    named = (function.__globals__.get(name) for name in function.__code__.co_names)
    return [value for value in named if isinstance(value, nn.Module)]


def is_outside(thing: Any) -> bool:
    """Return whether an object is not part of a network that holds it: a data set, an optimiser, a tracker."""
    return isinstance(thing, _OUTSIDE) or type(thing).__module__.partition(".")[0] == "interdyn"


def foreign_hooks(things: list[Any]) -> list[tuple[dict[int, Any], list[int]]]:
    """Return, for each hook container of the modules among ``things``, the keys of foreign hooks.

    Not foreign are hooks of torch and of libraries of layers (weight norm, spectral norm, pruning, lazy layers,
    observers), methods of what the network holds, and functions written in the class of one of its modules.
    """
    inside = {id(thing) for thing in things}
    modules = [thing for thing in things if isinstance(thing, nn.Module)]
    classes = {(c.__module__, c.__qualname__) for m in modules for c in type(m).__mro__ if c is not nn.Module}
    found = []
    for module in modules:
        for hooks in (vars(module).get(name) for name in _HOOKS):
            if hooks:
                foreign = [key for key, hook in hooks.items() if not _is_part(hook, inside, classes)]
                found.append((hooks, foreign))
    return found


def _is_part(hook: Any, inside: set[int], classes: set[tuple[str, str]]) -> bool:
    while isinstance(hook, partial) or type(hook).__name__ == "_WrappedHook":
        hook = hook.func if isinstance(hook, partial) else hook.hook
    if id(getattr(hook, "__self__", hook)) in inside:
        return True
    if isinstance(hook, FunctionType | MethodType):
        home, name = hook.__module__ or "", hook.__qualname__
        return home.partition(".")[0] in _LAYERS or any(
            home == module and name.startswith(f"{qualified}.") for module, qualified in classes
        )
    return any(c.__module__.partition(".")[0] in _LAYERS for c in type(hook).__mro__)


def returning_hooks(network: nn.Module) -> list[str]:
    """Return the classes of layers with foreign hooks that return a value, so that they may change the output.

    A lambda that returns the result of a call is not counted: most often it only records something.
    """
    if not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules()):
        return []
    foreign = {id(hooks): keys for hooks, keys in foreign_hooks(held(network))}
    return [
        type(m).__name__
        for m in network.modules()
        for hooks in (m._forward_hooks, m._forward_pre_hooks)
        if any(_returns(hooks[key]) for key in foreign.get(id(hooks), ()))
    ]


def _returns(hook: Any) -> bool:
    code = getattr(getattr(hook, "__func__", hook), "__code__", None)
    if code is None:
        return False
    steps = [step for step in dis.get_instructions(code) if step.opname != "NOP"]
    for before, step in zip([*steps[:1], *steps], steps, strict=False):
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return True
        nothing = before.opname == "LOAD_CONST" and before.argval is None
        written = code.co_name == "<lambda>" and before.opname.startswith("CALL")
        if step.opname == "RETURN_VALUE" and not nothing and not written:
            return True
    return False


def private_copy(network: Any) -> nn.Module | None:
    """Return a copy that shares no state with the network, without foreign hooks; None if it cannot be made.

    Tied weights stay tied. Data sets, optimisers, open files and threads that the network holds are shared.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> private = private_copy(network)
    >>> torch.equal(private.weight, network.weight), private.weight is network.weight
    (True, False)
    """
    if not isinstance(network, nn.Module):
        return None
    things = held(network)
    modules = [thing for thing in things if isinstance(thing, nn.Module)]
    if any(_rebuilds(type(m)) for m in modules):
        return None  # serialised and rebuilt, as by Keras, which does not copy its current state
    if any(_global_networks(thing) for thing in things if isinstance(thing, FunctionType)):
        return None  # a copy of the function would still run the network of that name
    memo: dict[int, Any] = {}
    hooks = foreign_hooks(things)
    for container, _ in hooks:
        memo[id(container)] = type(container)()
    for thing in things:
        if isinstance(thing, LAZY):
            memo[id(thing)] = type(thing)(thing.requires_grad, device=thing.device, dtype=thing.dtype)
        elif isinstance(thing, Tensor) and thing.requires_grad and not thing.is_leaf:
            memo[id(thing)] = thing.detach().clone()
        elif type(thing) in _LOCKS:
            memo[id(thing)] = _LOCKS[type(thing)]()
    for thing in things:
        if not isinstance(thing, (nn.Module, Tensor, dict, *_SEQUENCES, *_CALLS)) and id(thing) not in memo:
            _copied_object(thing, memo)

    def copied() -> nn.Module:
        private = copy.deepcopy(network, memo)
        memo.update({id(made): made for made in list(memo.values())})  # copies are not copied again
        for container, foreign in hooks:
            kept = {key: on_copy(hook, memo) for key, hook in container.items() if key not in foreign}
            memo[id(container)].update(kept)
        _rebind(private, memo, {id(thing) for thing in things})
        return private

    private = attempted(copied)
    return private if isinstance(private, nn.Module) and _is_apart(private, network) else None


def _rebuilds(kind: type) -> bool:
    own: object = kind.__reduce__
    return own is not object.__reduce__ and not kind.__module__.startswith("torch.")


def _copied_object(thing: Any, memo: dict[int, Any]) -> None:
    """Copy an object that a network holds; share it if it cannot be copied or is not part of the network."""
    if not is_outside(thing) and not any(isinstance(t, _LIVE) for t in held(thing)):
        tried = dict(memo)
        found = attempted(lambda: (copy.deepcopy(thing, tried),))  # a tuple: the object may be an error itself
        if isinstance(found, tuple):
            alive = tried.pop(id(tried), [])  # deepcopy keeps objects alive here, so that their ids stay valid
            memo.update(tried)
            memo.setdefault(id(memo), []).extend(alive)
            return
    memo[id(thing)] = thing  # also if it is open, running, or belongs to the operating system


def _rebind(private: nn.Module, memo: dict[int, Any], originals: set[int]) -> None:
    """Rebind functions and weak references that the copy holds to the copy, and drop Accelerate's mixed precision."""
    for thing in held(private):
        if id(thing) in originals:  # reached through a function that is yet to be replaced
            continue
        if isinstance(thing, list):
            thing[:] = [on_copy(value, memo) if isinstance(value, _CALLS) else value for value in thing]
            continue
        names = {} if isinstance(thing, _CALLS) else getattr(thing, "__dict__", {})
        names = thing if isinstance(thing, dict) else names
        for name, value in list(names.items()):
            if isinstance(value, _CALLS):
                names[name] = on_copy(value, memo)
        if isinstance(thing, nn.Module) and "_original_forward" in names:
            names["forward"] = names["_original_forward"]


def on_copy(value: Any, memo: dict[int, Any]) -> Any:
    """Return a function, method or weak reference with its references replaced by copies; anything else copied."""
    value = getattr(value, "_torchdynamo_orig_callable", value)
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, weakref.ref):
        target = memo.get(id(value()))
        return value if target is None else weakref.ref(target)
    if isinstance(value, MethodType):
        return MethodType(on_copy(value.__func__, memo), on_copy(value.__self__, memo))
    if isinstance(value, partial):
        words = {name: on_copy(v, memo) for name, v in value.keywords.items()}
        return partial(on_copy(value.func, memo), *(on_copy(v, memo) for v in value.args), **words)
    if not isinstance(value, FunctionType):
        _copied_object(value, memo)
        return copy.deepcopy(value, memo)
    defaults = held(value.__defaults__, value.__kwdefaults__)
    if not value.__closure__ and not any(isinstance(thing, nn.Module | Tensor) for thing in defaults):
        return value
    closure = value.__closure__ or ()
    cells = tuple(CellType() for _ in closure)
    out = FunctionType(value.__code__, value.__globals__, value.__name__, None, cells)
    memo[id(value)] = memo[id(out)] = out
    out.__dict__.update({name: on_copy(v, memo) for name, v in vars(value).items()})
    out.__qualname__, out.__module__ = value.__qualname__, value.__module__
    if value.__defaults__:
        out.__defaults__ = tuple(on_copy(v, memo) for v in value.__defaults__)
    if value.__kwdefaults__:
        out.__kwdefaults__ = {name: on_copy(v, memo) for name, v in value.__kwdefaults__.items()}
    for new, old in zip(cells, closure, strict=True):
        if old != CellType():
            new.cell_contents = on_copy(old.cell_contents, memo)
    return out


def _is_apart(private: nn.Module, network: nn.Module) -> bool:
    """Return whether the copy is like the network and shares no module, parameter or buffer with it."""
    ours, theirs = (
        {id(part) for parts in (n.modules(), n.parameters(), n.buffers()) for part in parts} for n in (private, network)
    )
    return len(ours) == len(theirs) and not ours & theirs


def emptied(private: nn.Module, network: nn.Module) -> None:
    """Release all that a copy holds at once, not at the next garbage collection: it may fill half of a device."""
    theirs = {id(module) for module in network.modules()}
    for module in list(private.modules()):
        if id(module) not in theirs and not isinstance(module, torch.jit.ScriptModule):
            vars(module).clear()
