"""Long tables: one row for each interaction, one row for each look."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interdyn import store
from interdyn.errors import missing_extra
from interdyn.exports._arrays import run_to_xarray
from interdyn.values import Selection, members, orders

if TYPE_CHECKING:
    from pandas import DataFrame


def to_pandas(found: Selection) -> "DataFrame":
    """Return one row for each interaction that is not zero: ``sample, kind, players, order, value``.

    ``sample`` is the place in the batch, absent for a single table; ``kind`` is ``and`` or ``or``; ``players`` is a
    tuple. The constant, of order 0, is among the AND interactions. The unit is in ``attrs``.

    Raises
    ------
    MissingExtraError
        If pandas is not installed.
    """
    pandas = _pandas()
    size = found.i_and.shape[-1]
    parts = []
    for kind, table in (("and", found.i_and), ("or", found.i_or)):
        flat = table.reshape(-1, size).cpu().numpy()
        sample, subset = np.nonzero(flat)
        parts.append(
            pandas.DataFrame(
                {
                    "sample": sample,
                    "kind": kind,
                    "players": [members(int(s)) for s in subset],
                    "order": orders(found.n_players)[subset],
                    "value": flat[sample, subset],
                }
            )
        )
    out = pandas.concat(parts, ignore_index=True)
    if not found.batch_shape:
        out = out.drop(columns="sample")
    out.attrs["unit"] = found.unit
    return out


def run_to_pandas(run: store.Run | str | Path) -> dict[str, "DataFrame"]:
    """Return a run as four long tables.

    Returns
    -------
    ``interactions`` (``group, step, sample, kind, players, order, value``; those that are not zero, ``players`` as
    ``"0 3"``), ``strength`` (``group, step, sample, order, value``), ``tables`` (``group, step, sample, label, gap,
    objective, noise_bound``), ``steps`` (``step`` and the losses).

    Raises
    ------
    IncompleteRunError, NotARunError, SchemaError, MissingExtraError
        As `run_to_xarray`; needs xarray and pandas.
    """
    pandas = _pandas()
    sets = run_to_xarray(run)
    parts: dict[str, list[Any]] = {"interactions": [], "strength": [], "tables": []}
    for group, data in sets.items():
        steps, samples, players = (data[key].to_numpy() for key in ("step", "sample", "players"))
        for kind in ("and", "or"):
            values = data[f"i_{kind}"].to_numpy()
            i, j, s = np.nonzero(values)
            columns = {"group": group, "step": steps[i], "sample": samples[j], "kind": kind, "players": players[s]}
            columns |= {"order": data["order"].to_numpy()[s], "value": values[i, j, s]}
            parts["interactions"].append(pandas.DataFrame(columns))
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


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise missing_extra("pandas", "xarray", "a table") from error
    return pandas
