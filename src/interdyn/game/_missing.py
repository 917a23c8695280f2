"""NaN and infinity in the samples themselves, so that they are not taken for a fault of baseline or training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interdyn.errors import InputError, NonFiniteError
from interdyn.game._forward import Forward
from interdyn.game._masking import by_entry, feature_ids
from interdyn.game._players import ALWAYS_MASKED, Players
from interdyn.game._samples import Samples, tensor_of

_DO = "Fill it, for example with the mean of its feature, or leave the sample out"


@dataclass(frozen=True)
class Odd:
    """The first entry of some samples that is not a finite number: its sample, index within it, and value."""

    sample: int
    entry: tuple[int, ...]
    value: float

    @classmethod
    def of(cls, x: Tensor, bad: Tensor) -> "Odd | None":
        """Return the first entry of ``x`` where ``bad`` holds, None if there is none."""
        if not bool(bad.any()):
            return None
        sample, *entry = (int(i) for i in bad.nonzero()[0])
        value = x[(sample, *entry)]
        return cls(sample, tuple(entry), float(value.abs() if value.is_complex() else value))

    def __str__(self) -> str:
        shown = "NaN" if self.value != self.value else f"{self.value:g}"
        return f"{shown} at entry {self.entry[0] if len(self.entry) == 1 else self.entry}"


def refuse_missing(
    samples: Samples,
    players: Players | None,
    feature_mask: Any,
    baselines: Any,
    *,
    sample_ids: Sequence[int],
    layer: str | None,
    name: str,
) -> None:
    """Refuse samples of a tracker that contain NaN, before there is a network.

    NaN is accepted where it is not read, in features that are always masked and outside the attention mask of a batch,
    and with a baseline that is NaN itself: the network is then one that reads NaN as missing.

    Raises
    ------
    InputError
        With the first sample that contains NaN.
    """
    found = [torch.isnan(x) if _real(x) else torch.zeros((), dtype=torch.bool) for x in samples.inputs]
    if not any(bool(odd.any()) for odd in found) or _has_nan(baselines):
        return
    by_name = dict(zip(samples.keywords, range(len(found)), strict=False))
    attention = samples.inputs[by_name["attention_mask"]] if "attention_mask" in by_name else None
    if layer is None:
        keys = feature_mask if isinstance(feature_mask, Mapping) else ()
        names = tuple(key for key in by_name if key in keys) or samples.keywords[:1]
        cut = [by_name[key] for key in names] or range(len(found))
        maps = tuple(samples.inputs[i] for i in cut)
        ids, _ = feature_ids(players, by_entry(feature_mask, names), maps, sample_ids, allow_fewer=True)
        for i, of in zip(cut, ids, strict=True):
            found[i] = found[i] & (of != ALWAYS_MASKED)
    for x, odd in zip(samples.inputs, found, strict=True):
        read = odd
        if attention is not None and odd.ndim > 1 and odd.shape[:2] == attention.shape:
            read = odd & (attention != 0).reshape(*attention.shape, *(1,) * (odd.ndim - 2))
        if (first := Odd.of(x, read)) is not None:
            raise InputError(
                f"a probe must have a number in every feature; sample {first.sample} of {name!r} contains {first}. "
                f"{_DO}; for a network that reads NaN as missing, pass baselines=float('nan')."
            )


def refuse_odd_samples(forward: Forward, inputs: tuple[Tensor, ...], sample_ids: Sequence[int], *, alone: bool) -> None:
    """Refuse samples with NaN or infinity for which the network has no finite output, before the masked passes.

    Raises
    ------
    NonFiniteError
        With the first such sample.
    """
    odd = {first.sample: first for x in inputs if (first := _first(x)) is not None}
    if not odd:
        return
    first = odd[min(odd)]
    rows = torch.tensor([first.sample] * (1 if alone else 2), device=inputs[0].device)
    if not bool(torch.isfinite(forward([x[rows] for x in inputs], rows)).all()):
        raise NonFiniteError(
            f"every sample must give a finite output; sample {sample_ids[first.sample]} contains {first}, and the "
            f"model returns no finite number for it. {_DO}."
        )


def odd_in(inputs: tuple[Tensor, ...], row: int) -> str:
    """Return the first NaN or infinity of one sample as text; empty if there is none.

    Examples
    --------
    >>> odd_in((torch.tensor([[0.0, 1.0], [2.0, float("nan")]]),), 1)
    'NaN at entry 1'
    """
    found = [first for x in inputs if (first := _first(x[row : row + 1])) is not None]
    return str(found[0]) if found else ""


def _first(x: Tensor) -> Odd | None:
    return Odd.of(x, ~torch.isfinite(x)) if _real(x) else None


def _real(x: Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def _has_nan(baselines: Any) -> bool:
    if isinstance(baselines, tuple):
        return any(map(_has_nan, baselines))
    if isinstance(baselines, Mapping):
        return any(map(_has_nan, baselines.values()))
    if baselines is None or isinstance(baselines, str):
        return False
    given = tensor_of(baselines, "baselines")
    return _real(given) and bool(torch.isnan(given).any())
