"""Style of figures in matplotlib: colours, frame, corner note, empty panel. Global settings are not changed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.ticker import FixedLocator, NullLocator

from interdyn.plot._steps import StepAxis

COLOURS: Mapping[str, str] = {  # Okabe and Ito's palette: distinguishable with any common colour blindness
    "reality": "#0072B2",
    "theory": "#D55E00",
    "mislabelled": "#CC79A7",
    "green": "#009E73",
    "up": "#D55E00",
    "down": "#0072B2",
    "and": "#0072B2",
    "or": "#E69F00",
    "null-a": "#6E6E6E",
    "null-b": "#B8860B",
    "muted": "#6E6E6E",
    "ink": "#222222",
}
MISLABELLED, AND, OR, INK, MUTED = (COLOURS[name] for name in ("mislabelled", "and", "or", "ink", "muted"))
GRID = "#DDDDDD"
SMALL = 8.0
_STAMP = "interdyn-stamp"


def sign_colour(value: float) -> str:
    """Return the colour of what raises the output, or lowers it."""
    return COLOURS["up" if value >= 0 else "down"]


def axes_for(ax: Axes | None, *, width: float = 7.0, height: float = 3.6) -> Axes:
    """Return the caller's axes, or axes of a new figure of that size in inches."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt  # only here: it chooses a backend

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def frame(ax: Axes, *, title: str, x: str, y: str, stamp: str, grid: bool = True, pad: float = 6.0) -> Axes:
    """Give the axes title, labels, a quiet grid, and a note in the corner of the figure."""
    ax.set_title(title, loc="left", fontsize=10, color=INK, pad=pad, parse_math=False)
    ax.set_xlabel(x, fontsize=9, color=INK, parse_math=False)
    ax.set_ylabel(y, fontsize=9, color=INK, parse_math=False)
    ax.tick_params(labelsize=SMALL, colors=INK)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if grid:
        ax.grid(axis="y", color=GRID, linewidth=0.6)
        ax.set_axisbelow(True)
    return stamped(ax, stamp)


def stamped(ax: Axes, stamp: str) -> Axes:
    """Write recipe and version under the axes; only the last axes drawn keep it."""
    for text in ax.figure.findobj(lambda artist: artist.get_gid() == _STAMP):
        text.remove()
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right", "va": "top"}
    note = ax.annotate(stamp, (1, 0), xytext=(0, -36), fontsize=6.5, color=MUTED, parse_math=False, **place)
    note.set_gid(_STAMP)
    return ax


def legend(ax: Axes, **place: Any) -> Legend:
    """Draw a legend on an opaque background without an edge, so that lines behind it do not disturb the text."""
    paper = {"frameon": True, "framealpha": 0.85, "edgecolor": "none", "fancybox": False}
    return ax.legend(**{**paper, "fontsize": SMALL, "loc": "best", **place})


def legend_above(ax: Axes, *, ncols: int, beside: Axes | None = None) -> None:
    """Draw a legend along the top, in at most ``ncols`` columns and no more than fit, and make room above all else.

    ``beside`` is the axes of a second scale, which is given the same room.
    """
    entries = len(ax.get_legend_handles_labels()[0])
    for rows in range(-(-entries // ncols), entries + 1):
        box = legend(ax, ncols=-(-entries // rows), loc="upper center", borderaxespad=0.2).get_window_extent()
        if box.width <= ax.bbox.width:
            break
    room = 1.0 / max(0.4, 1.0 - 1.3 * box.height / ax.bbox.height)
    for side in (ax,) if beside is None else (ax, beside):
        scale = side.transScale.inverted()
        (_, low), (_, high) = side.transScale.transform([(1, edge) for edge in side.get_ylim()])
        side.set_ylim(side.get_ylim()[0], scale.transform((1, low + (high - low) * room))[1])


def empty_panel(ax: Axes, *, title: str, needs: str, stamp: str) -> Axes:
    """Draw a panel that states what to record, in place of a figure without data."""
    ax.set_title(title, loc="left", fontsize=10, color=INK)
    middle: dict[str, Any] = {"transform": ax.transAxes, "ha": "center", "va": "center"}
    ax.text(0.5, 0.5, needs, fontsize=9, color=MUTED, wrap=True, parse_math=False, **middle)
    return without_frame(ax, stamp)


def without_frame(ax: Axes, stamp: str) -> Axes:
    """Hide axis lines, ticks and labels, and write the note in the corner."""
    ax.set_axis_off()
    return stamped(ax, stamp)


def step_axis(ax: Axes, steps: np.ndarray) -> StepAxis:
    """Make the x axis one of training time: logarithmic with room for step 0, labels that do not touch."""
    axis = StepAxis.of(steps)
    ax.set_xscale("function", functions=(axis.position, axis.step))
    ticks, labels = axis.ticks()
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_ticklabels(labels)
    ax.xaxis.set_minor_locator(NullLocator())
    edges = axis.step(axis.edges(steps))
    ax.set_xlim(float(edges[0]), float(edges[-1]))
    return axis
