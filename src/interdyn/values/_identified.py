"""What sparsity alone leaves open: ranges that are certified from both sides."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from interdyn._numbers import percent
from interdyn._typing import KINDS
from interdyn.errors import InputError
from interdyn.values._subsets import members


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value of a quantity, certified: no explanation within the factor lies outside.

    Attributes
    ----------
    low, high
        Certified ends, tensors of one shape.
    low_reached, high_reached
        The most extreme values found among explanations, within ``low`` and ``high``: the true ends lie between the
        two.
    """

    low: Float[Tensor, "*shape"]
    high: Float[Tensor, "*shape"]
    low_reached: Float[Tensor, "*shape"]
    high_reached: Float[Tensor, "*shape"]

    def __getitem__(self, key: int | slice | Tensor) -> "Range":
        return Range(self.low[key], self.high[key], self.low_reached[key], self.high_reached[key])


@dataclass(frozen=True, repr=False)
class Identified:
    """What all explanations share whose unweighted L1 norm is close to the smallest one.

    Attributes
    ----------
    mean_order
        Range of the mean order, all interactions counted, shape ``(*batch,)``.
    strength
        Range of the strength ``sum_{|S| = k} |i_and| + |i_or|`` of the orders ``1..n``, shape ``(*batch, n)``.
    interactions
        Range of the strongest interactions of the reported explanation, shape ``(*batch, strongest)``; those of a
        single player are the sum of both kinds.
    kinds, subsets
        Which interactions these are: 0 for AND and 1 for OR, and the subset; shape ``(*batch, strongest)``.
    factor
        L1 norm up to which explanations are included, divided by the smallest one, shape ``(*batch,)``.
    unit
        Unit of strengths and interactions.
    """

    mean_order: Range
    strength: Range
    interactions: Range
    kinds: Int[Tensor, "*batch strongest"]
    subsets: Int[Tensor, "*batch strongest"]
    factor: Float[Tensor, "*batch"]
    unit: str = ""

    def __getitem__(self, key: int | slice | Tensor) -> "Identified":
        """Return the sample(s) ``key`` of the first batch axis."""
        if not self.factor.ndim:
            raise InputError(f"these are the ranges of one table, with no samples to choose from; got index {key!r}.")
        ranges = (self.mean_order[key], self.strength[key], self.interactions[key])
        return Identified(*ranges, self.kinds[key], self.subsets[key], self.factor[key], self.unit)

    def spread(self, rows: Int[Tensor, " here"], count: int) -> "Identified":
        """Return these samples as ``rows`` of ``count`` samples; entries of the others are NaN, indices -1."""

        def wide(x: Tensor, missing: float) -> Tensor:
            return x.new_full((count, *x.shape[1:]), missing).index_copy(0, rows, x)

        def wide_range(r: Range) -> Range:
            return Range(*(wide(side, float("nan")) for side in (r.low, r.high, r.low_reached, r.high_reached)))

        ranges = (wide_range(self.mean_order), wide_range(self.strength), wide_range(self.interactions))
        factor = wide(self.factor, float("nan"))
        return Identified(*ranges, wide(self.kinds, -1), wide(self.subsets, -1), factor, self.unit)

    def __len__(self) -> int:
        if not self.factor.ndim:
            raise TypeError("the ranges of one table have no length; they have no sample axis")
        return len(self.factor)

    def __repr__(self) -> str:
        if self.factor.ndim:
            spread = (self.mean_order.high - self.mean_order.low).amax() if self.factor.numel() else 0.0
            return f"Identified(batch={tuple(self.factor.shape)}, mean order known to {float(spread):.2g} or better)"
        lines = [
            f"mean order {float(self.mean_order.low):.3f} to {float(self.mean_order.high):.3f}, for all explanations "
            f"within {percent(float(self.factor) - 1)} of the smallest L1 norm"
        ]
        rows = zip(self.kinds.tolist(), self.subsets.tolist(), strict=True)
        for i, (kind, subset) in enumerate(rows):
            low, high = float(self.interactions.low[i]), float(self.interactions.high[i])
            players = " ".join(map(str, members(subset)))
            lines.append(f"{low:+10.4g} to {high:+10.4g}  {KINDS[kind].upper():>3}  {players}")
        return "\n".join(lines)
