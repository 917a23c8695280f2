"""The Walsh transform: a table as a sum of parities, which needs no split and keeps all signs."""

import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.transforms._mobius import checked_table
from interdyn.values import n_players_from_size
from interdyn.values._convert import Array, like


def hadamard_(x: Float[Tensor, "*batch subsets"]) -> Float[Tensor, "*batch subsets"]:
    """Replace the halves without and with each player by their sum and difference, in place; ``x`` is contiguous.

    Examples
    --------
    >>> hadamard_(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    tensor([12., -4., -6.,  2.])
    """
    half, flat = x.shape[-1] // 2, x.view(-1)
    while half >= 1:
        pairs = flat.view(-1, 2, half)
        with_player = pairs[:, 1].clone()
        torch.sub(pairs[:, 0], with_player, out=pairs[:, 1])
        pairs[:, 0].add_(with_player)
        half //= 2
    return x


def walsh_from_values(v: Array) -> Array:
    r"""Turn a value table into Walsh coefficients (the Fourier transform over masks).

    $$w(S) = 2^{-n} \sum_T (-1)^{|S \cap T|}\, v(T)$$

    Parameters
    ----------
    v
        Value table, tensor or NumPy array, shape ``(*batch, 2**n)``, in the unit of the network output; indexed as in
        `and_from_values`.

    Returns
    -------
    Array
        Coefficients of the kind, shape and unit of ``v``. ``w[..., 0]`` is the mean over all masks; the squares of the
        others sum to the variance over masks.

    Raises
    ------
    ShapeError
        If the last axis is not a power of two long.

    Notes
    -----
    ``n * 2**n`` additions per table. An error of the table is one of the same size in the coefficients, whatever their
    degree; high orders of AND and OR interactions have no such bound. Exact inverse: `values_from_walsh`. Oracle:
    ``tests/oracles.py``, `walsh_by_definition`. Source: O'Donnell (2014), Analysis of Boolean functions, section 1.2.

    Examples
    --------
    >>> import numpy as np
    >>> walsh_from_values(np.array([0.0, 1.0, 0.0, 1.0]))
    array([ 0.5, -0.5,  0. ,  0. ])
    """
    x = checked_table(v, "v", dtype=torch.float64)
    return like(hadamard_(x.clone()).mul_(0.5 ** n_players_from_size(x.shape[-1], "v")), v)


def values_from_walsh(w: Array) -> Array:
    r"""Turn Walsh coefficients into the value table, ``v(T) = sum_S (-1)^{|S & T|} w(S)``.

    Parameters
    ----------
    w
        Coefficients, shape ``(*batch, 2**n)``.

    Returns
    -------
    Array
        Value table of the kind, shape and unit of ``w``.

    Raises
    ------
    ShapeError
        If the last axis is not a power of two long.

    Examples
    --------
    >>> import numpy as np
    >>> values_from_walsh(np.array([0.5, -0.5, 0.0, 0.0]))
    array([0., 1., 0., 1.])
    """
    return like(hadamard_(checked_table(w, "w", dtype=torch.float64).clone()), w)
