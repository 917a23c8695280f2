"""Follow a training while it goes on: when to look, what it may cost, what the looks say."""

from interdyn.tracking._plan import Plan
from interdyn.tracking._schedules import Schedule, all_of, any_of, at, every, log_spaced
from interdyn.tracking._tracker import Tracker

__all__ = ["Plan", "Schedule", "Tracker", "all_of", "any_of", "at", "every", "log_spaced"]
