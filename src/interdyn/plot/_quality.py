"""The quality of the numbers, and what the theory predicts without a network: certificates, row norms."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from interdyn.plot._panel import credit
from interdyn.plot._steps import STEP_LABEL
from interdyn.plot._style import COLOURS, INK, axes_for, empty_panel, frame, legend, legend_above, step_axis
from interdyn.plot._view import Drawable, as_view, has_numbers
from interdyn.plot.panels import GROUP_COLOURS, group_name


def plot_solver(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw the certified gap of the splits and their residual over training.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    Axes
        The axes. Circles: the largest certified gap of the samples of a step, relative; squares, on the right axis: the
        largest residual, in the unit of the output.

    Notes
    -----
    Requires ``gap`` and ``residual`` of at least one group in ``analysis.json``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> group = {"gap": [1e-3, 2e-3], "residual": [0.1, 0.2]}
    >>> run = {"summary": {"steps": [0, 10], "orders": [1]}, "analysis": {"groups": {"test": group}}}
    >>> plot_solver(run, ax=Figure().subplots()).get_ylabel()
    'largest certified gap (relative)'
    """
    view = as_view(data)
    ax, stamp = axes_for(ax), credit(view.recipe, view.version)
    title = "Quality of the AND-OR split: certified gap (circles), residual (squares)"
    drawn = {name: g for name, g in view.groups.items() if has_numbers(g.gap) or has_numbers(g.residual)}
    if not drawn:
        needs = "No certificates were recorded.\nRecord `gap` and `residual` of a group in analysis.json."
        return empty_panel(ax, title=title, needs=needs, stamp=stamp)
    step_axis(ax, view.steps)
    right = ax.twinx()
    unit = next(iter(drawn.values())).unit
    for name, group in drawn.items():
        colour = COLOURS[GROUP_COLOURS.get(name, "muted")]
        if group.gap is not None:
            ax.plot(view.steps, group.gap, color=colour, marker="o", ms=3.5, lw=1.6, label=group_name(name))
        if group.residual is not None:
            right.plot(view.steps, group.residual, color=colour, marker="s", ms=3.5, lw=1.0, ls="--")
    for side in (ax, right):
        side.set_ylim(0, side.get_ylim()[1] or 1.0)
    right.set_ylabel(f"largest residual ({unit})", fontsize=9)
    right.tick_params(labelsize=8)
    right.spines["top"].set_visible(False)
    legend_above(ax, ncols=2, beside=right)
    frame(ax, title=title, x=STEP_LABEL, y="largest certified gap (relative)", stamp=stamp)
    ax.spines["right"].set_visible(True)
    return ax


def plot_row_norms(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw how much more noise weakens an order than the order below it (the paper's Fig. 3).

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    Axes
        The axes: norm of the theory's rows of order ``k`` over that of order ``k + 1``, against the noise variance,
        which falls to the right as it does during training. Above 1 the higher order is weakened more, so it is
        learned later.

    Notes
    -----
    Requires ``row_norms`` in ``analysis.json``; they depend only on the number of players. Source: paper, section 5,
    Proposition 1 and Fig. 3.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> block = {"noise_var": [1e-3, 1.0], "ratios": [[1, 1], [1.5, 2.5]]}
    >>> run = {"summary": {"steps": [0], "orders": [1, 2]}, "analysis": {"row_norms": block}}
    >>> [line.get_label() for line in plot_row_norms(run, ax=Figure().subplots()).lines][1:]
    ['order 0 over 1', 'order 1 over 2']
    """
    view = as_view(data)
    ax, stamp = axes_for(ax), credit(view.recipe, view.version)
    title = "How much more noise weakens the higher of two orders"
    norms = view.row_norms
    if norms is None or not has_numbers(norms.ratios):
        needs = "No norms were recorded.\nRecord `row_norms` in analysis.json."
        return empty_panel(ax, title=title, needs=needs, stamp=stamp)
    ax.axhline(1, color=INK, lw=0.8)
    colours = colormaps["cividis"](np.linspace(0, 0.92, len(view.orders)))
    for k, order in enumerate(view.orders):
        label = f"order {order - 1:.0f} over {order:.0f}"
        ax.plot(norms.noise_var, norms.ratios[:, k], color=colours[k], lw=1.6, label=label)
    ax.set_xscale("log")
    ax.invert_xaxis()
    legend(ax, ncols=2)
    x = "noise variance σ² (no unit), falling during training"
    return frame(ax, title=title, x=x, y="ratio of row norms", stamp=stamp)
