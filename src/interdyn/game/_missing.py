"""NaN and infinity in the samples themselves, so that they are not taken for a fault of baseline or training."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interdyn.errors import NonFiniteError
from interdyn.game._forward import Forward

_DO = "Fill it, for example with the mean of its feature, or leave the sample out"


@dataclass(frozen=True)
class Odd:
    """The first entry of some samples that is NaN or infinite: its sample, index within it, and value."""

    sample: int
    entry: tuple[int, ...]
    value: float

    @classmethod
    def of(cls, x: Tensor) -> "Odd | None":
        """Return the first such entry of ``x``, None if there is none."""
        bad = ~torch.isfinite(x)
        if not bool(bad.any()):
            return None
        sample, *entry = (int(i) for i in bad.nonzero()[0])
        value = x[(sample, *entry)]
        return cls(sample, tuple(entry), float(value.abs() if value.is_complex() else value))

    def __str__(self) -> str:
        shown = "NaN" if self.value != self.value else f"{self.value:g}"
        return f"{shown} at entry {self.entry[0] if len(self.entry) == 1 else self.entry}"


def refuse_odd_samples(forward: Forward, inputs: tuple[Tensor, ...], sample_ids: Sequence[int], *, alone: bool) -> None:
    """Refuse samples with NaN or infinity for which the network has no finite output, before the masked passes.

    Raises
    ------
    NonFiniteError
        With the first such sample.
    """
    odd = {first.sample: first for x in inputs if (first := Odd.of(x)) is not None}
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
    found = [first for x in inputs if (first := Odd.of(x[row : row + 1])) is not None]
    return str(found[0]) if found else ""
