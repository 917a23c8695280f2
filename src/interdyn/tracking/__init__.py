"""Follow a training while it goes on: when to look, what it may cost, what the looks say."""

from interdyn.tracking._schedules import Schedule, all_of, any_of, at, every, log_spaced

__all__ = ["Schedule", "all_of", "any_of", "at", "every", "log_spaced"]
