"""What the nearby steps of each measurement add to the figures: means, a second measure of order, repeatability."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from interdyn._numbers import percent
from interdyn.plot._draw import draw
from interdyn.plot._marks import head
from interdyn.plot._panel import Panel, Series
from interdyn.plot._view import Drawable, as_view, has_numbers
from interdyn.values import Band, RunResult


def of_windows(view: RunResult, lines: Sequence[tuple[str, Series]]) -> list[Series]:
    """Return single steps as pale points, the means of windows as lines, and the second measure of order."""
    windows, out = view.windows, list[Series]()
    assert windows is not None
    for group, line in lines:
        points, name = Band(line.band.value), f"{line.name}, single steps"
        out.append(replace(line, name=name, band=points, dash="", faint=True, interval=""))
        if group in windows.mean_order:
            out.append(replace(line, band=windows.mean_order[group], steps=windows.steps))
    if has_numbers(windows.degree):
        words = "second measure, without a split: Walsh degree"
        witness = Band(windows.degree)
        out.append(Series(words, witness, "theory", symbol="D", dash=":", steps=windows.steps, interval=""))
    return out


def repeatability(view: RunResult) -> Panel:
    """Return the part of each order that the nearby steps of the last measurement share, and its conditioning."""
    top = head(view, "repeatability", "Repeatability of each order")
    found = None if view.windows is None else view.windows.repeatability
    if found is None:
        needs = "No nearby steps were measured at the end.\nPass `window=3`, or `checkpoints.window = 3` in a recipe."
        return Panel(**top, missing=needs if view.stage is None else "Available when the run has ended.")
    shape = (len(view.steps), len(view.orders))
    value, line = (Band(np.broadcast_to(one, shape)) for one in (found.value, found.conditioning))
    known = ", ".join(f"order {k:.0f} {x:.2f}" for k, x in zip(view.orders, found.value, strict=True) if np.isfinite(x))
    return Panel(
        **top,
        x="order of the interaction (number of players)",
        y="sum of minima / sum of maxima (0 to 1)",
        orders=view.orders,
        series=(
            Series(f"{found.n_steps} steps up to step {found.step:,.0f}", value, "reality", mark="bars"),
            Series(f"same table plus {percent(found.noise)} noise, split again", line, "muted", symbol="D"),
        ),
        scale="from zero",
        caption="Bars: the part of the salient strength that all nearby steps of the last measurement share. Line: the "
        "same for one table and a noisy copy of it, a limit set by the split alone. Far below 1, do not rely on single "
        "interactions of that order.",
        alt=f"Repeatability: {known}.",
    )


def plot_repeatability(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw the part of each order that the nearby steps of the last measurement share, and its conditioning line.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    Axes
        The axes: ``sum min / sum max`` over the steps of the last measurement, in [0, 1], and the same of one table
        with 0.5 % of noise.

    Notes
    -----
    Requires ``windows.repeatability``: a run whose measurements take several nearby steps. Source: this project.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> plot_repeatability({"summary": {"steps": [5]}}, ax=Figure().subplots()).texts[0].get_text()[:27]
    'No nearby steps were measur'
    """
    panel = repeatability(as_view(data))
    return draw(panel, ax, blocks=[len(panel.steps) - 1])
