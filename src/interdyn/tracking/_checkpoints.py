"""Networks that a training has left on disk, in the formats people keep them in; nothing in them is executed."""

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

_TRIES = 3  # of a file that cannot be read, before it is passed over until it changes


@dataclass(frozen=True)
class SavedNetwork:
    """One network on disk.

    Attributes
    ----------
    path
        The file, or the folder that holds it.
    step
        The step that the file tells, or its name; None where neither does.
    source
        Where the step is from, as in "`global_step` in the file" or "its name".
    part
        Which weights in the file are the network's, as in "raw weights `state_dict`", if it was asked for.
    problem
        Why it cannot be measured; empty if it can.
    """

    path: Path
    step: int | None
    source: str = ""
    part: str = ""
    problem: str = ""


def find_checkpoints(folder: str | Path, network: nn.Module | None = None) -> list[SavedNetwork]:
    """Return the networks in a folder by their steps, those that cannot be measured last.

    Files ``*.safetensors``, ``*.pt``, ``*.pth``, ``*.ckpt``, ``*.bin``, ``*.th`` and ``*.tar`` (``.pth.tar``) are
    networks, and so are folders of Hugging Face (``model.safetensors``, ``pytorch_model.bin``, or an index of shards),
    of torch.distributed and FSDP (``.metadata``) and of DeepSpeed (``*model_states.pt``). Sub-folders are looked into,
    but for runs of this package; optimiser states are passed over.

    Parameters
    ----------
    folder
        The folder.
    network
        The network that was trained. If given, each file's weights are held against its names and shapes, and
        `SavedNetwork.part` and `problem` tell what came of it; it is not changed.

    Returns
    -------
    list[SavedNetwork]
        One entry for each network. The step is what the file itself tells (``global_step``, ``step``, ``iteration``,
        ``iter_num``, ``epoch``, as number or tensor), else the one number of the names that counts over the folder. Of
        two networks of one step the one of raw weights counts, before an average, then the first by name.

    Raises
    ------
    CheckpointError
        If there is no such folder.
    """
    return SavedFolder(folder, network).look()


class SavedFolder:
    """The networks in a folder that a training still writes to: what was read of one is kept until it changes."""

    def __init__(self, folder: str | Path, network: nn.Module | None = None) -> None:
        self._top, self._network = Path(folder), network
        self._heads: dict[Path, _Head] = {}

    def look(self, *, settled: bool = True) -> list[SavedNetwork]:
        """Return what is there now, as `find_checkpoints`; ``settled`` tells that no more will come."""
        if not self._top.is_dir():
            raise CheckpointError(
                f"a folder of checkpoints was needed; got {self._top}: no such folder. Name the one to watch."
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
        """Keep in mind that a network could not be measured, until it changes on disk."""
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
                f"a checkpoint must tell its step; got {path.name}, which does not: {step}. Put it in the name: "
                "step_1200.pt"
            )
            return SavedNetwork(path, None, part=str(head.part or ""), problem=problem)
        return SavedNetwork(path, step[0], step[1], _called(head.part, path))


@dataclass(frozen=True)
class _Head:
    """What was read of a network on disk before its weights are."""

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
    """Return what changes when a network on disk does."""
    found = []
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        try:
            status = file.stat()
        except OSError:  # gone meanwhile, or a link to nothing
            continue
        found.append((file.name, status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)


def _by_step(one: SavedNetwork) -> tuple[Any, ...]:
    averaged = is_averaged(one.path.stem) or one.part.startswith("averaged")
    return one.step is None, one.step or 0, averaged, str(one.path)


def _told_once(found: list[SavedNetwork]) -> list[SavedNetwork]:
    """Return the networks, those of a step that another before them has without it."""
    first: dict[int, SavedNetwork] = {}
    out = []
    for one in found:
        if one.step is None or first.setdefault(one.step, one) is one:
            out.append(one)
            continue
        other = first[one.step].path
        name = other.name if other.name != one.path.name else f"{other.parent.name}/{other.name}"
        problem = (
            f"a step is measured once; got {one.path.name} of step {one.step}, which is that of {name}. Watch another "
            "folder for it."
        )
        out.append(replace(one, step=None, problem=problem))
    return sorted(out, key=lambda one: one.step is None)


def load_network(path: str | Path, network: nn.Module) -> int | None:
    """Put the weights on disk into ``network`` and return the step that the file itself tells, if it does.

    Weights may lie anywhere in the file (``state_dict``, ``model``, a module saved as a whole), with any prefix before
    their names; what ``torch.compile``, DistributedDataParallel, FSDP and activation checkpointing put into names is
    left out on both sides. Every parameter and buffer of the network must be among them. Weights of the training are
    taken before an exponential average beside them. Of the file only these are read into memory, once, and nothing in
    it is executed.

    Parameters
    ----------
    path
        The file, or the folder that holds it; see `find_checkpoints`.
    network
        The network that was trained. It is changed only if all of its weights are there.

    Raises
    ------
    CheckpointError
        If it cannot be read, is damaged, or does not fit the network.
    InputError
        If ``network`` is not a module.

    Warns
    -----
    InputWarning
        If the weights are averaged, as there are no others in the file.
    """
    told, part = load_part(Path(path), network)
    if part.averaged:
        message = f"{Path(path).name} holds no weights of the training itself; its {part} are taken."
        warnings.warn(message, InputWarning, stacklevel=2)
    return next(iter(told.values()), None)


def load_part(path: Path, network: nn.Module) -> tuple[dict[str, int], Part]:
    """Put the weights of a place into ``network``; return the steps it tells, and which part of it that was."""
    if not isinstance(network, nn.Module):
        raise InputError(
            f"`network` must be a torch.nn.Module, into which weights are loaded; got {type(network).__name__}."
        )
    with in_words(path):
        path.stat()
        before = _stamp(path)
        tree = read_network(path)
        part = fitted(tree, network, called=path.name)
        own = network.state_dict()
        weights = {name: plain(value) for name, value in part.weights.items()}
        for name, value in weights.items():
            if isinstance(own[name], Tensor) and not torch.can_cast(value.dtype, own[name].dtype):
                raise ValueError(f"`{name}` holds {value.dtype}, which is no {own[name].dtype}".replace("torch.", ""))
        if _stamp(path) != before:
            raise ValueError("it was written to meanwhile")
        state = type(own)(weights)
        if hasattr(own, "_metadata"):
            state._metadata = own._metadata  # type: ignore[attr-defined]  # the names are those of this version
        network.load_state_dict(state, strict=False)  # of which none is missing but counts of batches
        return steps_told(tree), part


def weights_of(network: Any) -> dict[str, np.ndarray]:
    """Return a copy of the parameters and buffers of a network by name; bfloat16, which NumPy lacks, as float32."""
    state = network.state_dict() if isinstance(network, nn.Module) else {}
    return {
        name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().cpu().numpy().copy()
        for name, tensor in state.items()
    }


def load_weights(network: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Put weights that a run keeps (`interdyn.store.read_checkpoint`) into ``network``, which stays where it is."""
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
