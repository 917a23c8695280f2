"""The certified solver: operator splitting with Halpern anchoring, restarts and an adaptive step.

The unknown ``(a, o, d)`` (AND, OR, residual) lies in the affine set ``Z a + W o + d = v``; the cost is a soft
threshold on ``(a, o)`` and a box on ``d``. One step reflects at the proximal map and projects exactly on the affine
set (Peaceman-Rachford, the over-relaxed limit of ADMM). Three things make it fast where a fixed step stalls:

1. *Halpern anchoring*: step ``k`` since the last restart is averaged with the anchor with weight ``1/(k+2)``, which
   gives the reflected (non-averaged) map a convergence rate of its own [lieder2021, chen2024].
2. *Restarts*, each table for itself, when the fixed-point residual has fallen to a fifth, or has turned, or a third
   of all steps went by [lu2024].
3. *Adaptive steps*: at a restart the step of the interactions, and apart from it that of the residual, becomes the
   ratio of the distances that its primal and its dual part travelled since the last one, in log scale, mixed with the
   old. The projection takes any ratio of the two, because its blocks are diagonalised.

Every start is the same declared point, the constant ``v({})``; the first threshold is proportional to the size of the
minimum-norm explanation, so that the whole course scales with the table. A table leaves the batch when its gap is
certified. ``benchmarks/bench_split.py`` measures what this gains over a fixed step. This file is the definition, and
the form for graphics cards; on the CPU `_fused` follows the same course. Sources: docs/references.bib.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from interdyn.sparsify._problem import Problem, clip

CHECK_EVERY = 25
FIRST_THRESHOLD = 0.3  # times the root mean square of the minimum-norm explanation
RANGE = 20.0  # the threshold stays within this factor of the first
MEMORY = 0.8  # weight of the measured ratio, in logarithms, at a restart
SUFFICIENT, NECESSARY, LONG, SHORTEST = 0.2, 0.8, 0.36, 3  # restart rules


@dataclass
class Outcome:
    """Best feasible point and best lower bound of each table, and the steps taken."""

    x: Tensor  # (2, batch, subsets)
    primal: Tensor  # (batch,)
    dual: Tensor  # (batch,)
    steps: Tensor  # (batch,) int


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

    def take(self, keep: Tensor) -> "_State":
        return _State(
            self.rows[keep],
            self.w[:, keep],
            self.anchor[:, keep],
            self.point[:, keep],
            self.slope[:, keep],
            *(x[keep] for x in (self.tau, self.s, self.tau_first, self.since, self.first, self.last)),
        )


def first_ratio(n: int) -> float:
    """Return the ratio of the steps of the residual and of the interactions at the start: 8 at ``n = 10``."""
    return 8.0 * math.sqrt(2.0 ** (n - 10))


def _start(problem: Problem) -> _State:
    v = problem.v
    b = v.shape[0]
    least = torch.stack(problem.operator.adjoint(problem.gram.solve(v, 0.0)))
    least[:, :, 0] = 0.0
    rms = least.square().sum(dim=(0, 2)).div(2 * v.shape[1]).sqrt()[:, None]
    tau = FIRST_THRESHOLD * rms
    w = v.new_zeros(3, *v.shape)
    w[0, :, 0] = v[:, 0]
    infinite = torch.full((b,), torch.inf, dtype=v.dtype, device=v.device)
    rows = torch.arange(b, device=v.device)
    s = torch.full_like(tau, first_ratio(problem.operator.n))
    since = torch.zeros_like(tau)
    return _State(
        rows, w, w.clone(), w.clone(), torch.zeros_like(w), tau, s, tau.clone(), since, infinite, infinite.clone()
    )


def _dual_part(problem: Problem, state: _State, ridge: Tensor) -> Tensor:
    """Return ``w - prox(w)``: the threshold part of ``(a, o)``, what the box cut off ``d``."""
    u = torch.empty_like(state.w)
    tilt = problem.cost[:, None] * state.tau
    u[:2] = torch.maximum(torch.minimum(state.w[:2], tilt + state.tau), tilt - state.tau)
    if bool((ridge > 0).any()):
        shrink = ridge * state.tau
        u[:2] += (state.w[:2] - u[:2]) * (shrink / (1 + shrink))
    u[1, :, 0] = state.w[1, :, 0]  # no OR interaction of the empty set
    u[2] = state.w[2] - clip(state.w[2], problem.bound)
    return u


def _mixed(primal: Tensor, dual: Tensor, old: Tensor, first: Tensor, restart: Tensor) -> Tensor:
    """Return the new step of the restarting tables: the ratio of the distances, mixed with the old, within range."""
    usable = (primal > 0) & (dual > 0)
    ratio = torch.where(usable, primal, 1.0).div(torch.where(usable, dual, 1.0)).sqrt()[:, None]
    mixed = torch.exp(MEMORY * ratio.log() + (1 - MEMORY) * old.log())
    mixed = torch.maximum(torch.minimum(mixed, first * RANGE), first / RANGE)
    return torch.where((restart & usable)[:, None], mixed, old)


def _restart(problem: Problem, state: _State, u: Tensor, restart: Tensor) -> Tensor:
    """Adapt the steps of the restarting tables; return their ``w`` with the dual part rescaled."""
    scale = torch.stack([state.tau, state.tau, state.s * state.tau])
    z, slope = state.w - u, u / scale
    primal, dual = (z - state.point).square().sum(-1), (slope - state.slope).square().sum(-1)
    first = first_ratio(problem.operator.n)
    tau = _mixed(primal[0] + primal[1], dual[0] + dual[1], state.tau, state.tau_first, restart)
    residual = _mixed(primal[2], dual[2], state.s * state.tau, first * state.tau_first, restart)
    state.tau = tau
    state.s = torch.clamp(residual / tau, first / RANGE, first * RANGE)
    rows = restart[None, :, None]
    state.point = torch.where(rows, z, state.point)
    state.slope = torch.where(rows, slope, state.slope)
    return z + slope * torch.stack([state.tau, state.tau, state.s * state.tau])


def _step(problem: Problem, state: _State, ridge: Tensor, k: int) -> Tensor:
    """Do one anchored step in place; return ``w - prox(w)`` before it."""
    u = _dual_part(problem, state, ridge)
    p = state.w - 2 * u
    y = problem.gram.solve(problem.v - problem.operator.explain(p[0], p[1]) - p[2], state.s)
    move = torch.stack([*problem.operator.adjoint(y), state.s * y]).sub_(u)
    squares = move.square().sum(-1)
    residual = (squares[0] + squares[1] + squares[2] / state.s[:, 0]).sqrt()
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
    """Return the best constant of each table where it is feasible, and the bound that needs no solver."""
    x, feasible = problem.constant_point()
    constant = x[0, :, 0]
    primal = torch.where(feasible, constant.abs() + problem.cost[0, 0] * constant, torch.inf)
    dual = (problem.v[:, 0].abs() - problem.bound[:, 0]).clamp_min(0.0)
    if bool(problem.cost.any()):
        dual = torch.full_like(dual, -torch.inf)
    return Outcome(x, primal, dual, torch.zeros_like(primal, dtype=torch.int64))


def ridge_weights(problem: Problem, ridge: float) -> Tensor:
    """Return the weight of the ridge of each table, ``ridge / max|v - v({})|``, shape ``(batch,)``."""
    spread = (problem.v - problem.v[:, :1]).abs().amax(-1)
    return torch.where(spread > 0, ridge / spread, 0.0)


def improve(problem: Problem, best: Outcome, todo: Tensor, *, tol: float, max_iter: int, ridge: float) -> None:
    """Work on the tables ``todo`` until each has a certified relative gap of at most ``tol``; keeps it in ``best``.

    This is the definition of the course: plain tensor operations on a batch, on any device. On the CPU the compiled
    form in `_fused` does the same.
    """
    part, weight = problem.take(todo), ridge_weights(problem, ridge)[todo][:, None]
    state = _start(part)
    state.rows = todo
    for k in range(1, max_iter + 1):
        tau, s, w = state.tau, state.s, state.w
        u = _step(part, state, weight, k)
        if k % CHECK_EVERY and k < max_iter:
            continue
        _certify(part, state, best, w - u, u / tau, s, k)
        done = part.relative_gap(best.primal[state.rows], best.dual[state.rows]) <= tol
        if bool(done.any()):
            if bool(done.all()):
                break
            state, weight = state.take(~done), weight[~done]
            part = problem.take(state.rows)


def _certify(part: Problem, state: _State, best: Outcome, z: Tensor, slope: Tensor, s: Tensor, k: int) -> None:
    """Keep the repaired point and the scaled dual point of each table where they are better than before."""
    x = part.repaired(z[:2])
    objective = part.objective(x)
    y = part.gram.solve(part.operator.explain(slope[0], slope[1]) + slope[2], s)
    bound = part.lower_bound(y)
    better = objective < best.primal[state.rows]
    best.x[:, state.rows[better]] = x[:, better]
    best.primal[state.rows] = torch.minimum(objective, best.primal[state.rows])
    best.dual[state.rows] = torch.maximum(bound, best.dual[state.rows])
    best.steps[state.rows] = k
