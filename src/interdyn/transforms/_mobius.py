"""The butterfly over the subset lattice, and the four transforms built on it.

The zeta transform sums a table over all subsets, ``out(T) = sum_{S <= T} x(S)``; the Möbius transform undoes it.
Both factor over the players: for each player in turn the half of the table where the player is present receives
plus (or minus) the half where it is absent. The complement of a subset is index reversal, so OR needs no second
algorithm.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.compiled import available
from interdyn.errors import ShapeError
from interdyn.values import n_players_from_size
from interdyn.values._convert import Array, as_tensor, like

_KINDS = {torch.float64: "float64", torch.float32: "float32"}


def butterfly_(x: Float[Tensor, "*batch subsets"], sign: int) -> Float[Tensor, "*batch subsets"]:
    """Add ``sign`` times the half without each player to the half with it, in place; ``x`` must be contiguous.

    ``sign = 1`` is the zeta transform (sums over subsets), ``sign = -1`` the Möbius transform, its inverse.

    Examples
    --------
    >>> butterfly_(torch.tensor([0.0, 1.0, 2.0, 5.0]), -1)
    tensor([0., 1., 2., 2.])
    """
    half = x.shape[-1] // 2
    flat = x.view(-1)
    while half >= 1:
        pairs = flat.view(-1, 2, half)
        pairs[:, 1].add_(pairs[:, 0], alpha=sign)
        half //= 2
    return x


def checked_table(array: np.ndarray | Tensor, name: str, *, dtype: torch.dtype | None = None) -> Tensor:
    """Return the caller's table as a contiguous tensor, checked; not copied unless needed."""
    x = as_tensor(array, name, dtype=dtype)
    if x.ndim == 0:
        raise ShapeError(
            f"`{name}` must have one value per subset on its last axis; got a single number. "
            "Pass an array of shape (*batch, 2**n)."
        )
    n_players_from_size(x.shape[-1], name)
    return x.contiguous()


def _compiled_kind(x: Tensor) -> str:
    """Return the name of the type for which a compiled transform takes ``x``, empty if none does."""
    kind = _KINDS.get(x.dtype, "") if x.device.type == "cpu" and x.shape[-1] >= 4 and x.numel() else ""
    return kind if kind and available() else ""


def sums(
    x: Float[Tensor, "*batch subsets"],
    sign: int,
    *,
    backwards: bool = False,
    negated: bool = False,
    met: bool = False,
) -> Float[Tensor, "*batch subsets"]:
    """Return the zeta (``sign = 1``) or Möbius transform (-1) of contiguous tables, in a new tensor.

    ``backwards`` reads every table from its end, so that a subset stands for its complement; ``negated`` gives minus
    the result; ``met`` gives, instead of the sum over the subsets of ``T``, the constant and the sum over all that
    meet ``T``: all except those inside its complement. Tables of float64 and float32 on the CPU use compiled loops,
    all others `butterfly_`; the results are equal to the last bit.
    """
    kind = _compiled_kind(x)
    if kind:
        from interdyn.transforms._butterfly import transform

        table = x.view(-1, x.shape[-1]).numpy()
        result = np.empty_like(table)  # NumPy requests huge pages: a tenth of torch's time for a table of 32 MiB
        transform(kind)(table, result, sign, backwards, -1 if negated else 1, met)
        return torch.from_numpy(result).view(x.shape)
    out = butterfly_((x.flip(-1) if backwards else x).clone(memory_format=torch.contiguous_format), sign)
    if met:
        return (out[..., -1:] + x[..., :1]) - out.flip(-1)  # the constant is inside every subset
    return out.neg_().add_(0.0) if negated else out  # no minus zero


def and_from_values(v: Array) -> Array:
    r"""Turn a value table into AND interactions (Harsanyi dividends).

    $$I_\wedge(S) = \sum_{T \subseteq S} (-1)^{|S|-|T|}\, v(T)$$

    Parameters
    ----------
    v
        Value table, tensor or NumPy array of shape ``(*batch, 2**n)``, in the unit of the network output. Entry
        ``t`` belongs to the subset whose bit ``i`` is set exactly when player ``i`` is present, so ``v[..., 0]``
        is the empty set.

    Returns
    -------
    Array
        Interactions of the kind, shape and unit of ``v``; ``out[..., 0]`` is the value of the empty set.

    Raises
    ------
    ShapeError
        If the last axis is not a power of two long.

    Notes
    -----
    Cost ``n * 2**(n-1)`` subtractions per table and one copy of ``v``. The rounding error of entry ``S`` is at most
    ``|S| * 2**|S| * u * max|v|`` with ``u`` the unit roundoff: pass float64.
    Exact inverse: `values_from_and`. Oracle: ``tests/oracles.py``, `and_by_definition`.
    Source: paper, eq. (1); Harsanyi (1963).

    Examples
    --------
    >>> import numpy as np
    >>> and_from_values(np.array([0.0, 1.0, 2.0, 5.0]))  # players 0 and 1 together add 2
    array([0., 1., 2., 2.])
    """
    return like(sums(checked_table(v, "v"), -1), v)


def values_from_and(i: Array) -> Array:
    r"""Turn AND interactions into the value table they explain.

    $$v(T) = \sum_{S \subseteq T} I_\wedge(S)$$

    Parameters
    ----------
    i
        AND interactions, shape ``(*batch, 2**n)``; entry 0 is the constant.

    Returns
    -------
    Array
        Value table of the kind, shape and unit of ``i``.

    Raises
    ------
    ShapeError
        If the last axis is not a power of two long.

    Notes
    -----
    Exact inverse of `and_from_values`; cost ``n * 2**(n-1)`` additions per table and one copy.
    Source: paper, section 2, universal matching.

    Examples
    --------
    >>> import numpy as np
    >>> values_from_and(np.array([0.0, 1.0, 2.0, 2.0]))
    array([0., 1., 2., 5.])
    """
    return like(sums(checked_table(i, "i"), 1), i)


def or_from_values(v: Array) -> Array:
    r"""Turn a value table into OR interactions.

    $$I_\vee(S) = -\sum_{T \subseteq S} (-1)^{|S|-|T|}\, v(N \setminus T), \quad S \neq \emptyset$$

    Parameters
    ----------
    v
        Value table, shape ``(*batch, 2**n)``, as in `and_from_values`.

    Returns
    -------
    Array
        Interactions of the kind, shape and unit of ``v``; ``out[..., 0]`` is ``v[..., 0]``, so that `values_from_or`
        rebuilds the table.

    Raises
    ------
    ShapeError
        If the last axis is not a power of two long.

    Notes
    -----
    With complement = index reversal, ``or_from_values(v) = -and_from_values(v reversed)`` for non-empty sets.
    Cost and rounding as `and_from_values`. Exact inverse: `values_from_or`.
    Oracle: ``tests/oracles.py``, `or_by_definition`. Source: paper, eq. (2).

    Examples
    --------
    >>> import numpy as np
    >>> or_from_values(np.array([0.0, 1.0, 1.0, 1.0]))  # player 0 or player 1 gives 1
    array([0., 0., 0., 1.])
    """
    x = checked_table(v, "v")
    out = sums(x, -1, backwards=True, negated=True)
    out[..., 0] = x[..., 0]
    return like(out, v)


def values_from_or(i: Array) -> Array:
    r"""Turn OR interactions into the value table they explain.

    $$v(T) = I_\vee(\emptyset) + \sum_{S \cap T \neq \emptyset} I_\vee(S)$$

    Parameters
    ----------
    i
        OR interactions, shape ``(*batch, 2**n)``; entry 0 is the constant.

    Returns
    -------
    Array
        Value table of the kind, shape and unit of ``i``.

    Raises
    ------
    ShapeError
        If the last axis is not a power of two long.

    Notes
    -----
    The sets that meet ``T`` are all sets except those inside the complement of ``T``: one zeta transform, reversed.
    Exact inverse of `or_from_values`. Source: paper, section 2, universal matching.

    Examples
    --------
    >>> import numpy as np
    >>> values_from_or(np.array([0.0, 0.0, 0.0, 1.0]))
    array([0., 1., 1., 1.])
    """
    return like(sums(checked_table(i, "i"), 1, met=True), i)
