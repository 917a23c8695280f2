"""A network, masked in all ways: players, baselines, the value function, the table of all ``2^n`` outputs."""

from interdyn.game._baselines import blur_baseline as blur_baseline, mean_baseline as mean_baseline
from interdyn.game._calibration import (
    CALIBRATION_ROWS as CALIBRATION_ROWS,
    batch_norms as batch_norms,
    calibration_rows as calibration_rows,
)
from interdyn.game._forward import at_home as at_home
from interdyn.game._game import game_function
from interdyn.game._isolation import bare as bare, copy_bytes as copy_bytes, isolated as isolated
from interdyn.game._names import Columns as Columns, FeatureNames as FeatureNames, columns_of as columns_of
from interdyn.game._outputs import OF_CLASSES as OF_CLASSES, Output, OutputKey, output_for as output_for, scalar_outputs
from interdyn.game._parts import (
    choose_parts as choose_parts,
    clusters as clusters,
    n_parts as n_parts,
    part_means as part_means,
)
from interdyn.game._players import (
    Players as Players,
    columns as columns,
    patches as patches,
    segments as segments,
    steps as steps,
)
from interdyn.game._private import private_copy as private_copy
from interdyn.game._samples import (
    Inputs,
    Samples as Samples,
    is_batch as is_batch,
    labels_of as labels_of,
    samples_of as samples_of,
    tensor_of as tensor_of,
)
from interdyn.game._table import estimate_passes, refuse_impossible as refuse_impossible, value_table
from interdyn.game._user_code import Explained as Explained
from interdyn.game._words import STOP_WORDS as STOP_WORDS, Words as Words, words as words

__all__ = [
    "Inputs",
    "Output",
    "OutputKey",
    "estimate_passes",
    "game_function",
    "scalar_outputs",
    "value_table",
]
