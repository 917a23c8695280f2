"""How figures look: colours, frame, corner note, empty panel. matplotlib's global state is left alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from interdyn.errors import missing_extra
from interdyn.plot._steps import STEP_LABEL, StepAxis, step_label
from interdyn.values import Band, RunResult

try:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import FixedLocator, NullLocator
except ImportError as error:
    raise missing_extra("matplotlib", "plot", "drawing figures") from error

# Okabe and Ito's palette: told apart with any common colour blindness.
REALITY = "#0072B2"
THEORY = "#D55E00"
MISLABELLED = "#CC79A7"
NULL_SIGMA0 = "#6E6E6E"
NULL_TILT = "#B8860B"
AND = "#0072B2"
OR = "#E69F00"
INK = "#222222"
MUTED = "#6E6E6E"
GRID = "#DDDDDD"

GROUP_NAMES: Mapping[str, str] = {"test": "test samples", "mislabelled": "mislabelled training samples"}
GROUP_COLOURS: Mapping[str, str] = {"test": REALITY, "mislabelled": MISLABELLED}
_SMALL = 8.0
_STAMP = "interdyn-stamp"


def group_name(name: str) -> str:
    """Return the words for a group of samples."""
    return GROUP_NAMES.get(name, f"{name} samples")


def axes_for(ax: Axes | None, *, width: float = 7.0, height: float = 3.6) -> Axes:
    """Return the caller's axes, or axes of a new figure of that size in inches."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt  # only here: it chooses a backend

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def frame(ax: Axes, view: RunResult, *, title: str, x: str, y: str, grid: bool = True, pad: float = 6.0) -> None:
    """Give the axes title, labels, a quiet grid, and the recipe and version in the corner of the figure."""
    ax.set_title(title, loc="left", fontsize=10, color=INK, pad=pad, parse_math=False)
    ax.set_xlabel(x, fontsize=9, color=INK, parse_math=False)
    ax.set_ylabel(y, fontsize=9, color=INK, parse_math=False)
    ax.tick_params(labelsize=_SMALL, colors=INK)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if grid:
        ax.grid(axis="y", color=GRID, linewidth=0.6)
        ax.set_axisbelow(True)
    stamp(ax, view)


def stamp(ax: Axes, view: RunResult) -> None:
    """Write recipe and version under the axes; the last axes drawn keeps it, so that it stands once."""
    for text in ax.figure.findobj(lambda artist: artist.get_gid() == _STAMP):
        text.remove()
    name = view.recipe if len(view.recipe) <= 48 else view.recipe[:47] + "…"
    note = ax.annotate(
        " · ".join(part for part in (name, f"interdyn {view.version}".rstrip()) if part),
        xy=(1, 0),
        xycoords="axes fraction",
        xytext=(0, -36),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=6.5,
        color=MUTED,
        parse_math=False,
    )
    note.set_gid(_STAMP)


def legend(ax: Axes, **place: Any) -> Legend:
    """Draw a legend on paper of its own, without an edge: lines and bands behind it do not disturb the words."""
    paper = {"frameon": True, "framealpha": 0.85, "edgecolor": "none", "fancybox": False}
    return ax.legend(**{**paper, "fontsize": _SMALL, "loc": "best", **place})


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
        low, high = side.get_ylim()
        side.set_ylim(low, low + (high - low) * room)


def empty_panel(ax: Axes, view: RunResult, *, title: str, needs: str) -> Axes:
    """Draw a panel that says what to record, in the place of a figure without data."""
    ax.set_title(title, loc="left", fontsize=10, color=INK)
    ax.set_axis_off()
    ax.text(
        0.5,
        0.5,
        needs,
        transform=ax.transAxes,
        ha="center",
        va="center",
        fontsize=9,
        color=MUTED,
        wrap=True,
        parse_math=False,
    )
    stamp(ax, view)
    return ax


def step_axis(ax: Axes, view: RunResult) -> StepAxis:
    """Make the x axis one of training time: logarithmic with room for step 0, labels that do not touch."""
    axis = StepAxis.of(view.steps)
    ax.set_xscale("function", functions=(axis.position, axis.step))
    ticks, labels = axis.ticks()
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_ticklabels(labels)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(STEP_LABEL, fontsize=9)
    edges = axis.step(axis.edges(view.steps))
    ax.set_xlim(float(edges[0]), float(edges[-1]))
    return axis


def line_with_band(ax: Axes, steps: np.ndarray, band: Band, *, colour: str, label: str, **style: Any) -> None:
    """Draw a line with markers and its interval as a pale band."""
    ax.plot(steps, band.value, color=colour, label=label, **{"marker": "o", "markersize": 3.5, "lw": 1.6, **style})
    interval = band.interval()
    if interval is not None:
        ax.fill_between(steps, *interval, color=colour, alpha=0.18, linewidth=0)


def mark_boundary(ax: Axes, view: RunResult) -> None:
    """Draw the boundary of the phases as a dashed line and shade its interval."""
    phases = view.phases
    if phases is None or not phases.found or phases.boundary_step is None:
        return
    words = f"phase boundary, step {step_label(phases.boundary_step)}"
    if phases.interval is not None:
        ax.axvspan(*phases.interval, color=INK, alpha=0.10, linewidth=0)
        words += " (90 % interval)"
    ax.axvline(phases.boundary_step, color=INK, linestyle="--", linewidth=1.1, label=words)


def mark_boundary_on_colours(ax: Axes, view: RunResult) -> None:
    """Draw the boundary on a heat map: dashed, its interval dotted, so that no colour below is changed."""
    phases = view.phases
    if phases is None or not phases.found or phases.boundary_step is None:
        return
    outline = [withStroke(linewidth=2.5, foreground="black", alpha=0.6)]
    ax.axvline(phases.boundary_step, color="white", ls="--", lw=1.4, path_effects=outline)
    for edge in phases.interval or ():
        ax.axvline(edge, color="white", ls=":", lw=1.0, path_effects=outline)
    place = ax.transLimits.transform(ax.transScale.transform((phases.boundary_step, 1)))[0]
    left = place > 0.5
    words = f"phase boundary, step {step_label(phases.boundary_step)}"
    ax.annotate(
        words + ("\ndotted: 90 % interval" if phases.interval is not None else ""),
        xy=(phases.interval[0 if left else 1] if phases.interval else phases.boundary_step, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if left else 6, -6),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        fontsize=_SMALL,
        color="white",
        path_effects=outline,
    )
