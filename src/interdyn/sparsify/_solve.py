"""The certified solver for a batch of tables: which form of it runs, and in how many threads."""

from collections.abc import Callable
from math import ceil

import numpy as np
import torch

from interdyn.compiled import available, in_workers, one_torch_thread, worker_count
from interdyn.sparsify._admm import Outcome, first_point, first_ratio, improve
from interdyn.sparsify._problem import Problem
from interdyn.sparsify._symmetry import plan
from interdyn.values import n_players_from_size

_TENSOR_ENTRIES = 2**17  # that one batch of the form by tensors holds: its arrays then stay in the cache
_BRIEF = 2**28  # entries times steps at most, up to which a split ends before an interruption would be missed
_VECTOR = 3  # players from which on a table fills vectors of its own
WITHIN = 11  # players from which on a table has a thread to itself: four side by side would leave the cache

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
        Relative gap at which a table is done.
    max_iter
        Steps after which the best point so far is returned; its gap is certified all the same.
    threads
        Worker threads at most; see `interdyn.compiled.worker_count`. The result does not depend on their number.
    watch
        Called now and then with what there is so far.

    Returns
    -------
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
        if on_cpu:
            with one_torch_thread():
                improve(problem, best, part, tol=tol, max_iter=max_iter)
        else:
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
    run = loop("within" if alone else "side by side")
    p = plan(n)
    v = problem.v.contiguous()
    bound, budget, least = (x.contiguous().numpy() for x in (problem.bound[:, 0], problem.budget, problem.least))
    metric = problem.metric
    scale = torch.stack([metric, 1 / metric])
    low, high, scales = (
        x.contiguous().reshape(len(x), *((-1, 4) if alone else (-1,))).numpy()
        for x in (problem.low * metric, problem.high * metric, scale)
    )
    counter, stop = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)

    def work() -> None:
        run(
            v.numpy(),
            (bound, budget, least),
            (low, high, scales),
            problem.which.numpy(),
            todo.numpy(),
            counter,
            stop,
            tol,
            max_iter,
            first_ratio(n),
            best.x.numpy(),
            (best.primal.numpy(), best.dual.numpy(), best.cost.numpy()),
            best.steps.numpy(),
            (p.share, p.into, p.back, p.values),
            (p.lengths, p.bases, p.first, p.offsets),
        )

    def end() -> None:
        stop[0] = 1

    if watch is None and v.shape[-1] * len(todo) * max_iter <= _BRIEF:
        work()  # a thread would cost more than it gains
        return
    in_workers(
        work,
        min(workers, len(todo) if alone else ceil(len(todo) / 4)),
        stop=end,
        watch=None if watch is None else lambda: watch(best),
    )
