"""The nouns: frozen records that rooms hand to each other.

Loading this package loads neither torch nor any other heavy library; `ValueTable` and `Interactions` need
torch and are imported on first use, `OrderSpectrum` and `Trajectory` hold NumPy arrays.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from interdyn.values._names import Names, checked_names, labels
from interdyn.values._notebook import table_html
from interdyn.values._registry import accessor
from interdyn.values._subsets import (
    MAX_PLAYERS,
    members,
    n_players_from_size,
    orders,
    subset_from_members,
    subset_masks,
)
from interdyn.values._trajectory import OrderSpectrum, Trajectory

if TYPE_CHECKING:
    from interdyn.values._convert import as_tensor, like, tensors_of
    from interdyn.values._identified import Identified, Range
    from interdyn.values._tables import Interactions, Pair, Selection, Term, Terms, ValueTable

__all__ = [
    "MAX_PLAYERS",
    "Identified",
    "Interactions",
    "Names",
    "OrderSpectrum",
    "Pair",
    "Range",
    "Selection",
    "Term",
    "Terms",
    "Trajectory",
    "ValueTable",
    "accessor",
    "as_tensor",
    "checked_names",
    "labels",
    "like",
    "members",
    "n_players_from_size",
    "orders",
    "subset_from_members",
    "subset_masks",
    "table_html",
    "tensors_of",
]


def __getattr__(name: str) -> Any:
    if name in {"as_tensor", "like", "tensors_of"}:
        return getattr(import_module("interdyn.values._convert"), name)
    if name in {"Identified", "Range"}:
        return getattr(import_module("interdyn.values._identified"), name)
    if name in __all__:
        return getattr(import_module("interdyn.values._tables"), name)
    raise AttributeError(f"module 'interdyn.values' has no attribute {name!r}")
