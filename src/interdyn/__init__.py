"""Symbolic interactions of neural networks and their dynamics over training.

Every name is loaded on first use, so that ``import interdyn`` is quick and loads no torch.
"""

import warnings
from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interdyn import (
        dynamics,
        errors,
        exports,
        game,
        measurement,
        monitors,
        players,
        plot,
        recipes,
        report,
        schedules,
        sparsify,
        spectra,
        store,
        theory,
        tracking,
        transforms,
        values,
    )
    from interdyn.game import value_table
    from interdyn.measurement import History, MeasurementConfig, measure
    from interdyn.tracking import Tracker, watch
    from interdyn.values import Interactions, OrderSpectrum, Trajectory, ValueTable

__all__ = [
    "History",
    "Interactions",
    "MeasurementConfig",
    "OrderSpectrum",
    "Tracker",
    "Trajectory",
    "ValueTable",
    "dynamics",
    "exports",
    "measure",
    "players",
    "plot",
    "report",
    "schedules",
    "sparsify",
    "spectra",
    "theory",
    "transforms",
    "value_table",
    "watch",
]

_HOMES = {
    "game": ("value_table",),
    "measurement": ("History", "MeasurementConfig", "measure"),
    "tracking": ("Tracker", "watch"),
    "values": ("Interactions", "OrderSpectrum", "Trajectory", "ValueTable"),
}
_ROOMS = {
    *("dynamics", "errors", "exports", "game", "measurement", "monitors", "players", "plot", "recipes", "report"),
    *("schedules", "sparsify", "spectra", "store", "theory", "tracking", "transforms", "values"),
}
_MOVED = {
    "players": (
        *("choose_parts", "clusters", "columns", "mean_baseline", "part_means", "patches", "segments"),
        *("steps", "words"),
    ),
    "schedules": ("all_of", "any_of", "at", "every", "log_spaced"),
}

__version__ = _version("interdyn")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"interdyn.{name}")
    for room, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"interdyn.{room}"), name)
    for room, names in _MOVED.items():
        if name in names:
            new = f"interdyn.{room}.{name}"
            what = f"`interdyn.{name}` was renamed to `{new}` in version 0.2 and will be removed after it. Use `{new}`."
            warnings.warn(what, DeprecationWarning, stacklevel=2)
            return getattr(import_module(f"interdyn.{room}"), name)
    raise AttributeError(f"module 'interdyn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS, "__version__"})
