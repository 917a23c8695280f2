"""Networks that a training has left on disk, in the formats people keep them in; nothing in them is executed."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from interdyn.errors import CheckpointError

_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
_WHOLE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")  # of a folder that is one network
_NOT_WEIGHTS = ("optimizer", "optimiser", "scheduler", "scaler", "rng_state", "random_states", "training_args")
_INSIDE = ("state_dict", "model_state_dict", "model", "network", "net", "weights", "module")
_NAMED = (r"(?:global_?step|step|checkpoint|iter(?:ation)?|batch)[=_\-]?(\d+)", r"epoch[=_\-]?(\d+)", r"(\d+)(?!.*\d)")


@dataclass(frozen=True)
class SavedNetwork:
    """One network on disk.

    Attributes
    ----------
    path
        The file, or the folder that holds it.
    step
        The step its name tells; None where it tells none.
    """

    path: Path
    step: int | None


def find_checkpoints(folder: str | Path) -> list[SavedNetwork]:
    """Return the networks in a folder, those without a step last.

    Files ``*.safetensors``, ``*.pt``, ``*.pth``, ``*.ckpt`` and ``*.bin`` are networks, and so are folders that hold a
    ``model.safetensors``, its index, or a ``pytorch_model.bin``; sub-folders are looked into, but for runs of this
    package; optimiser states are passed over. The step is the number after ``step``, ``checkpoint`` or ``iter`` in a
    name, else after ``epoch``, else the last number in it.

    Raises
    ------
    CheckpointError
        If there is no such folder.
    """
    top = Path(folder)
    if not top.is_dir():
        raise CheckpointError(f"a folder of checkpoints was needed; got {top}: no such folder. Name the one to watch.")
    found = [SavedNetwork(path, step_in_name(path.relative_to(top))) for path in _networks(top)]
    return sorted(found, key=lambda one: (one.step is None, one.step or 0, str(one.path)))


def _networks(folder: Path) -> Iterator[Path]:
    whole = [name for name in _WHOLE if (folder / name).exists()]
    if whole:
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if not (path / "run.json").is_file():  # what a tracker keeps is no network
                yield from _networks(path)
        elif path.suffix in _FILES and not path.stem.startswith((".", *_NOT_WEIGHTS)):
            yield path


def step_in_name(path: Path) -> int | None:
    """Return the step that a name tells, the innermost part of a path first.

    Examples
    --------
    >>> [step_in_name(Path(name)) for name in ("epoch=3-step=120.ckpt", "checkpoint-500", "net_07.pt", "last.ckpt")]
    [120, 500, 7, None]
    """
    for part in reversed(path.parts):
        name = part.removesuffix(path.suffix) if part == path.name else part
        for pattern in _NAMED:
            if match := re.search(pattern, name, flags=re.IGNORECASE):
                return int(match[1])
    return None


def load_network(path: str | Path, network: nn.Module) -> int | None:
    """Put the weights on disk into ``network`` and return the step that the file itself tells, if it does.

    Weights may lie under ``state_dict``, ``model_state_dict``, ``model`` and the like, with any prefix before their
    names (``module.``, ``_orig_mod.``, ``net.``); every parameter and buffer of the network must be among them.

    Raises
    ------
    CheckpointError
        If the file cannot be read without executing what is in it, or does not fit the network.
    """
    path = Path(path)
    content = _read(path)
    weights = _fitted(_state(content), network, path)
    network.load_state_dict(weights)
    step = content.get("global_step", content.get("step"))
    if step is None and (state := path / "trainer_state.json").exists():
        step = json.loads(state.read_text(encoding="utf-8")).get("global_step")
    return step if isinstance(step, int) else None


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


def _read(path: Path) -> dict[str, Any]:
    try:
        if not path.is_dir():
            return _read_file(path)
        index = path / "model.safetensors.index.json"
        if index.exists():
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            return {key: value for name in names for key, value in load_file(path / name).items()}
        return _read_file(next(path / name for name in _WHOLE if (path / name).exists()))
    except UnpicklingError as error:
        raise CheckpointError(
            f"a checkpoint is read weights-only, so that nothing in it is executed; got {path.name}, which holds other "
            f"objects: {str(error).splitlines()[0]} Save its `state_dict()`, or convert it to safetensors."
        ) from error
    except (OSError, SafetensorError, RuntimeError, EOFError, StopIteration, ValueError, KeyError) as error:
        raise CheckpointError(
            f"a whole checkpoint was needed; got {path.name}, which cannot be read: {error}. If it is still being "
            "written, try again."
        ) from error


def _read_file(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return dict(load_file(path))
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"a checkpoint must hold weights by name; got {type(content).__name__} in {path.name}. Save `state_dict()`."
        )
    return dict(content)


def _state(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, wherever in it they lie."""
    for key in _INSIDE:
        if isinstance(inner := content.get(key), Mapping):
            return _state(inner)
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def _fitted(state: Mapping[str, Tensor], network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Return the weights under the network's own names."""
    wanted = network.state_dict()
    if not wanted:
        return {}
    first = max(wanted, key=len)  # the longest name has the fewest false endings
    prefixes = [name.removesuffix(first) for name in state if name == first or name.endswith("." + first)]
    fits = [{name: state.get(prefix + name) for name in wanted} for prefix in prefixes]
    best = max(fits, key=lambda fit: sum(value is not None for value in fit.values()), default={})
    _fill_tied(best, wanted)
    missing = [name for name in wanted if best.get(name) is None]
    if missing:
        raise CheckpointError(
            f"the checkpoint must hold every weight of the network; got {path.name} without `{missing[0]}`"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}; it has {_some(state)}. Give the network "
            "that was trained."
        )
    for name, value in best.items():
        assert value is not None
        if value.shape != wanted[name].shape:
            raise CheckpointError(
                f"weights must have the shapes of the network's; got `{name}` of shape {tuple(value.shape)} instead of "
                f"{tuple(wanted[name].shape)} in {path.name}. Give the network that was trained."
            )
    return {name: value for name, value in best.items() if value is not None}


def _fill_tied(weights: dict[str, Tensor | None], wanted: Mapping[str, Tensor]) -> None:
    """Give weights that share their memory in the network what is on disk for one of them, as safetensors keep one."""
    kept = {wanted[name].data_ptr(): value for name, value in weights.items() if value is not None}
    for name, tensor in wanted.items():
        if weights.get(name) is None and tensor.numel():
            weights[name] = kept.get(tensor.data_ptr())


def _some(state: Mapping[str, Tensor]) -> str:
    names = [f"`{name}`" for name in list(state)[:3]]
    return ", ".join([*names, "..."] if len(state) > 3 else names) or "none"
