"""The dividends of everything that interactions explain, in one AND form."""

from jaxtyping import Float
from torch import Tensor

from interdyn.transforms import and_from_values, values_from_and, values_from_or
from interdyn.values import Interactions, Selection


def dividends(found: Selection) -> Float[Tensor, "*batch subsets"]:
    r"""Return the Harsanyi dividends of the outputs, whose sums they are: ``v(T) = sum_{S in T} d(S)``.

    Of `Interactions` those of the whole output, what is left over included, so that nothing is lost; of a selection
    those of what is selected. An OR interaction is shared among AND sets: ``sum_{S meets T} I(S)`` has a dividend at
    every ``L`` inside ``S``, of sign ``(-1)^(|L|+1)``.

    Examples
    --------
    >>> import torch
    >>> i_or = torch.tensor([0.0, 0.0, 0.0, 2.0], dtype=torch.float64)  # player 0 or player 1
    >>> dividends(Selection(torch.zeros_like(i_or), i_or)).tolist()
    [0.0, 2.0, 2.0, -2.0]
    """
    values = values_from_and(found.i_and) + values_from_or(found.i_or)
    if isinstance(found, Interactions):
        values = values + found.residual
    return and_from_values(values)
