"""The certified solver: operator splitting with Halpern anchoring, restarts and adaptive steps.

The unknown ``(a, o, d)`` (AND, OR, residual) lies in the affine set ``Z a + W o + d = v``; the cost is a soft
threshold on ``(a, o)`` and a box on ``d``. One step reflects at the proximal map and projects exactly on the affine
set (Peaceman-Rachford, the over-relaxed limit of ADMM). Four things make it fast where a fixed step stalls:

1. *Halpern anchoring*: step ``k`` since the last restart is averaged with the anchor with weight ``1/(k+2)``, which
   gives the reflected (non-averaged) map its own convergence rate [lieder2021, chen2024].
2. *Restarts*, separately for each table, when the fixed-point residual has fallen to a fifth, or has turned, or a
seventh of all steps have passed [lu2024].
3. *A metric*: the higher the order of an interaction, the smaller its steps (`_symmetry.metric`).
4. *Adaptive steps*: at a restart the step of the interactions, and separately that of the residual, becomes the
ratio of the distances that its primal and its dual part have travelled since the last restart. The projection allows
any ratio of the two, because its blocks are diagonalised.

A certificate is not taken from the iteration's own point, but from where some steps lead from it with a much shorter
threshold (a nearly feasible point) and with a much longer one (nearly feasible multipliers). Both halve the steps.

Every start is the same fixed point, the constant ``v({})`` (which is 0 in the units of the problem); the first
threshold is proportional to the size of the minimum-norm explanation, so that the iteration scales with the table.
A table leaves the batch when its gap is certified. ``benchmarks/bench_split.py`` measures the gain over a fixed step.
This file is the definition, and the form used on GPUs; on the CPU `_fused` takes the same steps.
Sources: docs/references.bib.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from interdyn.sparsify._problem import Problem, clip

CHECK_EVERY, SELDOM_FROM, SELDOM = 15, 250, 30  # steps between certificates: initially, and later
FIRST_THRESHOLD = 0.5  # times the root mean square of the minimum-norm explanation
RANGE = 50.0  # the threshold stays within this factor of the first
NEAR = 3.0  # times the tolerance: how close the bound must be to the cost before a better one is sought
AHEAD, LONGER, SOFTER = 20, 300.0, 3.0  # trial steps for a certificate, and how their step sizes differ
STILL = 1e-20  # squared distance, in units of the table, below which only rounding is left
SUFFICIENT, NECESSARY, LONG, SHORTEST = 0.2, 0.9, 0.14, 3  # restart rules


@dataclass
class Outcome:
    """Best feasible point and best lower bound of each table, and the steps taken."""

    x: Tensor  # (2, batch, subsets)
    primal: Tensor  # (batch,)
    dual: Tensor  # (batch,)
    steps: Tensor  # (batch,) int
    cost: Tensor  # (batch,): of the solver's own point, which need not be feasible


@dataclass
class _State:
    """The iteration of the tables still being solved; the rows belong together."""

    rows: Tensor  # (b,) position in the whole batch
    w: Tensor  # (3, b, subsets): a, o, d before the proximal map
    anchor: Tensor  # (3, b, subsets): where the last restart left w
    point: Tensor  # (3, b, subsets): proximal point at the last restart
    slope: Tensor  # (3, b, subsets): scaled dual point at the last restart
    tau: Tensor  # (b, 1): step of the interactions, their threshold
    s: Tensor  # (b, 1): step of the residual, divided by tau
    tau_first: Tensor  # (b, 1)
    since: Tensor  # (b, 1): steps since the last restart
    first: Tensor  # (b,): residual right after the last restart
    last: Tensor  # (b,): residual of the previous step

    def take(self, keep: Tensor) -> "_State":
        return _State(*(x[:, keep] if x.ndim == 3 else x[keep] for x in vars(self).values()))


def first_ratio(n: int) -> float:
    """Return the initial ratio of the steps of the residual and of the interactions: 6 at ``n = 10``."""
    return 6.0 * math.sqrt(2.0 ** (n - 10))


def _start(problem: Problem) -> _State:
    v = problem.v
    b = v.shape[0]
    least = problem.step(problem.gram.solve(v, 0.0))
    least[:, :, 0] = 0.0
    rms = least.square().div(problem.metric).sum(dim=(0, 2)).div(2 * v.shape[1]).sqrt()[:, None]
    tau = FIRST_THRESHOLD * rms
    w = v.new_zeros(3, *v.shape)
    infinite = torch.full((b,), torch.inf, dtype=v.dtype, device=v.device)
    rows = torch.arange(b, device=v.device)
    s = torch.full_like(tau, first_ratio(problem.operator.n))
    since = torch.zeros_like(tau)
    zero = torch.zeros_like(w)
    return _State(rows, w, w.clone(), w.clone(), zero, tau, s, tau.clone(), since, infinite, infinite.clone())


def _dual_part(problem: Problem, w: Tensor, tau: Tensor) -> Tensor:
    """Return ``w - prox(w)``: the threshold part of ``(a, o)``, and what the box cuts off ``d``."""
    u = torch.empty_like(w)
    low, high = problem.thresholds
    u[:2] = torch.minimum(torch.maximum(w[:2], tau * low), tau * high)
    u[1, :, 0] = w[1, :, 0]  # no OR interaction of the empty set
    u[2] = w[2] - clip(w[2], problem.bound)
    return u


def _half_move(problem: Problem, w: Tensor, u: Tensor, s: Tensor) -> Tensor:
    """Return half the change made by reflecting at the proximal map, with dual part ``u``, and at the affine set."""
    p = w - 2 * u
    y = problem.gram.solve(problem.v - problem.operator.explain(p[0], p[1]) - p[2], s)
    return torch.cat([problem.step(y), (s * y)[None]]).sub_(u)


def _adapted(primal: Tensor, dual: Tensor, old: Tensor, first: Tensor, restart: Tensor) -> Tensor:
    """Return the new step of the restarting tables: the ratio of the distances, within range of the first."""
    usable = (primal > STILL) & (dual > STILL)
    ratio = torch.where(usable, primal, 1.0).div(torch.where(usable, dual, 1.0)).sqrt()[:, None]
    new = torch.maximum(torch.minimum(ratio, first * RANGE), first / RANGE)
    return torch.where((restart & usable)[:, None], new, old)


def _restart(problem: Problem, state: _State, u: Tensor, restart: Tensor) -> Tensor:
    """Adapt the steps of the restarting tables; return their ``w`` with the dual part rescaled."""
    scale = torch.stack([state.tau, state.tau, state.s * state.tau])
    z, slope = state.w - u, u / scale
    weight = torch.ones_like(problem.v).repeat(3, 1, 1)
    weight[:2] /= problem.metric
    primal, dual = (((now - then).square() * weight).sum(-1) for now, then in ((z, state.point), (slope, state.slope)))
    first = first_ratio(problem.operator.n)
    tau = _adapted(primal[0] + primal[1], dual[0] + dual[1], state.tau, state.tau_first, restart)
    residual = _adapted(primal[2], dual[2], state.s * state.tau, first * state.tau_first, restart)
    state.tau = tau
    state.s = torch.clamp(residual / tau, first / RANGE, first * RANGE)
    rows = restart[None, :, None]
    state.point = torch.where(rows, z, state.point)
    state.slope = torch.where(rows, slope, state.slope)
    return z + slope * torch.stack([state.tau, state.tau, state.s * state.tau])


def _step(problem: Problem, state: _State, k: int) -> Tensor:
    """Do one anchored step in place; return ``w - prox(w)`` before it."""
    u = _dual_part(problem, state.w, state.tau)
    move = _half_move(problem, state.w, u, state.s)
    residual = (move[:2].square().div(problem.metric).sum(dim=(0, 2)) + move[2].square().sum(-1) / state.s[:, 0]).sqrt()
    if k == 1:
        state.first = residual
    turned = (residual <= NECESSARY * state.first) & (residual > state.last)
    restart = (residual <= SUFFICIENT * state.first) | turned | (state.since[:, 0] >= LONG * k)
    restart &= state.since[:, 0] > SHORTEST
    new = torch.lerp(state.w + 2 * move, state.anchor, 1 / (state.since + 2))
    state.since += 1
    state.last = residual
    if bool(restart.any()):
        rows = restart[None, :, None]
        rescaled = _restart(problem, state, u, restart)
        new = torch.where(rows, rescaled, new)
        state.anchor = torch.where(rows, rescaled, state.anchor)
        state.since = torch.where(restart[:, None], 0.0, state.since)
        state.first = torch.where(restart, residual, state.first)
        state.last = torch.where(restart, torch.inf, state.last)
    state.w = new
    return u


def first_point(problem: Problem) -> Outcome:
    """Return the best constant of each table if it is feasible, and the bound that needs no solver.

    That bound is 0, except for costs with a slope of the wrong sign.
    """
    x, feasible = problem.constant_point()
    zero = problem.v.new_zeros(len(problem.v))
    primal = torch.where(feasible, zero, torch.inf)
    sound = ((problem.low <= 0) & (problem.high >= 0)).all(-1).all(-1)[problem.which]
    return Outcome(
        x, primal, torch.where(sound, zero, -torch.inf), torch.zeros_like(primal, dtype=torch.int64), primal.clone()
    )


def improve(problem: Problem, best: Outcome, todo: Tensor, *, tol: float, max_iter: int) -> None:
    """Solve the tables ``todo`` until each has a certified relative gap of at most ``tol``; results go to ``best``.

    This is the definition of the iteration: plain tensor operations on a batch, on any device. On the CPU the compiled
    form in `_fused` does the same.
    """
    part = problem.take(todo)
    state = _start(part)
    state.rows = todo
    for k in range(1, max_iter + 1):
        tau, s, w = state.tau, state.s, state.w
        u = _step(part, state, k)
        if k % (CHECK_EVERY if k < SELDOM_FROM else SELDOM) and k < max_iter:
            continue
        best.steps[state.rows] = k
        _certify(part, state.rows, best, w, u, tau, s, tol=tol, last=k == max_iter)
        done = part.relative_gap(best.primal[state.rows], best.dual[state.rows]) <= tol
        if bool(done.any()):
            if bool(done.all()):
                break
            state = state.take(~done)
            part = problem.take(state.rows)


def _ahead(problem: Problem, w: Tensor, u: Tensor, tau: Tensor, s: Tensor, *, longer: float, softer: float) -> Tensor:
    """Return ``w`` after `AHEAD` anchored steps from the same point with steps ``longer * tau`` and ``s / softer``.

    A short threshold makes points nearly feasible at little cost, because zeros stay zero; a long one does the same
    for multipliers. Neither would get far in the long run.
    """
    tau, s = longer * tau, s / softer
    anchor = w = w + (w.new_tensor([longer, longer, longer / softer]) - 1)[:, None, None] * u
    for k in range(AHEAD):
        move = _half_move(problem, w, _dual_part(problem, w, tau), s)
        w = torch.lerp(w + 2 * move, anchor, 1 / (k + 2))
    return w


def _multipliers(problem: Problem, u: Tensor, tau: Tensor, s: Tensor) -> Tensor:
    """Return the multipliers that fit the dual part best."""
    slope = u / tau
    return problem.gram.solve(problem.operator.explain(slope[0], slope[1]) + slope[2], s)


def _certify(
    part: Problem, rows: Tensor, best: Outcome, w: Tensor, u: Tensor, tau: Tensor, s: Tensor, *, tol: float, last: bool
) -> None:
    """Keep the repaired point and the lower bound of each table where they improve.

    The residual has multipliers of its own, and there are those that fit it and the interactions best; both prove a
    bound. If that is close to the cost, trial steps seek a better bound, and a better point once its own cost would
    suffice: becoming feasible raises the cost, and hardly ever lowers it.
    """
    bound = torch.maximum(part.lower_bound(_multipliers(part, u, tau, s)), part.lower_bound(u[2] / (s * tau)))
    best.dual[rows] = torch.maximum(bound, best.dual[rows])
    best.cost[rows] = part.objective((w - u)[:2])
    near = (part.relative_gap(best.cost[rows], best.dual[rows]) <= NEAR * tol) | last
    if not bool(near.any()):
        return
    there = _ahead(part, w, u, tau, s, longer=LONGER, softer=SOFTER)
    long, soft = LONGER * tau, s / SOFTER
    bound = part.lower_bound(_multipliers(part, _dual_part(part, there, long), long, soft))
    best.dual[rows] = torch.where(near, torch.maximum(bound, best.dual[rows]), best.dual[rows])
    near &= (part.relative_gap(best.cost[rows], best.dual[rows]) <= tol) | last
    if not bool(near.any()):
        return
    there = _ahead(part, w, u, tau, s, longer=1 / LONGER, softer=1 / SOFTER)
    z = there - _dual_part(part, there, tau / LONGER)
    x = part.repaired(part.approached(z[:2], s * SOFTER))
    objective = part.objective(x)
    better = near & (objective < best.primal[rows])
    best.x[:, rows[better]] = x[:, better]
    best.primal[rows] = torch.where(better, objective, best.primal[rows])
