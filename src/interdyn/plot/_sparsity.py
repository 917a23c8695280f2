"""Sparsity: the strength of all interactions, sorted."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from interdyn.plot._style import AND, INK, OR, axes_for, empty_panel, frame, legend
from interdyn.plot._tables import tables_of


def plot_sparsity(data: Any, *, step: int | None = None, group: str = "test", ax: Axes | None = None) -> Axes:
    """Draw the strength of all interactions, sorted, with the salience threshold.

    Parameters
    ----------
    data
        A result of `interdyn.measure`, or a run directory.
    step, group
        For a run: a recorded step, by default the last; a group of samples.
    ax
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes: rank against strength, both logarithmic, AND and OR separately. Lines are medians over samples, bands
        the middle 80 %. A steep line means that few interactions explain the output.

    Raises
    ------
    InputError
        If ``data`` is neither, or the run has no such step or group.
    IncompleteRunError
        If the run has not measured it.

    Notes
    -----
    Source: paper, section 2, sparsity, and section 4, salience: ``0.03 E|v(x) - v({})|``. The constant is left out.

    Examples
    --------
    >>> plot_sparsity({})
    Traceback (most recent call last):
    interdyn.errors.InputError: `data` must be a result of `interdyn.measure` or a run directory; got dict. Pass ...
    """
    tables = tables_of(data, step=step, group=group)
    ax = axes_for(ax)
    title = f"Strength of all interactions, {tables.source}"
    size = tables.i_and.shape[1]
    if size < 2 or not len(tables.i_and) or not (np.any(tables.i_and[:, 1:]) or np.any(tables.i_or[:, 1:])):
        needs = "No interaction differs from zero.\nMeasure more samples."
        return empty_panel(ax, title=title, needs=needs, stamp=tables.stamp)
    rank = np.arange(1, size)
    for name, table, colour in (("AND", tables.i_and, AND), ("OR", tables.i_or, OR)):
        strength = np.sort(np.abs(table[:, 1:]), axis=1)[:, ::-1]
        low, middle, high = np.quantile(strength, [0.1, 0.5, 0.9], axis=0)
        ax.plot(rank, np.where(middle > 0, middle, np.nan), color=colour, lw=1.8, label=name)
        ax.fill_between(rank, low, high, color=colour, alpha=0.18, linewidth=0)
    if tables.salience is not None:
        line = tables.salience * float(tables.effect.mean())
        ax.axhline(line, color=INK, ls="--", lw=1.0, label=f"salient above {line:.2g}")
    ax.set_xscale("log")
    ax.set_yscale("log")
    top = max(np.abs(tables.i_and[:, 1:]).max(), np.abs(tables.i_or[:, 1:]).max())
    ax.set_ylim(top * 1e-5, top * 2)
    ax.set_xlim(1, size - 1)
    legend(ax, loc="lower left")
    y = f"strength ({tables.unit or 'unit of the output'})"
    return frame(ax, title=title, x="rank among 2ⁿ - 1 interactions of a kind", y=y, stamp=tables.stamp)
