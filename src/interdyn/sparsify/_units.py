"""Tables in units of their range: shifted by ``v({})`` and scaled, so that a split depends on neither.

The scale is a power of two, which makes scaling exact: tables that differ by a power of two are split to the same bits.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

WIDE = 4.0
"""A bound, in units, that no table exceeds."""

_FURTHEST = 1000  # exponent up to which a factor is a number of its own


def _exponent(x: Tensor) -> Tensor:
    """Return the exponent ``e`` of each row with ``max|x| <= 2**e``, shape ``(batch, 1)``; 0 for rows of zeros."""
    least, most = torch.aminmax(x, dim=-1, keepdim=True)
    return torch.frexp(torch.maximum(most, -least)).exponent.clamp(-_FURTHEST, _FURTHEST)


@dataclass(frozen=True)
class Units:
    """How tables were shifted and scaled: ``v = base + scale * table``.

    Attributes
    ----------
    table
        Shape ``(batch, 2**n)``: 0 at the empty set, of absolute value at most 1 and at least 1/2 somewhere.
    base
        ``v({})``, shape ``(batch,)``.
    exponents
        The scale is 2 to the sum of both; two, because one may be out of the range of numbers. Shape ``(batch, 2)``.
    """

    table: Float[Tensor, "batch subsets"]
    base: Float[Tensor, " batch"]
    exponents: Tensor

    @classmethod
    def of(cls, v: Float[Tensor, "batch subsets"]) -> "Units":
        """Return tables in units of their range."""
        if not v.numel():
            return cls(v, v.new_zeros(len(v)), torch.zeros(len(v), 2, dtype=torch.int32, device=v.device))
        size = _exponent(v)
        table = torch.ldexp(v, -size)
        table -= table[:, :1].clone()
        spread = _exponent(table)
        return cls(table.ldexp_(-spread), v[:, 0], torch.cat([size, spread], dim=1))

    def absolute_(self, x: Tensor) -> Tensor:
        """Multiply ``x``, of shape ``(..., batch, subsets)`` or ``(batch,)``, by the scale in place; return it."""
        first, second = self.exponents.movedim(1, 0)[(..., None) if x.ndim > 1 else ...]
        return x.ldexp_(second).ldexp_(first)

    def relative(self, x: Tensor) -> Tensor:
        """Return ``x / scale`` for ``x`` of such a shape."""
        first, second = self.exponents.movedim(1, 0)[(..., None) if x.ndim > 1 else ...]
        return torch.ldexp(torch.ldexp(x, -first), -second)
