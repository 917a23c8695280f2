"""Symbolic interactions of neural networks and their dynamics over training.

Every name is loaded on first use, so that ``import interdyn`` is quick and loads no torch.
"""

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
        plot,
        recipes,
        report,
        sparsify,
        spectra,
        store,
        theory,
        tracking,
        transforms,
        values,
    )
    from interdyn.game import (
        choose_parts,
        clusters,
        columns,
        mean_baseline,
        part_means,
        patches,
        segments,
        steps,
        value_table,
        words,
    )
    from interdyn.measurement import measure
    from interdyn.tracking import Tracker, all_of, any_of, at, every, log_spaced
    from interdyn.values import Interactions, OrderSpectrum, Trajectory, ValueTable

_ROOMS = frozenset(
    {
        *("dynamics", "errors", "exports", "game", "measurement", "plot", "recipes", "report", "sparsify", "spectra"),
        *("store", "theory", "tracking", "transforms", "values"),
    }
)
_NAMES = {
    "Interactions": "interdyn.values",
    "OrderSpectrum": "interdyn.values",
    "Tracker": "interdyn.tracking",
    "Trajectory": "interdyn.values",
    "ValueTable": "interdyn.values",
    "all_of": "interdyn.tracking",
    "any_of": "interdyn.tracking",
    "at": "interdyn.tracking",
    "choose_parts": "interdyn.game",
    "clusters": "interdyn.game",
    "columns": "interdyn.game",
    "every": "interdyn.tracking",
    "log_spaced": "interdyn.tracking",
    "mean_baseline": "interdyn.game",
    "measure": "interdyn.measurement",
    "part_means": "interdyn.game",
    "patches": "interdyn.game",
    "segments": "interdyn.game",
    "steps": "interdyn.game",
    "value_table": "interdyn.game",
    "words": "interdyn.game",
}

__all__ = sorted([*_NAMES, *_ROOMS])

__version__ = _version("interdyn")


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    if name in _ROOMS:
        return import_module(f"interdyn.{name}")
    raise AttributeError(f"module 'interdyn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
