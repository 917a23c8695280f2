"""Split value tables into few AND and OR interactions, with a certificate."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._typing import Solver
from interdyn.compiled import worker_count
from interdyn.errors import InputError, NonFiniteError, PrecisionWarning, ShapeError
from interdyn.lattice import members, n_players_from_size
from interdyn.sparsify._admm import Outcome
from interdyn.sparsify._ambiguity import ambiguity_widths
from interdyn.sparsify._effort import progress_of, refuse_slow, refuse_unfit
from interdyn.sparsify._lp import solve_lp
from interdyn.sparsify._problem import Problem
from interdyn.sparsify._sgd_paper import solve_sgd_paper
from interdyn.sparsify._solve import Watch
from interdyn.sparsify._solve import solve as solve_admm
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Interactions, as_tensor

PIECE = 2**20
"""Table entries in a piece of the work that follows the solver, so that it needs little memory beside the result."""


@dataclass(frozen=True)
class SplitSettings:
    """Options of `split`, checked; see there."""

    solver: Solver
    tol: float
    max_iter: int
    merge_order_one: bool
    ridge: float
    ambiguity: int
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.solver not in get_args(Solver):
            raise InputError(
                f"`solver` must be one of {', '.join(get_args(Solver))}; got {self.solver!r}. Choose one of them."
            )
        if not 0 < self.tol < 1:
            raise InputError(
                f"`tol` must lie between 0 and 1 (a relative gap); got {self.tol}. Pass 1e-3, for example."
            )
        if self.max_iter < 1:
            raise InputError(f"`max_iter` must be 1 or more; got {self.max_iter}. Leave it out for the default.")
        if not self.ridge >= 0:
            raise InputError(f"`ridge` must be 0 or more; got {self.ridge}. Leave it out for the default, tol / 100.")
        if self.ambiguity < 0:
            raise InputError(f"`ambiguity` counts random draws and must be 0 or more; got {self.ambiguity}.")
        if not self.rates or not all(rate > 0 for rate in self.rates):
            raise InputError(
                f"`rates` must be positive learning rates; got {self.rates}. Pass (1e-4, 1e-5, 1e-6), for example."
            )


def split(
    v: Float[Tensor, "*batch subsets"] | np.ndarray,
    *,
    noise_bound: float | Tensor | np.ndarray = 0.02,
    solver: Solver = "admm",
    tol: float = 1e-3,
    max_iter: int | None = None,
    merge_order_one: bool = True,
    ridge: float | None = None,
    ambiguity: int = 0,
    rates: Sequence[float] = (1e-4, 1e-5, 1e-6),
    threads: int | None = None,
    allow_large: bool = False,
    show_progress: bool | None = None,
    unit: str = "",
) -> Interactions:
    r"""Explain value tables by the sparsest AND and OR interactions, up to a bounded residual.

    $$\min_{I_\wedge, I_\vee} \sum_S |I_\wedge(S)| + |I_\vee(S)| \quad\text{subject to}\quad
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
        ``"sgd-paper"``: the laboratory's momentum SGD, far from its own optimum, for fidelity.
    tol
        Certified relative gap at which a table is done.
    max_iter
        Limit on steps (default 20,000, for ``"sgd-paper"`` its number of steps).
    merge_order_one
        AND and OR interactions of one player are the same function. ``True`` reports their sum as AND, ``False`` half
        of it in each.
    ridge
        Tie-break (``"admm"``): ``ridge / (2 max|v - v({})|) * (|I_and|^2 + |I_or|^2)`` is added to the objective while
        solving, so that among explanations of equal L1 norm the one of least energy is sought. Default ``tol / 100``.
    ambiguity
        Number of random directions in which to feel out the set of near-optimal explanations; fills ``.ambiguity`` at
        the cost of twice as many splits. 0: none.
    rates
        Learning rates of ``"sgd-paper"``; the best of them is kept for each table.
    threads
        Worker threads at most; by default ``INTERDYN_THREADS``, else all cores that this process may use. Results do
        not depend on it.
    allow_large
        Accept work that is expected to take more than ten minutes.
    show_progress
        Draw a bar with the remaining time on standard error; by default from 13 players on, on a terminal.
    unit
        Unit of ``v``, for labels.

    Returns
    -------
    Interactions
        ``i_and``, ``i_or``, ``residual`` of shape ``(*batch, 2**n)``; ``objective``, ``gap``, ``status``,
        ``noise_bound`` of shape ``(*batch,)``. The constant is ``i_and[..., 0]``; ``i_or[..., 0]`` is 0. ``gap`` is
        ``(primal - dual) / max(primal, 1e-12 max|v|)`` of the problem without ridge, from a feasible dual point: the
        objective is at most that much above the optimum, whatever the solver did.

    Raises
    ------
    ShapeError
        If the last axis of ``v`` is not a power of two long, or bounds do not fit.
    TooLargeError
        If there are more than 24 players, the result does not fit in the memory at hand, or the work is expected to
        take more than ten minutes; before it starts.
    NonFiniteError
        If ``v`` holds NaN or infinity; names the sample and the players present.
    InputError
        If an option is out of range.

    Warns
    -----
    PrecisionWarning
        If a table did not reach ``tol`` within ``max_iter`` steps.

    Notes
    -----
    A step costs ``O(n 2^n)`` operations for each table, some ten microseconds at n = 10; the number of steps grows by
    half or more with each player. Beside the result, a thread needs memory for 64 tables. Oracle: ``solver="lp"``.
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
    settings = SplitSettings(
        solver,
        float(tol),
        int(20_000 if max_iter is None else max_iter),
        bool(merge_order_one),
        float(tol / 100 if ridge is None else ridge),
        int(ambiguity),
        tuple(float(rate) for rate in rates),
    )
    table = as_tensor(v, "v", dtype=torch.float64)
    if table.ndim == 0:
        raise ShapeError("`v` must have shape (*batch, 2**n); got a single number. Pass the whole table.")
    n = n_players_from_size(table.shape[-1])
    flat = table.reshape(-1, table.shape[-1])
    refuse_unfit(flat)
    _refuse_non_finite(flat)
    bound, described = _absolute_bounds(noise_bound, table)
    problem = Problem(flat, bound.reshape(-1, 1), flat.new_zeros(2, flat.shape[-1]))
    workers = worker_count(threads)
    if settings.solver == "admm" and not allow_large and flat.device.type == "cpu":
        refuse_slow(problem, tol=settings.tol, repeats=1 + 2 * settings.ambiguity, workers=workers)
    with progress_of(problem, tol=settings.tol, show=show_progress) as watch:
        outcome, widths = _solve(problem, settings, workers, watch)
    gap = problem.relative_gap(outcome.primal, outcome.dual)
    _warn_if_imprecise(gap, settings)
    x, residual, objective = _finished(problem, outcome.x, n, merge=settings.merge_order_one)
    status = [_sentence(float(g), int(k), settings) for g, k in zip(gap, outcome.steps, strict=True)]
    batch = table.shape[:-1]
    return Interactions(
        x[0].reshape(table.shape),
        x[1].reshape(table.shape),
        unit,
        residual=residual.reshape(table.shape),
        objective=objective.reshape(batch),
        gap=gap.reshape(batch),
        status=np.array(status, dtype=object).reshape(batch),
        noise_bound=bound.reshape(batch),
        ambiguity=None if widths is None else widths.movedim(0, 1).reshape(*batch, 2, -1),
        settings={**asdict(settings), "noise_bound": described},
    )


def _refuse_non_finite(flat: Tensor) -> None:
    bad = ~torch.isfinite(flat)
    if bool(bad.any()):
        row, subset = (int(i) for i in bad.nonzero()[0])
        raise NonFiniteError(
            f"`v` must be finite; got {flat[row, subset]} in table {row} (flat index) at subset {subset}, players "
            f"{list(members(subset))} present, and {int(bad.sum()) - 1} more such entries. "
            "Look at the network's output for that masked input."
        )


def _absolute_bounds(noise_bound: float | Tensor | np.ndarray, table: Tensor) -> tuple[Tensor, Any]:
    """Return bounds of shape ``(*batch,)`` and what to write about them in the settings."""
    batch = table.shape[:-1]
    if isinstance(noise_bound, Tensor | np.ndarray):
        bound = as_tensor(noise_bound, "noise_bound", dtype=torch.float64).to(table.device)
        try:
            bound = bound.expand(batch)
        except RuntimeError as error:
            raise ShapeError(
                f"absolute `noise_bound` must broadcast to the batch shape {tuple(batch)}; got {tuple(bound.shape)}. "
                "Pass one bound for each table, or a plain number for a relative bound."
            ) from error
        described: Any = "absolute"
    else:
        bound = float(noise_bound) * (table[..., -1] - table[..., 0]).abs()
        described = float(noise_bound)
    if not bool((bound >= 0).all()) or not bool(torch.isfinite(bound).all()):
        raise InputError(f"`noise_bound` must be finite and 0 or more; got {noise_bound}. Pass 0.02, for example.")
    return bound.clone(), described


def _solve(
    problem: Problem, settings: SplitSettings, workers: int, watch: Watch | None
) -> tuple[Outcome, Tensor | None]:
    """Return the outcome of the solver, and the widths of ambiguity if they are asked for."""
    if settings.solver == "lp":
        found = solve_lp(problem)
    elif settings.solver == "sgd-paper":
        found = solve_sgd_paper(problem, steps=settings.max_iter, rates=settings.rates)
    else:
        found = solve_admm(
            problem, tol=settings.tol, max_iter=settings.max_iter, ridge=settings.ridge, threads=workers, watch=watch
        )
    if not settings.ambiguity:
        return found, None
    widths = ambiguity_widths(
        problem, found.x, draws=settings.ambiguity, tol=settings.tol, max_iter=settings.max_iter, threads=workers
    )
    return found, widths


def _finished(problem: Problem, x: Tensor, n: int, *, merge: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``x`` with its order one placed (in place), the residuals and the objectives; a piece at a time."""
    residual, objective = torch.empty_like(problem.v), torch.empty_like(problem.v[:, 0])
    rows = max(1, PIECE // problem.v.shape[-1])
    for start in range(0, len(problem.v), rows):
        part = slice(start, start + rows)
        _place_order_one(x[:, part], n, merge=merge)
        residual[part] = problem.v[part] - values_from_and(x[0, part]) - values_from_or(x[1, part])
        objective[part] = x[:, part].abs().sum(dim=(0, 2))
    return x, residual, objective


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


def _sentence(gap: float, steps: int, settings: SplitSettings) -> str:
    if settings.solver == "sgd-paper":
        return f"uncontrolled recipe: {steps} steps, gap {gap:.1e} measured afterwards"
    if gap <= settings.tol:
        return f"certified: gap {gap:.1e} <= tol {settings.tol:.0e} after {steps} steps"
    return f"step limit: gap {gap:.1e} > tol {settings.tol:.0e} after {steps} steps"


def _warn_if_imprecise(gap: Tensor, settings: SplitSettings) -> None:
    late = int((gap > settings.tol).sum())
    if late and settings.solver != "sgd-paper":
        warnings.warn(
            f"{late} of {gap.numel()} tables did not reach tol = {settings.tol:.0e} (worst gap "
            f"{float(gap.max()):.1e}); their gap is certified all the same. Raise `max_iter` or `tol`.",
            PrecisionWarning,
            stacklevel=3,
        )
