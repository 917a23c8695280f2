"""A network, masked in all ways: players, baselines, the value function, the table of all ``2^n`` outputs."""

from interdyn.game._baselines import blur_baseline, mean_baseline
from interdyn.game._calibration import CALIBRATION_ROWS, batch_norms, calibration_rows
from interdyn.game._game import game_function
from interdyn.game._isolation import bare, copy_bytes, isolated
from interdyn.game._names import FeatureNames
from interdyn.game._outputs import Output, OutputKey, output_for, scalar_outputs
from interdyn.game._parts import choose_parts, clusters, n_parts, part_means
from interdyn.game._players import Players, columns, patches, segments, steps
from interdyn.game._private import private_copy
from interdyn.game._samples import Inputs, Samples, is_batch, labels_of, samples_of
from interdyn.game._table import estimate_passes, value_table
from interdyn.game._words import STOP_WORDS, Words, words

__all__ = [
    "CALIBRATION_ROWS",
    "STOP_WORDS",
    "FeatureNames",
    "Inputs",
    "Output",
    "OutputKey",
    "Players",
    "Samples",
    "Words",
    "bare",
    "batch_norms",
    "blur_baseline",
    "calibration_rows",
    "choose_parts",
    "clusters",
    "columns",
    "copy_bytes",
    "estimate_passes",
    "game_function",
    "is_batch",
    "isolated",
    "labels_of",
    "mean_baseline",
    "n_parts",
    "output_for",
    "part_means",
    "patches",
    "private_copy",
    "samples_of",
    "scalar_outputs",
    "segments",
    "steps",
    "value_table",
    "words",
]
