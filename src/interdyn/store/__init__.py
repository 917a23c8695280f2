"""A run on disk: one directory of small immutable files, readable while it grows, without torch."""

from interdyn._version import VERSION
from interdyn.store._atomic import json_bytes, write_atomic
from interdyn.store._check import Finding, check_run, drop_damaged_checkpoints
from interdyn.store._files import SCHEMA, content_hash, read_arrays, read_header, write_arrays, write_json
from interdyn.store._lock import Hold, is_written, writing
from interdyn.store._reader import (
    Reader,
    read_checkpoint,
    read_exhibit,
    read_history,
    read_measurement,
    read_trainer,
)
from interdyn.store._recipe import begin_run, config_hash, read_recipe, read_salience, read_window
from interdyn.store._records import (
    Checkpoint,
    Exhibit,
    Measurement,
    Pieces,
    drop_trainers,
    map_interactions,
    trainer_steps,
    write_checkpoint,
    write_exhibit,
    write_measurement,
    write_trainer,
)
from interdyn.store._results import (
    has_result,
    identity,
    read_result,
    to_measure,
    withdraw_results,
    write_result,
)
from interdyn.store._run import Run, as_run, holds_a_run, open_run
from interdyn.store._units import blocks_of, drop_units, has_unit, joined, write_unit

__all__ = [
    "SCHEMA",
    "VERSION",
    "Checkpoint",
    "Exhibit",
    "Finding",
    "Hold",
    "Measurement",
    "Pieces",
    "Reader",
    "Run",
    "as_run",
    "begin_run",
    "blocks_of",
    "check_run",
    "config_hash",
    "content_hash",
    "drop_damaged_checkpoints",
    "drop_trainers",
    "drop_units",
    "has_result",
    "has_unit",
    "holds_a_run",
    "identity",
    "is_written",
    "joined",
    "json_bytes",
    "map_interactions",
    "open_run",
    "read_arrays",
    "read_checkpoint",
    "read_exhibit",
    "read_header",
    "read_history",
    "read_measurement",
    "read_recipe",
    "read_result",
    "read_salience",
    "read_trainer",
    "read_window",
    "to_measure",
    "trainer_steps",
    "withdraw_results",
    "write_arrays",
    "write_atomic",
    "write_checkpoint",
    "write_exhibit",
    "write_json",
    "write_measurement",
    "write_result",
    "write_trainer",
    "write_unit",
    "writing",
]
