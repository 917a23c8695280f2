"""Labelled arrays: interactions, and whole runs, as xarray data sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interdyn import store
from interdyn.errors import InputError, missing_extra
from interdyn.measurement import interactions, measurements
from interdyn.spectra import order_spectrum
from interdyn.values import Interactions, Selection, members, orders

if TYPE_CHECKING:
    from xarray import Dataset


def to_xarray(found: Selection) -> "Dataset":
    """Return interactions as a data set with named axes.

    Returns
    -------
    ``i_and``, ``i_or`` and of `Interactions` ``residual`` of shape ``(sample, subset)`` (``(subset,)`` for a single
    table), ``objective``, ``gap`` and ``noise_bound`` of shape ``(sample,)``; coordinates ``subset``, ``order`` and
    ``players``, as ``"0 3"``; the unit in ``attrs``.

    Raises
    ------
    InputError
        If there is more than one axis of samples.
    MissingExtraError
        If xarray is not installed.
    """
    xarray = _xarray()
    if len(found.batch_shape) > 1:
        raise InputError(
            f"at most one axis of samples can be exported; got a batch of shape {found.batch_shape}. Take one first."
        )
    axes = ("sample",) if found.batch_shape else ()
    names = ["i_and", "i_or"]
    columns: dict[str, Any] = {}
    if isinstance(found, Interactions):
        names.append("residual")
        columns = {key: (axes, getattr(found, key).cpu().numpy()) for key in ("objective", "gap", "noise_bound")}
        columns["status"] = (axes, np.asarray(found.status, dtype=str))
    columns |= {key: ((*axes, "subset"), getattr(found, key).cpu().numpy()) for key in names}
    out: Dataset = xarray.Dataset(columns, coords=_subsets(found.n_players), attrs={"unit": found.unit})
    return out


def run_to_xarray(run: store.Run | str | Path) -> dict[str, "Dataset"]:
    """Return all that a run has measured, a data set for each group of samples.

    Returns
    -------
    Group to a data set with axes ``step, sample, subset`` (``v``, ``i_and``, ``i_or``), ``step, sample`` (``gap``,
    ``objective``, ``noise_bound``), ``step, sample, order`` (``strength``: salient, by the run's own rule) and ``step``
    (losses, accuracies); coordinates ``step``, ``sample`` (its number in the data), ``label`` where there are any,
    ``order``, ``subset``, ``players``.

    Raises
    ------
    IncompleteRunError
        If a group has not been measured at every step.
    NotARunError, SchemaError
        As in `interdyn.store.open_run`.
    MissingExtraError
        If xarray is not installed.
    """
    xarray = _xarray()
    opened = store.as_run(run)
    history, groups = measurements(opened)
    options = store.read_salience(opened)
    losses = {
        key: ("step", np.array([entry.get(key, np.nan) for entry in history], dtype=float))
        for key in dict.fromkeys(k for entry in history for k in entry if k not in ("step", "seconds"))
    }
    out = {}
    for name, rows in groups.items():
        n = int(rows[0].v.shape[-1]).bit_length() - 1
        columns: dict[str, Any] = dict(losses)
        for key in ("v", "i_and", "i_or"):
            columns[key] = (("step", "sample", "subset"), np.stack([getattr(m, key) for m in rows]))
        for key in ("gap", "objective", "noise_bound"):
            columns[key] = (("step", "sample"), np.stack([getattr(m, key) for m in rows]))
        strength = np.stack([order_spectrum(interactions(m), **options).strength for m in rows])
        columns["strength"] = (("step", "sample", "k"), strength)
        coords = _subsets(n) | {
            "step": [m.step for m in rows],
            "sample": rows[0].sample_ids,
            "k": np.arange(1, n + 1),
        }
        if rows[0].targets is not None:
            coords["label"] = ("sample", rows[0].targets)
        about = {"unit": rows[0].unit, "group": name, "recipe": opened.recipe_name, "config_hash": opened.config_hash}
        out[name] = xarray.Dataset(columns, coords=coords, attrs=about | {"interdyn_version": opened.version})
    return out


def _subsets(n: int) -> dict[str, Any]:
    names = [" ".join(map(str, members(s))) for s in range(2**n)]
    return {
        "subset": np.arange(2**n),
        "order": ("subset", orders(n)),
        "players": ("subset", np.array(names, dtype=str)),
    }


def _xarray() -> Any:
    try:
        import xarray
    except ImportError as error:
        raise missing_extra("xarray", "xarray", "a data set with named axes") from error
    return xarray
