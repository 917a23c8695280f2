"""Networks that a training has saved, in the usual formats; nothing in the files is executed."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interdyn.errors import CheckpointError, InputError, InputWarning
from interdyn.tracking._fitting import Part, fitted, is_averaged, plain
from interdyn.tracking._steps import mapped, steps_told
from interdyn.tracking._weight_files import in_words
from interdyn.tracking._weight_folders import networks_in, read_network

_TRIES = 3  # for a file that cannot be read, before it is skipped until it changes


@dataclass(frozen=True)
class SavedNetwork:
    """One saved network.

    Attributes
    ----------
    path
        The file, or the folder that contains it.
    step
        The step stated in the file, or in its name; None if neither states one.
    source
        Where the step comes from, such as "`global_step` in the file" or "its name".
    part
        Which weights in the file are the network's, such as "raw weights `state_dict`", if that was requested.
    problem
        Why it cannot be measured; empty if it can.
    """

    path: Path
    step: int | None
    source: str = ""
    part: str = ""
    problem: str = ""


def find_checkpoints(folder: str | Path, network: nn.Module | None = None) -> list[SavedNetwork]:
    """Return the networks in a folder, ordered by step; those that cannot be measured come last.

    Networks are files ``*.safetensors``, ``*.pt``, ``*.pth``, ``*.ckpt``, ``*.bin``, ``*.th`` and ``*.tar``
    (``.pth.tar``), and folders of Hugging Face (``model.safetensors``, ``pytorch_model.bin``, or an index of shards),
    of torch.distributed and FSDP (``.metadata``) and of DeepSpeed (``*model_states.pt``). Sub-folders are searched,
    except runs of this package; optimiser states are skipped.

    Parameters
    ----------
    folder
        The folder.
    network
        The network that was trained. If given, each file's weights are compared with its names and shapes, and
        `SavedNetwork.part` and `problem` state the result; it is not changed.

    Returns
    -------
    list[SavedNetwork]
        One entry per network. The step is the one stated in the file (``global_step``, ``step``, ``iteration``,
        ``iter_num``, ``epoch``, as number or tensor), otherwise the one number in the names that counts up over the
        folder. Of two networks of one step, raw weights are preferred to an average, then the first by name.

    Raises
    ------
    CheckpointError
        If the folder does not exist.
    """
    return SavedFolder(folder, network).look()


class SavedFolder:
    """The networks in a folder that a training still writes to; what was read is cached until a file changes."""

    def __init__(self, folder: str | Path, network: nn.Module | None = None) -> None:
        self._top, self._network = Path(folder), network
        self._heads: dict[Path, _Head] = {}

    def look(self, *, settled: bool = True) -> list[SavedNetwork]:
        """Return what is there now, as `find_checkpoints`; ``settled`` means that no more will come."""
        if not self._top.is_dir():
            raise CheckpointError(
                f"`folder` must be a folder of checkpoints; got {self._top}, which does not "
                "exist. Pass the one to watch."
            )
        with in_words(self._top):
            there = list(networks_in(self._top))
        self._heads = {path: self._head(path, settled=settled) for path in there}
        names = {path: self._name(path) for path in there}
        sound = [path for path in there if not self._heads[path].problem]
        steps = mapped(
            {names[path]: self._heads[path].told for path in sound},
            list(dict.fromkeys(names[path] for path in sound)),
            settled=settled,
        )
        found = [self._saved(path, steps.get(names[path], "")) for path in there]
        return _told_once(sorted(found, key=_by_step))

    def failed(self, saved: SavedNetwork, problem: str) -> None:
        """Remember that a network could not be measured, until it changes on disk."""
        head = self._heads[saved.path]
        self._heads[saved.path] = replace(head, problem=problem, tries=head.tries + 1)

    def _name(self, path: Path) -> Path:
        name = path.relative_to(self._top)
        return name if name.parts else Path(self._top.resolve().name)

    def _head(self, path: Path, *, settled: bool) -> "_Head":
        known = self._heads.get(path)
        try:
            with in_words(path):
                stamp = _stamp(path)
        except CheckpointError as error:
            return _Head((), problem=str(error), tries=_TRIES if settled else 0)
        if known and known.stamp == stamp and (not known.problem or known.tries >= _TRIES):
            return known
        tries = known.tries if known and known.stamp == stamp else 0
        try:
            told, part = _head_of(path, self._network)
        except CheckpointError as error:
            return _Head(stamp, problem=str(error), tries=_TRIES if settled else tries + 1)
        return _Head(stamp, told, part, tries=tries)

    def _saved(self, path: Path, step: tuple[int, str] | str) -> SavedNetwork:
        head = self._heads[path]
        if head.problem:
            return SavedNetwork(path, None, problem=head.problem if head.tries >= _TRIES else "")
        if isinstance(step, str):
            problem = (
                f"a checkpoint must state its step; got {path.name}, which does not: {step}. Put it in the name: "
                "step_1200.pt"
            )
            return SavedNetwork(path, None, part=str(head.part or ""), problem=problem)
        return SavedNetwork(path, step[0], step[1], _called(head.part, path))


@dataclass(frozen=True)
class _Head:
    """What was read of a saved network before its weights."""

    stamp: Any
    told: Mapping[str, int] = field(default_factory=dict)
    part: Part | None = None
    problem: str = ""
    tries: int = 0


def _head_of(path: Path, network: nn.Module | None) -> tuple[dict[str, int], Part | None]:
    with in_words(path):
        tree = read_network(path)
        part = None if network is None else fitted(tree, network, called=path.name)
        return steps_told(tree), None if part is None else replace(part, weights={})


def _called(part: Part | None, path: Path) -> str:
    if part is not None and not part.averaged and is_averaged(path.stem):
        part = replace(part, averaged=True)
    return "" if part is None else str(part)


def _stamp(path: Path) -> tuple[Any, ...]:
    """Return a value that changes when a saved network does."""
    found = []
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        try:
            status = file.stat()
        except OSError:  # removed meanwhile, or a broken link
            continue
        found.append((file.name, status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)


def _by_step(one: SavedNetwork) -> tuple[Any, ...]:
    averaged = is_averaged(one.path.stem) or one.part.startswith("averaged")
    return one.step is None, one.step or 0, averaged, str(one.path)


def _told_once(found: list[SavedNetwork]) -> list[SavedNetwork]:
    """Return the networks; of several with one step, all but the first become networks without a step."""
    first: dict[int, SavedNetwork] = {}
    out = []
    for one in found:
        if one.step is None or first.setdefault(one.step, one) is one:
            out.append(one)
            continue
        other = first[one.step].path
        name = other.name if other.name != one.path.name else f"{other.parent.name}/{other.name}"
        problem = (
            f"each step is measured once; got {one.path.name} of step {one.step}, which is also that of {name}. "
            "Use another folder for it."
        )
        out.append(replace(one, step=None, problem=problem))
    return sorted(out, key=lambda one: one.step is None)


def load_network(path: str | Path, network: nn.Module) -> int | None:
    """Load saved weights into ``network`` and return the step stated in the file, if any.

    Weights may be anywhere in the file (``state_dict``, ``model``, a pickled module), with any prefix before their
    names; what ``torch.compile``, DistributedDataParallel, FSDP and activation checkpointing add to names is ignored on
    both sides. Every parameter and buffer of the network must be among them. Weights of the training are preferred to
    an exponential average next to them. Only these weights are read into memory, once, and nothing in the file is
    executed.

    Parameters
    ----------
    path
        The file, or the folder that contains it; see `find_checkpoints`.
    network
        The network that was trained. It is changed only if all of its weights are found.

    Raises
    ------
    CheckpointError
        If it cannot be read, is damaged, or does not fit the network.
    InputError
        If ``network`` is not a module.

    Warns
    -----
    InputWarning
        If the file contains averaged weights only.
    """
    told, part = load_part(Path(path), network)
    if part.averaged:
        message = f"{Path(path).name} contains no raw weights of the training; its {part} are used."
        warnings.warn(message, InputWarning, stacklevel=2)
    return next(iter(told.values()), None)


def load_part(path: Path, network: nn.Module) -> tuple[dict[str, int], Part]:
    """Load the weights of a file or folder into ``network``; return the step stated there, and the part used."""
    if not isinstance(network, nn.Module):
        raise InputError(f"`network` must be a torch.nn.Module, to load weights into; got {type(network).__name__}.")
    with in_words(path):
        path.stat()
        before = _stamp(path)
        tree = read_network(path)
        part = fitted(tree, network, called=path.name)
        own = network.state_dict()
        weights = {name: plain(value) for name, value in part.weights.items()}
        for name, value in weights.items():
            if isinstance(own[name], Tensor) and not torch.can_cast(value.dtype, own[name].dtype):
                raise ValueError(f"`{name}` has type {value.dtype}, not {own[name].dtype}".replace("torch.", ""))
        if _stamp(path) != before:
            raise ValueError("it was written to meanwhile")
        state = type(own)(weights)
        if hasattr(own, "_metadata"):
            state._metadata = own._metadata  # type: ignore[attr-defined]  # the names are those of this version
        network.load_state_dict(state, strict=False)  # nothing is missing except counts of batches
        return steps_told(tree), part


def weights_of(network: Any) -> dict[str, np.ndarray]:
    """Return a copy of the parameters and buffers by name; bfloat16, which NumPy does not have, as float32."""
    state = network.state_dict() if isinstance(network, nn.Module) else {}
    return {
        name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().cpu().numpy().copy()
        for name, tensor in state.items()
    }


def load_weights(network: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Load weights that a run keeps (`interdyn.store.read_checkpoint`) into ``network``, on its device."""
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
