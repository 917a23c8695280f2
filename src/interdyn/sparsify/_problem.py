"""The linear program behind the split, and what proves how good a point is.

    minimise    |a|_1 + |o|_1 + cost . (a, o)
    subject to  |Z a + W o - v| <= bound   (one row for each masked input)

The dual is ``max v.y - bound.|y|`` subject to ``|K^T y - cost| <= 1``, so every ``y`` scaled to feasibility proves a
lower bound, and every repaired point an upper bound. ``cost`` is zero but for the study of ambiguity.
Source: paper.md of the project, section 2; the program is the paper's eq. (3) with its box on the noise.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.lattice import n_players_from_size
from interdyn.sparsify._operator import GramSolver, Operator, gram_solver, operator


def clip(x: Tensor, bound: Tensor) -> Tensor:
    """Return ``x`` limited to ``[-bound, bound]``."""
    return torch.maximum(torch.minimum(x, bound), -bound)


@dataclass(frozen=True)
class Problem:
    """A batch of splits of tables of one size.

    Attributes
    ----------
    v
        Value tables, shape ``(batch, 2**n)``, float64.
    bound
        Largest allowed absolute residual, shape ``(batch, 1)``.
    cost
        Linear cost of each interaction, shape ``(2, 2**n)``, of absolute value below 1.
    """

    v: Float[Tensor, "batch subsets"]
    bound: Float[Tensor, "batch 1"]
    cost: Float[Tensor, "2 subsets"]

    @property
    def operator(self) -> Operator:
        """Products with ``K`` and its transpose."""
        return operator(n_players_from_size(self.v.shape[-1]), self.v.device)

    @property
    def gram(self) -> GramSolver:
        """Products with ``(K K^T + s I)^{-1}``."""
        return gram_solver(n_players_from_size(self.v.shape[-1]), self.v.device)

    def take(self, rows: Tensor) -> "Problem":
        """Return the problem of some of the tables."""
        return Problem(self.v[rows], self.bound[rows], self.cost)

    def objective(self, x: Float[Tensor, "2 batch subsets"]) -> Float[Tensor, " batch"]:
        """Return ``|a|_1 + |o|_1 + cost . (a, o)``."""
        return (x.abs() + self.cost[:, None] * x).sum(dim=(0, 2))

    def residual(self, x: Float[Tensor, "2 batch subsets"]) -> Float[Tensor, "batch subsets"]:
        """Return ``v - Z a - W o``."""
        return self.v - self.operator.explain(x[0], x[1])

    def repaired(self, x: Float[Tensor, "2 batch subsets"]) -> Float[Tensor, "2 batch subsets"]:
        """Return ``x`` moved by the least Euclidean step that brings every residual within the bound.

        The step is ``K^T (K K^T)^{-1} e`` with ``e`` what exceeds the bound; it is refined twice, because the matrix
        has a condition number of about ``2.618^n``.
        """
        inside = self.bound * (1 - 1e-9)
        for _ in range(3):
            r = self.residual(x)
            excess = r - clip(r, inside)
            if not bool(excess.any()):
                break
            x = x + torch.stack(self.operator.adjoint(self.gram.solve(excess, 0.0)))
        return x

    def lower_bound(self, y: Float[Tensor, "batch subsets"]) -> Float[Tensor, " batch"]:
        """Return the dual value of ``y`` scaled to feasibility."""
        z = torch.stack(self.operator.adjoint(y))
        room = 1 + self.cost[:, None] * z.sign()
        worst = (z.abs() / room).amax(dim=(0, 2)).clamp_min(torch.finfo(z.dtype).tiny)
        value = (self.v * y).sum(-1) - (self.bound * y.abs()).sum(-1)
        return value / worst

    def constant_point(self) -> tuple[Tensor, Tensor]:
        """Return the best constant explanation, shape ``(2, batch, 2**n)``, and where it is feasible.

        It is the whole answer where the table varies by no more than twice the bound.
        """
        low, high = self.v.amax(-1) - self.bound[:, 0], self.v.amin(-1) + self.bound[:, 0]
        constant = torch.zeros_like(low).maximum(low).minimum(high)
        x = self.v.new_zeros(2, *self.v.shape)
        x[0, :, 0] = constant
        return x, low <= high

    def relative_gap(self, primal: Tensor, dual: Tensor) -> Tensor:
        """Return ``(primal - dual) / max(primal, 1e-12 max|v|)``, at least 0."""
        scale = torch.maximum(primal, 1e-12 * self.v.abs().amax(-1))
        return torch.where(scale > 0, (primal - dual).clamp_min(0) / scale, 0.0)
