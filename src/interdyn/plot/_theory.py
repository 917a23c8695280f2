"""Theory against reality: distributions at chosen steps, distance over training, noise level."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes

from interdyn.plot._blocks import bars_with_interval, block_positions, choose_steps, indices_of, label_blocks
from interdyn.plot._orders import ORDER_LABEL, SHARE_LABEL
from interdyn.plot._steps import STEP_LABEL
from interdyn.plot._style import (
    MUTED,
    NULL_SIGMA0,
    NULL_TILT,
    REALITY,
    THEORY,
    axes_for,
    empty_panel,
    frame,
    legend,
    legend_above,
    line_with_band,
    mark_boundary,
    step_axis,
)
from interdyn.plot._view import Drawable, as_view, has_numbers
from interdyn.values import RunResult

_NEEDS_FIT = "The theory was not fitted.\nRecord the block `theory` of summary.json (interdyn.theory.fit_noise)."


def phase_2(view: RunResult) -> Int[np.ndarray, " some"]:
    """Return the indices of phase 2 without the last step, whose network is the theory's input."""
    if view.theory is None:
        return np.empty(0, dtype=np.intp)
    inside = np.flatnonzero(view.theory.in_phase_2)
    return np.asarray(inside[inside < len(view.steps) - 1])


def plot_theory(data: Drawable, *, steps: Sequence[float] | None = None, ax: Axes | None = None) -> Axes:
    """Draw the measured order distribution as bars and the theory's as a line, at three points of phase 2.

    Parameters
    ----------
    data, steps, ax
        As in `plot_order_distribution`; by default three steps of phase 2, of the whole training without its last step
        where there is none.

    Returns
    -------
    The axes; both distributions sum to 1 over orders.

    Raises
    ------
    InputError
        When a step was not recorded.

    Notes
    -----
    Requires ``theory.order_distribution`` in ``analysis.json`` and the measured one of test samples.
    Source: paper, section 5; noise level matched by total variation distance.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> plot_theory({"summary": {"steps": [0]}}, ax=Figure().subplots()).texts[0].get_text()[:26]
    'The theory was not fitted.'
    """
    view = as_view(data)
    ax = axes_for(ax, width=9.0, height=3.2)
    title = "Theory against reality, test samples"
    measured = view.group("test")
    band = measured.order_distribution if measured is not None else None
    if view.theory is None or not has_numbers(view.theory.order_distribution) or band is None:
        return empty_panel(ax, view, title=title, needs=_NEEDS_FIT)
    assert view.theory.order_distribution is not None
    inside = phase_2(view)
    chosen = choose_steps(view, 3, among=inside if inside.size else np.arange(max(len(view.steps) - 1, 1)))
    if steps is not None:
        chosen = indices_of(view, steps, 3)
    elif not inside.size:
        title += "; no second phase was found"
    x = block_positions(len(chosen), len(view.orders))
    bars_with_interval(ax, x, band, chosen, colour=REALITY, label="measured")
    for row, index in zip(x, chosen, strict=True):
        label = "theory" if index == chosen[0] else None
        expected = view.theory.order_distribution[index]
        ax.plot(row, expected, color=THEORY, marker="D", markersize=4, lw=1.4, label=label)
    label_blocks(ax, x, view, chosen)
    ax.set_ylim(bottom=0)
    legend(ax, loc="upper right")
    title += "" if band.interval() is None else " (thin lines: 90 % interval)"
    frame(ax, view, title=title, x=ORDER_LABEL, y=SHARE_LABEL, pad=18)
    return ax


def plot_theory_distance(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw the distance between theory and reality over training, beside two simpler explanations.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    The axes: total variation distance in [0, 1]; 0 is perfect agreement. A theory worth having lies below
    both nulls in phase 2.

    Notes
    -----
    Requires the block ``theory`` of ``summary.json``. Steps outside phase 2, which the theory does not
    describe, are drawn pale.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [5], "theory": [{"step": 5, "tv_distance": 0.1}]}}
    >>> plot_theory_distance(run, ax=Figure().subplots()).get_ylabel()
    'total variation distance (0 to 1)'
    """
    view = as_view(data)
    ax = axes_for(ax)
    title = "Distance between theory and reality"
    theory = view.theory
    if theory is None or not has_numbers(theory.tv.value):
        return empty_panel(ax, view, title=title, needs=_NEEDS_FIT)
    step_axis(ax, view)
    ax.plot(
        view.steps,
        theory.tv_null_sigma0,
        color=NULL_SIGMA0,
        ls=":",
        lw=1.4,
        marker="^",
        ms=3,
        label="null: no noise",
    )
    ax.plot(
        view.steps,
        theory.tv_null_tilt,
        color=NULL_TILT,
        ls="--",
        lw=1.4,
        marker="v",
        ms=3,
        label="null: tilt",
    )
    label = "theory" + (" (band: interval)" if has_numbers(theory.tv.low) else "")
    line_with_band(ax, view.steps, theory.tv, colour=THEORY, label=label, marker="D", alpha=0.4)
    spoken_about = np.full(len(view.steps), np.nan)
    inside = phase_2(view)
    spoken_about[inside] = theory.tv.value[inside]
    if inside.size:
        ax.plot(view.steps, spoken_about, color=THEORY, marker="D", ms=4, lw=2.0, label="theory, in phase 2")
    if theory.bound is not None:
        ax.axhline(theory.bound, color=MUTED, lw=0.8, label=f"describes the step below {theory.bound:g}")
    mark_boundary(ax, view)
    ax.set_ylim(bottom=0)
    legend_above(ax, ncols=3)
    frame(ax, view, title=title, x=STEP_LABEL, y="total variation distance (0 to 1)")
    return ax


def plot_noise(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw the fitted noise level over training, on a logarithmic axis.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    The axes; the theory expects the level to fall over phase 2.

    Notes
    -----
    Requires the block ``theory`` of ``summary.json``. A level of 0 (perfect triggering) has no place on a
    logarithmic axis and is left out. Source: paper, section 5, ``sigma^2``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [5, 9], "theory": [{"step": 5, "noise_var": 1e-2}]}}
    >>> plot_noise(run, ax=Figure().subplots()).get_yscale()
    'log'
    """
    view = as_view(data)
    ax = axes_for(ax)
    title = "Noise level that matches each checkpoint"
    theory = view.theory
    if theory is None or not has_numbers(np.where(theory.noise_var.value > 0, theory.noise_var.value, np.nan)):
        return empty_panel(ax, view, title=title, needs=_NEEDS_FIT)
    step_axis(ax, view)
    ax.set_yscale("log")
    level = np.where(theory.noise_var.value > 0, theory.noise_var.value, np.nan)
    described = np.where(theory.described, level, np.nan)
    line_with_band(
        ax,
        view.steps,
        theory.noise_var,
        colour=MUTED,
        label="theory does not describe the step (band: interval)",
        alpha=0.6,
    )
    ax.plot(view.steps, described, color=THEORY, marker="D", ms=4, lw=1.8, label="theory describes the step")
    mark_boundary(ax, view)
    legend(ax)
    frame(ax, view, title=title, x=STEP_LABEL, y="noise variance σ² (no unit)")
    return ax
