"""The strongest interactions of one sample, drawn on the sample: image, sentence, point cloud, table row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from interdyn.errors import InputError, ShapeError
from interdyn.plot._panel import shortened
from interdyn.plot._style import GRID, INK, MUTED, axes_for, empty_panel, sign_colour, without_frame
from interdyn.plot._tables import Tables, tables_of
from interdyn.values import decimals_of, signed

_SPACE = 1.12  # distance from one image to the next, in widths
_Term = tuple[str, list[int], str]  # kind, players, and the value with its sign and error, as text


def plot_sample(
    found: Any,
    inputs: Any = None,
    *,
    players: Any = None,
    names: Sequence[str] | None = None,
    k: int = 5,
    ax: Axes | None = None,
) -> Axes:
    """Draw the strongest interactions of one sample on the sample itself.

    Parameters
    ----------
    found
        Interactions of one sample, as ``interdyn.measure(...)[0]``; or their mean over nearby steps, as
        ``interdyn.spectra.window_mean([one[0] for one in found])``, whose values are shown with their standard error.
    inputs
        The sample: an image ``(height, width)``, ``(3, height, width)`` or ``(height, width, 3)``, or a point cloud
        ``(points, 2)`` or ``(points, 3)``. None for words and columns.
    players
        The player of each pixel, ``(height, width)``, or point, ``(points,)``; below 0 where there is none.
    names
        The word or the column of each player, in order; by default the names that ``found`` has, where there are no
        ``inputs``. With names, each interaction is a line of words.
    k
        Most interactions to draw; those below the salience threshold, 0.03 of the mean effect, are left out.
    ax
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes: one copy of the sample for each interaction, strongest first, with its players outlined or coloured
        (red where it raises the output, blue where it lowers it; solid for AND, dashed or hollow for OR), and its value
        with sign and unit above; for names, one line each.

    Raises
    ------
    InputError
        If ``found`` is not one sample, or neither ``names`` nor ``inputs`` with ``players`` are given.
    ShapeError
        If players or names do not fit.

    Examples
    --------
    >>> plot_sample({}, names=["a"])
    Traceback (most recent call last):
    interdyn.errors.InputError: `data` must be a result of `interdyn.measure` or a run directory; got dict. Pass ...
    """
    tables = tables_of(found)
    if len(tables.i_and) != 1:
        raise InputError(
            f"`plot_sample` draws one sample; got {len(tables.i_and)}. Select one, for example `found[0]`."
        )
    n = tables.i_and.shape[1].bit_length() - 1
    terms = _strongest(tables, k)
    if not terms:
        needs = "No interaction of this sample is salient."
        return empty_panel(axes_for(ax), title="Strongest interactions", needs=needs, stamp=tables.stamp)
    if names is None and inputs is None:
        names = np.ravel(getattr(found, "names", ())).tolist() or None
    if names is not None:
        if len(names) != n:
            raise ShapeError(f"`names` must name each of the {n} players; got {len(names)} names.")
        return _words(tables, terms, [str(name) for name in names], ax)
    if inputs is None or players is None:
        raise InputError("`plot_sample` needs `names`, or `inputs` with `players`; got neither. Pass one of them.")
    sample, of = np.asarray(inputs, dtype=np.float64), np.asarray(players)
    if of.max() >= n:
        raise ShapeError(f"`players` must count from 0 to {n - 1}; got a player {int(of.max())}. Pass those measured.")
    if of.ndim == 1 and sample.ndim == 2 and sample.shape == (len(of), sample.shape[1]) and sample.shape[1] in (2, 3):
        return _cloud(tables, terms, sample, of, ax)
    picture = np.moveaxis(sample, 0, -1) if sample.ndim == 3 and sample.shape[1:] == of.shape else sample
    if of.ndim != 2 or picture.shape[:2] != of.shape or picture.ndim not in (2, 3):
        raise ShapeError(
            f"`players` must give the player of each pixel or point of the sample; got shapes {of.shape} and "
            f"{sample.shape}."
        )
    return _picture(tables, terms, picture, of, ax)


def _strongest(tables: Tables, k: int) -> list[_Term]:
    """Return kind, players and value of the strongest interactions; for a mean with its standard error."""
    both = np.stack([tables.i_and[0], tables.i_or[0]]).copy()
    both[:, 0] = 0.0
    least, decimals = float(tables.threshold[0]), decimals_of(float(np.abs(both).max()))
    order = np.argsort(-np.abs(both).ravel(), kind="stable")[:k]

    def near(kind: int, subset: int) -> str:
        return "" if tables.error is None else f" ± {tables.error[0, kind, subset]:.{decimals}f}"

    kinds, subsets = np.unravel_index(order, both.shape)
    return [
        (("AND", "OR")[kind], [i for i in range(24) if s >> i & 1], f"{signed(both[kind, s], decimals)}{near(kind, s)}")
        for kind, s in zip(kinds.tolist(), subsets.tolist(), strict=True)
        if both[kind, s] != 0 and abs(both[kind, s]) >= least
    ]


def _colour(value: str) -> str:
    return sign_colour(-1.0 if value.startswith("-") else 1.0)


def _caption(kind: str, value: str, unit: str) -> str:
    return f"{kind} {value} {unit}".rstrip()


def _picture(
    tables: Tables,
    terms: Sequence[_Term],
    picture: Float[np.ndarray, "height width ..."],
    players: Int[np.ndarray, "height width"],
    ax: Axes | None,
) -> Axes:
    """Draw the image with its players, then one copy for each interaction, pale except for its players."""
    height, width = players.shape
    ax = axes_for(ax, width=2.0 * len(terms) + 2.0, height=2.6 * max(height / width, 0.4))
    low, high = float(np.nanmin(picture)), float(np.nanmax(picture))
    shown = (picture - low) / (high - low or 1.0)
    shown = shown[..., None] if shown.ndim == 2 else shown
    shown = np.repeat(shown, 3, axis=-1) if shown.shape[-1] == 1 else shown[..., :3]
    everyone = list(range(int(players.max()) + 1))
    tiles = [("", everyone, MUTED, "players"), *((k, m, _colour(v), _caption(k, v, tables.unit)) for k, m, v in terms)]
    for place, (kind, members, colour, caption) in enumerate(tiles):
        left = place * _SPACE * width
        inside = np.isin(players, members)
        pale = np.where(inside[..., None] | (not kind), shown, 0.35 * shown + 0.65)
        ax.imshow(pale, extent=(left, left + width, height, 0), interpolation="nearest", zorder=1)
        edge: dict[str, Any] = {"color": colour, "lw": 1.8 if kind else 1.0, "solid_capstyle": "projecting"}
        if kind == "OR":
            edge |= {"ls": (0, (2, 1.2)), "dash_capstyle": "butt"}
        for x0, y0, x1, y1 in _edges(np.where(inside, players, -1)):
            ax.plot([left + x0, left + x1], [y0, y1], zorder=2, **edge)
        ax.text(left + width / 2, -0.04 * height, caption, ha="center", va="bottom", fontsize=8)
    ax.set_xlim(-0.03 * width, (_SPACE * len(terms) + 1.03) * width)
    ax.set_ylim(1.03 * height, -0.2 * height)
    ax.set_aspect("equal")
    return without_frame(ax, tables.stamp)


def _edges(players: Int[np.ndarray, "height width"]) -> list[tuple[float, float, float, float]]:
    """Return the edges between pixels of different players, each as ``(x0, y0, x1, y1)``."""
    padded = np.pad(players, 1, constant_values=-1)
    out = []
    for y, x in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]):
        out.append((float(x), float(y), float(x), float(y + 1)))
    for y, x in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        out.append((float(x), float(y), float(x + 1), float(y)))
    return out


def _cloud(
    tables: Tables,
    terms: Sequence[_Term],
    points: Float[np.ndarray, "points axes"],
    players: Int[np.ndarray, " points"],
    ax: Axes | None,
) -> Axes:
    """Draw the cloud once for each interaction, its clusters coloured; in 3-D seen from the front and above."""
    ax = axes_for(ax, width=max(2.0 * len(terms), 3.0), height=2.6)
    flat = points if points.shape[1] == 2 else points @ np.array([[0.87, 0.25], [0.0, 0.94], [-0.5, 0.43]])
    flat = flat - flat.min(axis=0)
    width, height = (float(x) or 1.0 for x in flat.max(axis=0))
    for place, (kind, members, value) in enumerate(terms):
        left = place * (width + 0.25 * max(width, height))
        inside = np.isin(players, members)
        ax.scatter(left + flat[~inside, 0], flat[~inside, 1], s=2, color=GRID, linewidth=0)
        ax.scatter(left + flat[inside, 0], flat[inside, 1], **_points(kind, _colour(value)))
        caption = _caption(kind, value, tables.unit)
        ax.text(left + width / 2, 1.06 * height, caption, ha="center", va="bottom", fontsize=8)
    ax.set_ylim(-0.03 * height, 1.25 * height)
    ax.set_aspect("equal")
    return without_frame(ax, tables.stamp)


def _points(kind: str, colour: str) -> dict[str, Any]:
    """Return the style of the points of an interaction: filled for AND, hollow for OR."""
    if kind == "AND":
        return {"s": 4, "color": colour, "linewidth": 0}
    return {"s": 6, "facecolor": "none", "edgecolor": colour, "linewidth": 0.7}


def _words(tables: Tables, terms: Sequence[_Term], names: Sequence[str], ax: Axes | None) -> Axes:
    """Write the names once for each interaction, with its players on a coloured background."""
    ax = axes_for(ax, width=9.0, height=0.5 + 0.42 * len(terms))
    short = [shortened(name, 18) for name in names]
    widths = np.array([max(len(name), 1) + 1.6 for name in short])
    starts = np.concatenate([[0.0], np.cumsum(widths)[:-1]])
    total = float(widths.sum())
    label = 0.34 * total  # room for the caption at the left
    for line, (kind, members, value) in enumerate(terms):
        y = -float(line)
        ax.text(-0.02 * total, y, _caption(kind, value, tables.unit), ha="right", va="center", fontsize=8, color=INK)
        for i, name in enumerate(short):
            if i in members:
                look: dict[str, Any] = {"facecolor": _colour(value), "alpha": 0.9, "lw": 0}
                if kind == "OR":
                    look = {"facecolor": "white", "edgecolor": _colour(value), "ls": "--", "lw": 1.4}
                ax.add_patch(Rectangle((starts[i], y - 0.38), widths[i] - 0.4, 0.76, **look))
            colour = ("white" if kind == "AND" else INK) if i in members else MUTED
            middle = starts[i] + (widths[i] - 0.4) / 2
            size = min(8.5, 620 / total)
            ax.text(middle, y, name, ha="center", va="center", fontsize=size, color=colour, parse_math=False)
    ax.set_xlim(-label, total)
    ax.set_ylim(-len(terms) + 0.4, 0.6)
    return without_frame(ax, tables.stamp)
