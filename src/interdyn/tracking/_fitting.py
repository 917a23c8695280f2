"""Which of the tensors on disk are the weights of a network, however either of them was wrapped."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from interdyn.errors import CheckpointError
from interdyn.tracking._pickled import Stub, fields_of
from interdyn.tracking._weight_files import Stored

# What compilers and wrappers (data parallel, sharding, checkpointing) add to names; the last may be a name itself.
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "_fpw_module")
_LEVELS: tuple[tuple[str, ...], ...] = ((), _WRAPPERS, (*_WRAPPERS, "module"))
_USUAL = ("state_dict", "model_state_dict", "model", "network", "net", "weights", "module")
_AVERAGES = {"ema", "swa", "avg", "average", "averaged", "averages", "shadow", "polyak"}
_BESIDE = {"best", "teacher", "target", "initial", "init", "previous", "old"}
_OTHER = {"optimizer", "optimizers", "optimiser", "optim", "opt", "scheduler", "grad", "grads", "momentum"}
_EXTRA = "_extra_state"  # what modules save in addition to tensors
_DEEPEST, _MOST = 24, 1_000_000


@dataclass(frozen=True)
class Part:
    """The weights of a network within a file.

    Attributes
    ----------
    weights
        Under the network's own names.
    where
        Prefix of these names on disk, such as ``state_dict.net``; empty if there is none.
    averaged
        Whether they are an average over training.
    """

    weights: dict[str, Any]
    where: str
    averaged: bool

    def __str__(self) -> str:
        return f"{'averaged' if self.averaged else 'raw'} weights{f' `{self.where}`' if self.where else ''}"


def words_of(text: str) -> set[str]:
    """Return the words of a name, in lower case.

    Examples
    --------
    >>> sorted(words_of("modelEma.net_G"))
    ['ema', 'g', 'model', 'net']
    """
    return set(re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower().replace("_", " ").replace(".", " ").split())


def is_averaged(name: str) -> bool:
    """Return whether a name denotes an average over training."""
    return bool(words_of(name) & _AVERAGES)


def fitted(tree: Any, network: nn.Module, *, called: str) -> Part:
    """Return the weights of ``network`` among what is on disk.

    A place fits if it contains every weight of the network by name and shape, ignoring what wrappers add to names on
    both sides; any prefix of the names is allowed. Weights of the training are preferred to averages; among equals, the
    least deeply nested.

    Parameters
    ----------
    tree
        What `read_file` returns.
    network
        The network; it is not changed.
    called
        The name of the file, for errors.

    Raises
    ------
    CheckpointError
        If no place fits, or several fit equally well.
    """
    found = dict(_tensors(tree))
    wanted = _Wanted(network)
    if wanted.odd:
        raise CheckpointError(
            f"weights that are read without executing code must be tensors; got a network whose "
            f"`{wanted.odd[0]}` is not a tensor, for {called}. Load it yourself and call "
            "`tracker.observe(step, network)`."
        )
    fits = [fit for names in _LEVELS for fit in wanted.fits(found, names)]
    whole = [fit for fit in fits if not fit.missing and not fit.misshapen]
    if not whole:
        raise CheckpointError(_refusal(tree, found, wanted, fits, called))
    ranked = sorted(whole, key=lambda fit: (fit.rank(tree, found), fit.depth, fit.level))
    best = ranked[0]
    rank = (best.rank(tree, found), best.depth)
    equals = [fit for fit in ranked if (fit.rank(tree, found), fit.depth) == rank and fit.place != best.place]
    if equals:
        raise CheckpointError(
            f"exactly one network in a checkpoint must fit; got {called}, in which `{shown(best.where)}` and "
            f"`{shown(equals[0].where)}` both do. Save the one to measure in a separate file."
        )
    weights = {name: stored for name, (_, stored) in best.by_name.items()}
    return Part(weights, shown(best.where), best.averaged(tree, found))


def shown(name: str) -> str:
    """Return a name from disk in a form that is safe to show."""
    text = "".join(letter if letter.isprintable() else "?" for letter in name.strip("."))
    return text if len(text) <= 120 else f"{text[:117]}..."


def _tensors(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield all tensors, and what modules save with them, with the path to each, joined by dots.

    An object with several paths is yielded for the first one only, except tensors and containers of tensors.
    """
    todo: list[tuple[str, Any, int]] = [("", tree, 0)]
    seen: set[int] = set()
    count = 0
    while todo:
        way, value, depth = todo.pop()
        count += 1
        if count > _MOST:
            raise ValueError("it contains more than a million objects")
        if isinstance(value, Stored) or way.endswith(_EXTRA):
            yield way, value
            continue
        inner = _inner(value) if depth < _DEEPEST else []
        if id(value) not in seen or any(isinstance(one, Stored) for _, one in inner):
            seen.add(id(value))
            todo += reversed([(f"{way}.{key}" if way else str(key), one, depth + 1) for key, one in inner])


def _inner(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, list | tuple):
        return list(enumerate(value)) if any(isinstance(one, dict | Stub) for one in value) else []
    fields = fields_of(value)
    if "_parameters" in fields and "_modules" in fields:  # a pickled module
        kept = [fields_of(fields.get(kind)) for kind in ("_parameters", "_buffers", "_modules")]
        return [item for part in kept for item in part.items()]
    return [(key, inner) for key, inner in fields.items() if isinstance(key, str | int)]


def _stripped(name: str, wrappers: Sequence[str]) -> str:
    return ".".join(part for part in name.split(".") if part not in wrappers)


@dataclass(frozen=True)
class _Fit:
    """Tensors on disk under the network's names, for one form of the prefix."""

    by_name: dict[str, tuple[str, Any]]  # path on disk, and the tensor
    where: str
    level: int
    missing: list[str]
    misshapen: list[str]

    @property
    def depth(self) -> int:
        return len([part for part in self.where.split(".") if part])

    @property
    def place(self) -> tuple[Any, ...]:
        return tuple(getattr(stored, "place", None) for _, stored in self.by_name.values())

    def averaged(self, tree: Any, found: Mapping[str, Any]) -> bool:
        if is_averaged(self.where):
            return True
        beside = self.where.removesuffix("module").strip(".")
        counted = f"{beside}.n_averaged".strip(".") in found  # of torch.optim.swa_utils.AveragedModel
        fields = fields_of(tree)  # Lightning's WeightAveraging stores the average in place of the weights
        return counted or (self.where.split(".")[0] == "state_dict" and "current_model_state" in fields)

    def rank(self, tree: Any, found: Mapping[str, Any]) -> tuple[int, int]:
        """Return the preference: the network in training, another next to it, an average; then usual places."""
        words, first = words_of(self.where), self.where.split(".")[0]
        usual = 0 if not first or first in _USUAL else 1
        return (2 if self.averaged(tree, found) else 1 if words & _BESIDE else 0), usual


class _Wanted:
    """The weights that a network has."""

    def __init__(self, network: nn.Module) -> None:
        state = network.state_dict()
        self.tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        others = {name: value for name, value in state.items() if not isinstance(value, Tensor) and value is not None}
        self.odd = [name for name in others if not name.endswith(_EXTRA)]  # such as packed weights of quantised layers
        self.names = [*self.tensors, *(name for name in others if name.endswith(_EXTRA))]
        self.free = {
            name for name in self.tensors if name.endswith("num_batches_tracked")
        }  # counts, which old files do not have
        self.twins = _tied(self.tensors)

    def fits(self, found: Mapping[str, Any], wrappers: Sequence[str]) -> Iterator[_Fit]:
        """Yield one fit per prefix on disk under which the network's longest name is found."""
        own = {name: _stripped(name, wrappers) for name in self.names}
        if not own or len(set(own.values())) < len(own):
            return
        probes = [own[name] for name in self.tensors if name not in self.twins and name not in self.free]
        disk = _by_stripped(found, wrappers)
        for core in dict.fromkeys(["", _common([*own.values()])]):  # the network may be wrapped, too
            probe = max(probes or own.values(), key=len)[len(core) :]
            names = {key: text[len(core) :] for key, text in own.items()}
            for before in [name.removesuffix(probe) for name in disk if f".{name}".endswith(f".{probe}")]:
                if words_of(before) & _OTHER or "exp_avg" in before:
                    continue
                fit = self._fit(found, disk, before, names, wrappers)
                used = {way for way, _ in fit.by_name.values()}
                if not core or len(used) == sum(name.startswith(before) for name in disk):
                    yield fit

    def _fit(
        self,
        found: Mapping[str, Any],
        disk: Mapping[str, str],
        before: str,
        names: Mapping[str, str],
        wrappers: Sequence[str],
    ) -> _Fit:
        ways = {key: disk[before + name] for key, name in names.items() if before + name in disk}
        where = next((_where(way, before, wrappers) for way in ways.values()), before)
        for name, twins in self.twins.items():  # a file may contain only one of several tied weights
            twin = next((other for other in twins if other in ways), None)
            if name not in ways and twin is not None:
                ways[name] = ways[twin]
        by_name = {name: (way, found[way]) for name, way in ways.items()}
        missing = [name for name in names if name not in by_name and name not in self.free]
        misshapen = [name for name, (_, stored) in by_name.items() if not self._has_shape(name, stored)]
        return _Fit(by_name, where, _LEVELS.index(tuple(wrappers)), missing, misshapen)

    def _has_shape(self, name: str, stored: Any) -> bool:
        tensor = self.tensors.get(name)
        if tensor is None or is_lazy(tensor):
            return True
        return isinstance(stored, Stored) and tuple(tensor.shape) == stored.shape


def _by_stripped(found: Mapping[str, Any], wrappers: Sequence[str]) -> dict[str, str]:
    """Return the path on disk by the name without wrappers; names that become ambiguous are dropped."""
    disk: dict[str, str] = {}
    several = set()
    for way in found:
        name = _stripped(way, wrappers)
        if disk.setdefault(name, way) != way:
            several.add(name)
    return {name: way for name, way in disk.items() if name not in several}


def _where(way: str, before: str, wrappers: Sequence[str]) -> str:
    """Return the prefix on disk that becomes ``before`` without wrappers."""
    parts = way.split(".")
    heads = [".".join(parts[:count]) for count in range(len(parts))]
    return next((head for head in heads if _stripped(head, wrappers) == before.removesuffix(".")), before)


def _tied(tensors: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the names of weights that share memory, each with the others."""
    groups: dict[Any, list[str]] = {}
    for name, tensor in tensors.items():
        if not is_lazy(tensor) and tensor.numel() and tensor.layout == torch.strided:
            groups.setdefault((tensor.data_ptr(), tuple(tensor.shape)), []).append(name)
    return {name: [x for x in group if x != name] for group in groups.values() for name in group if len(group) > 1}


def _common(names: Sequence[str]) -> str:
    """Return the prefix, with its dot, that all names share."""
    split = [name.split(".")[:-1] for name in names]
    shared = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "".join(f"{part}." for part in shared)


def _refusal(tree: Any, found: Mapping[str, Any], wanted: _Wanted, fits: Sequence[_Fit], called: str) -> str:
    """Return why nothing fits, judged by the closest place."""
    best = min(fits, key=lambda fit: (len(fit.missing), len(fit.misshapen)), default=None)
    if best is not None and not best.missing:
        name = best.misshapen[0]
        return (
            f"weights must have the shapes of the network's; got `{name}` of shape "
            f"{getattr(best.by_name[name][1], 'shape', None)} instead of {tuple(wanted.tensors[name].shape)} in "
            f"{called}. Pass the network that was trained."
        )
    missing = best.missing if best is not None else [name for name in wanted.names if name not in wanted.free]
    if not missing:
        return f"`network` must have weights; got one without any, for {called}. Pass the network that was trained."
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return (
        f"the checkpoint must contain every weight of the network; got {called} without `{missing[0]}`{more}; it has "
        f"{_some(found)}{_stand_ins(tree)}. Pass the network that was trained."
    )


def _some(found: Mapping[str, Any]) -> str:
    names = [f"`{shown(name)}`" for name in list(found)[:3]]
    return ", ".join([*names, "..."] if len(found) > 3 else names) or "no tensors"


def _stand_ins(tree: Any) -> str:
    """Return the classes of objects found in place of weights; they are not read."""
    fields = fields_of(tree)
    inner = [value for part in (fields, *map(fields_of, fields.values())) for value in part.values()]
    names = list(dict.fromkeys(shown(value.name) for value in inner if isinstance(value, Stub)))
    return f", and objects that are not read ({', '.join(names[:2])})" if names else ""


def plain(value: Any, made: dict[int, Any] | None = None) -> Any:
    """Return data from disk in the form a network takes, with tensors read; shared objects are converted once.

    Parameters
    ----------
    value
        Data from disk.
    made
        What was converted before, by the memory address of its source.

    Raises
    ------
    ValueError
        If it contains an object whose class is not read.
    """
    made = {} if made is None else made
    if isinstance(value, Stub):
        raise ValueError(f"a module stores a {shown(value.name)} with its weights, which is not read")
    if id(value) not in made:
        if isinstance(value, Stored):
            made[id(value)] = value.read()
        elif isinstance(value, dict):
            made[id(value)] = {key: plain(inner, made) for key, inner in value.items()}
        elif isinstance(value, list | tuple):
            made[id(value)] = type(value)(plain(inner, made) for inner in value)
        else:
            return value
    return made[id(value)]
