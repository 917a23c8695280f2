"""Follow a training while it goes on: when to look, what it may cost, what the looks say."""

from interdyn.schedules import Schedule, all_of, any_of, at, every, log_spaced
from interdyn.tracking._checkpoints import SavedNetwork, find_checkpoints, load_network
from interdyn.tracking._disk import summarise
from interdyn.tracking._from_disk import mean_losses, watch
from interdyn.tracking._plan import Plan
from interdyn.tracking._pricing import Estimate
from interdyn.tracking._tracker import Tracker

__all__ = [
    "Estimate",
    "Plan",
    "SavedNetwork",
    "Schedule",
    "Tracker",
    "all_of",
    "any_of",
    "at",
    "every",
    "find_checkpoints",
    "load_network",
    "log_spaced",
    "mean_losses",
    "summarise",
    "watch",
]
