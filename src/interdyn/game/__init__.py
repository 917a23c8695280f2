"""A network, masked in all ways: players, baselines, the value function, the table of all ``2^n`` outputs."""

from interdyn.game._baselines import blur_baseline, mean_baseline
from interdyn.game._forward import Output, scalar_outputs
from interdyn.game._isolation import bare, copy_bytes, isolated
from interdyn.game._names import FeatureNames
from interdyn.game._parts import choose_parts, clusters, n_parts, part_means
from interdyn.game._players import Players, columns, patches, segments, steps
from interdyn.game._private import private_copy
from interdyn.game._table import estimate_passes, game_function, value_table
from interdyn.game._words import STOP_WORDS, Words, words

__all__ = [
    "STOP_WORDS",
    "FeatureNames",
    "Output",
    "Players",
    "Words",
    "bare",
    "blur_baseline",
    "choose_parts",
    "clusters",
    "columns",
    "copy_bytes",
    "estimate_passes",
    "game_function",
    "isolated",
    "mean_baseline",
    "n_parts",
    "part_means",
    "patches",
    "private_copy",
    "scalar_outputs",
    "segments",
    "steps",
    "value_table",
    "words",
]
