"""The authors' recipe, for fidelity: momentum SGD on the L1 norm, projected on the noise box.

``v_and = (v - d)/2 + g``, ``v_or = (v - d)/2 - g``; sub-gradient steps on ``sum |I_and| + |I_or|`` in ``(g, d)`` from
zero, momentum 0.9, a hand-set rate that falls tenfold over the run, ``d`` clipped to the box. The rate is *not*
scale-free: the same network doubled needs another rate. Here all tables of a batch run together, by butterflies
instead of dense ``2^n x 2^n`` products; the iterates are the same. ``benchmarks/bench_split.py`` has the dense
form. Source: practice of the authors' earlier public code (paper.md of the project, section 2).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.sparsify._admm import Outcome
from interdyn.sparsify._problem import Problem, Units, clip
from interdyn.sparsify._solve import solve as certified
from interdyn.transforms import and_from_values, or_from_values
from interdyn.transforms._mobius import butterfly_

MOMENTUM = 0.9
_BOUND_TOLERANCE = 1e-2  # how far below the optimum the lower bound of the gap may be


def _interactions(v: Tensor, g: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    half = (v - d) / 2
    i_and, i_or = and_from_values(half + g), or_from_values(half - g)
    i_and[:, 0] += i_or[:, 0]  # the constant belongs to AND
    i_or[:, 0] = 0.0
    return i_and, i_or


def _gradient(sign_and: Tensor, sign_or: Tensor) -> tuple[Tensor, Tensor]:
    """Return the adjoints of both transforms applied to the signs: by table of AND, by table of OR."""
    # the adjoint of the Möbius transform runs over supersets: the butterfly on the reversed table
    by_and = butterfly_(sign_and.flip(-1).contiguous(), -1).flip(-1)
    sign_or = sign_or.clone()
    sign_or[:, 0] = 0.0
    by_or = butterfly_(sign_or.flip(-1).contiguous(), -1).neg_()
    by_or[:, 0] += sign_and[:, 0]
    return by_and, by_or


def descend(
    v: Float[Tensor, "batch subsets"], bound: Float[Tensor, "batch 1"], rate: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Run the recipe at one rate; return ``i_and`` and ``i_or``, each of shape ``(batch, 2**n)``."""
    g, d = torch.zeros_like(v), torch.zeros_like(v)
    speed_g, speed_d = torch.zeros_like(v), torch.zeros_like(v)
    for k in range(steps):
        i_and, i_or = _interactions(v, g, d)
        by_and, by_or = _gradient(i_and.sign(), i_or.sign())
        speed_g.mul_(MOMENTUM).add_(by_and - by_or)
        speed_d.mul_(MOMENTUM).add_(by_and + by_or, alpha=-0.5)
        now = rate * 10.0 ** (-k / max(steps - 1, 1))
        g.sub_(speed_g, alpha=now)
        d = clip(d.sub_(speed_d, alpha=now), bound)
    return _interactions(v, g, d)


def solve_sgd_paper(problem: Problem, units: Units, *, steps: int, rates: Sequence[float]) -> Outcome:
    """Run the recipe at each rate, on the tables unchanged, and keep the lowest objective of each.

    The lower bound that certifies the gap is not part of the recipe; it comes from the certified solver.
    """
    best = certified(problem, tol=_BOUND_TOLERANCE, max_iter=2000)
    out = Outcome(torch.zeros_like(best.x), torch.full_like(best.primal, torch.inf), best.dual, best.steps, best.cost)
    out.steps = torch.full_like(best.steps, steps)
    v = units.absolute_(units.table.clone()) + units.base[:, None]
    bound = units.absolute_(problem.bound[:, 0].clone())[:, None]
    for rate in rates:
        x = torch.stack(descend(v, bound, rate, steps))
        x[0, :, 0] -= units.base
        x = units.relative(x)
        objective = problem.objective(x)
        better = objective < out.primal
        out.x[:, better] = x[:, better]
        out.primal = torch.where(better, objective, out.primal)
    return out
