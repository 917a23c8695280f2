"""A tolerance that follows its use: ``tol="auto"``."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.errors import InputError
from interdyn.sparsify._problem import Problem
from interdyn.sparsify._solve import solve
from interdyn.values import n_players_from_size, orders

COARSEST, FINEST, FINER = 1e-2, 1.5e-4, 4.0
"""Without an order weight: the tolerances tried, each a quarter of the one before."""

SHARE = 0.1
"""By how much of the interval over tables the strength of an order may move."""

_PILOT = 16  # tables at most on which a tolerance is tried
_NORMAL_90 = 1.645  # half of a 90 % interval, in standard errors
_COUNTS = 0.01  # of all strength, from which on an order counts


def first_tolerance(tol: float | str, order_weight: float, n: int) -> float:
    """Return the tolerance to begin with: the one given, or ``order_weight / n``.

    Raises
    ------
    InputError
        If it is a word other than "auto".
    """
    if tol == "auto":
        return order_weight / max(n, 1) if order_weight > 0 else COARSEST
    if isinstance(tol, str):
        raise InputError(f'`tol` must be a number or "auto"; got {tol!r}. Pass 1e-3, for example.')
    return float(tol)


def settled_tolerance(problem: Problem, *, max_iter: int, threads: int) -> float:
    """Return the coarsest tolerance that the order spectrum of ``problem`` does not feel; see `split`.

    A single table has no interval to be held against; it gets 1e-3.
    """
    tables = len(problem.v)
    if tables < 2:
        return 1e-3
    rows = torch.linspace(0, tables - 1, min(tables, _PILOT), device=problem.v.device).long()
    pilot = problem.take(rows)

    def strength(tol: float) -> Float[Tensor, "tables orders"]:
        n = n_players_from_size(pilot.v.shape[-1])
        x = solve(pilot, tol=tol, max_iter=max_iter, threads=threads).x.abs().sum(0)
        k = torch.tensor(orders(n).tolist(), device=x.device)
        return torch.stack([x[:, k == order].sum(-1) for order in range(1, n + 1)], dim=-1)

    tol, now = COARSEST, strength(COARSEST)
    while tol > FINEST:
        finer = strength(tol / FINER)
        width = 2 * _NORMAL_90 * finer.std(dim=0) / math.sqrt(tables)
        counts = finer.mean(0) > _COUNTS * finer.mean(0).sum()
        if bool((((now - finer).mean(0).abs() <= SHARE * width) | ~counts).all()):
            break
        tol, now = tol / FINER, finer
    return tol
