"""Overview of a training: the mean order, both losses below it, and the marks of the verdict with intervals."""

import numpy as np
from matplotlib.axes import Axes

from interdyn.plot._draw import draw
from interdyn.plot._marks import head, statements
from interdyn.plot._panel import Panel, Series
from interdyn.plot._view import Drawable, as_view, has_numbers
from interdyn.values import Band, RunResult

_HELD_OUT = {"train": ("training {}", "muted", "o"), "test": ("held-out {}", "reality", "s")}


def overview(view: RunResult) -> Panel:
    """Return the mean order of the first group over training, the losses below it, and a strip of the statements."""
    top = head(view, "overview", "Overview of the training")
    if len(view.steps) < 2:
        return Panel(**top, missing="Only one checkpoint was measured.\nMeasure two or more to see a curve.")
    found = [panel for panel in (_order(view), _evaluated(view)) if panel is not None]
    if not found:
        needs = "Neither mean order nor loss was recorded.\nRecord `mean_order` of a group of samples."
        return Panel(**top, missing=needs)
    marks = statements(view)
    caption = (
        f"Mean order: how many parts of the input act together, on average (players: {view.game}), with its 90 % "
        "interval. Loss gap: held-out minus training loss. Bars: 90 % interval of each start, a line at the median."
    )
    first, below = found[0], tuple(found[1:])
    alt = " ".join([*(panel.alt for panel in found), *(f"{mark.name[0].upper()}{mark.name[1:]}." for mark in marks)])
    return Panel(**top, y=first.y, series=first.series, below=below, strip=marks, caption=caption, alt=alt)


def _order(view: RunResult) -> Panel | None:
    group = view.first
    name = next(iter(view.groups), "")
    band, steps = None if group is None else group.mean_order, view.steps
    if view.windows is not None and name in view.windows.mean_order:
        band, steps = view.windows.mean_order[name], view.windows.steps
    if band is None or not has_numbers(band.value):
        return None
    values = band.value[np.isfinite(band.value)]
    line = Series("mean order", band, "ink", steps=steps)
    alt = f"Mean order: {values[0]:.2f} at the start, minimum {values.min():.2f}, {values[-1]:.2f} at the end."
    return Panel("order", "", y="mean order", steps=view.steps, series=(line,), alt=alt)


def _evaluated(view: RunResult) -> Panel | None:
    """Return both losses, or both accuracies where there is no loss."""
    for what in ("loss", "accuracy"):
        lines, spoken = [], []
        for side, (words, colour, symbol) in _HELD_OUT.items():
            values = getattr(view, f"{side}_{what}")
            if values is not None and has_numbers(values):
                lines.append(Series(words.format(what), Band(values), colour, symbol=symbol))
                known = values[np.isfinite(values)]
                spoken.append(f"{words.format(what)} from {known[0]:.3g} to {known[-1]:.3g}")
        if lines:
            alt = f"{'; '.join(spoken)}."
            alt = alt[0].upper() + alt[1:]
            return Panel("evaluated", "", y=what, steps=view.steps, series=tuple(lines), alt=alt)
    return None


def plot_overview(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw an overview of a training: mean order, both losses, and the verdict, each with its interval.

    Parameters
    ----------
    data
        As in `plot_order_distribution`.
    ax
        Axes of `matplotlib.figure.Figure.subplots`, whose area is divided among two or three axes; by default those of
        a new figure.

    Returns
    -------
    Axes
        The upper axes, of the mean order with its 90 % interval over samples; under it the losses, or the
        accuracies where there are none, and a row each for phase 2, the wider loss gap, harm, and the checkpoint to
        use (`interdyn.dynamics.recommend`). A bar is a 90 % interval.

    Raises
    ------
    InputError
        If the axes were placed by hand and cannot be divided.

    Notes
    -----
    Requires two checkpoints with ``mean_order`` or losses.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [0, 10], "mean_order": [3.5, 1.6], "test_loss": [2.0, 1.0]}}
    >>> figure = Figure()
    >>> ax = plot_overview(run, ax=figure.subplots())
    >>> [one.get_ylabel() for one in figure.axes]
    ['mean order', 'loss', '']
    """
    return draw(overview(as_view(data)), ax)
