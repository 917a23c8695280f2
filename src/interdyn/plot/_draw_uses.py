"""Waterfalls, bars over a matrix of players, and networks of players on matplotlib's axes."""

from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from interdyn.plot._panel import Step, Used, Waterfall, shortened
from interdyn.plot._style import (
    COLOURS,
    GRID,
    INK,
    MUTED,
    SMALL,
    axes_for,
    frame,
    legend,
    sign_colour,
    stamped,
    without_frame,
)
from interdyn.spectra import Usage
from interdyn.values import decimals_of, signed

_MARKS = {"and": "o", "or": "D"}
_MOST = 20  # players that the matrix shows


def draw_waterfall(panel: Waterfall, ax: Axes | None) -> Axes:
    """Draw a waterfall from top to bottom."""
    ax = axes_for(ax, width=8.0, height=1.3 + 0.32 * len(panel.bars))
    decimals = decimals_of(max(abs(bar.end) for bar in panel.bars))
    edges = [
        edge for bar in panel.bars for edge in ((bar.end,) if bar.kind in ("base", "output") else (bar.start, bar.end))
    ]
    low, high = min(edges), max(edges)
    room = 0.16 * ((high - low) or 1.0)
    ax.set_xlim(low - room, high + room)
    for line, bar in enumerate(panel.bars):
        _bar(ax, line, bar, decimals)
        if line + 1 < len(panel.bars):  # to where the next begins
            ax.plot([bar.end] * 2, [line, line + 1], color=MUTED, lw=0.8, ls=":", zorder=1)
    ax.set_yticks(range(len(panel.bars)), [_label(bar) for bar in panel.bars], parse_math=False)
    ax.set_ylim(len(panel.bars) - 0.5, -0.5)
    frame(ax, title=panel.title, x=panel.x, y="", stamp=panel.stamp, grid=False)
    ax.grid(axis="x", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def _bar(ax: Axes, line: int, bar: Step, decimals: int) -> None:
    if bar.kind in ("base", "output"):
        ax.plot([bar.end], [line], marker="|", markersize=16, markeredgewidth=2, color=INK, zorder=3)
        ends, words = 8, signed(bar.end, decimals)
    else:
        colour = MUTED if bar.kind == "rest" else sign_colour(bar.value)
        ax.barh(line, bar.value, left=bar.start, height=0.62, color=colour, alpha=0.85, linewidth=0, zorder=2)
        if bar.kind in _MARKS:
            ax.plot([bar.end], [line], marker=_MARKS[bar.kind], markersize=6, color=colour, mec="white", zorder=3)
        ends, words = (8 if bar.value >= 0 else -8), signed(bar.value, decimals)
    ax.annotate(
        words,
        (bar.end, line),
        xytext=(ends, 0),
        textcoords="offset points",
        ha="left" if ends > 0 else "right",
        va="center",
        fontsize=SMALL,
        color=INK,
    )


def _label(bar: Step) -> str:
    return f"{bar.kind.upper()}  {shortened(bar.name, 56)}" if bar.kind in _MARKS else bar.name


def draw_used(panel: Used, ax: Axes | None) -> Axes:
    """Draw bars over a matrix of players, or a network of players."""
    return _network(panel, ax) if panel.as_network else _bars(panel, ax)


def _bars(panel: Used, ax: Axes | None) -> Axes:
    """Draw what raises the output above zero, what lowers it below; players are sorted by their total strength."""
    usage = panel.usage
    strength: dict[str, float] = {}
    for who, mean in zip(usage.players, usage.mean.tolist(), strict=True):
        for name in who:
            strength[name] = strength.get(name, 0.0) + mean
    shown = sorted(strength, key=lambda name: -strength[name])[:_MOST]
    shown.sort(key=lambda name: panel.places.get(name, (0, 0)))  # places in order of reading
    ax = axes_for(ax, width=8.0, height=3.0 + 0.22 * len(shown))
    x = np.arange(len(usage))
    for heights, colour, name in ((usage.positive, "up", "raises"), (usage.negative, "down", "lowers")):
        ax.bar(x, heights, width=0.62, color=COLOURS[colour], linewidth=0, label=f"{name} the output")
    ax.axhline(0, color=INK, lw=0.8)
    for at, (share, seen, up) in enumerate(zip(usage.share, usage.seen, usage.positive, strict=True)):
        told: dict[str, Any] = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "va": "bottom"}
        ax.annotate(f"{round(share * seen)}/{seen}", (at, up), fontsize=6.5, color=MUTED, **told)
    ax.set_xlim(-0.6, len(usage) - 0.4)
    ax.margins(y=0.08)
    ax.set_ylim(top=ax.get_ylim()[0] + 1.18 * (ax.get_ylim()[1] - ax.get_ylim()[0]))
    legend(ax, ncols=2, loc="upper right")
    frame(ax, title=f"{panel.title} (n/m: salient in n of m samples)", x="", y=panel.y, stamp=panel.stamp)
    ax.tick_params(axis="x", bottom=False, labelbottom=False)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    _matrix(ax, panel, shown)
    return ax


def _matrix(ax: Axes, panel: Used, shown: list[str]) -> None:
    """Draw, below the bars, a dot for each player of each interaction."""
    place = ax.get_subplotspec()
    if place is None:  # of axes that were put somewhere by hand
        height = 0.09 * len(shown) + 0.05
        grid = ax.inset_axes((0.0, -0.05 - height, 1.0, height))
    else:
        rows = place.subgridspec(2, 1, height_ratios=[13, 2 + len(shown)], hspace=0.02)
        ax.set_subplotspec(rows[0])
        grid = ax.figure.add_subplot(rows[1])
    grid.set_xlim(ax.get_xlim())
    grid.set_ylim(len(shown) - 0.4, -0.6)
    for line in range(0, len(shown), 2):
        grid.axhspan(line - 0.5, line + 0.5, color=GRID, alpha=0.45, lw=0)
    net = panel.usage.positive + panel.usage.negative
    for at, (kind, who) in enumerate(zip(panel.usage.kinds, panel.usage.players, strict=True)):
        lines = sorted(shown.index(name) for name in who if name in shown)
        if not lines:
            continue
        look: dict[str, Any] = {"color": sign_colour(net[at]), "zorder": 3}
        grid.plot([at] * 2, [lines[0], lines[-1]], lw=1.4, ls="--" if kind == "or" else "-", **look)
        grid.plot([at] * len(lines), lines, ls="", marker=_MARKS[kind], markersize=5, **look)
    grid.set_yticks(range(len(shown)), [shortened(name) for name in shown], fontsize=7, parse_math=False)
    grid.set_xticks([])
    grid.tick_params(axis="y", length=0)
    for side in grid.spines.values():
        side.set_visible(False)
    stamped(grid, panel.stamp)


def _network(panel: Used, ax: Axes | None) -> Axes:
    """Draw players as circles, and lines between those that act together."""
    ax = axes_for(ax, width=5.4, height=5.0)
    at, (alone, pairs) = _positions(panel), _strengths(panel.usage)
    on_grid = all(name in panel.places for name in at)
    most = max((p[0] for p in pairs.values()), default=1.0)
    for (a, b), (strength, net, of_or) in sorted(pairs.items(), key=lambda item: item[1][0]):
        ends = zip(at[a], at[b], strict=True)
        dash = "--" if of_or > strength / 2 else "-"
        ax.plot(*ends, color=sign_colour(net), lw=0.5 + 5.5 * strength / most, ls=dash, alpha=0.75, zorder=1)
    largest = max((abs(x) for x in alone.values()), default=0.0) or 1.0
    for name, (x, y) in at.items():
        colour = sign_colour(alone[name]) if alone[name] else MUTED
        ax.scatter([x], [y], s=60 + 500 * abs(alone[name]) / largest, color=colour, edgecolor="white", zorder=2)
        side = "center" if on_grid or abs(x) < 0.1 else "left" if x > 0 else "right"
        note: dict[str, Any] = {"ha": side, "va": "center", "fontsize": 7, "parse_math": False, "zorder": 3}
        shift = (0, -16) if on_grid else (16 * x, 16 * y)
        ax.annotate(shortened(name, 22), (x, y), xytext=shift, textcoords="offset points", **note)
    ax.set_aspect("equal")
    ax.margins(0.18)
    ax.set_title(panel.title, loc="left", fontsize=10, color=INK, parse_math=False)
    return without_frame(ax, panel.stamp)


def _positions(panel: Used) -> dict[str, tuple[float, float]]:
    """Return the position of each player: its place on the grid, or on a circle."""
    names = list(dict.fromkeys(name for who in panel.usage.players for name in who))
    if all(name in panel.places for name in names):
        return {name: (float(panel.places[name][1]), -float(panel.places[name][0])) for name in names}
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / max(len(names), 1)
    return {name: (float(np.cos(a)), float(np.sin(a))) for name, a in zip(names, angle, strict=True)}


def _strengths(usage: Usage) -> tuple[dict[str, float], dict[tuple[str, ...], np.ndarray]]:
    """Return the effect of each player alone, and of each pair: strength, signed sum, strength of OR interactions."""
    alone, pairs = dict[str, float](), dict[tuple[str, ...], np.ndarray]()
    for kind, who, up, down in zip(usage.kinds, usage.players, usage.positive, usage.negative, strict=True):
        for name in who:
            alone[name] = alone.get(name, 0.0) + (float(up + down) if len(who) == 1 else 0.0)
        for pair in combinations(sorted(who), 2):
            both = pairs.setdefault(pair, np.zeros(3))
            both += [up - down, up + down, (up - down) * (kind == "or")]
    return alone, pairs
