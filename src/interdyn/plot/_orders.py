"""Which orders the network uses, and how that changes: bars at chosen steps, heat map, signed strengths."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from interdyn.plot._blocks import bars_with_interval, block_positions, choose_steps, indices_of, label_blocks
from interdyn.plot._steps import STEP_LABEL
from interdyn.plot._style import (
    AND,
    GROUP_COLOURS,
    INK,
    MUTED,
    OR,
    axes_for,
    empty_panel,
    frame,
    group_name,
    legend_above,
    mark_boundary_on_colours,
    step_axis,
)
from interdyn.plot._view import Drawable, as_view, has_numbers

ORDER_LABEL = "order of the interaction (number of players)"
SHARE_LABEL = "share of interaction strength"
_NEEDS_GROUP = "Nothing was measured on {group}.\nRecord `order_distribution` of this group in analysis.json."


def plot_order_distribution(
    data: Drawable, *, group: str = "test", steps: Sequence[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how the interaction strength is shared among orders at six points of training.

    Parameters
    ----------
    data
        Run directory, `RunResult`, or mapping with ``summary`` and ``analysis``.
    group
        ``"test"`` or ``"mislabelled"``.
    steps
        Recorded optimiser steps to draw; by default six, evenly spaced among the checkpoints, ends and phase
        boundary included.
    ax
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    The axes. Bars of one step sum to 1; thin lines are 90 % bootstrap intervals over samples.

    Raises
    ------
    InputError
        When a step was not recorded.

    Notes
    -----
    Requires ``order_distribution`` of the group. Source: paper, section 4, ``I_real(k)``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_order_distribution(
    ...     {"summary": {"steps": [0, 10], "orders": [1, 2], "order_distribution": [[0.2, 0.8], [0.6, 0.4]]}},
    ...     ax=Figure().subplots(),
    ... )
    >>> [round(float(bar.get_height()), 2) for bar in ax.patches]
    [0.2, 0.8, 0.6, 0.4]
    """
    view = as_view(data)
    ax = axes_for(ax, width=9.0, height=3.2)
    title = f"Order distribution over training, {group_name(group)}"
    measured = view.group(group)
    if measured is None or measured.order_distribution is None or not has_numbers(measured.order_distribution.value):
        return empty_panel(ax, view, title=title, needs=_NEEDS_GROUP.format(group=group_name(group)))
    chosen = indices_of(view, steps, 6)
    x = block_positions(len(chosen), len(view.orders))
    interval = measured.order_distribution.interval()
    colour = GROUP_COLOURS.get(group, MUTED)
    bars_with_interval(ax, x, measured.order_distribution, chosen, colour=colour, label="measured")
    label_blocks(ax, x, view, chosen)
    ax.set_ylim(bottom=0)
    title += "" if interval is None else " (thin lines: 90 % interval)"
    frame(ax, view, title=title, x=ORDER_LABEL, y=SHARE_LABEL, pad=18)
    return ax


def plot_dynamics(data: Drawable, *, group: str = "test", ax: Axes | None = None) -> Axes:
    """Draw the whole course as a heat map: order against optimiser step, colour for the share of strength.

    Parameters
    ----------
    data, group, ax
        As in `plot_order_distribution`.

    Returns
    -------
    The axes, with a colour bar beside them. The dashed line is the phase boundary.

    Notes
    -----
    Requires ``order_distribution`` of the group. Cells reach half-way to the neighbouring checkpoints.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_dynamics(
    ...     {"summary": {"steps": [0, 10], "orders": [1, 2], "order_distribution": [[0.2, 0.8], [0.6, 0.4]]}},
    ...     ax=Figure().subplots(),
    ... )
    >>> ax.get_xlabel()
    'optimiser step'
    """
    view = as_view(data)
    ax = axes_for(ax)
    title = f"Dynamics of interactions, {group_name(group)}"
    measured = view.group(group)
    if measured is None or measured.order_distribution is None or not has_numbers(measured.order_distribution.value):
        return empty_panel(ax, view, title=title, needs=_NEEDS_GROUP.format(group=group_name(group)))
    axis = step_axis(ax, view)
    columns = axis.step(axis.edges(view.steps))
    rows = np.concatenate([view.orders - 0.5, view.orders[-1:] + 0.5])
    share = np.ma.masked_invalid(measured.order_distribution.value.T)
    mesh = ax.pcolormesh(columns, rows, share, cmap="cividis", vmin=0, rasterized=True)
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.set_label(SHARE_LABEL, fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    mark_boundary_on_colours(ax, view)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    frame(ax, view, title=title, x=STEP_LABEL, y="order of the interaction", grid=False)
    return ax


def plot_strengths(
    data: Drawable, *, group: str = "test", steps: Sequence[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw signed strengths per order at three points of training, AND and OR beside each other.

    Parameters
    ----------
    data, group, steps, ax
        As in `plot_order_distribution`; by default three steps.

    Returns
    -------
    The axes: interactions that raise the output point up, those that lower it point down; the unit is that of
    the network output, mean over samples of the summed strength of salient interactions.

    Raises
    ------
    InputError
        When a step was not recorded.

    Notes
    -----
    Requires the four blocks of ``strength`` (`and_positive` and so on) of the group in ``analysis.json``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> half = [[1.0, 0.5]]
    >>> kinds = ("and_positive", "and_negative", "or_positive", "or_negative")
    >>> group = {"strength": dict.fromkeys(kinds, half)}
    >>> run = {"summary": {"steps": [5], "orders": [1, 2]}, "analysis": {"groups": {"test": group}}}
    >>> ax = plot_strengths(run, ax=Figure().subplots())
    >>> [round(float(bar.get_height()), 2) for bar in ax.patches[:4]]  # AND: up, then down
    [1.0, 0.5, -1.0, -0.5]
    """
    view = as_view(data)
    ax = axes_for(ax, width=9.0, height=3.4)
    title = f"Strength by kind and sign, {group_name(group)}"
    measured = view.group(group)
    if measured is None or measured.strength is None:
        needs = "No signed strengths were recorded.\nRecord `strength` of this group in analysis.json."
        return empty_panel(ax, view, title=title, needs=needs)
    chosen = choose_steps(view, 3) if steps is None else indices_of(view, steps, 3)
    x = block_positions(len(chosen), len(view.orders))
    for kind, colour, shift in (("and", AND, -0.21), ("or", OR, 0.21)):
        for sign, name, opacity in ((1, "positive", 1.0), (-1, "negative", 0.55)):
            height = sign * np.abs(np.nan_to_num(measured.strength[f"{kind}_{name}"][chosen])).ravel()
            label = f"{kind.upper()}, {'raises' if sign > 0 else 'lowers'} the output"
            ax.bar(x.ravel() + shift, height, width=0.4, color=colour, alpha=opacity, label=label, linewidth=0)
    ax.axhline(0, color=INK, linewidth=0.8)
    label_blocks(ax, x, view, chosen)
    legend_above(ax, ncols=4)
    frame(ax, view, title=title, x=ORDER_LABEL, y=f"mean strength per sample ({measured.unit})", pad=18)
    return ax
