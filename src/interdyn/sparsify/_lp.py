"""The oracle: the same linear program given to HiGHS, one table at a time."""

import numpy as np
import torch
from torch import Tensor

from interdyn.errors import TooLargeError, missing_extra
from interdyn.sparsify._admm import Outcome
from interdyn.sparsify._problem import Problem

MAX_PLAYERS_LP = 11


def solve_lp(problem: Problem) -> Outcome:
    """Solve each table of ``problem`` to optimality with HiGHS (interface of scipy).

    The variables are the positive and negative parts of ``(a, o)`` and the residual, with ``K x + d = v``. The lower
    bound comes from the multipliers of these rows, certified by ourselves like any other.

    Raises
    ------
    MissingExtraError
        If scipy is not installed.
    TooLargeError
        If there are more than 11 players: the dense program would not fit.
    """
    try:
        from scipy.optimize import linprog
    except ImportError as error:
        raise missing_extra("scipy", "lp", 'solver="lp"') from error
    size = problem.v.shape[-1]
    n = problem.operator.n
    if n > MAX_PLAYERS_LP:
        raise TooLargeError(
            f'solver="lp" builds a dense program and takes at most {MAX_PLAYERS_LP} players; got n = {n}. '
            'Use solver="admm", which certifies its gap at any size.'
        )
    eye = torch.eye(size, dtype=torch.float64)
    zero = torch.zeros_like(eye)
    operator = problem.operator
    matrix_and = operator.explain(eye, zero).T.numpy()
    matrix_or = operator.explain(zero, eye).T.numpy()[:, 1:]  # no OR interaction of the empty set
    k = np.concatenate([matrix_and, matrix_or], axis=1)
    equal = np.concatenate([k, -k, np.eye(size)], axis=1)
    tilt = np.concatenate([problem.cost[0].cpu().numpy(), problem.cost[1].cpu().numpy()[1:]])
    cost = np.concatenate([1 + tilt, 1 - tilt, np.zeros(size)])
    x = problem.v.new_zeros(2, *problem.v.shape)
    y = torch.zeros_like(problem.v)
    steps = torch.zeros(len(problem.v), dtype=torch.int64)
    for row, (v, bound) in enumerate(zip(problem.v.cpu().numpy(), problem.bound[:, 0].tolist(), strict=True)):
        scale = max(float(np.abs(v).max()), np.finfo(float).tiny)  # HiGHS has absolute tolerances
        limits = [(0, None)] * (2 * k.shape[1]) + [(-bound / scale, bound / scale)] * size
        found = linprog(cost, A_eq=equal, b_eq=v / scale, bounds=limits, method="highs")
        parts = found.x * scale
        flat = torch.from_numpy(parts[: k.shape[1]] - parts[k.shape[1] : 2 * k.shape[1]])
        x[0, row], x[1, row, 1:] = flat[:size].to(x), flat[size:].to(x)
        y[row] = torch.from_numpy(np.asarray(found.eqlin.marginals)).to(y)
        steps[row] = int(found.nit)
    x = problem.repaired(x)
    return Outcome(x, problem.objective(x), _lower_bound(problem, y), steps)


def _lower_bound(problem: Problem, y: Tensor) -> Tensor:
    return torch.maximum(problem.lower_bound(y), (problem.v[:, 0].abs() - problem.bound[:, 0]).clamp_min(0.0))
