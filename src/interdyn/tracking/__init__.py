"""Follow a training while it runs: when to measure, what measuring may cost, what the measurements show."""

from interdyn.schedules import Schedule, all_of, any_of, at, every, log_spaced
from interdyn.tracking._checkpoints import SavedNetwork, find_checkpoints, load_network, load_weights, weights_of
from interdyn.tracking._engine import Engine, Shard, wait_for
from interdyn.tracking._from_disk import loss_of, mean_losses, watch
from interdyn.tracking._plan import Plan
from interdyn.tracking._pool import Pool
from interdyn.tracking._pricing import Estimate
from interdyn.tracking._record import Record, summarise
from interdyn.tracking._tracker import Tracker
from interdyn.tracking._units import MEASURING, Work

__all__ = [
    "MEASURING",
    "Engine",
    "Estimate",
    "Plan",
    "Pool",
    "Record",
    "SavedNetwork",
    "Schedule",
    "Shard",
    "Tracker",
    "Work",
    "all_of",
    "any_of",
    "at",
    "every",
    "find_checkpoints",
    "load_network",
    "load_weights",
    "log_spaced",
    "loss_of",
    "mean_losses",
    "summarise",
    "wait_for",
    "watch",
    "weights_of",
]
