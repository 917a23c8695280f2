"""A run on disk: one directory of small immutable files, readable while it grows, without torch."""

from interdyn.store._atomic import json_bytes, write_atomic, write_json
from interdyn.store._exhibits import Exhibit, Pieces, read_exhibit, write_exhibit
from interdyn.store._files import SCHEMA, content_hash, read_arrays, read_header, write_arrays
from interdyn.store._lock import writing
from interdyn.store._records import (
    Checkpoint,
    Measurement,
    drop_trainers,
    map_interactions,
    read_checkpoint,
    read_history,
    read_measurement,
    read_trainer,
    trainer_steps,
    write_checkpoint,
    write_measurement,
    write_trainer,
)
from interdyn.store._results import (
    identity,
    read_result,
    to_measure,
    withdraw_results,
    write_result,
)
from interdyn.store._run import Run, as_run, begin_run, config_hash, open_run, read_recipe, read_salience

__all__ = [
    "SCHEMA",
    "Checkpoint",
    "Exhibit",
    "Measurement",
    "Pieces",
    "Run",
    "as_run",
    "begin_run",
    "config_hash",
    "content_hash",
    "drop_trainers",
    "identity",
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
    "writing",
]
