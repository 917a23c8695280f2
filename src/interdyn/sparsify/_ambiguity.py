"""How far each interaction can move among explanations that are about as sparse.

The optimum of an L1 problem need not be one point. Here the optimal face is felt out: the problem is solved again
with a
small linear cost of random signs on every interaction, and with its opposite, and the width of the range that each
interaction takes over all these points is reported. It is a lower bound of the true width, at a stated slack.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.sparsify._problem import Problem
from interdyn.sparsify._solve import solve

TILT = 0.01
"""Size of the random cost: the points found have an objective within ``2 * TILT`` (relative) of the least one."""


def ambiguity_widths(
    problem: Problem,
    x: Float[Tensor, "2 batch subsets"],
    *,
    draws: int,
    tol: float,
    max_iter: int,
    threads: int | None = None,
) -> Float[Tensor, "2 batch subsets"]:
    """Return the width of the range of each interaction over ``2 * draws`` tilted optima and ``x`` itself.

    Cost: ``2 * draws`` further splits. The random signs are the same for every table and every call.
    """
    low, high = x.clone(), x.clone()
    generator = torch.Generator().manual_seed(0)
    for _ in range(draws):
        signs = torch.randint(0, 2, problem.cost.shape, generator=generator).to(problem.cost) * 2 - 1
        for side in (TILT, -TILT):
            # a tilted point is only of use when it is solved more finely than the tilt
            tilted = replace(problem, cost=side * signs)
            found = solve(tilted, tol=min(tol, TILT / 4), max_iter=max_iter, ridge=0.0, threads=threads)
            low, high = torch.minimum(low, found.x), torch.maximum(high, found.x)
    return high - low
