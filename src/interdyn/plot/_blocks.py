"""Several small bar charts side by side on one axes: a block for each step, the orders within it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from interdyn.errors import InputError
from interdyn.plot._steps import step_label
from interdyn.plot._style import GRID, INK
from interdyn.values import Band, RunResult

_SPACE = 1.6  # between two blocks, in bars


def choose_steps(view: RunResult, count: int, *, among: Int[np.ndarray, " some"] | None = None) -> list[int]:
    """Return up to ``count`` indices of steps, evenly spaced; the phase boundary takes its neighbour's place.

    Examples
    --------
    >>> from interdyn.values import RunResult
    >>> choose_steps(RunResult.from_json({"steps": [0, 1, 2, 4, 8, 16, 32]}), 3)
    [0, 3, 6]
    """
    pool = np.arange(len(view.steps)) if among is None else np.asarray(among)
    spread = np.linspace(0, len(pool) - 1, min(count, len(pool))).round().astype(int)
    chosen = pool[np.unique(spread)]
    boundary = view.phases.boundary_step if view.phases is not None and view.phases.found else None
    if boundary is not None and len(chosen) > 2:
        nearest = int(pool[np.abs(view.steps[pool] - boundary).argmin()])
        inner = 1 + int(np.abs(chosen[1:-1] - nearest).argmin())
        if chosen[0] < nearest < chosen[-1]:
            chosen[inner] = nearest
    return [int(i) for i in chosen]


def indices_of(view: RunResult, steps: Sequence[float] | None, count: int) -> list[int]:
    """Return the indices of the steps asked for, or a choice of ``count``."""
    if steps is None:
        return choose_steps(view, count)
    recorded = {float(s): i for i, s in enumerate(view.steps)}
    missing = [s for s in steps if float(s) not in recorded]
    if missing or not len(steps):
        raise InputError(
            f"`steps` must be steps at which the run was measured; got {missing or 'none'}. "
            f"Choose from {[int(s) for s in view.steps]}."
        )
    return [recorded[float(s)] for s in steps]


def block_positions(n_blocks: int, n_orders: int) -> Float[np.ndarray, "blocks orders"]:
    """Return the place of each bar.

    Examples
    --------
    >>> block_positions(2, 2).tolist()
    [[0.0, 1.0], [3.6, 4.6]]
    """
    start = np.arange(n_blocks) * (n_orders + _SPACE)
    return np.asarray(start[:, None] + np.arange(n_orders), dtype=np.float64)


def label_blocks(ax: Axes, x: Float[np.ndarray, "blocks orders"], view: RunResult, chosen: Sequence[int]) -> None:
    """Write the step over each block and first, middle and last order under it."""
    n = x.shape[1]
    marked = sorted({0, (n - 1) // 2 if n > 5 else 0, n - 1})
    ax.xaxis.set_major_locator(FixedLocator([float(row[k]) for row in x for k in marked]))
    ax.xaxis.set_ticklabels([f"{view.orders[k]:.0f}" for _ in x for k in marked])
    ax.set_xlim(x[0, 0] - 1, x[-1, -1] + 1)
    for row, index in zip(x, chosen, strict=True):
        ax.annotate(
            f"step {step_label(float(view.steps[index]))}",
            xy=((row[0] + row[-1]) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
            color=INK,
        )
        if index != chosen[-1]:
            ax.axvline(row[-1] + (1 + _SPACE) / 2, color=GRID, linewidth=0.8)


def bars_with_interval(
    ax: Axes,
    x: Float[np.ndarray, "blocks orders"],
    band: Band,
    chosen: Sequence[int],
    *,
    colour: str,
    label: str,
) -> None:
    """Draw bars of a band at the chosen steps, with their intervals as thin lines."""
    rows = list(chosen)
    value = np.nan_to_num(band.value[rows])
    ax.bar(x.ravel(), value.ravel(), width=0.82, color=colour, label=label, linewidth=0)
    interval = band.interval()
    if interval is not None:
        low, high = (np.nan_to_num(edge[rows]) for edge in interval)
        reach = np.stack([np.maximum(value - low, 0).ravel(), np.maximum(high - value, 0).ravel()])
        ax.errorbar(x.ravel(), value.ravel(), yerr=reach, fmt="none", ecolor=INK, elinewidth=0.8, capsize=0)
