"""Split value tables into few AND and OR interactions, with a certificate."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import choice, number, told, whole
from interdyn._typing import Solver
from interdyn.compiled import available, worker_count
from interdyn.errors import CertificateError, InputError, NonFiniteError, PrecisionWarning, ShapeError
from interdyn.sparsify._admm import Outcome
from interdyn.sparsify._effort import progress_of, refuse_slow, refuse_unfit
from interdyn.sparsify._lp import solve_lp
from interdyn.sparsify._problem import WIDE, Problem, Units
from interdyn.sparsify._sgd_paper import solve_sgd_paper
from interdyn.sparsify._solve import Watch, first_tolerance, settled_tolerance, solve as solve_admm
from interdyn.transforms._mobius import checked_table
from interdyn.values import Interactions, as_tensor, members, n_players_from_size

ORDER_WEIGHT = 0.02
"""Additional cost of an interaction per additional player."""

_TIES = 0.7  # of the tolerance; tables are solved to it if ties go to low orders, which count little in the gap
_SLACK = 1e-9  # of the range: by how much rounding may exceed a bound
_ROUNDING = 1e-7  # relative gap below 0 that rounding can explain

PIECE = 2**20
"""Table entries per piece of the work after the solver, to keep its memory small."""


@dataclass(frozen=True)
class SplitSettings:
    """Options of `split`, checked; see there."""

    solver: Solver
    tol: float
    tol_rule: Literal["auto", "given"]
    max_iter: int
    merge_order_one: bool
    order_weight: float
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        choice(self.solver, "solver", get_args(Solver))
        number(self.tol, "tol", least=0, most=1, open_=True, do="It is a relative gap: pass 1e-3, for example.")
        whole(self.max_iter, "max_iter", least=1, do="Leave it out for the default.")
        if self.order_weight >= 1:
            raise InputError(
                f"`order_weight` must be 0 or more and below 1; got {self.order_weight}. Leave it out for the default, "
                f"{ORDER_WEIGHT}, or pass 0 for the paper's problem."
            )
        if self.solver == "admm" and 0 < self.order_weight < self.tol:
            raise InputError(
                f"`tol` must be at most `order_weight`, or ties are not broken at all; got tol = {self.tol} and "
                f"order_weight = {self.order_weight}. Pass a tolerance of order_weight / n or less."
            )
        if not self.rates:
            raise InputError("`rates` must be positive learning rates; got none. Pass (1e-4, 1e-5, 1e-6), for example.")


def split(
    v: Float[Tensor, "*batch subsets"] | np.ndarray,
    *,
    noise_bound: float | Tensor | np.ndarray = 0.02,
    solver: Solver = "admm",
    tol: float | Literal["auto"] = 1e-3,
    max_iter: int | None = None,
    merge_order_one: bool = True,
    order_weight: float = ORDER_WEIGHT,
    rates: Sequence[float] = (1e-4, 1e-5, 1e-6),
    threads: int | None = None,
    allow_large: bool = False,
    show_progress: bool | None = None,
    unit: str = "",
) -> Interactions:
    r"""Explain value tables by the sparsest AND and OR interactions, up to a bounded residual; ties go to low orders.

    $$\min_{I_\wedge, I_\vee} \sum_{S \neq \emptyset} \big(1 + \epsilon\,(|S| - 1)\big)
    \big(|I_\wedge(S)| + |I_\vee(S)|\big) \quad\text{subject to}\quad
    \Big| v(T) - \sum_{S \subseteq T} I_\wedge(S) - \sum_{S \cap T \neq \emptyset} I_\vee(S) \Big| \le \zeta
    \;\text{ for all } T$$

    Parameters
    ----------
    v
        Value tables, tensor or array of shape ``(*batch, 2**n)``; entry ``t`` keeps the players whose bits are set.
    noise_bound
        A number: ``zeta = noise_bound * |v(N) - v({})|`` of each table. A tensor or array of shape ``(*batch,)`` (or
        one that broadcasts to it): absolute bounds, in the unit of ``v``.
    solver
        ``"admm"``: certified, batched, scale-free. ``"lp"``: HiGHS, the oracle (extra ``lp``, at most 11 players).
        ``"sgd-paper"``: the authors' momentum SGD, far from its own optimum, for fidelity.
    tol
        Certified relative gap at which a table is finished. One coarser than ``order_weight / n`` cannot distinguish
        neighbouring orders, one coarser than ``order_weight`` is refused. ``"auto"``: ``order_weight / n``; without
        a weight, the coarsest of 1e-2, 2.5e-3, 6e-4 and 1.6e-4 that changes the strength of no order, on average over
        the tables, by more than a tenth of its interval (determined on up to 16 tables). ``settings`` records the
        value used.
    max_iter
        Limit on steps (default 20,000, for ``"sgd-paper"`` its number of steps).
    merge_order_one
        AND and OR interactions of one player are the same function. ``True`` reports their sum as AND, ``False`` half
        of it in each.
    order_weight
        ``epsilon``: additional cost of an interaction for each player beyond the first. Sparsity alone leaves the order
        open: ``x0 + x1`` is ``AND{0} + AND{1}`` and, at the same L1 norm, ``AND{0, 1} + OR{0, 1}``. With any weight
        above 0 the first is reported; a function without interactions has at most ``tol / order_weight`` of its
        strength above order 1. 0: the paper's problem. What sparsity leaves open whatever the weight: `identified`.
    rates
        Learning rates of ``"sgd-paper"``; the best of them is kept for each table.
    threads
        Most worker threads; by default ``INTERDYN_THREADS``, otherwise all cores that this process may use. Results do
        not depend on it.
    allow_large
        Accept work that is expected to take more than ten minutes.
    show_progress
        Show a progress bar with the remaining time on standard error; by default from 13 players, on a terminal.
    unit
        Unit of ``v``, for labels.

    Returns
    -------
    Interactions
        ``i_and``, ``i_or``, ``residual`` of shape ``(*batch, 2**n)``; ``objective``, ``gap``, ``status``,
        ``noise_bound`` of shape ``(*batch,)``. The constant is ``i_and[..., 0]`` and costs nothing; ``i_or[..., 0]`` is
        0. ``objective`` is the weighted norm above. ``gap`` is ``(objective - bound) / objective`` with a lower bound
        from a feasible dual point, whatever the solver did: no explanation has an objective below
        ``(1 - gap) objective``. It holds for the reported explanation, whose residual is checked.

    Raises
    ------
    ShapeError
        If the last axis of ``v`` is not a power of two long, or bounds do not fit.
    TooLargeError
        If there are more than 24 players, the result does not fit into the available memory, or the work is expected
        to take more than ten minutes; before it starts.
    NonFiniteError
        If ``v`` contains NaN or infinity; names the sample and the players present.
    InputError
        If an option is out of range.
    CertificateError
        If a lower bound exceeds the objective: a bug, never silent.

    Warns
    -----
    PrecisionWarning
        If a table did not reach ``tol`` within ``max_iter`` steps.

    Notes
    -----
    A step costs ``O(n 2^n)`` operations per table, about twenty microseconds at n = 10; the number of steps grows by a
    quarter or more with each player. Besides the result, a thread needs memory for 64 tables. Oracle:
    ``solver="lp"``.
    Source: paper, section 2 and its appendix on the sparsest interactions.

    Examples
    --------
    >>> import torch
    >>> v = torch.zeros(8)
    >>> v[0b011] = v[0b111] = 2.0  # players 0 AND 1 together give 2
    >>> split(v, noise_bound=0.0, tol=1e-6).top(1)
         value  kind  players
            +2  AND   0 1
    """
    table = checked_table(v, "v", dtype=torch.float64)
    n = n_players_from_size(table.shape[-1])
    order_weight = number(order_weight, "order_weight", least=0, most=1, do="Pass 0 for the paper's problem.")
    settings = SplitSettings(
        solver,
        first_tolerance(tol, order_weight, n),
        "auto" if isinstance(tol, str) else "given",
        20_000 if max_iter is None else whole(max_iter, "max_iter", least=1, do="Leave it out for the default."),
        bool(merge_order_one),
        order_weight,
        _rates(rates),
    )
    home = table.device
    if settings.solver == "admm" and available():  # faster on one core than the tensor form on a GPU
        table = table.cpu()
    flat = table.reshape(-1, table.shape[-1])
    refuse_unfit(flat)
    _refuse_non_finite(flat)
    units = Units.of(flat)
    bound, described = _bounds(noise_bound, table, units)
    problem = Problem.weighted(units.table, bound[:, None], settings.order_weight)
    workers = worker_count(threads)
    if settings.solver == "admm" and not allow_large and flat.device.type == "cpu":
        refuse_slow(problem, tol=settings.tol, repeats=1, workers=workers)
    if settings.tol_rule == "auto" and not settings.order_weight and settings.solver == "admm":
        settings = replace(settings, tol=settled_tolerance(problem, max_iter=settings.max_iter, threads=workers))
    with progress_of(problem, tol=settings.tol, show=show_progress) as watch:
        outcome = _solve(problem, units, settings, workers, watch)
    residual, over, objective = _finished(problem, outcome.x, n, merge=settings.merge_order_one)
    gap, status = _certificate(problem, over, objective, outcome, settings)
    batch = table.shape[:-1]
    x = units.absolute_(outcome.x)
    x[0, :, 0] += units.base
    found = Interactions(
        x[0].reshape(table.shape),
        x[1].reshape(table.shape),
        unit,
        residual=units.absolute_(residual).reshape(table.shape),
        objective=units.absolute_(objective).reshape(batch),
        gap=gap.reshape(batch),
        status=np.array(status, dtype=object).reshape(batch),
        noise_bound=units.absolute_(bound.clone()).reshape(batch),
        settings={**asdict(settings), "rates": list(settings.rates), "noise_bound": described},
    )
    return found if table.device == home else found.to(home)


def _rates(given: Any) -> tuple[float, ...]:
    example = "Pass (1e-4, 1e-5, 1e-6), for example."
    if isinstance(given, str) or not isinstance(given, Iterable) or getattr(given, "shape", None) == ():
        raise InputError(f"`rates` must be positive learning rates; got {told(given)}. {example}")
    return tuple(number(rate, "rates", least=0, open_=True, do=example) for rate in given)


def _refuse_non_finite(flat: Tensor) -> None:
    bad = ~torch.isfinite(flat)
    if bool(bad.any()):
        row, subset = (int(i) for i in bad.nonzero()[0])
        raise NonFiniteError(
            f"`v` must be finite; got {flat[row, subset]} in table {row} (flat index) at subset {subset}, players "
            f"{list(members(subset))} present, and {int(bad.sum()) - 1} more such entries. "
            "Check the network's output for that masked input."
        )


def _bounds(noise_bound: float | Tensor | np.ndarray, table: Tensor, units: Units) -> tuple[Tensor, Any]:
    """Return bounds in units of the tables, shape ``(batch,)``, and their description for the settings."""
    batch = table.shape[:-1]
    if isinstance(noise_bound, Tensor | np.ndarray | list | tuple):
        bound = as_tensor(noise_bound, "noise_bound", dtype=torch.float64).to(table.device)
        try:
            bound = bound.expand(batch).reshape(-1)
        except RuntimeError as error:
            raise ShapeError(
                f"absolute `noise_bound` must broadcast to the batch shape {tuple(batch)}; got {tuple(bound.shape)}. "
                "Pass one bound for each table, or a plain number for a relative bound."
            ) from error
        described: Any = "absolute"
        fits = bool(((bound >= 0) & torch.isfinite(bound)).all())
        bound = units.relative(bound).clamp(max=WIDE)
    else:
        described = number(noise_bound, "noise_bound", least=0, do="Pass 0.02, for example.")
        fits = True
        bound = described * units.table[:, -1].abs()
    if not fits:
        raise InputError(
            f"`noise_bound` must be finite and 0 or more; got {told(noise_bound)}. Pass 0.02, for example."
        )
    return bound, described


def _solve(problem: Problem, units: Units, settings: SplitSettings, workers: int, watch: Watch | None) -> Outcome:
    if settings.solver == "lp":
        return solve_lp(problem)
    if settings.solver == "sgd-paper":
        return solve_sgd_paper(problem, units, steps=settings.max_iter, rates=settings.rates)
    tol = _TIES * settings.tol if settings.order_weight else settings.tol
    return solve_admm(problem, tol=tol, max_iter=settings.max_iter, threads=workers, watch=watch)


def _finished(problem: Problem, x: Tensor, n: int, *, merge: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Place the interactions of single players of ``x``; return residuals, their excess over bounds, and objectives.

    In place, a piece at a time, so that little memory is needed besides the result.
    """
    residual = torch.empty_like(problem.v)
    over, objective = torch.empty_like(problem.v[:, 0]), torch.empty_like(problem.v[:, 0])
    rows = max(1, PIECE // problem.v.shape[-1])
    for start in range(0, len(problem.v), rows):
        part = slice(start, start + rows)
        piece, few = x[:, part], problem.take(torch.arange(len(problem.v), device=problem.v.device)[part])
        _place_order_one(piece, n, merge=merge)
        residual[part], objective[part] = few.residual(piece), few.objective(piece)
        over[part] = residual[part].abs().amax(-1) - few.bound[:, 0]
    return residual, over, objective


def _certificate(
    problem: Problem, over: Tensor, objective: Tensor, outcome: Outcome, settings: SplitSettings
) -> tuple[Tensor, list[str]]:
    """Return the certified gap of each reported explanation, infinite if it is not feasible, and a sentence."""
    gap = problem.relative_gap(objective, outcome.dual)
    if bool((gap < -_ROUNDING).any()):
        row = int(gap.argmin())
        raise CertificateError(
            f"a lower bound must not exceed the objective; got {float(outcome.dual[row]):.9g} above "
            f"{float(objective[row]):.9g} in table {row} (flat index). This is a bug in interdyn: please report it "
            "with the table."
        )
    gap = torch.where(over <= _SLACK, gap.clamp_min(0.0), torch.inf)
    late = int((gap > settings.tol).sum())
    if late and settings.solver != "sgd-paper":
        warnings.warn(
            f"{late} of {gap.numel()} tables did not reach tol = {settings.tol:.0e} (worst gap "
            f"{float(gap.max()):.1e}); their gap is certified nevertheless. Raise `max_iter` or `tol`.",
            PrecisionWarning,
            stacklevel=3,
        )
    every = zip(gap.tolist(), over.tolist(), outcome.steps.tolist(), strict=True)
    return gap, [_sentence(g, o, k, settings) for g, o, k in every]


def _place_order_one(x: Tensor, n: int, *, merge: bool) -> None:
    """Put the sum of both kinds of each single player in AND, or half in each, in place."""
    for player in range(n):
        i_and, i_or = x[0, :, 1 << player], x[1, :, 1 << player]
        i_and += i_or
        if merge:
            i_or.zero_()
        else:
            i_and /= 2
            i_or.copy_(i_and)


def _sentence(gap: float, over: float, steps: int, settings: SplitSettings) -> str:
    if over > _SLACK:
        return f"not an explanation: the residual exceeds its bound by {over:.1e} of the range after {steps} steps"
    if settings.solver == "sgd-paper":
        return f"uncontrolled recipe: {steps} steps, gap {gap:.1e} measured afterwards"
    if gap <= settings.tol:
        return f"certified: gap {gap:.1e} <= tol {settings.tol:.0e} after {steps} steps"
    return f"step limit: gap {gap:.1e} > tol {settings.tol:.0e} after {steps} steps"
