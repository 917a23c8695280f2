"""Folders that are one network: of Hugging Face, torch.distributed, FSDP and DeepSpeed."""

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from torch import Tensor

from interdyn.tracking._pickled import fields_of, named_in
from interdyn.tracking._weight_files import Stored, is_shape, looks_saved, read_file, read_json, read_pickle, read_torch

_ENDS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".th", ".pth.tar", ".pt.tar", ".ckpt.tar")
_DOUBTFUL = (".tar",)  # extensions that other archives have, too
_NOT_WEIGHTS = (
    "optimizer", "optimiser", "scheduler", "scaler", "sampler", "rng_state", "random_states", "training_args",
    "dl_state",
)  # fmt: skip
_STEMS = ("model", "pytorch_model", "diffusion_pytorch_model")  # in a folder that is one network
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)")
_STATES = "*model_states.pt"  # of DeepSpeed


def networks_in(folder: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield the networks in a folder and its sub-folders, except runs of this package and optimiser states.

    A network is a file, or the folder that contains its files.
    """
    real = folder.resolve()
    if real in seen:  # a link to a parent folder
        return
    if (folder / ".metadata").is_file() or any(folder.glob(_STATES)):  # all of it is one network
        yield folder
        return
    try:
        paths = sorted(folder.iterdir())
        files = _files_of_one(folder)
    except FileNotFoundError:  # just removed by a training that keeps its last few
        return
    if files:
        yield folder
    for path in paths:
        if path.name.startswith((".", *_NOT_WEIGHTS)) or path.name in files:
            continue
        if path.is_dir():
            if not (path / "run.json").is_file():  # a tracker's files are not networks
                yield from networks_in(path, seen | {real})
        elif path.name.endswith(_ENDS) or (path.name.endswith(_DOUBTFUL) and looks_saved(path)):
            yield path


def _files_of_one(folder: Path) -> set[str]:
    """Return the names of those files in a folder that together are one network."""
    shards = [path.name for path in _shards(folder)]
    whole = _whole(folder)
    if whole is None:
        return set(shards)
    listed: list[str] = []
    if whole.name.endswith(".json"):
        try:
            listed = [str(name) for name in _where(whole).values()]
        except (OSError, ValueError):  # reported when it is read
            listed = []
    others = [f"{stem}{ending}" for stem in _STEMS for ending in _ENDS]
    return {*shards, *listed, *others}


def _shards(folder: Path) -> list[Path]:
    """Return the shards in a folder without an index."""
    return [path for path in sorted(folder.iterdir()) if _SHARD.fullmatch(path.name) and path.name.endswith(_ENDS)]


def _whole(folder: Path) -> Path | None:
    """Return the file that makes a folder one network, in Hugging Face's order of preference."""
    names = [f"{stem}{end}" for end in (".safetensors", ".bin") for stem in _STEMS if (end, stem) != (".bin", "model")]
    for name in names:
        for path in (folder / name, folder / f"{name}.index.json"):
            if path.is_file():
                return path
    return None


def read_network(path: Path) -> Any:
    """Return the content of a saved network, as `read_file`; a folder's files are combined.

    Raises
    ------
    ValueError, OSError
        As `read_file`; also if a file that the folder refers to is missing.
    """
    if not path.is_dir():
        return read_file(path)
    if (path / ".metadata").is_file():
        return _read_distributed(path)
    if states := sorted(path.glob(_STATES)):
        return _read_deepspeed(path, states)
    whole = _whole(path)
    if whole is None:
        return _read_shards(path, _shards(path))
    tree = _read_index(whole) if whole.name.endswith(".json") else read_file(whole)
    return {**_told_beside(path), **tree} if isinstance(tree, dict) else tree


def _told_beside(folder: Path) -> dict[str, Any]:
    """Return the step that Hugging Face's trainer writes next to the weights, or in the parent folder."""
    for state in (folder / "trainer_state.json", folder.parent / "trainer_state.json"):
        if state.is_file():
            step = read_json(state).get("global_step")
            return {"global_step": step} if isinstance(step, int) else {}
    return {}


def _inside(folder: Path, name: Any) -> Path:
    """Return the file of a name listed in a folder; no name leads out of the folder."""
    text = name if isinstance(name, str) else ""
    parts = PurePosixPath(text).parts
    odd = not parts or ".." in parts or "\0" in text or "\\" in text
    if odd or PurePosixPath(text).is_absolute() or PureWindowsPath(text).anchor:
        raise ValueError(f"it names a file outside its folder, {text!r}")
    return folder / text


def _where(index: Path) -> dict[str, Any]:
    """Return the file of each weight according to a Hugging Face index."""
    where = read_json(index).get("weight_map")
    if not isinstance(where, dict) or not where or not all(isinstance(name, str) for name in where.values()):
        raise ValueError(f"{index.name} does not say where weights are")
    return where


def _read_index(index: Path) -> dict[str, Any]:
    where = _where(index)
    files = {name: _tree(_inside(index.parent, name)) for name in dict.fromkeys(where.values())}
    missing = [key for key, name in where.items() if key not in files[name]]
    if missing:
        raise ValueError(f"{where[missing[0]]} does not contain `{missing[0]}`")
    return {key: files[name][key] for key, name in where.items()}


def _tree(path: Path) -> dict[str, Any]:
    found = read_file(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} contains no weights by name")
    return found


def _read_shards(folder: Path, paths: list[Path]) -> dict[str, Any]:
    groups: dict[tuple[str, ...], list[int]] = {}
    for path in paths:
        if match := _SHARD.fullmatch(path.name):
            groups.setdefault((match[1], match[3], match[4]), []).append(int(match[2]))
    if len(groups) != 1:
        raise ValueError("it contains several networks" if groups else "it contains no weights")
    ((_, last, _), numbers) = groups.popitem()
    if len(numbers) != int(last):
        raise ValueError(f"it has {len(numbers)} of its {int(last)} files")
    return _told_beside(folder) | {key: value for path in paths for key, value in _tree(path).items()}


def _read_distributed(folder: Path) -> dict[str, Any]:
    """Read a checkpoint of torch.distributed: `.metadata` maps byte ranges of files to parts of tensors."""
    said = named_in(read_pickle(folder / ".metadata"))
    shapes, stored = named_in(said.get("state_dict_metadata")), said.get("storage_data")
    if not shapes or not isinstance(stored, dict):
        raise ValueError("its .metadata does not say where weights are")
    blocks: dict[str, list[_Block]] = {}
    for key, where in stored.items():
        index, block = fields_of(key), fields_of(where)
        if block.get("transform_descriptors"):
            raise ValueError("its files are compressed by an extension of torch.distributed")
        offset = index.get("offset") or ()
        found = _Block(_inside(folder, block.get("relative_path")), block.get("offset"), block.get("length"), offset)
        found.check()
        name = index.get("fqn")
        if not isinstance(name, str):
            raise ValueError("its .metadata is damaged")
        blocks.setdefault(name, []).append(found)
    tree: dict[str, Any] = {}
    for name, kind in shapes.items():
        shape = fields_of(kind).get("size")
        if is_shape(shape):
            tree[name] = _assembled(name, shape, blocks.get(name, []))
        elif len(blocks.get(name, [])) == 1:  # any other object, in a file of its own
            tree[name] = blocks[name][0].read()
    if (folder / "meta.pt").is_file():  # of Lightning
        tree |= named_in(read_torch(folder / "meta.pt"))
    return _told_beside(folder) | tree


@dataclass(frozen=True)
class _Block:
    """A byte range of a file that contains one part of a tensor, and the offset of that part in the tensor."""

    path: Path
    start: Any
    length: Any
    offset: tuple[int, ...]

    def check(self) -> None:
        numbers = [self.start, self.length, *(self.offset if isinstance(self.offset, tuple) else (None,))]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("its .metadata is damaged")
        if self.start + self.length > self.path.stat().st_size:
            raise ValueError(f"{self.path.name} is truncated")

    def read(self) -> Any:
        return read_torch(self.path, self.start, self.length)


def _assembled(name: str, shape: tuple[int, ...], blocks: list[_Block]) -> Stored:
    def read() -> Tensor:
        parts = []
        for block in blocks:
            part = block.read()
            if not isinstance(part, Stored):
                raise ValueError(f"`{name}` is not a plain tensor")
            parts.append((block.offset or (0,) * len(part.shape), part.read()))
        if sum(part.numel() for _, part in parts) != torch.Size(shape).numel() or not parts:
            raise ValueError(f"parts of `{name}` are missing")
        whole = torch.empty(shape, dtype=parts[0][1].dtype)
        for offset, part in parts:
            into = whole
            if len(offset) != whole.ndim or part.ndim != whole.ndim:
                raise ValueError(f"a part of `{name}` has a different shape than stated")
            for axis, (begin, size) in enumerate(zip(offset, part.shape, strict=True)):
                if begin + size > into.shape[axis]:
                    raise ValueError(f"a part of `{name}` lies outside the tensor")
                into = into.narrow(axis, begin, size)
            into.copy_(part)
        return whole

    return Stored(shape, read, tuple((block.path, block.start) for block in blocks))


def _read_deepspeed(folder: Path, states: list[Path]) -> dict[str, Any]:
    """Read a checkpoint of DeepSpeed: the model states, or, at stage 3, the weights kept by the optimiser."""
    ranks = {match[1] for path in states if (match := re.search(r"mp_rank_(\d+)", path.name))}
    if len(ranks) != 1 or any(path.name.startswith("layer_") for path in states):
        raise ValueError(
            "its network is split for tensor or pipeline parallelism; merge the parts with DeepSpeed's own tools"
        )
    tree = dict(fields_of(read_torch(states[0])))
    if states[0].name.startswith("zero_pp_rank_"):
        tree["module"] = _of_stage_3(folder, tree)
    return {key: tree[key] for key in ("module", "global_steps", "ema") if key in tree}


def _of_stage_3(folder: Path, tree: Mapping[Any, Any]) -> dict[str, Stored]:
    """Return weights of which each process kept a piece, pieces of one size one after the other."""
    shapes = tree.get("param_shapes")
    named = [item for group in (shapes if isinstance(shapes, list) else [shapes]) for item in named_in(group).items()]
    paths = sorted(folder.glob("*zero_pp_rank_*optim_states.pt"), key=_rank)
    pieces = [_flat_groups(path) for path in paths]
    if not pieces or len({len(flat) for flat in pieces}) != 1 or not all(is_shape(shape) for _, shape in named):
        raise ValueError("some processes' pieces of its weights are missing")
    ends = list(accumulate(flat.shape[0] for flat in pieces[0]))
    found, at = {}, 0
    for name, shape in named:
        size = -(-math.prod(shape) // len(paths))  # of a piece
        number = bisect_right(ends, at)
        if number == len(ends) or at + size > ends[number]:
            raise ValueError(f"some processes' pieces of `{name}` are missing")
        before = ends[number - 1] if number else 0
        found[name] = _joined(shape, [flat[number] for flat in pieces], at - before, size)
        at += size
    names = tree.get("buffer_names")
    kept = {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
    module = named_in(tree.get("module"))
    whole = {name: value for name, value in module.items() if isinstance(value, Stored) and name in kept}
    return found | whole


def _rank(path: Path) -> int:
    found = re.search(r"zero_pp_rank_(\d+)", path.name)
    return int(found[1]) if found else 0


def _flat_groups(path: Path) -> list[Stored]:
    state = fields_of(fields_of(read_torch(path)).get("optimizer_state_dict"))
    flat = state.get("fp32_flat_groups")
    if not isinstance(flat, list) or not all(isinstance(one, Stored) and len(one.shape) == 1 for one in flat):
        raise ValueError(f"{path.name} does not contain the weights of its process")
    return flat


def _joined(shape: tuple[int, ...], pieces: list[Stored], at: int, size: int) -> Stored:
    def read() -> Tensor:
        parts = [piece.read()[at : at + size] for piece in pieces]
        if any(len(part) < size for part in parts):
            raise ValueError("some processes' pieces of its weights are truncated")
        return torch.cat(parts)[: torch.Size(shape).numel()].reshape(shape)

    return Stored(shape, read, (*(piece.place for piece in pieces), at))
