"""One array world inside (torch), the caller's own at the door."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from interdyn.errors import InputError

Array = TypeVar("Array", np.ndarray, Tensor)
Record = TypeVar("Record")


def as_tensor(array: np.ndarray | Tensor, name: str = "v", *, dtype: torch.dtype | None = None) -> Tensor:
    """Return ``array`` as a floating-point tensor, without a copy where none is needed.

    Integers and Booleans become float64; a floating-point array keeps its type unless ``dtype`` says otherwise.

    Raises
    ------
    InputError
        If ``array`` is complex or not numeric.
    """
    if isinstance(array, Tensor):
        out = array.detach()
    else:
        array = np.asarray(array)
        if array.dtype.kind not in "fiub":
            raise InputError(
                f"`{name}` must be a real numeric array or tensor; got dtype {array.dtype}. "
                "Pass numbers, for example `np.asarray(values, dtype=float)`."
            )
        # torch shares the memory of a writable, positively strided array; anything else is copied
        out = torch.from_numpy(array if array.flags.writeable and min(array.strides, default=0) >= 0 else array.copy())
    if out.is_complex():
        raise InputError(f"`{name}` must be real; got {out.dtype}. Pass the real part or the magnitude.")
    if not out.is_floating_point():
        out = out.to(torch.float64)
    return out if dtype is None else out.to(dtype)


def like(tensor: Tensor, model: Array) -> Array:
    """Return ``tensor`` as the kind of array that ``model`` is (tensor or NumPy array)."""
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
