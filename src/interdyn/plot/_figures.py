"""The figures of a run: one function per question, each a `Panel` drawn on axes."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes

from interdyn.errors import InputError, InputWarning
from interdyn.plot import panels
from interdyn.plot._draw import draw
from interdyn.plot._view import Drawable, as_view
from interdyn.values import RunResult


def plot_order_distribution(
    data: Drawable, *, group: str = "test", steps: Sequence[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the share of each order in the interaction strength at six points of training.

    Parameters
    ----------
    data
        Run directory, `RunResult`, or mapping with ``summary`` and ``analysis``.
    group
        ``"test"`` or ``"mislabelled"``.
    steps
        Recorded optimiser steps to draw; by default six, evenly spaced among the checkpoints, ends and phase
        boundary included.
    ax
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes. Bars of one step sum to 1; thin lines are 90 % bootstrap intervals over samples.

    Raises
    ------
    InputError
        When a step was not recorded.

    Notes
    -----
    Requires ``order_distribution`` of the group. Source: paper, section 4, ``I_real(k)``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_order_distribution(
    ...     {"summary": {"steps": [0, 10], "orders": [1, 2], "order_distribution": [[0.2, 0.8], [0.6, 0.4]]}},
    ...     ax=Figure().subplots(),
    ... )
    >>> [round(float(bar.get_height()), 2) for bar in ax.patches]
    [0.2, 0.8, 0.6, 0.4]
    """
    view = as_view(data)
    return draw(panels.orders(view, group), ax, blocks=_chosen(view, 6, steps))


def plot_dynamics(data: Drawable, *, group: str = "test", ax: Axes | None = None) -> Axes:
    """Draw the training as a heat map: order against optimiser step, colour for the share of strength.

    Parameters
    ----------
    data, group, ax
        As in `plot_order_distribution`.

    Returns
    -------
    Axes
        The axes, with a colour bar next to them. The dashed line is the phase boundary.

    Notes
    -----
    Requires ``order_distribution`` of the group. Cells reach halfway to the neighbouring checkpoints.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_dynamics(
    ...     {"summary": {"steps": [0, 10], "orders": [1, 2], "order_distribution": [[0.2, 0.8], [0.6, 0.4]]}},
    ...     ax=Figure().subplots(),
    ... )
    >>> ax.get_xlabel()
    'optimiser step (log scale)'
    """
    return draw(panels.heat_map(as_view(data), group), ax)


def plot_strengths(
    data: Drawable, *, group: str = "test", steps: Sequence[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw signed strengths per order at three points of training, AND and OR side by side.

    Parameters
    ----------
    data, group, steps, ax
        As in `plot_order_distribution`; by default three steps.

    Returns
    -------
    Axes
        The axes: interactions that raise the output point up, those that lower it point down. Values are means over
        samples of the summed strength of salient interactions, in the unit of the output.

    Raises
    ------
    InputError
        When a step was not recorded.

    Notes
    -----
    Requires the four blocks of ``strength`` (`and_positive` and so on) of the group in ``analysis.json``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> half = [[1.0, 0.5]]
    >>> kinds = ("and_positive", "and_negative", "or_positive", "or_negative")
    >>> group = {"strength": dict.fromkeys(kinds, half)}
    >>> run = {"summary": {"steps": [5], "orders": [1, 2]}, "analysis": {"groups": {"test": group}}}
    >>> ax = plot_strengths(run, ax=Figure().subplots())
    >>> [round(float(bar.get_height()), 2) for bar in ax.patches[:4]]  # AND: up, then down
    [1.0, 0.5, -1.0, -0.5]
    """
    view = as_view(data)
    return draw(panels.strengths(view, group), ax, blocks=_chosen(view, 3, steps))


def plot_mean_order(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw the mean order of the interactions over training, for every group of samples, and the boundary.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    Axes
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
    'mean order (N not recorded)'
    """
    return draw(panels.mean_order(as_view(data)), ax)


def plot_loss_gap(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw the loss gap, test loss minus training loss, over training, with the step where it begins to widen.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    Axes
        The axes; the unit of the losses is nats when they are cross-entropies.

    Notes
    -----
    Requires ``train_loss`` and ``test_loss``. The paper claims that the phase boundary (dashed) and the step where the
    gap begins to widen (dotted) coincide. Where training harms (solid), the test loss itself rises.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [0, 10], "train_loss": [2.0, 1.0], "test_loss": [2.0, 1.5]}}
    >>> plot_loss_gap(run, ax=Figure().subplots()).lines[1].get_ydata().tolist()
    [0.0, 0.5]
    """
    return draw(panels.loss_gap(as_view(data)), ax)


def plot_losses(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw training and test loss over training, with the boundary, the onset of the wider gap and that of harm.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Notes
    -----
    Requires ``train_loss`` or ``test_loss``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [0, 10], "train_loss": [2.0, 1.0], "test_loss": [2.0, 1.5]}}
    >>> [line.get_label() for line in plot_losses(run, ax=Figure().subplots()).lines]
    ['training samples', 'test samples']
    """
    return draw(panels.losses(as_view(data)), ax)


def plot_theory(data: Drawable, *, steps: Sequence[float] | None = None, ax: Axes | None = None) -> Axes:
    """Draw the measured order distribution as bars and the theory's as a line, at three points of phase 2.

    Both distributions sum to 1 over orders.

    Parameters
    ----------
    data, steps, ax
        As in `plot_order_distribution`; by default three steps of phase 2, or of the training without its last step
        where no phase 2 was found.

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
    inside = panels.phase_2(view)
    pool = inside if inside.size else np.arange(max(len(view.steps) - 1, 1))
    return draw(panels.theory(view), ax, blocks=_chosen(view, 3, steps, among=pool))


def plot_theory_distance(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw the distance between theory and measurement over training, and that of two simpler explanations.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    Axes
        The axes: total variation distance in [0, 1]; 0 is perfect agreement. It is a secondary figure: most mechanisms
        that are not the theory are as close (`plot_prediction` distinguishes them).

    Notes
    -----
    Requires the block ``theory`` of ``summary.json``. Steps outside phase 2, which the theory does not describe, are
    drawn pale.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [5], "theory": [{"step": 5, "tv_distance": 0.1}]}}
    >>> plot_theory_distance(run, ax=Figure().subplots()).get_ylabel()
    'total variation distance (0 to 1)'
    """
    return draw(panels.distance(as_view(data)), ax)


def plot_noise(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw the fitted noise level over training, on a logarithmic axis.

    The theory expects the level to fall over phase 2.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Notes
    -----
    Requires the block ``theory`` of ``summary.json``. A level of 0 (no noise) has no place on a logarithmic axis and is
    left out. Source: paper, section 5, ``sigma^2``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [5, 9], "theory": [{"step": 5, "noise_var": 1e-2}]}}
    >>> plot_noise(run, ax=Figure().subplots()).get_yscale()
    'log'
    """
    return draw(panels.noise(as_view(data)), ax)


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
        Runs, each as in `plot_order_distribution`; or a mapping from names to runs, or to lists of seeds.
    quantity
        ``"mean_order"``, ``"loss_gap"``, ``"theory_gain"``, ``"noise_var"`` or ``"tv_distance"``.
    ax
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes. The band of a single run is its 90 % interval, where one was recorded. For several seeds the line is
        the mean and the band the range, at the steps that all of them have reached.

    Raises
    ------
    InputError
        If there is no run, the quantity is unknown, or seeds to be averaged were measured in different games.

    Warns
    -----
    InputWarning
        If the runs were measured in different games: number of players or parts, baseline, output.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> run = {"summary": {"steps": [0, 10], "mean_order": [3.0, 2.0]}}
    >>> other = {"summary": {"steps": [0, 10], "mean_order": [5.0, 2.0]}}
    >>> ax = plot_comparison({"seeds": [run, other]}, ax=Figure().subplots())
    >>> ax.lines[0].get_ydata().tolist()
    [4.0, 2.0]
    """
    if quantity not in panels.QUANTITIES:
        raise InputError(f"`quantity` must be one of {', '.join(panels.QUANTITIES)}; got {quantity!r}.")
    panel = panels.comparison(_named_runs(runs), quantity)
    if panel.remark:
        warnings.warn(panel.remark, InputWarning, stacklevel=2)
    return draw(panel, ax)


def _named_runs(runs: Sequence[Drawable] | Mapping[str, Drawable | Sequence[Drawable]]) -> dict[str, list[RunResult]]:
    """Return a list of views for each name; runs of one recipe that have no name of their own are numbered."""
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
        raise InputError("a comparison needs one run or more; got no run. Pass the folders of runs.")
    return items


def _chosen(
    view: RunResult, count: int, steps: Sequence[float] | None, *, among: Int[np.ndarray, " some"] | None = None
) -> list[int]:
    """Return the indices of the requested steps, or of up to ``count`` evenly spaced ones, with the phase boundary.

    Examples
    --------
    >>> from interdyn.values import RunResult
    >>> _chosen(RunResult.from_json({"steps": [0, 1, 2, 4, 8, 16, 32]}), 3, None)
    [0, 3, 6]
    """
    if steps is not None:
        recorded = {float(s): i for i, s in enumerate(view.steps)}
        missing = [s for s in steps if float(s) not in recorded]
        if missing or not len(steps):
            raise InputError(
                f"`steps` must be steps at which the run was measured; got {missing or 'none'}. "
                f"Choose from {[int(s) for s in view.steps]}."
            )
        return [recorded[float(s)] for s in steps]
    pool = np.arange(len(view.steps)) if among is None else among
    chosen = pool[np.unique(np.linspace(0, len(pool) - 1, min(count, len(pool))).round().astype(int))]
    boundary = view.phases.boundary_step if view.phases is not None and view.phases.found else None
    if boundary is not None and len(chosen) > 2:
        nearest = int(pool[np.abs(view.steps[pool] - boundary).argmin()])
        if chosen[0] < nearest < chosen[-1]:  # it takes its neighbour's place
            chosen[1 + int(np.abs(chosen[1:-1] - nearest).argmin())] = nearest
    return [int(i) for i in chosen]
