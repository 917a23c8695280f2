"""A run on disk: one directory of small immutable files, readable while it grows, without torch."""

from interdyn._version import VERSION as VERSION
from interdyn.store._atomic import json_bytes as json_bytes, write_atomic as write_atomic
from interdyn.store._check import Finding, check_run, drop_damaged_checkpoints as drop_damaged_checkpoints
from interdyn.store._files import (
    SCHEMA,
    content_hash as content_hash,
    read_arrays as read_arrays,
    read_header as read_header,
    write_arrays as write_arrays,
    write_json as write_json,
)
from interdyn.store._lock import Hold as Hold, is_written, writing as writing
from interdyn.store._reader import (
    Reader,
    read_checkpoint,
    read_exhibit,
    read_history,
    read_measurement,
    read_trainer as read_trainer,
)
from interdyn.store._recipe import (
    begin_run as begin_run,
    config_hash as config_hash,
    read_recipe,
    read_salience as read_salience,
    read_window as read_window,
)
from interdyn.store._records import (
    Checkpoint,
    Exhibit,
    Measurement,
    Pieces,
    drop_trainers as drop_trainers,
    map_interactions as map_interactions,
    trainer_steps as trainer_steps,
    write_checkpoint as write_checkpoint,
    write_exhibit as write_exhibit,
    write_measurement as write_measurement,
    write_trainer as write_trainer,
)
from interdyn.store._results import (
    has_result as has_result,
    identity as identity,
    read_result,
    to_measure as to_measure,
    withdraw_results as withdraw_results,
    write_result as write_result,
)
from interdyn.store._run import Run, as_run as as_run, holds_a_run as holds_a_run, open_run
from interdyn.store._units import (
    blocks_of as blocks_of,
    drop_units as drop_units,
    has_unit as has_unit,
    joined as joined,
    write_unit as write_unit,
)

__all__ = [
    "SCHEMA",
    "Checkpoint",
    "Exhibit",
    "Finding",
    "Measurement",
    "Pieces",
    "Reader",
    "Run",
    "check_run",
    "is_written",
    "open_run",
    "read_checkpoint",
    "read_exhibit",
    "read_history",
    "read_measurement",
    "read_recipe",
    "read_result",
]
