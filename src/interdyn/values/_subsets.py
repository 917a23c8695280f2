"""Subsets as integers, bit ``i`` set when player ``i`` is in it: sizes, members, and the tables indexed by them."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int64

from interdyn._arguments import told, whole
from interdyn.errors import InputError, ShapeError

MAX_PLAYERS = 24
"""Largest number of players for which a table of ``2**n`` float64 entries is built (128 MiB)."""


def n_players_from_size(size: int, name: str = "v") -> int:
    """Return ``n`` for a table of ``size = 2**n`` entries.

    Raises
    ------
    ShapeError
        If ``size`` is not a power of two.

    Examples
    --------
    >>> n_players_from_size(8)
    3
    """
    size = whole(size, f"size of {name}", error=ShapeError)
    if size < 1 or size & (size - 1):
        raise ShapeError(
            f"`{name}` must have one value per subset of players, so its last axis must be 2**n long; "
            f"got a last axis of {size}. Pass the whole table, all 2**n masks in order."
        )
    return size.bit_length() - 1


@lru_cache(maxsize=32)
def _orders(n: int) -> np.ndarray:
    out = np.zeros(1, dtype=np.int64)
    for _ in range(n):
        out = np.concatenate([out, out + 1])
    out.setflags(write=False)
    return out


def orders(n: int) -> Int64[np.ndarray, " subsets"]:
    """Return the order (number of players) of each of the ``2**n`` subsets, read-only.

    Examples
    --------
    >>> orders(2)
    array([0, 1, 1, 2])
    """
    return _orders(whole(n, "n", most=MAX_PLAYERS))


@lru_cache(maxsize=16)
def _subset_masks(n: int) -> np.ndarray:
    out: np.ndarray = (np.arange(2**n)[:, None] >> np.arange(n)[None, :]) & 1 == 1
    out.setflags(write=False)
    return out


def subset_masks(n: int) -> Bool[np.ndarray, "subsets players"]:
    """Return all subsets as rows of a Boolean matrix, read-only; row ``t`` is subset ``t``.

    Examples
    --------
    >>> subset_masks(2)
    array([[False, False],
           [ True, False],
           [False,  True],
           [ True,  True]])
    """
    return _subset_masks(whole(n, "n", most=MAX_PLAYERS))


def members(subset: int) -> tuple[int, ...]:
    """Return the players in a subset, ascending.

    Examples
    --------
    >>> members(0b1101)
    (0, 2, 3)
    """
    subset = whole(subset, "subset")
    return tuple(i for i in range(subset.bit_length()) if subset >> i & 1)


def subset_from_members(players: Iterable[int], n: int) -> int:
    """Return the integer of the subset that contains ``players``.

    Raises
    ------
    InputError
        If a player is outside ``0..n-1`` or named twice.

    Examples
    --------
    >>> subset_from_members((0, 3), n=4)
    9
    """
    out, n = 0, whole(n, "n")
    if isinstance(players, str | bytes) or not isinstance(players, Iterable):
        raise InputError(f"players must be integers in 0..{n - 1}; got {told(players)}. Pass them as (0, 3).")
    for given in players:
        player = whole(given, "players", most=n - 1, do="Name players of this result.")
        if out >> player & 1:
            raise InputError(f"each player may be named once; got {player} twice. Remove the repetition.")
        out |= 1 << player
    return out
