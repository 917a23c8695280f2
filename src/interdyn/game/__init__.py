"""A network, masked in all ways: players, baselines, the value function, the table of all ``2^n`` outputs."""

from interdyn.game._baselines import blur_baseline, mean_baseline
from interdyn.game._function import game_function
from interdyn.game._guard import undisturbed
from interdyn.game._outputs import Output, scalar_outputs
from interdyn.game._players import Players, columns, patches, segments
from interdyn.game._table import estimate_passes, value_table

__all__ = [
    "Output",
    "Players",
    "blur_baseline",
    "columns",
    "estimate_passes",
    "game_function",
    "mean_baseline",
    "patches",
    "scalar_outputs",
    "segments",
    "undisturbed",
    "value_table",
]
