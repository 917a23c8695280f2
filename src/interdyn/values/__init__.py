"""Results as frozen records, which packages pass to each other.

Loading this package loads neither torch nor any other heavy library; `ValueTable` and `Interactions` need
torch and are imported on first use, `OrderSpectrum` and `Trajectory` contain NumPy arrays.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from interdyn.values._names import Names, checked_names as checked_names, labels
from interdyn.values._notebook import table_html as table_html
from interdyn.values._registry import accessor as accessor
from interdyn.values._signed import decimals_of as decimals_of, signed as signed
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
    from interdyn.values._convert import as_tensor as as_tensor, like as like, tensors_of as tensors_of
    from interdyn.values._game_rule import GameRule, different_games
    from interdyn.values._identified import Identified, Range
    from interdyn.values._record import Band, MeasurementCount
    from interdyn.values._run_parts import (
        GroupResult,
        HarmResult,
        LeftOpen,
        PhaseResult,
        RowNorms,
        SplitQuality,
        SplitRule,
        TheoryResult,
        TheorySummary,
    )
    from interdyn.values._run_result import RunResult
    from interdyn.values._sample_table import SampleFlags, SampleRow, SampleTable
    from interdyn.values._table_prediction import MechanismResult, PredictionResult, PredictionSummary
    from interdyn.values._tables import Interactions, Pair, Selection, Term, Terms, ValueTable
    from interdyn.values._window_result import Repeatability, WindowResult

_FILES = {
    **dict.fromkeys(("as_tensor", "like", "tensors_of"), "_convert"),
    **dict.fromkeys(("GameRule", "different_games"), "_game_rule"),
    **dict.fromkeys(("Identified", "Range"), "_identified"),
    **dict.fromkeys(("Interactions", "Pair", "Selection", "Term", "Terms", "ValueTable"), "_tables"),
    **dict.fromkeys(("MechanismResult", "PredictionResult", "PredictionSummary"), "_table_prediction"),
    **dict.fromkeys(("SampleFlags", "SampleRow", "SampleTable"), "_sample_table"),
    **dict.fromkeys(("GroupResult", "HarmResult", "LeftOpen", "PhaseResult", "RowNorms"), "_run_parts"),
    **dict.fromkeys(("SplitQuality", "SplitRule", "TheoryResult", "TheorySummary"), "_run_parts"),
    **dict.fromkeys(("Band", "MeasurementCount"), "_record"),
    **dict.fromkeys(("Repeatability", "WindowResult"), "_window_result"),
    "RunResult": "_run_result",
}

__all__ = [
    "MAX_PLAYERS",
    "Band",
    "GameRule",
    "GroupResult",
    "HarmResult",
    "Identified",
    "Interactions",
    "LeftOpen",
    "MeasurementCount",
    "MechanismResult",
    "Names",
    "OrderSpectrum",
    "Pair",
    "PhaseResult",
    "PredictionResult",
    "PredictionSummary",
    "Range",
    "Repeatability",
    "RowNorms",
    "RunResult",
    "SampleFlags",
    "SampleRow",
    "SampleTable",
    "Selection",
    "SplitQuality",
    "SplitRule",
    "Term",
    "Terms",
    "TheoryResult",
    "TheorySummary",
    "Trajectory",
    "ValueTable",
    "WindowResult",
    "different_games",
    "labels",
    "members",
    "n_players_from_size",
    "orders",
    "signed",
    "subset_from_members",
    "subset_masks",
]


def __getattr__(name: str) -> Any:
    if name in _FILES:
        return getattr(import_module(f"interdyn.values.{_FILES[name]}"), name)
    raise AttributeError(f"module 'interdyn.values' has no attribute {name!r}")
