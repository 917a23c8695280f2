"""One array world inside (torch), the caller's own at the door."""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from interdyn.errors import InputError

Array = TypeVar("Array", np.ndarray, Tensor)


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
