"""A `Panel` on matplotlib's axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, MaxNLocator

from interdyn.errors import InputError
from interdyn.plot._draw_uses import draw_used, draw_waterfall
from interdyn.plot._panel import Panel, Rule, Series, Used, Waterfall
from interdyn.plot._steps import step_label
from interdyn.plot._style import (
    COLOURS,
    GRID,
    INK,
    SMALL,
    axes_for,
    empty_panel,
    frame,
    legend,
    legend_above,
    step_axis,
)

_SPACE = 1.6  # between two blocks, in bars
_FEW = 3  # entries of a legend that find a place between curves


def draw(panel: Panel, ax: Axes | None = None, *, blocks: Sequence[int] = ()) -> Axes:
    """Draw a panel; over orders ``blocks`` are the indices of the steps drawn side by side, by default all.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> draw(Panel("id", "A title", missing="Record something."), Figure().subplots()).texts[0].get_text()
    'Record something.'
    """
    if not panel.missing and isinstance(panel, Waterfall | Used):
        return draw_waterfall(panel, ax) if isinstance(panel, Waterfall) else draw_used(panel, ax)
    if panel.strip and not panel.missing:
        return _stack(axes_for(ax, height=5.0), panel)
    ax = axes_for(ax, width=9.0, height=3.3) if panel.over_orders else axes_for(ax)
    if panel.missing:
        return empty_panel(ax, title=panel.title, needs=panel.missing, stamp=panel.stamp)
    title, pad = panel.title, 6.0
    if panel.over_orders:
        pad = 18.0
        if any(s.mark == "bars" and s.edges() is not None for s in panel.series):
            title += " (thin lines: 90 % interval)"
        _blocks(ax, panel, blocks)
    elif (cells := panel.cells) is not None:
        _cells(ax, panel, cells)
    else:
        _curves(ax, panel)
    return frame(ax, title=title, x=panel.x, y=panel.y, stamp=panel.stamp, grid=panel.cells is None, pad=pad)


def _stack(ax: Axes, panel: Panel) -> Axes:
    """Draw a panel, those below it, and its strip, stacked in the place of the axes; the first is returned."""
    heights = [3.0] * (1 + len(panel.below)) + [0.42 * len(panel.strip)]
    place = ax.get_subplotspec()
    if place is None:
        raise InputError(
            "a figure of several axes needs an `ax` made by `subplots`; got axes placed by hand. Leave `ax` out."
        )
    grid = place.subgridspec(len(heights), 1, height_ratios=heights, hspace=0.06)
    ax.set_subplotspec(grid[0])
    all_axes = [ax, *(ax.figure.add_subplot(grid[i], sharex=ax) for i in range(1, len(heights)))]
    for one, part in zip(all_axes, (panel, *panel.below), strict=False):
        _curves(one, part)
        for moment in panel.strip:
            if np.isfinite(moment.at):
                one.axvline(moment.at, color=COLOURS[moment.colour], linestyle=moment.dash, linewidth=1.1)
        frame(one, title=panel.title if one is ax else "", x="", y=part.y, stamp=panel.stamp)
        one.tick_params(labelbottom=False)
    strip = all_axes[-1]
    _strip(strip, panel)
    frame(strip, title="", x=panel.x, y="", stamp=panel.stamp, grid=False)
    strip.spines["left"].set_visible(False)
    return ax


def _strip(ax: Axes, panel: Panel) -> None:
    """Draw a row for each moment: its interval as a bar, its step, its text at the left."""
    step_axis(ax, panel.steps)
    ax.set_ylim(len(panel.strip), 0)
    ax.set_yticks([])
    for row, moment in enumerate(panel.strip):
        colour = COLOURS[moment.colour]
        if moment.interval is not None:
            ax.fill_between(moment.interval, row + 0.08, row + 0.92, color=colour, alpha=0.18, linewidth=0)
        if np.isfinite(moment.at):
            ax.plot([moment.at, moment.at], [row, row + 1], color=colour, linewidth=2.2)
        place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": SMALL}
        outline = [withStroke(linewidth=2.5, foreground="white", alpha=0.85)]
        ax.text(0.005, row + 0.5, moment.name, color=colour, path_effects=outline, parse_math=False, **place)


def _curves(ax: Axes, panel: Panel) -> None:
    """Draw lines over training, with marked steps and values, and a legend where it covers nothing."""
    step_axis(ax, panel.steps)
    if panel.scale == "log":
        ax.set_yscale("log")
    _levels(ax, panel)
    for series in panel.series:
        line_with_band(ax, panel.steps if series.steps is None else series.steps, series)
    for moment in panel.moments:
        colour = COLOURS[moment.colour]
        words = f"{moment.name}, step {step_label(moment.at)}"
        if moment.interval is not None:
            ax.axvspan(*moment.interval, color=colour, alpha=0.10, linewidth=0)
            words += " (90 % interval)"
        ax.axvline(moment.at, color=colour, linestyle=moment.dash, linewidth=1.4, label=words)
    if panel.scale == "from zero":
        ax.set_ylim(bottom=0)
    if (entries := len(ax.get_legend_handles_labels()[0])) > _FEW:
        legend_above(ax, ncols=3)
    elif entries:
        legend(ax)
    if panel.remark:
        ax.annotate(panel.remark, (0.99, 0.02), xycoords="axes fraction", ha="right", fontsize=7)


def line_with_band(ax: Axes, steps: Float[np.ndarray, " steps"], series: Series) -> None:
    """Draw a line with markers and its interval as a pale band."""
    colour, edges = COLOURS[series.colour], series.edges()
    label = f"{series.name} ({series.interval})" if edges is not None and series.interval else series.name
    marks: dict[str, Any] = {"marker": series.symbol, "markersize": 3.5, "alpha": 0.5 if series.faint else 1.0}
    shown = label if series.dash else None
    ax.plot(steps, series.band.value, color=colour, label=shown, ls=series.dash, lw=1.6, **marks)
    if edges is not None:
        ax.fill_between(steps, *edges, color=colour, alpha=0.18, linewidth=0)


def _levels(ax: Axes, panel: Panel) -> None:
    for level in panel.levels:
        ax.axhline(level.at, color=COLOURS[level.colour], linestyle=level.dash, lw=0.8, label=level.name or None)


def _cells(ax: Axes, panel: Panel, cells: Series) -> None:
    """Draw a heat map with its colour bar; cells reach halfway to the neighbouring steps."""
    axis = step_axis(ax, panel.steps)
    columns = axis.step(axis.edges(panel.steps))
    rows = np.concatenate([panel.orders - 0.5, panel.orders[-1:] + 0.5])
    share = np.ma.masked_invalid(cells.band.value.T)
    mesh = ax.pcolormesh(columns, rows, share, cmap="cividis", vmin=0, vmax=cells.top, rasterized=True)
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.set_label(cells.name, fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)
    for moment in panel.moments:
        _moment_on_colours(ax, moment)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))


def _moment_on_colours(ax: Axes, moment: Rule) -> None:
    """Mark a step with a dashed line and its interval with dotted lines, so that no colour below is changed."""
    outline = [withStroke(linewidth=2.5, foreground="black", alpha=0.6)]
    ax.axvline(moment.at, color="white", ls=moment.dash, lw=1.4, path_effects=outline)
    for edge in moment.interval or ():
        ax.axvline(edge, color="white", ls=":", lw=1.0, path_effects=outline)
    left = ax.transLimits.transform(ax.transScale.transform((moment.at, 1)))[0] > 0.5
    words = f"{moment.name}, step {step_label(moment.at)}"
    ax.annotate(
        words + ("\ndotted: 90 % interval" if moment.interval is not None else ""),
        xy=(moment.interval[0 if left else 1] if moment.interval else moment.at, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if left else 6, -6),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        fontsize=SMALL,
        color="white",
        path_effects=outline,
    )


def _blocks(ax: Axes, panel: Panel, blocks: Sequence[int]) -> None:
    """Draw a block of bars for each chosen step, the orders within it; lines go from order to order."""
    chosen = list(blocks) or list(range(len(panel.steps)))
    x = _positions(len(chosen), len(panel.orders))
    _levels(ax, panel)
    drawn = [series for series in panel.series if not series.optional]
    for series in drawn:
        value, colour = series.band.value[chosen], COLOURS[series.colour]
        if series.mark == "line":
            for place, row in enumerate(value):
                label = series.name if place == 0 else None
                ax.plot(x[place], row, color=colour, marker=series.symbol, markersize=4, lw=1.4, label=label)
            continue
        middle, height = x.ravel() + 0.21 * series.side, np.nan_to_num(value).ravel()
        look: dict[str, Any] = {
            "width": 0.4 if series.side else 0.82,
            "alpha": 0.55 if series.faint else 1.0,
            "linewidth": 0,
        }
        ax.bar(middle, height, color=colour, label=series.name, **look)
        if (edges := series.edges()) is not None:
            low, high = (np.nan_to_num(edge[chosen]).ravel() for edge in edges)
            reach = np.maximum([height - low, high - height], 0)
            ax.errorbar(middle, height, yerr=reach, fmt="none", ecolor=INK, elinewidth=0.8, capsize=0)
    if panel.scale == "from zero":
        ax.set_ylim(bottom=0)
    _label_blocks(ax, panel, x, chosen)
    if len(drawn) > 1:
        legend_above(ax, ncols=4)


def _positions(n_blocks: int, n_orders: int) -> Float[np.ndarray, "blocks orders"]:
    """Return the place of each bar.

    Examples
    --------
    >>> _positions(2, 2).tolist()
    [[0.0, 1.0], [3.6, 4.6]]
    """
    start = np.arange(n_blocks) * (n_orders + _SPACE)
    return np.asarray(start[:, None] + np.arange(n_orders), dtype=np.float64)


def _label_blocks(ax: Axes, panel: Panel, x: Float[np.ndarray, "blocks orders"], chosen: Sequence[int]) -> None:
    """Write the step over each block and first, middle and last order under it."""
    n = x.shape[1]
    marked = sorted({0, (n - 1) // 2 if n > 5 else 0, n - 1})
    ax.xaxis.set_major_locator(FixedLocator([float(row[k]) for row in x for k in marked]))
    ax.xaxis.set_ticklabels([f"{panel.orders[k]:.0f}" for _ in x for k in marked])
    ax.set_xlim(x[0, 0] - 1, x[-1, -1] + 1)
    for row, index in zip(x, chosen, strict=True):
        ax.annotate(
            f"step {step_label(float(panel.steps[index]))}",
            xy=((row[0] + row[-1]) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color=INK,
        )
        if index != chosen[-1]:
            ax.axvline(row[-1] + (1 + _SPACE) / 2, color=GRID, linewidth=0.8)
