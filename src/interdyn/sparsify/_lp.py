"""The oracle: the same linear program given to HiGHS, one table at a time."""

import numpy as np
import torch

from interdyn.errors import TooLargeError, missing_extra
from interdyn.sparsify._admm import Outcome
from interdyn.sparsify._problem import Problem

MAX_PLAYERS_LP = 11
_TOLERANCES = dict.fromkeys(("primal_feasibility_tolerance", "dual_feasibility_tolerance"), 1e-10)


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
    x = problem.v.new_zeros(2, *problem.v.shape)
    y = torch.zeros_like(problem.v)
    steps = torch.zeros(len(problem.v), dtype=torch.int64)
    for row, (v, bound) in enumerate(zip(problem.v.cpu().numpy(), problem.bound[:, 0].tolist(), strict=True)):
        low, high = (side[problem.which[row]].cpu().numpy() for side in (problem.low, problem.high))
        cost = np.concatenate([high[0], high[1, 1:], -low[0], -low[1, 1:], np.zeros(size)])
        limits = [(0, None)] * (2 * k.shape[1]) + [(-bound, bound)] * size
        found = linprog(cost, A_eq=equal, b_eq=v, bounds=limits, method="highs", options=_TOLERANCES)
        flat = torch.from_numpy(found.x[: k.shape[1]] - found.x[k.shape[1] : 2 * k.shape[1]])
        x[0, row], x[1, row, 1:] = flat[:size].to(x), flat[size:].to(x)
        y[row] = torch.from_numpy(np.asarray(found.eqlin.marginals)).to(y)
        steps[row] = int(found.nit)
    x = problem.repaired(x)
    objective = problem.objective(x)
    return Outcome(x, objective, problem.lower_bound(y).clamp_min(0.0), steps, objective)
