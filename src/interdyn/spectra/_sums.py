"""Sums over all subsets of the same order."""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.values import n_players_from_size, orders


@lru_cache(maxsize=4)
def _indicator(n: int, device: torch.device) -> Tensor:
    """Return the matrix ``(2**n, n + 1)`` that is 1 where a subset has that order."""
    out = torch.zeros(2**n, n + 1, dtype=torch.float64, device=device)
    return out.scatter_(1, torch.tensor(orders(n), device=device)[:, None], 1.0)


def sum_by_order(table: Float[Tensor, "*batch subsets"]) -> Float[Tensor, "*batch orders"]:
    """Return the sum of ``table`` over the subsets of each order ``0..n``.

    One matrix product with the indicator of the orders; it needs ``8 (n + 1) 2**n`` bytes, 1.4 MiB at n = 14.

    Raises
    ------
    ShapeError
        If the last axis is not a power of two long.

    Examples
    --------
    >>> sum_by_order(torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64))
    tensor([1., 5., 4.], dtype=torch.float64)
    """
    n = n_players_from_size(table.shape[-1], "table")
    return table.to(torch.float64) @ _indicator(n, table.device)
