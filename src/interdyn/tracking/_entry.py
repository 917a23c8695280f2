"""Losses recorded with a measurement: what the user's function returns, and what was passed for the rest."""

from collections.abc import Callable, Mapping
from typing import Any

from interdyn._arguments import told
from interdyn.errors import InputError
from interdyn.measurement import LOSSES

_NAMES = f"{', '.join(LOSSES[:-1])} or {LOSSES[-1]}"


def numbers(given: Mapping[str, Any]) -> dict[str, float]:
    """Return the losses that are known as numbers; waits for the device they are on.

    Examples
    --------
    >>> numbers({"train_loss": None, "test_loss": 1})
    {'test_loss': 1.0}
    """
    return {name: float(value) for name, value in given.items() if value is not None}


def returned(losses: Callable[[Any], Mapping[str, Any]], network: Any, report: Callable[[str], None]) -> dict[str, Any]:
    """Return what a user's function returns for a network; ``report`` is called if names are unknown.

    Raises
    ------
    InputError
        If it does not return a mapping.
    """
    found = losses(network)
    if not isinstance(found, Mapping):
        raise InputError(
            f'`losses` must return losses by name, as {{"test_loss": 0.3}}; got {told(found)}. Return {_NAMES}.'
        )
    if unknown := [str(name) for name in found if name not in LOSSES]:
        report(
            f"`losses` must return {_NAMES}; got {', '.join(unknown)}, which nothing uses. Rename what is one of these."
        )
    known = {name: value for name, value in found.items() if value is not None}
    return known | numbers({name: known[name] for name in LOSSES if name in known})
