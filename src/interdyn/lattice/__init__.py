"""The lattice of subsets: a subset of players is an integer, bit ``i`` set when player ``i`` is in it."""

from interdyn.lattice._subsets import (
    MAX_PLAYERS,
    members,
    n_players_from_size,
    orders,
    subset_from_members,
    subset_masks,
)

__all__ = [
    "MAX_PLAYERS",
    "members",
    "n_players_from_size",
    "orders",
    "subset_from_members",
    "subset_masks",
]
