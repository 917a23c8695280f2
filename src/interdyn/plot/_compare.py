"""Runs beside each other, and many seeds of one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from interdyn.errors import InputError
from interdyn.plot._steps import STEP_LABEL, StepAxis
from interdyn.plot._style import axes_for, empty_panel, frame, legend, line_with_band, step_axis
from interdyn.plot._view import Drawable, as_view, has_numbers
from interdyn.values import Band, RunResult

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6E6E6E", "#222222")
QUANTITIES = {  # title, label of the axis
    "mean_order": ("Mean order of the interactions", "mean order (players)"),
    "loss_gap": ("Loss gap", "loss gap (unit of the loss)"),
    "noise_var": ("Noise level that matches each checkpoint", "noise variance σ² (no unit)"),
    "tv_distance": ("Distance between theory and reality", "total variation distance (0 to 1)"),
}


def plot_comparison(
    runs: Sequence[Drawable] | Mapping[str, Drawable | Sequence[Drawable]],
    *,
    quantity: str = "mean_order",
    ax: Axes | None = None,
) -> Axes:
    """Draw a quantity of several runs over training, or of several groups of seeds.

    Parameters
    ----------
    runs
        Runs, each as in `plot_order_distribution`, or a name to each run, or a name to a list of seeds.
    quantity
        ``"mean_order"``, ``"loss_gap"``, ``"noise_var"`` or ``"tv_distance"``.
    ax
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    The axes. A single run has its own 90 % interval as a band where one was recorded; of several seeds the line is the
    mean and the band the range, at the steps that all of them have reached.

    Raises
    ------
    InputError
        If there is no run or the quantity is unknown.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [0, 10], "mean_order": [3.0, 2.0]}}
    >>> other = {"summary": {"steps": [0, 10], "mean_order": [5.0, 2.0]}}
    >>> ax = plot_comparison({"seeds": [run, other]}, ax=Figure().subplots())
    >>> ax.lines[0].get_ydata().tolist()
    [4.0, 2.0]
    """
    if quantity not in QUANTITIES:
        raise InputError(f"`quantity` must be one of {', '.join(QUANTITIES)}; got {quantity!r}.")
    title, label = QUANTITIES[quantity]
    named = named_runs(runs)
    views = [view for members in named.values() for view in members]
    ax = axes_for(ax)
    courses = {name: course_of(members, quantity) for name, members in named.items()}
    widest = max(views, key=lambda view: view.steps[-1])
    drawn = {name: course for name, course in courses.items() if course is not None}
    if not drawn:
        needs = f"No run holds this quantity.\nRecord `{quantity}`."
        return empty_panel(ax, widest, title=title, needs=needs)
    step_axis(ax, widest)
    for place, (name, (steps, band)) in enumerate(drawn.items()):
        several = len(named[name]) > 1
        words = f"{name} ({len(named[name])} seeds, band: range)" if several else name
        line_with_band(ax, steps, band, colour=COLOURS[place % len(COLOURS)], label=words)
    if quantity == "noise_var":
        ax.set_yscale("log")
    legend(ax)
    versions = ", ".join(sorted({view.version for view in views if view.version}))
    names = " and ".join(dict.fromkeys(view.recipe for view in views))
    frame(ax, _titled(widest, names, versions), title=title, x=STEP_LABEL, y=label)
    return ax


def named_runs(runs: Sequence[Drawable] | Mapping[str, Drawable | Sequence[Drawable]]) -> dict[str, list[RunResult]]:
    """Return a list of views for each name; runs of one recipe that have no name of their own are numbered.

    Raises
    ------
    InputError
        If there is no run.
    """
    if isinstance(runs, Mapping) and "summary" not in runs:
        items = {
            name: [as_view(r) for r in run] if isinstance(run, list | tuple) else [as_view(run)]  # type: ignore[arg-type]
            for name, run in runs.items()
        }
    else:
        if isinstance(runs, Mapping | str) or not isinstance(runs, Sequence):
            runs = [runs]
        views = [as_view(run) for run in runs]
        names = [view.recipe for view in views]
        items = {
            name if names.count(name) == 1 else f"{name} {i + 1}": [view]
            for i, (name, view) in enumerate(zip(names, views, strict=True))
        }
    if not items or not all(items.values()):
        raise InputError("a comparison needs at least one run; got none. Pass the folders of runs.")
    return items


def course_of(views: Sequence[RunResult], quantity: str) -> tuple[Float[np.ndarray, " steps"], Band] | None:
    """Return steps and band of one run, or mean and range of seeds at the steps that all have reached.

    None where no run holds the quantity, one of `QUANTITIES`.
    """
    bands = [(view, band) for view in views if (band := _quantity(view, quantity)) is not None]
    if not bands:
        return None
    if len(bands) == 1:
        return bands[0][0].steps, bands[0][1]
    axis = StepAxis.of(bands[0][0].steps)
    end = min(float(view.steps[-1]) for view, _ in bands)
    steps = bands[0][0].steps[bands[0][0].steps <= end]
    at = axis.position(steps)
    values = np.stack([np.interp(at, axis.position(view.steps), band.value) for view, band in bands])
    return steps, Band(values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def _quantity(view: RunResult, quantity: str) -> Band | None:
    band: Band | None = None
    if quantity == "mean_order" and view.groups:
        band = next(iter(view.groups.values())).mean_order
    elif quantity == "loss_gap" and view.loss_gap is not None:
        band = Band(view.loss_gap)
    elif quantity == "noise_var" and view.theory is not None:
        noise = view.theory.noise_var
        band = Band(np.where(noise.value > 0, noise.value, np.nan), noise.low, noise.high)
    elif quantity == "tv_distance" and view.theory is not None:
        band = view.theory.tv
    return band if band is not None and has_numbers(band.value) else None


def _titled(view: RunResult, names: str, version: str) -> RunResult:
    """Return the view with the names of all runs, for the corner."""
    return replace(view, recipe=names, version=version)
