"""The samples that a tracker looks at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from interdyn.errors import InputError, ShapeError
from interdyn.store import content_hash


@dataclass(frozen=True)
class Probe:
    """One group of samples, the same at every look.

    Attributes
    ----------
    name
        ``"test"``, ``"train"`` or another name of letters, digits and ``_``.
    inputs
        Tensors with samples along dim 0, on the CPU or a device of their own.
    target
        Class of each sample, shape ``(samples,)``; None for a regression.
    sample_ids
        A number for each sample, which with the seed fixes the draw of its players.
    """

    name: str
    inputs: tuple[Tensor, ...]
    target: Tensor | None
    sample_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.inputs[0])

    def identity(self) -> dict[str, Any]:
        """Return numbers and a hash of the samples, by which another probe is told from this one."""
        parts = (*self.inputs, *(() if self.target is None else (self.target,)))
        content = {  # as bytes: not every type of torch is one of NumPy
            f"{i} {part.dtype} {tuple(part.shape)}": part.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            for i, part in enumerate(parts)
        }
        return {"ids": list(self.sample_ids), "sha256": content_hash(content)}

    def first(self, count: int) -> "Probe":
        """Return the first ``count`` samples."""
        if count >= len(self):
            return self
        target = None if self.target is None else self.target[:count]
        inputs = tuple(x[:count] for x in self.inputs)
        return replace(self, inputs=inputs, target=target, sample_ids=self.sample_ids[:count])


def checked_probes(probe: Any, *, sample_ids: Sequence[int] | None = None) -> tuple[Probe, ...]:
    """Return the groups of a probe ``(x, y)``, or of several, ``{"test": (x, y), "train": (x, y)}``.

    Samples that do not come in random order would make the first few a poor choice; they are taken as they come.

    Raises
    ------
    InputError, ShapeError
        If it is neither, a group is empty, targets do not fit, or all samples of a group have one class.
    """
    groups = probe if isinstance(probe, Mapping) else {"test": probe}
    if not groups:
        raise InputError("`probe` must hold samples; got an empty mapping. Pass (x, y), or {'test': (x, y)}.")
    return tuple(_checked(name, pair, sample_ids) for name, pair in groups.items())


def _checked(name: Any, pair: Any, sample_ids: Sequence[int] | None) -> Probe:
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        raise InputError(f"a group of `probe` needs a name of letters, digits and `_`; got {name!r}.")
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(
            f"`probe` must be a pair (inputs, targets); got {type(pair).__name__} for {name!r}. For a regression pass "
            "(x, None)."
        )
    x, y = pair
    inputs = tuple(x) if isinstance(x, tuple | list) else (x,)
    for tensor in inputs:
        if not isinstance(tensor, Tensor) or tensor.ndim < 1 or len(tensor) != len(inputs[0]) or not len(tensor):
            got = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ShapeError(
                f"inputs of the probe {name!r} must be tensors of the same samples, one or more; got {got}."
            )
    ids = tuple(range(len(inputs[0]))) if sample_ids is None else tuple(int(i) for i in sample_ids)
    if len(ids) != len(inputs[0]):
        raise ShapeError(f"`sample_ids` must have one number for each of {len(inputs[0])} samples; got {len(ids)}.")
    return Probe(name, tuple(t.detach().clone() for t in inputs), _targets(name, y, len(inputs[0])), ids)


def _targets(name: str, y: Any, samples: int) -> Tensor | None:
    if y is None:
        return None
    target = torch.as_tensor(y)
    if target.is_floating_point() or target.shape != (samples,):
        raise ShapeError(
            f"targets of the probe {name!r} must be whole numbers, one for each of {samples} samples; got "
            f"{target.dtype} of shape {tuple(target.shape)}. For a regression pass (x, None)."
        )
    if samples > 1 and len(torch.unique(target)) == 1:
        raise InputError(
            f"the probe {name!r} must have samples of two classes or more; got class {int(target[0])} only, whose "
            "course is not that of the network. Draw the probe at random from all classes."
        )
    return target.detach().long().cpu().clone()
