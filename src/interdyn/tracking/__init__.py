"""Follow a training while it runs: when to measure, what measuring may cost, what the measurements show."""

from interdyn.schedules import (
    Schedule as Schedule,
    all_of as all_of,
    any_of as any_of,
    at as at,
    every as every,
    log_spaced as log_spaced,
)
from interdyn.tracking._checkpoints import (
    SavedNetwork,
    find_checkpoints,
    load_network,
    load_weights as load_weights,
    weights_of as weights_of,
)
from interdyn.tracking._engine import Engine as Engine, Shard as Shard, wait_for as wait_for
from interdyn.tracking._from_disk import watch
from interdyn.tracking._losses import loss_of as loss_of, mean_losses
from interdyn.tracking._plan import Plan
from interdyn.tracking._pool import Pool
from interdyn.tracking._pricing import Estimate
from interdyn.tracking._record import Record as Record, summarise as summarise
from interdyn.tracking._tracker import Tracker
from interdyn.tracking._units import MEASURING as MEASURING, Work as Work

__all__ = [
    "Estimate",
    "Plan",
    "Pool",
    "SavedNetwork",
    "Tracker",
    "find_checkpoints",
    "load_network",
    "mean_losses",
    "watch",
]
