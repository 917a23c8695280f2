"""The two phases: mean order and loss gap over training."""

import numpy as np
from matplotlib.axes import Axes

from interdyn.plot._steps import STEP_LABEL, step_label
from interdyn.plot._style import (
    GROUP_COLOURS,
    INK,
    MUTED,
    THEORY,
    axes_for,
    empty_panel,
    frame,
    group_name,
    legend,
    line_with_band,
    mark_boundary,
    step_axis,
)
from interdyn.plot._view import Drawable, as_view, has_numbers


def plot_mean_order(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw the mean order of the interactions over training, for every group of samples, and the boundary.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    The axes. Pale bands are 90 % bootstrap intervals over samples; the grey stripe is the boundary's.

    Notes
    -----
    Requires ``mean_order`` of at least one group. Mean order: ``sum_k k I(k) / sum_k I(k)``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [0, 10], "mean_order": [3.5, 1.6]}}
    >>> ax = plot_mean_order(run, ax=Figure().subplots())
    >>> ax.get_ylabel()
    'mean order (players)'
    """
    view = as_view(data)
    ax = axes_for(ax)
    title = "Mean order of the interactions"
    drawable = {
        name: group.mean_order
        for name, group in view.groups.items()
        if group.mean_order is not None and has_numbers(group.mean_order.value)
    }
    if not drawable:
        return empty_panel(ax, view, title=title, needs="No mean order was recorded.\nRecord `mean_order`.")
    step_axis(ax, view)
    for name, band in drawable.items():
        label = group_name(name) + (" (90 % interval)" if band.interval() is not None else "")
        marker = "o" if name == "test" else "s"
        line_with_band(ax, view.steps, band, colour=GROUP_COLOURS.get(name, MUTED), label=label, marker=marker)
    mark_boundary(ax, view)
    legend(ax)
    frame(ax, view, title=title, x=STEP_LABEL, y="mean order (players)")
    return ax


def plot_loss_gap(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw test loss minus training loss over training, with the step where it starts to grow.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    The axes; the unit of the losses is nats when they are cross-entropies.

    Notes
    -----
    Requires ``train_loss`` and ``test_loss``. The paper's claim is that the phase boundary (dashed) and the
    start of growth (dotted) coincide.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [0, 10], "train_loss": [2.0, 1.0], "test_loss": [2.0, 1.5]}}
    >>> plot_loss_gap(run, ax=Figure().subplots()).lines[1].get_ydata().tolist()
    [0.0, 0.5]
    """
    view = as_view(data)
    ax = axes_for(ax)
    title = "Loss gap"
    gap = view.loss_gap
    if gap is None or not has_numbers(gap):
        needs = "No loss was recorded.\nRecord `train_loss` and `test_loss` at every checkpoint."
        return empty_panel(ax, view, title=title, needs=needs)
    step_axis(ax, view)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.plot(
        view.steps,
        gap,
        color=THEORY,
        marker="o",
        markersize=3.5,
        lw=1.6,
        label="test loss minus training loss",
    )
    mark_boundary(ax, view)
    phases = view.phases
    if phases is not None and phases.gap_onset_step is not None:
        if phases.gap_interval is not None:
            ax.axvspan(*phases.gap_interval, color=THEORY, alpha=0.10, linewidth=0)
        ax.axvline(
            phases.gap_onset_step,
            color=THEORY,
            linestyle=":",
            linewidth=1.4,
            label=f"gap starts to grow, step {step_label(phases.gap_onset_step)}"
            + (" (90 % interval)" if phases.gap_interval is not None else ""),
        )
    ax.margins(y=0.1)
    legend(ax, loc="upper left")
    frame(ax, view, title=title, x=STEP_LABEL, y="loss gap (unit of the loss)")
    if not np.isfinite(gap).all():
        ax.annotate(
            "not a number where the line stops",
            (0.99, 0.02),
            xycoords="axes fraction",
            ha="right",
            fontsize=7,
        )
    return ax
