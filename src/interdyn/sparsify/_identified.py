"""What sparsity alone leaves open, whatever the order weight, by linear programs certified from both sides.

Among all explanations whose plain L1 norm is at most ``B``, slightly above the smallest one, find the largest value of
a linear function of the positive and negative parts of the interactions: the strength of an order, ``sum |S| |x(S)|``
(over ``B``, the mean order), one interaction. For any price ``mu > 0``

    max { c(x) : |x| <= B }  <=  (B - min_x { |x| - mu c(x) }) / mu,

so that each split with a tilted cost, certified from below, gives an upper end, and its point a value that is
reached, mixed with another point if its norm is not ``B``. A few prices bring both together. The smallest value is
minus the largest of ``-c``. Positive and negative parts are separate, as in the linear programs of the tests: an
explanation may spend what is left of ``B`` on a pair that cancels. Source: split.md of the project, section 1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import instance, number, whole
from interdyn.compiled import available, worker_count
from interdyn.errors import InputError
from interdyn.sparsify._effort import refuse_slow
from interdyn.sparsify._problem import WIDE, Problem, Units, order_weights
from interdyn.sparsify._solve import solve
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Identified, Interactions, Range, n_players_from_size, orders
from interdyn.values._convert import moved

MAX_ITER = 20_000
_FINE = 0.02  # of the slack: tolerance of the smallest norm
_TILTED = 0.1  # of the slack: tolerance of a tilted problem
_ROUNDS = 6  # most prices for each end
_CLOSE = 0.02  # of the width: allowed difference between both sides of an end
_FIRST = {"order": 0.03, "mean": 0.02, "one": 0.3}  # initial prices
_DEAREST = 4.0  # price above which nothing changes
_ENTRIES = 2**23  # of the costs of one batch of problems


@dataclass(frozen=True)
class _Quantity:
    """A linear function of the parts of the interactions, for each table of a batch.

    ``cost`` has shape ``(tables or 1, 2, 2**n)``; ``of_parts``: whether positive and negative parts count alike;
    ``spare``: by how much the rest of the budget can raise it, and its negative.
    """

    kind: str
    cost: Tensor
    of_parts: bool
    spare: tuple[float, float]

    def value(self, x: Float[Tensor, "2 tables subsets"]) -> Float[Tensor, " tables"]:
        parts = x.abs() if self.of_parts else x
        return (parts.movedim(0, 1) * self.cost).sum(dim=(1, 2))


def identified(
    found: Interactions,
    *,
    slack: float = 1e-3,
    strongest: int = 10,
    threads: int | None = None,
    allow_large: bool = False,
) -> Identified:
    r"""Return what sparsity alone leaves open of a reported explanation: ranges certified from both sides.

    All explanations are included that keep the bound on the residual and whose plain L1 norm is at most ``factor``
    times the smallest one. The ranges are, for each table, the smallest and the largest

    $$\frac{\sum_S |S|\,|I(S)|}{\sum_{S \neq \emptyset} |I(S)|}, \qquad \sum_{|S| = k} |I(S)|, \qquad I(S)$$

    where ``|I|`` is the strength of AND and OR together: the mean order, the strength of each order, and each of the
    strongest interactions of the reported explanation. All interactions count, not only salient ones.

    Parameters
    ----------
    found
        From `split` or `measure`; the tables are those that it explains.
    slack
        ``factor`` is ``1 + slack``, or one plus the excess of the reported explanation in plain L1 norm if that is
        larger, so that the reported explanation is always included.
    strongest
        How many interactions.
    threads
        Most worker threads, as in `split`.
    allow_large
        Accept work that is expected to take more than ten minutes.

    Returns
    -------
    Identified
        Ranges of ``mean_order``, ``strength`` and ``interactions``; see there.

    Raises
    ------
    InputError
        If a table varies by no more than its bound, so that it has no interactions, or an option is out of range.
    TooLargeError
        If the work is expected to take more than ten minutes.

    Notes
    -----
    Cost: a few hundred splits of each table. Oracle: linear programs with HiGHS (tests). Source: the project's
    split.md, section 1.

    Examples
    --------
    >>> from interdyn.sparsify import split
    >>> found = split(torch.tensor([0.0, 1.0, 1.0, 2.0], dtype=torch.float64), noise_bound=0.0, tol=1e-5)
    >>> ranges = identified(found, strongest=1)  # x0 + x1: the mean order may be 1 or 2
    >>> round(float(ranges.mean_order.low), 2), round(float(ranges.mean_order.high), 2)
    (1.0, 2.0)
    """
    instance(found, "found", Interactions, do="Pass the result of `split` or `measure`.")
    slack = number(slack, "slack", least=0, most=1, open_=True, do="It is a share of the L1 norm: pass 1e-3.")
    strongest = whole(strongest, "strongest", do="Pass 10, for example.")
    size, home = found.i_and.shape[-1], found.i_and.device
    n, batch = n_players_from_size(size), found.batch_shape
    found = found.to("cpu") if available() else found  # as in `split`
    x = torch.stack([found.i_and.reshape(-1, size), found.i_or.reshape(-1, size)])
    v = values_from_and(x[0]) + values_from_or(x[1]) + found.residual.reshape(-1, size)
    units = Units.of(v)
    x = units.relative(x)
    bound = units.relative(found.noise_bound.reshape(-1)).clamp(max=WIDE)[:, None]
    plain = Problem.weighted(units.table, bound, 0.0)
    _refuse_constant(plain)
    count = min(strongest, 2 * size - 2)
    workers = worker_count(threads)
    if not allow_large and v.device.type == "cpu":
        refuse_slow(plain, tol=_TILTED * slack, repeats=2 * _ROUNDS * (n + 1 + count), workers=workers)
    rows = max(1, _ENTRIES // (2 * size * 2 * (n + 1 + count)))
    out = [
        _ranges(plain.take(part), x[:, part], slack=slack, count=count, threads=workers)
        for part in torch.split(torch.arange(len(v), device=v.device), rows)
    ]
    mean, strength, one, kinds, subsets, factor = (torch.cat(parts, dim=-1) for parts in zip(*out, strict=True))

    def shaped(ends: Tensor) -> Range:
        moved = units.absolute_(ends[..., None].clone())[..., 0].movedim(1, -1)  # (4 ends, tables, quantities)
        return Range(*(side.reshape(*batch, -1) for side in moved))

    ranges_of_all = Identified(
        Range(*(side.reshape(batch) for side in mean[:, 0])),
        shaped(strength),
        shaped(one),
        kinds.T.reshape(*batch, count),
        subsets.T.reshape(*batch, count),
        factor.reshape(batch),
        found.unit,
    )
    return moved(ranges_of_all, home)


def _refuse_constant(plain: Problem) -> None:
    _, constant = plain.constant_point()
    if bool(constant.any()):
        row = int(constant.nonzero()[0, 0])
        raise InputError(
            f"`identified` needs tables that vary by more than twice their noise bound; got table {row} (flat index), "
            f"which a constant explains, and {int(constant.sum()) - 1} more. Nothing is open there: leave them out."
        )


def _quantities(x: Float[Tensor, "2 tables subsets"], n: int, count: int) -> tuple[list[_Quantity], Tensor, Tensor]:
    """Return mean order, strength of each order and the strongest interactions, and which these are."""
    size = x.shape[-1]
    k = torch.tensor(orders(n).tolist(), dtype=x.dtype, device=x.device)
    both = torch.stack([k, k])
    quantities = [_Quantity("mean", both[None], of_parts=True, spare=(float(n), -1.0))]
    quantities += [
        _Quantity("order", (both == order).to(x.dtype)[None], of_parts=True, spare=(1.0, 0.0))
        for order in range(1, n + 1)
    ]
    flat = x.abs().movedim(0, 1).clone()
    single = k == 1
    flat[:, 0, single] = (x[0] + x[1])[:, single].abs()
    flat[:, 1, single], flat[:, :, 0] = -1.0, -1.0
    index = flat.reshape(-1, 2 * size).topk(count, dim=-1).indices.T
    kinds, subsets = index // size, index % size
    for i in range(count):
        cost = torch.zeros_like(flat).reshape(-1, 2 * size).scatter_(1, index[i][:, None], 1.0).reshape(flat.shape)
        cost[:, 1, single] = cost[:, 0, single]  # for a single player AND and OR are the same
        quantities.append(_Quantity("one", cost, of_parts=False, spare=(0.0, 0.0)))
    return quantities, kinds, subsets


def _ranges(
    plain: Problem, x: Float[Tensor, "2 tables subsets"], *, slack: float, count: int, threads: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the ends of mean order, strengths and interactions, ``(4, quantities, tables)``, and which these are."""
    n = plain.operator.n
    best = solve(plain, tol=_FINE * slack, max_iter=MAX_ITER, threads=threads)
    own = plain.objective(x)
    limit = torch.maximum((1 + slack) * best.primal, own)  # at least the intended budget, for the certified side
    sure = torch.maximum((1 + slack) * best.dual, own)  # at most the intended budget, for the side that is reached
    quantities, kinds, subsets = _quantities(x, n, count)
    ends = [
        _End(quantity, side, quantity.value(x), own, quantity.value(best.x), best.primal, limit, sure)
        for quantity in quantities
        for side in (1.0, -1.0)
    ]
    for _ in range(_ROUNDS):
        _tilt(plain, ends, limit, tol=_TILTED * slack, threads=threads)
        open_ends = False
        for high, low in zip(ends[::2], ends[1::2], strict=True):
            width = (high.reached + low.reached).clamp_min(0.0) + slack * limit
            for end in (high, low):
                end.open &= end.certified - end.reached > _CLOSE * width
                open_ends |= bool(end.open.any())
        if not open_ends:
            break
    rows = [
        torch.stack([-low.certified, high.certified, -low.reached, high.reached])
        for high, low in zip(ends[::2], ends[1::2], strict=True)
    ]
    mean = rows[0] / torch.stack([limit, limit, sure, sure])
    mean = mean.clamp(1.0, float(n))
    strengths = torch.stack(rows[1 : n + 1], dim=1).clamp_min(0.0)
    ones = torch.stack(rows[n + 1 :], dim=1) if count else x.new_zeros(4, 0, x.shape[1])
    return mean[:, None], strengths, ones, kinds, subsets, limit / best.dual


class _End:
    """One end of a quantity, for each table: what is certified, what is reached, and the next price."""

    def __init__(
        self, quantity: _Quantity, side: float, own: Tensor, own_norm: Tensor, value: Tensor, norm: Tensor,
        limit: Tensor, sure: Tensor,
    ) -> None:  # fmt: skip
        self.quantity, self.side = quantity, side
        self.limit, self.sure = limit, sure
        self.spare = quantity.spare[0 if side > 0 else 1]
        self.certified = torch.full_like(own, torch.inf)
        self.reached = torch.full_like(own, -torch.inf)
        self.open = torch.ones_like(own, dtype=torch.bool)
        self.price = torch.full_like(own, _FIRST[quantity.kind])
        self.cheap, self.dear = torch.zeros_like(own), torch.full_like(own, torch.inf)
        self.dearest = 0.999 / self.spare if self.spare > 0 else _DEAREST
        self.points: list[tuple[Tensor, Tensor]] = []
        self._meet(side * own, own_norm)
        self._meet(side * value, norm)

    def slopes(self, free: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slopes of ``|x| - price * side * c(x)``, each of shape ``(tables, 2, 2**n)``."""
        tilt = self.side * self.price[:, None, None] * self.quantity.cost
        if self.quantity.of_parts:
            return -(free - tilt), free - tilt
        return -free - tilt, free - tilt

    def take(self, rows: Tensor, x: Tensor, dual: Tensor) -> None:
        """Update both sides from the solved problems of the tables ``rows``."""
        norm = x[:, :, 1:].abs().sum(dim=(0, 2))
        quantity = self.quantity
        if len(quantity.cost) > 1:
            quantity = _Quantity(quantity.kind, quantity.cost[rows], quantity.of_parts, quantity.spare)
        value, full = self.side * quantity.value(x), torch.full_like(self.price, torch.nan)
        price = self.price[rows]
        self.certified[rows] = torch.minimum(self.certified[rows], (self.limit[rows] - dual) / price)
        self._meet(full.index_put((rows,), value), full.index_put((rows,), norm))
        within = norm <= self.limit[rows]
        self.cheap[rows] = torch.where(within, torch.maximum(self.cheap[rows], price), self.cheap[rows])
        self.dear[rows] = torch.where(within, self.dear[rows], torch.minimum(self.dear[rows], price))
        between = (self.cheap[rows] > 0) & torch.isfinite(self.dear[rows])
        middle = (self.cheap[rows] * self.dear[rows]).sqrt()
        step = torch.where(within, 4.0, 0.25)
        self.price[rows] = torch.where(between, middle, price * step).clamp(max=self.dearest)
        self.open[rows] &= self.price[rows] != price

    def _meet(self, value: Tensor, norm: Tensor) -> None:
        """Raise what is reached by a point, the rest of the budget, and mixtures with earlier points."""
        within = norm <= self.sure
        alone = value + (self.sure - norm).clamp_min(0.0) * self.spare
        best = torch.where(within, alone, -torch.inf)
        for other, its_norm in self.points:
            part = (self.sure - norm) / (its_norm - norm)
            mixed = value + part * (other - value)
            best = torch.where((part >= 0) & (part <= 1), torch.maximum(best, mixed), best)
        self.reached = torch.maximum(self.reached, torch.nan_to_num(best, nan=-torch.inf))
        self.points.append((value, norm))


def _tilt(plain: Problem, ends: list[_End], limit: Tensor, *, tol: float, threads: int) -> None:
    """Solve one problem for each open end and each table, all in one batch."""
    free = order_weights(plain.operator.n, 0.0).to(plain.v)[None]
    rows = [end.open.nonzero()[:, 0] for end in ends]
    counts = [len(each) for each in rows]
    if not sum(counts):
        return
    slopes = [[side.expand(len(limit), *free.shape[1:])[each] for side in end.slopes(free)]
              for end, each in zip(ends, rows, strict=True)]  # fmt: skip
    at = torch.cat(rows)
    low, high = (torch.cat(parts) for parts in zip(*slopes, strict=True))
    tilted = Problem(plain.v[at], plain.bound[at], low, high, torch.arange(len(at)), limit[at])
    solved = solve(tilted, tol=tol, max_iter=MAX_ITER, threads=threads)
    parts = zip(ends, rows, torch.split(solved.x, counts, dim=1), torch.split(solved.dual, counts), strict=True)
    for end, each, x, dual in parts:
        if len(each):
            end.take(each, x, dual)
