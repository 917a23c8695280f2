"""Labelled arrays and long tables: interactions, and complete runs, for xarray and pandas."""

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interdyn import store
from interdyn._arguments import instance
from interdyn.errors import InputError, missing_extra
from interdyn.exports._windows import KINDS, of_windows
from interdyn.measurement import interactions, measurements
from interdyn.spectra import order_spectrum
from interdyn.values import GameRule, Interactions, Selection, labels, members, orders

_COLUMNS = {"step", "sample", "label", "subset", "order", "players", "k", "v", "i_and", "i_or", "strength", "gap"}
_COLUMNS |= {"objective", "noise_bound", "measurement", "measurement_of_step", "first_step", "n_steps", ""}
_COLUMNS |= {f"{name}_{kind}" for name in ("mean", "se", "kept") for kind in KINDS}

if TYPE_CHECKING:
    from pandas import DataFrame
    from xarray import Dataset


def to_xarray(found: Selection) -> "Dataset":
    """Return interactions as a data set with named axes.

    Returns
    -------
    Dataset
        ``i_and``, ``i_or`` and, for `Interactions`, ``residual`` of shape ``(sample, subset)`` (``(subset,)`` for a
        single table), ``objective``, ``gap`` and ``noise_bound`` of shape ``(sample,)``; coordinates ``subset``,
        ``order`` and ``players``, such as ``"0 3"``, and if players have names ``player_name`` of shape ``(player,)``,
        or ``(sample, player)`` if they differ by sample; the unit in ``attrs``.

    Raises
    ------
    InputError
        If there is more than one sample axis.
    MissingExtraError
        If xarray is not installed.
    """
    instance(found, "found", Selection, do="Pass the result of `measure`.")
    xarray = library("xarray", "a data set with named axes")
    if len(found.batch_shape) > 1:
        raise InputError(
            f"at most one sample axis can be exported; got a batch of shape {found.batch_shape}. Take one first."
        )
    axes = ("sample",) if found.batch_shape else ()
    tables = ["i_and", "i_or"]
    columns: dict[str, Any] = {}
    if isinstance(found, Interactions):
        tables.append("residual")
        columns = {key: (axes, getattr(found, key).cpu().numpy()) for key in ("objective", "gap", "noise_bound")}
        columns["status"] = (axes, np.asarray(found.status, dtype=str))
    columns |= {key: ((*axes, "subset"), getattr(found, key).cpu().numpy()) for key in tables}
    coords = _subsets(found.n_players)
    if found.names:
        names = np.array(found.names, dtype=str)
        coords |= {"player": np.arange(found.n_players), "player_name": (("sample", "player")[-names.ndim :], names)}
    about: dict[str, Any] = {"unit": found.unit}
    if isinstance(found, Interactions):
        about["parts"] = str(GameRule.of([found.settings], n_players=found.n_players, unit=found.unit))
    return xarray.Dataset(columns, coords=coords, attrs=about)


def run_to_xarray(run: store.Run | str | Path) -> dict[str, "Dataset"]:
    """Return everything that a run has measured, as a data set for each group of samples.

    Returns
    -------
    dict[str, "Dataset"]
        Group to a data set with axes ``step, sample, subset`` (``v``, ``i_and``, ``i_or``), ``step, sample`` (``gap``,
        ``objective``, ``noise_bound``), ``step, sample, order`` (``strength``: salient, by the run's own rule) and
        ``step`` (losses, accuracies); coordinates ``step``, ``sample`` (its number in the data), ``label`` where there
        are any, ``order``, ``subset``, ``players``. If a measurement takes several nearby steps, also ``measurement,
        sample, subset``: ``mean_and``, ``mean_or`` over the steps, their standard error ``se_and``, ``se_or`` and what
        all steps have, ``kept_and``, ``kept_or``; with the coordinates ``measurement_of_step``, ``first_step`` and
        ``n_steps``.

    Raises
    ------
    IncompleteRunError
        If a group has not been measured at every step.
    NotARunError, SchemaError
        As in `interdyn.store.open_run`.
    MissingExtraError
        If xarray is not installed.
    """
    xarray = library("xarray", "a data set with named axes")
    opened = store.as_run(run)
    history, groups = measurements(opened)
    options = store.read_salience(opened)
    losses = {
        _column(key): ("step", np.array([entry.get(key, np.nan) for entry in history], dtype=float))
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
        more, at = of_windows(rows, store.read_window(opened))
        columns |= more
        coords = _subsets(n) | {
            "step": [m.step for m in rows],
            "sample": rows[0].sample_ids,
            "k": np.arange(1, n + 1),
            **at,
        }
        if rows[0].targets is not None:
            coords["label"] = ("sample", rows[0].targets)
        game = GameRule.of([m.settings for m in rows], n_players=n, unit=rows[0].unit)
        about: dict[str, Any] = {"unit": rows[0].unit, "group": name, "recipe": opened.recipe_name}
        about |= {"config_hash": opened.config_hash, "n_players": n, "parts": str(game)}
        about["n_parts"] = list(game.n_parts or ()) or "not recorded"
        out[name] = xarray.Dataset(columns, coords=coords, attrs=about | {"interdyn_version": opened.version})
    return out


def _column(loss: str) -> str:
    """Return the column name of a loss: not a path, not a formula, and not the name of another column.

    Examples
    --------
    >>> _column("train_loss"), _column("../=x"), _column("sample")
    ('train_loss', '_.._x', 'sample_')
    """
    name = re.sub(r"^(?=[.-])|[^\w.-]+", "_", loss)
    return f"{name}_" if name in _COLUMNS else name


def _subsets(n: int) -> dict[str, Any]:
    names = [" ".join(map(str, members(s))) for s in range(2**n)]
    return {
        "subset": np.arange(2**n),
        "order": ("subset", orders(n)),
        "players": ("subset", np.array(names, dtype=str)),
    }


def to_pandas(found: Selection) -> "DataFrame":
    """Return one row for each interaction that is not zero: ``sample, kind, players, order, value``.

    ``sample`` is the index in the batch, absent for a single table; ``kind`` is ``and`` or ``or``; ``players`` is a
    tuple, as is ``names``, which exists if players have any. The constant, of order 0, is among the AND
    interactions. The unit is in ``attrs``.

    Raises
    ------
    MissingExtraError
        If pandas is not installed.
    """
    instance(found, "found", Selection, do="Pass the result of `measure`.")
    pandas = library("pandas", "a table")
    size = found.i_and.shape[-1]
    both = np.stack([table.reshape(-1, size).cpu().numpy() for table in (found.i_and, found.i_or)])
    kind, sample, subset = np.nonzero(both)
    players = [members(int(s)) for s in subset]
    columns = {"sample": sample, "kind": np.array(["and", "or"])[kind], "players": players}
    if found.names:
        names = np.array(found.names, dtype=object)
        rows = np.broadcast_to(names, (*found.batch_shape, found.n_players)).reshape(-1, found.n_players).tolist()
        columns["names"] = [tuple(labels(who, rows[i])) for i, who in zip(sample, players, strict=True)]
    out = pandas.DataFrame(columns | {"order": orders(found.n_players)[subset], "value": both[kind, sample, subset]})
    if not found.batch_shape:
        out = out.drop(columns="sample")
    out.attrs["unit"] = found.unit
    return out


def run_to_pandas(run: store.Run | str | Path) -> dict[str, "DataFrame"]:
    """Return a run as four long tables, or five if measurements take several nearby steps.

    Returns
    -------
    dict[str, "DataFrame"]
        ``interactions`` (``group, step, sample, kind, players, order, value``; those that are not zero, ``players`` as
        ``"0 3"``; for a measurement of several steps their mean, with the additional columns ``se``, its standard
        error, empty for one step, ``kept``, what all steps have, and ``n_steps``, ``step`` being the first; the single
        steps are then in a separate table, ``interactions_of_steps``), ``strength`` (``group, step, sample, order,
        value``), ``tables`` (``group, step, sample, label, gap, objective, noise_bound``), ``steps`` (``step`` and the
        losses).

    Raises
    ------
    IncompleteRunError, NotARunError, SchemaError, MissingExtraError
        As `run_to_xarray`; needs xarray and pandas.
    """
    pandas = library("pandas", "a table")
    sets = run_to_xarray(run)
    windows = "measurement" in next(iter(sets.values())).coords
    parts: dict[str, list[Any]] = {"interactions": [], "strength": [], "tables": []}
    for group, data in sets.items():
        for kind in KINDS:
            single = pandas.DataFrame({"group": group, **_rows(data, f"i_{kind}", data["step"].to_numpy(), kind)})
            parts.setdefault("interactions_of_steps" if windows else "interactions", []).append(single)
            if windows:
                mean = _rows(data, f"mean_{kind}", data["first_step"].to_numpy(), kind)
                parts["interactions"].append(pandas.DataFrame({"group": group, **mean}))
        strength = data["strength"].to_dataframe(name="value").reset_index().rename(columns={"k": "order"})
        parts["strength"].append(strength[["step", "sample", "order", "value"]].assign(group=group))
        tables = data[["gap", "objective", "noise_bound"]].to_dataframe().reset_index()
        parts["tables"].append(tables.assign(group=group))
    out = {name: pandas.concat(frames, ignore_index=True) for name, frames in parts.items()}
    first = next(iter(sets.values()))
    losses = [str(name) for name, column in first.data_vars.items() if column.dims == ("step",)]
    out["steps"] = first[losses].to_dataframe().reset_index() if losses else pandas.DataFrame({"step": first["step"]})
    for name in ("strength", "tables"):
        out[name] = out[name][["group", *(c for c in out[name].columns if c != "group")]]
    return out


def _rows(data: "Dataset", name: str, steps: np.ndarray, kind: str) -> dict[str, Any]:
    """Return the columns of all non-zero interactions of a kind, for windows with error and kept part."""
    values = data[name].to_numpy()
    i, j, s = np.nonzero(values)
    columns = {"step": steps[i], "sample": data["sample"].to_numpy()[j], "kind": kind}
    columns |= {
        "players": data["players"].to_numpy()[s],
        "order": data["order"].to_numpy()[s],
        "value": values[i, j, s],
    }
    if name.startswith("mean_"):
        columns |= {short: data[f"{short}_{kind}"].to_numpy()[i, j, s] for short in ("se", "kept")}
        columns["n_steps"] = data["n_steps"].to_numpy()[i]
    return columns


def library(name: str, purpose: str) -> Any:
    """Return a library of the extra ``xarray``, or raise an error with the command that installs it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise missing_extra(name, "xarray", purpose) from error
