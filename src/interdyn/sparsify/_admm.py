"""The certified solver: operator splitting with Halpern anchoring, restarts and an adaptive step.

The unknown ``(a, o, d)`` (AND, OR, residual) lies in the affine set ``Z a + W o + d = v``; the cost is a soft
threshold on ``(a, o)`` and a box on ``d``. One step reflects at the proximal map and projects exactly on the affine
set (Peaceman-Rachford, the over-relaxed limit of ADMM). Four things make it fast where a fixed step stalls:

1. *Halpern anchoring*: step ``k`` since the last restart is averaged with the anchor with weight ``1/(k+2)``, which
   gives the reflected (non-averaged) map a convergence rate of its own [lieder2021, chen2024].
2. *Restarts*, each table for itself, when the fixed-point residual has fallen to a fifth, or has turned, or a
   seventh of all steps went by [lu2024].
3. *A metric*: an interaction steps the less, the higher its order (`_symmetry.metric`).
4. *Adaptive steps*: at a restart the step of the interactions, and apart from it that of the residual, becomes the
   ratio of the distances that its primal and its dual part travelled since the last one. The projection takes any
   ratio of the two, because its blocks are diagonalised.

Every start is the same declared point, the constant ``v({})`` (which is 0 in the units of the problem); the first
threshold is proportional to the size of the minimum-norm explanation, so that the whole course scales with the table.
A table leaves the batch when its gap is certified. ``benchmarks/bench_split.py`` measures what this gains over a
fixed step. This file is the definition, and the form for graphics cards; on the CPU `_fused` follows the same course.
Sources: docs/references.bib.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from interdyn.sparsify._problem import Problem, clip

CHECK_EVERY, SELDOM_FROM, SELDOM = 25, 250, 50  # steps from one certificate to the next; at first, and later
FIRST_THRESHOLD = 0.5  # times the root mean square of the minimum-norm explanation
RANGE = 50.0  # the threshold stays within this factor of the first
PATIENCE = 1.2  # times the steps to the tolerance: the most that ties may take
NEAR = 3.0  # times the tolerance: how near the bound is to the cost when multipliers are eased
STILL = 1e-20  # squared distance, in units of the table, below which rounding is all there is
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
    """The iteration of the tables still at work; rows go together."""

    rows: Tensor  # (b,) position in the whole batch
    w: Tensor  # (3, b, subsets): a, o, d before the proximal map
    anchor: Tensor  # (3, b, subsets): where the last restart left w
    point: Tensor  # (3, b, subsets): proximal point at the last restart
    slope: Tensor  # (3, b, subsets): scaled dual point at the last restart
    tau: Tensor  # (b, 1): step of the interactions, their threshold
    s: Tensor  # (b, 1): step of the residual, over tau
    tau_first: Tensor  # (b, 1)
    since: Tensor  # (b, 1): steps since the last restart
    first: Tensor  # (b,): residual right after the last restart
    last: Tensor  # (b,): residual of the step before
    certified: Tensor  # (b,) int: the step at which the gap came within the tolerance, 0 before

    def take(self, keep: Tensor) -> "_State":
        return _State(
            self.rows[keep],
            self.w[:, keep],
            self.anchor[:, keep],
            self.point[:, keep],
            self.slope[:, keep],
            *(x[keep] for x in (self.tau, self.s, self.tau_first, self.since, self.first, self.last, self.certified)),
        )


def first_ratio(n: int) -> float:
    """Return the ratio of the steps of the residual and of the interactions at the start: 6 at ``n = 10``."""
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
    certified = torch.zeros(b, dtype=torch.int64, device=v.device)
    zero = torch.zeros_like(w)
    return _State(
        rows, w, w.clone(), w.clone(), zero, tau, s, tau.clone(), since, infinite, infinite.clone(), certified
    )


def _dual_part(problem: Problem, state: _State) -> Tensor:
    """Return ``w - prox(w)``: the threshold part of ``(a, o)``, what the box cut off ``d``."""
    u = torch.empty_like(state.w)
    low, high = problem.thresholds
    u[:2] = torch.minimum(torch.maximum(state.w[:2], state.tau * low), state.tau * high)
    u[1, :, 0] = state.w[1, :, 0]  # no OR interaction of the empty set
    u[2] = state.w[2] - clip(state.w[2], problem.bound)
    return u


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
    u = _dual_part(problem, state)
    p = state.w - 2 * u
    y = problem.gram.solve(problem.v - problem.operator.explain(p[0], p[1]) - p[2], state.s)
    move = torch.cat([problem.step(y), (state.s * y)[None]]).sub_(u)
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
    """Return the best constant of each table where it is feasible, and the bound that needs no solver.

    That bound is 0, but for costs of which a slope has the wrong sign.
    """
    x, feasible = problem.constant_point()
    zero = problem.v.new_zeros(len(problem.v))
    primal = torch.where(feasible, zero, torch.inf)
    sound = ((problem.low <= 0) & (problem.high >= 0)).all(-1).all(-1)[problem.which]
    return Outcome(
        x, primal, torch.where(sound, zero, -torch.inf), torch.zeros_like(primal, dtype=torch.int64), primal.clone()
    )


def improve(problem: Problem, best: Outcome, todo: Tensor, *, tol: float, max_iter: int, settle: float = 1.0) -> None:
    """Work on the tables ``todo`` until each has a certified relative gap of at most ``tol``; keeps it in ``best``.

    One that is not within ``settle * tol`` by then goes on, for a fifth as many steps again at most: ties weigh
    little in the gap, and close to the end a little more work settles them.

    This is the definition of the course: plain tensor operations on a batch, on any device. On the CPU the compiled
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
        _certify(part, state, best, w - u, u / tau, s, k, tol=tol, last=k == max_iter)
        gap = part.relative_gap(best.primal[state.rows], best.dual[state.rows])
        state.certified = torch.where((gap <= tol) & (state.certified == 0), k, state.certified)
        done = gap <= settle * tol
        if settle < 1:
            done |= (state.certified > 0) & (PATIENCE * state.certified <= k)
        if bool(done.any()):
            if bool(done.all()):
                break
            state = state.take(~done)
            part = problem.take(state.rows)


def _certify(
    part: Problem, state: _State, best: Outcome, z: Tensor, slope: Tensor, s: Tensor, k: int, *, tol: float, last: bool
) -> None:
    """Keep the repaired point and the lower bound of each table where they are better than before.

    The residual has multipliers of its own, and those that fit it and the interactions best; both prove a bound. Where
    that is not far from the cost, multipliers are eased, and a point is repaired once its own cost would do: to be
    feasible costs more, hardly ever less.
    """
    rows = state.rows
    y = part.gram.solve(part.operator.explain(slope[0], slope[1]) + slope[2], s)
    bound = torch.maximum(part.lower_bound(y), part.lower_bound(slope[2] / s))
    best.dual[rows] = torch.maximum(bound, best.dual[rows])
    best.cost[rows] = part.objective(z[:2])
    best.steps[rows] = k
    near = (part.relative_gap(best.cost[rows], best.dual[rows]) <= NEAR * tol) | last
    if not bool(near.any()):
        return
    eased = torch.maximum(part.lower_bound(part.eased(y, s)), best.dual[rows])
    best.dual[rows] = torch.where(near, eased, best.dual[rows])
    near &= (part.relative_gap(best.cost[rows], best.dual[rows]) <= tol) | last
    if not bool(near.any()):
        return
    x = part.repaired(part.approached(z[:2], s))
    objective = part.objective(x)
    better = near & (objective < best.primal[rows])
    best.x[:, rows[better]] = x[:, better]
    best.primal[rows] = torch.where(better, objective, best.primal[rows])
