"""All figures of a run as PNG files."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from interdyn.plot._orders import plot_dynamics, plot_order_distribution, plot_strengths
from interdyn.plot._phases import plot_loss_gap, plot_mean_order
from interdyn.plot._theory import plot_noise, plot_theory, plot_theory_distance
from interdyn.plot._view import load_run
from interdyn.store import write_atomic
from interdyn.values import RunResult

_DPI = 150


def _phases(figure: Figure, view: RunResult) -> None:
    above, below = figure.subplots(2, 1)
    plot_mean_order(view, ax=above)
    plot_loss_gap(view, ax=below)


def _theory(figure: Figure, view: RunResult) -> None:
    above, below = figure.subplots(2, 1)
    plot_theory(view, ax=above)
    plot_theory_distance(view, ax=below)


_FIGURES: dict[str, tuple[tuple[float, float], Callable[[Figure, RunResult], object]]] = {
    "order_distribution": (
        (9.0, 3.2),
        lambda figure, view: plot_order_distribution(view, ax=figure.subplots()),
    ),
    "dynamics": ((7.0, 3.6), lambda figure, view: plot_dynamics(view, ax=figure.subplots())),
    "phases": ((7.0, 6.0), _phases),
    "theory": ((9.0, 6.4), _theory),
    "noise": ((7.0, 3.6), lambda figure, view: plot_noise(view, ax=figure.subplots())),
    "strengths": ((9.0, 3.4), lambda figure, view: plot_strengths(view, ax=figure.subplots())),
}


def save_figures(run_dir: Path | str) -> list[Path]:
    """Draw all figures of a run and write them as PNG files.

    Parameters
    ----------
    run_dir
        Run directory; the files are written into its folder ``figures``, replacing those of an earlier call.

    Returns
    -------
    Paths of the files written: ``order_distribution``, ``dynamics``, ``phases``, ``theory``, ``noise`` and
    ``strengths``, 150 dots per inch. Figures without data say what to record.

    Raises
    ------
    RunError
        When the run cannot be read (`NotARunError`, `IncompleteRunError`, `SchemaError`), or a file cannot be
        written (`StorageError`; a file that was there before is intact).

    Notes
    -----
    Cost about three seconds. matplotlib's settings and current figure are left as they are.

    Examples
    --------
    >>> save_figures("nowhere")
    Traceback (most recent call last):
    interdyn.errors.NotARunError: a run directory was needed; got nowhere: ...
    """
    view = load_run(run_dir)
    folder = Path(run_dir) / "figures"
    written: list[Path] = []
    for name, (size, draw) in _FIGURES.items():
        figure = Figure(figsize=size, dpi=_DPI, layout="constrained", facecolor="white")
        canvas: Any = FigureCanvasAgg(figure)
        draw(figure, view)
        canvas.draw()  # once; `savefig` would draw twice
        image = io.BytesIO()
        imsave(image, np.asarray(canvas.buffer_rgba()), format="png", dpi=_DPI)
        written.append(folder / f"{name}.png")
        write_atomic(written[-1], image.getvalue())
    return written
