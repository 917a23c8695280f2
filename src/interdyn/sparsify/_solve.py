"""The certified solver for a batch of tables: which form of it runs, in how many threads, and with which tolerance."""

from collections.abc import Callable
from functools import partial
from math import ceil, sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import number, whole
from interdyn.compiled import available, in_workers, one_torch_thread, worker_count
from interdyn.errors import InputError
from interdyn.sparsify._admm import Outcome, first_point, first_ratio, improve
from interdyn.sparsify._problem import Problem
from interdyn.sparsify._symmetry import plan
from interdyn.values import n_players_from_size, orders

_TENSOR_ENTRIES = 2**17  # in one batch of the tensor form: its arrays then stay in the cache
_BRIEF = 2**28  # entries times steps up to which a split ends before an interruption would be noticed
_VECTOR = 3  # number of players from which a table fills complete vectors
WITHIN = 11  # number of players from which a table has its own thread: four side by side would exceed the cache

COARSEST, FINEST, FINER = 1e-2, 1.5e-4, 4.0
"""Without an order weight: the tolerances tried, each a quarter of the previous one."""

SHARE = 0.1
"""By how much of its interval over tables the strength of an order may change."""

_PILOT = 16  # most tables on which a tolerance is tried
_NORMAL_90 = 1.645  # half of a 90 % interval, in standard errors
_COUNTS = 0.01  # share of all strength from which an order counts

Watch = Callable[[Outcome], None]
"""Called now and then, while threads work, with the best points and bounds so far."""


def solve(
    problem: Problem,
    *,
    tol: float,
    max_iter: int,
    threads: int | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Solve all tables of ``problem`` until each has a certified relative gap of at most ``tol``.

    Parameters
    ----------
    problem
        The tables, bounds and costs.
    tol
        Relative gap at which a table is finished.
    max_iter
        Steps after which the best point so far is returned; its gap is certified nevertheless.
    threads
        Most worker threads; see `interdyn.compiled.worker_count`. The result does not depend on their number.
    watch
        Called now and then with the result so far.

    Returns
    -------
    Outcome
        Best feasible point, objective and lower bound of each table.
    """
    workers = worker_count(threads)
    best = first_point(problem)
    todo = torch.nonzero(~(problem.relative_gap(best.primal, best.dual) <= tol))[:, 0]
    if not len(todo):
        return best
    on_cpu = problem.v.device.type == "cpu"
    n, several = n_players_from_size(problem.v.shape[-1]), len(problem.low) > 1
    if on_cpu and available() and not (several and n < _VECTOR):
        _compiled(problem, best, todo, tol, max_iter, workers, watch)
        return best
    rows = max(1, _TENSOR_ENTRIES // problem.v.shape[-1])
    for part in torch.split(todo, rows):
        with one_torch_thread():
            improve(problem, best, part, tol=tol, max_iter=max_iter)
        if watch is not None:
            watch(best)
    return best


def _compiled(
    problem: Problem,
    best: Outcome,
    todo: torch.Tensor,
    tol: float,
    max_iter: int,
    workers: int,
    watch: Watch | None,
) -> None:
    """Run the compiled loop in as many threads as there is work for; it writes into ``best``."""
    from interdyn.sparsify._fused import loop

    n = n_players_from_size(problem.v.shape[-1])
    alone = n >= WITHIN or len(problem.low) > 1
    bound, budget, least = (x.contiguous().numpy() for x in (problem.bound[:, 0], problem.budget, problem.least))
    metric = problem.metric
    scale = torch.stack([metric, 1 / metric])
    low, high, scales = (
        x.contiguous().reshape(len(x), *((-1, 4) if alone else (-1,))).numpy()
        for x in (problem.low * metric, problem.high * metric, scale)
    )
    stop = np.zeros(1, dtype=np.int64)
    work = partial(
        loop("within" if alone else "side by side"),
        problem.v.contiguous().numpy(),
        (bound, budget, least),
        (low, high, scales),
        problem.which.numpy(),
        todo.numpy(),
        np.zeros(1, dtype=np.int64),  # the next of `todo`
        stop,
        tol,
        max_iter,
        first_ratio(n),
        tuple(x.numpy() for x in (best.x, best.primal, best.dual, best.cost, best.steps)),
        tuple(plan(n)),
    )
    if watch is None and problem.v.shape[-1] * len(todo) * max_iter <= _BRIEF:
        work()  # a thread would cost more than it gains
        return
    in_workers(
        work,
        min(workers, len(todo) if alone else ceil(len(todo) / 4)),
        stop=lambda: stop.fill(1),
        watch=None if watch is None else lambda: watch(best),
    )


def first_tolerance(tol: float | str, order_weight: float, n: int) -> float:
    """Return the initial tolerance: the one given, or ``order_weight / n``.

    Raises
    ------
    InputError
        If it is a string other than "auto".
    """
    n = whole(n, "n")
    order_weight = number(order_weight, "order_weight", least=0, most=1, do="Leave it at 0.02.")
    if isinstance(tol, str) and tol == "auto":
        return order_weight / max(n, 1) if order_weight > 0 else COARSEST
    if isinstance(tol, str):
        raise InputError(f'`tol` must be a number or "auto"; got {tol!r}. Pass 1e-3, for example.')
    return number(tol, "tol", least=0, most=1, open_=True, do="It is a relative gap: pass 1e-3, for example.")


def settled_tolerance(problem: Problem, *, max_iter: int, threads: int) -> float:
    """Return the coarsest tolerance that does not affect the order spectrum of ``problem``; see `split`.

    A single table has no interval to compare with; it gets 1e-3.
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
        width = 2 * _NORMAL_90 * finer.std(dim=0) / sqrt(tables)
        counts = finer.mean(0) > _COUNTS * finer.mean(0).sum()
        if bool((((now - finer).mean(0).abs() <= SHARE * width) | ~counts).all()):
            break
        tol, now = tol / FINER, finer
    return tol
