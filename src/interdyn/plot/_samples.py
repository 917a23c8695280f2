"""Scores of the training samples: the evidence against their labels."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from interdyn._numbers import percent
from interdyn._version import VERSION
from interdyn.errors import InputError
from interdyn.plot._panel import credit
from interdyn.plot._style import INK, MISLABELLED, MUTED, axes_for, empty_panel, frame, legend

_MOST = 40


def plot_samples(table: Sequence[Any], *, most: int = _MOST, ax: Axes | None = None) -> Axes:
    """Draw the scores of the training samples, most suspicious first.

    Parameters
    ----------
    table
        What ``History.samples()`` or ``tracker.samples()`` returns.
    most
        Most training samples to draw; the title states how many there are.
    ax
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes: rank against score, in log-odds against the given label; flagged samples are filled, and a line marks
        the score above which samples are flagged.

    Notes
    -----
    Requires scores, which need outputs that are log-odds, and a group of training samples.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> plot_samples((), ax=Figure().subplots()).texts[0].get_text()[:31]
    'No training sample has a score.'
    """
    if isinstance(table, str | PathLike):
        raise InputError(
            f"a table of samples is needed; got a folder, {table}. Pass "
            "`interdyn.measurement.History.read(folder).samples()`."
        )
    ax = axes_for(ax, width=9.0, height=3.4)
    stamp = credit("", VERSION)
    rows = [row for row in table if row.rank is not None and np.isfinite(row.score) and trained(row.group)]
    title = "Evidence against the labels of training samples"
    if not rows:
        needs = "No training sample has a score.\nRecord a group `train` with outputs that are log-odds."
        return empty_panel(ax, title=title, needs=needs, stamp=stamp)
    shown = sorted(rows, key=lambda row: row.rank)[:most]
    if len(shown) < len(rows):
        title = f"The {len(shown)} highest of {len(rows)} scores of training samples"
    x = np.arange(len(shown))
    score = np.array([row.score for row in shown])
    ax.axhline(0, color=INK, lw=0.8)
    flags = getattr(table, "flags", None)
    if flags is not None and flags.threshold is not None:
        low, precision, high = map(percent, (flags.precision_low, flags.precision, flags.precision_high))
        sure = f"{precision} of flags right ({low} to {high})"
        ax.axhline(flags.threshold, color=MUTED, lw=1.0, ls="--", label=sure)
    for flagged, name in ((True, "looks memorised or mislabelled"), (False, "not flagged")):
        chosen = np.array([row.flagged == flagged for row in shown])
        if chosen.any():
            face = MISLABELLED if flagged else "white"
            dots: dict[str, Any] = {"s": 26, "facecolor": face, "edgecolor": MISLABELLED, "linewidth": 1.2}
            ax.scatter(x[chosen], score[chosen], zorder=3, label=name, **dots)
    ax.set_xticks(x, [str(row.sample_id) for row in shown], rotation=90)
    ax.set_xlim(-0.8, len(shown) - 0.2)
    legend(ax)
    frame(ax, title=title, x="sample, by rank", y="score (mean log-odds against the label)", stamp=stamp)
    ax.tick_params(axis="x", labelsize=6.5)
    return ax


def trained(group: str) -> bool:
    """Return whether a group of that name holds training samples."""
    return group.startswith("train") or group == "mislabelled"
