"""The linear program behind the split, and what proves how good a point is.

    minimise    sum_S  high(S) max(x(S), 0) + low(S) min(x(S), 0)        x = (a, o), the constant costs nothing
    subject to  |Z a + W o - v| <= bound                                 (one row for each masked input)

The cost of an interaction has slope ``low < 0`` below 0 and ``high`` above. Weights of orders are ``high = -low =
w``; a linear cost on top shifts both. The dual is ``max v.y - bound.|y|`` subject to ``low <= K^T y <= high``, where
the free constant requires that ``y`` sums to 0. The multiplier of the empty set occurs in no other constraint and
ensures that, so every ``y`` scaled to feasibility proves a lower bound, and every repaired point an upper one. Source:
paper.md of the project, section 2, and split.md, sections 1 and 3; the program is the paper's eq. (3) with its box on
the noise.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interdyn.sparsify._operator import GramSolver, Operator, gram_solver, operator
from interdyn.sparsify._symmetry import metric
from interdyn.values import n_players_from_size, orders

FREE = 1e-200
"""Slope of the cost of the constant: nearly 0, but usable as a divisor."""

LEAST = 1e-12
"""Smallest denominator of a relative gap, in units of the table's range."""

WIDE = 4.0
"""A bound, in units of the range of its table, that no table exceeds."""

APPROACH = 10
"""Steps towards an explanation before a point is repaired."""

_FURTHEST = 1000  # exponent up to which a factor is a finite number


@lru_cache(maxsize=16)
def _metric_on(n: int, device: torch.device) -> Float[Tensor, " subsets"]:
    """Return the metric on a device, where every step needs it: it is copied to a GPU once."""
    return torch.from_numpy(metric(n)).to(device)


def clip(x: Tensor, bound: Tensor) -> Tensor:
    """Return ``x`` limited to ``[-bound, bound]``."""
    return torch.maximum(torch.minimum(x, bound), -bound)


def order_weights(n: int, order_weight: float) -> Float[Tensor, "2 subsets"]:
    """Return ``1 + order_weight (|S| - 1)`` for the AND and the OR interactions, nearly 0 for the constant."""
    one = 1 + order_weight * (torch.tensor(orders(n).tolist(), dtype=torch.float64) - 1)
    weights = torch.stack([one, one])
    weights[0, 0], weights[1, 0] = FREE, 1.0
    return weights


@dataclass(frozen=True)
class Problem:
    """A batch of splits of tables of one size.

    Attributes
    ----------
    v
        Value tables in units of their range, shape ``(batch, 2**n)``, float64, with ``v({}) = 0``.
    bound
        Largest allowed absolute residual, shape ``(batch, 1)``.
    low, high
        Slopes of the cost of each interaction below and above 0, shape ``(costs, 2, 2**n)``.
    which
        Which of the costs is that of each table, shape ``(batch,)``.
    budget
        Largest plain L1 norm of the explanations of interest, shape ``(batch,)``: lower bounds need to hold for these
        only, and gaps are relative to it. 0: for all explanations, and gaps are relative to the cost.
    """

    v: Float[Tensor, "batch subsets"]
    bound: Float[Tensor, "batch 1"]
    low: Float[Tensor, "costs 2 subsets"]
    high: Float[Tensor, "costs 2 subsets"]
    which: Int[Tensor, " batch"]
    budget: Float[Tensor, " batch"]

    @classmethod
    def weighted(
        cls, v: Float[Tensor, "batch subsets"], bound: Float[Tensor, "batch 1"], order_weight: float
    ) -> "Problem":
        """Return the problem whose cost is the order-weighted L1 norm, the same for all tables."""
        weights = order_weights(n_players_from_size(v.shape[-1]), order_weight)[None].to(v.device)
        return cls(v, bound, -weights, weights, torch.zeros(len(v), dtype=torch.int64), v.new_zeros(len(v)))

    @property
    def operator(self) -> Operator:
        """Products with ``K`` and its transpose."""
        return operator(n_players_from_size(self.v.shape[-1]), self.v.device)

    @property
    def gram(self) -> GramSolver:
        """Products with ``(K K^T + s I)^{-1}``."""
        return gram_solver(n_players_from_size(self.v.shape[-1]), self.v.device)

    @property
    def metric(self) -> Float[Tensor, " subsets"]:
        """The relative step size of each interaction: ``D``."""
        return _metric_on(n_players_from_size(self.v.shape[-1]), self.v.device)

    @property
    def slopes(self) -> tuple[Float[Tensor, "2 rows subsets"], Float[Tensor, "2 rows subsets"]]:
        """The slopes for each table, or one row where all have the same."""
        if len(self.low) == 1:
            return self.low.movedim(0, 1), self.high.movedim(0, 1)
        return self.low[self.which].movedim(0, 1), self.high[self.which].movedim(0, 1)

    @property
    def thresholds(self) -> tuple[Float[Tensor, "2 rows subsets"], Float[Tensor, "2 rows subsets"]]:
        """The slopes in the metric: the solver's thresholds, divided by its step."""
        low, high = self.slopes
        return low * self.metric, high * self.metric

    @property
    def least(self) -> Float[Tensor, " batch"]:
        """Smallest denominator of the relative gap of each table."""
        return torch.where(self.budget > 0, self.budget, LEAST)

    def take(self, rows: Tensor) -> "Problem":
        """Return the problem of some of the tables."""
        kept = (self.v[rows], self.bound[rows], self.low, self.high, self.which[rows.cpu()], self.budget[rows])
        return Problem(*kept)

    def objective(self, x: Float[Tensor, "2 batch subsets"]) -> Float[Tensor, " batch"]:
        """Return the cost of the interactions."""
        low, high = self.slopes
        return torch.maximum(low * x, high * x).sum(dim=(0, 2))

    def residual(self, x: Float[Tensor, "2 batch subsets"]) -> Float[Tensor, "batch subsets"]:
        """Return ``v - Z a - W o``."""
        return self.v - self.operator.explain(x[0], x[1])

    def step(self, y: Float[Tensor, "batch subsets"]) -> Float[Tensor, "2 batch subsets"]:
        """Return ``D K^T y``, the move of the interactions for the multipliers ``y``."""
        return torch.stack(self.operator.adjoint(y)) * self.metric

    def approached(
        self, x: Float[Tensor, "2 batch subsets"], s: Float[Tensor, "batch 1"]
    ) -> Float[Tensor, "2 batch subsets"]:
        """Return ``x`` moved towards the nearest explanation, in the metric, by `APPROACH` steps of ADMM.

        The error of a point is small, but spread over many masks, and representing it exactly is expensive; residuals
        with room within their bound allow a smoother, cheaper correction. ``s`` weighs both against each other.
        """
        inside = self.bound * (1 - 1e-9)
        before = self.residual(x)
        d, shift = clip(before, inside), torch.zeros_like(before)
        for _ in range(APPROACH):
            y = self.gram.solve(before - d - shift, s)
            r = d + shift + s * y
            d = clip(r - shift, inside)
            shift = shift + d - r
        return x + self.step(y)

    def repaired(self, x: Float[Tensor, "2 batch subsets"]) -> Float[Tensor, "2 batch subsets"]:
        """Return ``x`` moved by the smallest step, in the metric, that brings every residual within the bound.

        The step is ``D K^T (K D K^T)^{-1} e`` with ``e`` what exceeds the bound; it is refined twice, because the
        condition number of the matrix grows threefold with each player.
        """
        inside = self.bound * (1 - 1e-9)
        for _ in range(3):
            r = self.residual(x)
            excess = r - clip(r, inside)
            if not bool(excess.any()):
                break
            x = x + self.step(self.gram.solve(excess, 0.0))
        return x

    def lower_bound(self, y: Float[Tensor, "batch subsets"]) -> Float[Tensor, " batch"]:
        """Return a lower bound of the cost, from any ``y``.

        Without a budget it is the dual value of ``y`` scaled to feasibility. Within a budget ``B``, widening the slopes
        by the infeasibility of ``y`` raises the cost of an explanation by at most ``B`` times as much, for slopes of
        any sign.
        """
        y = torch.cat([-y[:, 1:].sum(-1, keepdim=True), y[:, 1:]], dim=-1)
        z = torch.stack(self.operator.adjoint(y))
        z[0, :, 0] = 0.0
        low, high = self.slopes
        value = (self.v * y).sum(-1) - (self.bound * y.abs()).sum(-1)
        worst = torch.maximum(z / high, z / low).amax(dim=(0, 2)).clamp_min(torch.finfo(z.dtype).tiny)
        lacking = torch.maximum(z - high, low - z).amax(dim=(0, 2)).clamp_min(0.0)
        return torch.where(self.budget > 0, value - lacking * self.budget, value / worst)

    def constant_point(self) -> tuple[Tensor, Tensor]:
        """Return the constant explanation nearest to ``v({})``, shape ``(2, batch, 2**n)``, and where it is feasible.

        It is the complete answer if the table varies by no more than twice the bound.
        """
        low, high = self.v.amax(-1) - self.bound[:, 0], self.v.amin(-1) + self.bound[:, 0]
        constant = torch.zeros_like(low).maximum(low).minimum(high)
        x = self.v.new_zeros(2, *self.v.shape)
        x[0, :, 0] = constant
        return x, low <= high

    def relative_gap(self, primal: Tensor, dual: Tensor) -> Tensor:
        """Return ``(primal - dual) / max(primal, least)``; negative where the bound does not hold for the point."""
        return (primal - dual) / torch.maximum(primal, self.least)


def _exponent(x: Tensor) -> Tensor:
    """Return the exponent ``e`` of each row with ``max|x| <= 2**e``, shape ``(batch, 1)``; 0 for rows of zeros."""
    least, most = torch.aminmax(x, dim=-1, keepdim=True)
    return torch.frexp(torch.maximum(most, -least)).exponent.clamp(-_FURTHEST, _FURTHEST)


@dataclass(frozen=True)
class Units:
    """Tables in units of their range, shifted by ``v({})`` and scaled, so that a split depends on neither.

    ``v = base + scale * table``. The scale is a power of two, which makes scaling exact: tables that differ by a power
    of two are split to the same bits.

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
