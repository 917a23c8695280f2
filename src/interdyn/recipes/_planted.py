"""How far a measurement is from interactions that are known by hand."""

from collections.abc import Sequence

import torch

from interdyn.values import Interactions, Term, subset_from_members


def planted_error(found: Interactions, planted: Sequence[Term]) -> dict[str, float]:
    """Return how far interactions are from the planted ones, relative to the strongest planted one.

    Interactions of one player are the same function as AND and as OR; the two are added before comparing.

    Returns
    -------
    ``max_error``, over samples, kinds and non-empty subsets; ``mean_error``, the mean over samples of the sum
    of all absolute errors, relative to the sum of the planted strengths.

    Examples
    --------
    >>> found = torch.tensor([[0.0, 0.0, 0.0, 2.0]]).double()
    >>> zero, one = torch.zeros(1, 4).double(), torch.zeros(1).double()
    >>> import numpy as np
    >>> found = Interactions(i_and=found, i_or=zero, residual=zero, objective=one, gap=one,
    ...                      status=np.array([""]), noise_bound=one)
    >>> planted_error(found, [Term("and", (0, 1), 4.0)])
    {'max_error': 0.5, 'mean_error': 0.5}
    """
    n = found.n_players
    wanted = torch.zeros(2, 2**n, dtype=torch.float64)
    for kind, players, value in planted:
        wanted[0 if kind == "and" else 1, subset_from_members(players, n)] += value
    error = torch.stack([found.i_and, found.i_or], dim=-2) - wanted
    error[..., 0] = 0.0  # the constant is no interaction
    single = [1 << player for player in range(n)]
    error[..., 0, single] += error[..., 1, single]
    error[..., 1, single] = 0.0
    strength = wanted.abs()
    return {
        "max_error": float(error.abs().max() / strength.max()),
        "mean_error": float(error.abs().sum(dim=(-2, -1)).mean() / strength.sum()),
    }
