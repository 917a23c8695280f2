"""The verdicts that were known while a run grew, from its directory alone."""

from pathlib import Path

import numpy as np

from interdyn import store
from interdyn.dynamics import OnlineVerdict, online_verdicts
from interdyn.errors import IncompleteRunError, InputError
from interdyn.measurement._stored import interactions
from interdyn.spectra import order_spectrum
from interdyn.values import Trajectory


def trajectory(run: store.Run | str | Path, *, group: str | None = None) -> Trajectory:
    """Return the strength per order of a group at all measured steps of a run, with its losses.

    Parameters
    ----------
    run
        A run, finished or not, or its folder.
    group
        One of its groups of samples; by default the first, which verdicts are about.

    Returns
    -------
    Trajectory
        Salient strength by the rule of the run's recipe, shape ``(steps, samples, orders)``, in the unit of its tables.

    Raises
    ------
    InputError
        If the run has no such group.
    IncompleteRunError
        If nothing is measured yet.
    NotARunError, SchemaError
        As in `interdyn.store.open_run`.
    """
    opened = store.as_run(run)
    name = opened.groups[0] if group is None else group
    if name not in opened.groups:
        raise InputError(f"`group` must be one of {', '.join(opened.groups)}; got {name!r}. Choose one.")
    options = store.read_salience(opened)
    history = {entry["step"]: entry for entry in store.read_history(opened)}
    steps, strength, unit = [], [], ""
    for step in opened.steps:
        found = store.read_measurement(opened, step, group=name)
        if found is not None and step in history:
            steps.append(step)
            strength.append(order_spectrum(interactions(found), **options).strength)
            unit = found.unit
    if not steps:
        raise IncompleteRunError(
            f"verdicts need a measured step; got no whole files of group `{name}` in {opened.path}. "
            f"{store.to_measure(opened)}"
        )
    most = strength[-1].shape
    kept = [i for i, s in enumerate(strength) if s.shape == most]  # a tracker whose plan changed looked otherwise
    at = [steps[i] for i in kept]
    losses = {}
    for loss in ("train_loss", "test_loss"):
        column = np.array([history[s].get(loss, np.nan) for s in at], dtype=float)
        losses[loss] = None if np.isnan(column).all() else column
    return Trajectory(np.array(at, dtype=float), np.stack([strength[i] for i in kept]), **losses, unit=unit)


def verdicts(run: store.Run | str | Path, *, group: str | None = None) -> tuple[OnlineVerdict, ...]:
    """Return what was known at each look of a run: `interdyn.dynamics.online_verdict` of all looks up to it.

    Parameters
    ----------
    run, group
        As in `trajectory`.

    Raises
    ------
    InputError, IncompleteRunError, NotARunError, SchemaError
        As `trajectory`.
    """
    return online_verdicts(trajectory(run, group=group))
