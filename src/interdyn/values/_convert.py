"""Arrays are torch tensors inside, and of the caller's own kind outside."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from interdyn._arguments import native_array, told
from interdyn.errors import InputError, ShapeError
from interdyn.values._subsets import n_players_from_size

Array = TypeVar("Array", np.ndarray, Tensor)
Record = TypeVar("Record")


def as_tensor(array: np.ndarray | Tensor, name: str = "v", *, dtype: torch.dtype | None = None) -> Tensor:
    """Return ``array`` as a floating-point tensor, without a copy unless one is needed.

    Integers and Booleans become float64; a floating-point array keeps its type unless ``dtype`` says otherwise.

    Raises
    ------
    InputError, ShapeError
        If ``array`` is complex, not numeric, ragged, or has no values.
    """
    if isinstance(array, Tensor):
        out = _plain(array.detach(), name)
    else:
        array = native_array(array, name)
        out = torch.from_numpy(array if array.flags.writeable else array.copy())  # torch shares its memory
    if not out.is_floating_point():
        out = out.to(torch.float64)
    return out if dtype is None else out.to(dtype)


def _plain(tensor: Tensor, name: str) -> Tensor:
    """Return a real tensor in a layout and type that torch computes with."""
    if tensor.is_nested:
        raise ShapeError(f"`{name}` must have rows of one length; got a nested tensor. Pad it.")
    if tensor.is_complex():
        raise InputError(f"`{name}` must be real; got {tensor.dtype}. Pass the real part or the magnitude.")
    if tensor.is_meta:
        raise InputError(
            f"`{name}` must contain numbers; got a tensor on the device meta, which has none. Pass its values."
        )
    if tensor.is_quantized:
        return tensor.dequantize()
    tensor = tensor if tensor.layout is torch.strided else tensor.to_dense()
    narrow = tensor.is_floating_point() and tensor.dtype.itemsize < 2  # eight-bit types are for storage only
    return tensor.float() if narrow else tensor


def like(tensor: Tensor, model: Array) -> Array:
    """Return ``tensor`` as the same kind of array as ``model`` (tensor or NumPy array)."""
    if isinstance(model, Tensor):
        return tensor
    return tensor.cpu().numpy()


def tensors_of(record: Any, prefix: str = "") -> dict[str, Tensor]:
    """Return all tensors of a frozen record by name, those of records in it as ``"field.name"``."""
    out: dict[str, Tensor] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Tensor):
            out[prefix + field.name] = value
        elif is_dataclass(value):
            out |= tensors_of(value, f"{prefix}{field.name}.")
    return out


def moved(record: Record, device: torch.device | str) -> Record:
    """Return a frozen record with all its tensors, and those of records in it, on ``device``."""
    changed: dict[str, Any] = {}
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if isinstance(value, Tensor):
            changed[field.name] = value.to(device)
        elif is_dataclass(value):
            changed[field.name] = moved(value, device)
    return replace(record, **changed)  # type: ignore[type-var]


def hold(record: Any, **shapes: tuple[int, ...] | None) -> None:
    """Convert the named fields of a frozen record to tensors of these shapes; None: a table, ``(*batch, 2**n)``."""
    for name, wanted in shapes.items():
        given = getattr(record, name)
        plain = isinstance(given, Tensor) and given.layout is torch.strided and given.is_floating_point()
        tensor = given if plain else as_tensor(given, name)
        got = tuple(tensor.shape)
        if wanted is None and not got:
            raise ShapeError(f"`{name}` must have the shape (*batch, 2**n); got a single number. Pass the whole table.")
        if wanted is None:
            n_players_from_size(got[-1], name)
        elif got != wanted:
            raise ShapeError(f"`{name}` must have the shape {wanted}; got {got}. Pass what belongs to the same tables.")
        if tensor is not given:
            object.__setattr__(record, name, tensor)


def checked_key(key: Any, samples: int) -> Any:
    """Return an index of samples: an integer, a slice, or a row of numbers or of Booleans as a tensor."""
    if isinstance(key, slice):
        return key
    at = key if isinstance(key, int) else native_array(key, "index")
    if isinstance(at, np.ndarray) and at.dtype.kind not in "iub":
        raise InputError(f"samples are chosen by integers, Booleans or a slice; got {told(key)}. Pass found[0].")
    if isinstance(at, np.ndarray) and at.dtype.kind == "b":
        fits = at.shape == (samples,)
    else:
        fits = bool(((np.asarray(at) >= -samples) & (np.asarray(at) < samples)).all()) and np.ndim(at) < 2
    if not fits:
        raise InputError(f"an index must be one of the {samples} samples; got {told(key)}. The first is found[0].")
    return key if isinstance(key, int | Tensor) else torch.from_numpy(np.array(at)) if np.ndim(at) else int(at)
