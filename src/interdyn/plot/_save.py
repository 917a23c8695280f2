"""All figures of a run as PNG files."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from interdyn.errors import InputWarning
from interdyn.plot._figures import (
    plot_dynamics,
    plot_loss_gap,
    plot_losses,
    plot_mean_order,
    plot_noise,
    plot_order_distribution,
    plot_strengths,
    plot_theory,
    plot_theory_distance,
)
from interdyn.plot._overview import plot_overview
from interdyn.plot._prediction import plot_prediction, plot_prediction_distance
from interdyn.plot._view import load_run
from interdyn.store import write_atomic
from interdyn.values import RunResult

_FIGURES: dict[str, tuple[tuple[float, float], tuple[Callable[..., object], ...]]] = {  # size, from top to bottom
    "overview": ((8.0, 5.6), (plot_overview,)),
    "order_distribution": ((9.0, 3.2), (plot_order_distribution,)),
    "dynamics": ((7.0, 3.6), (plot_dynamics,)),
    "phases": ((7.0, 9.0), (plot_mean_order, plot_losses, plot_loss_gap)),
    "prediction": ((7.0, 7.2), (plot_prediction, plot_prediction_distance)),
    "theory": ((9.0, 6.4), (plot_theory, plot_theory_distance)),
    "noise": ((7.0, 3.6), (plot_noise,)),
    "strengths": ((9.0, 3.4), (plot_strengths,)),
}


def save_figures(run_dir: Path | str) -> list[Path]:
    """Draw all figures of a run and write them as PNG files.

    Parameters
    ----------
    run_dir
        Run directory; the files are written into its folder ``figures``, replacing those of an earlier call.

    Returns
    -------
    list[Path]
        Paths of the files written: ``overview``, ``order_distribution``, ``dynamics``, ``phases``, ``prediction``,
        ``theory``, ``noise`` and ``strengths``, 150 dots per inch. Figures without data state what to record.

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
    written = [folder / f"{name}.png" for name in _FIGURES]
    for path, (size, figures) in zip(written, _FIGURES.values(), strict=True):
        write_atomic(path, picture(view, figures, size=size, dpi=150))
    return written


def picture(
    view: RunResult,
    figures: Sequence[Callable[..., object]],
    *,
    size: tuple[float, float],
    dpi: int,
    across: bool = False,
) -> bytes:
    """Return figures of a run stacked, or side by side with ``across``, as one PNG file; ``size`` is in inches."""
    figure = Figure(figsize=size, dpi=dpi, layout="constrained", facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)
    shape = (1, len(figures)) if across else (len(figures), 1)
    for plot, ax in zip(figures, figure.subplots(*shape, squeeze=False).flat, strict=True):
        plot(view, ax=ax)
    with _one_warning_of_glyphs():
        canvas.draw()  # once; `savefig` would draw twice
    image = io.BytesIO()
    imsave(image, np.asarray(canvas.buffer_rgba()), format="png", dpi=dpi)
    return image.getvalue()


@contextmanager
def _one_warning_of_glyphs() -> Iterator[None]:
    """Replace matplotlib's warnings about characters that its fonts lack by one that says what to do."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    missing = [one for one in found if "missing from font" in str(one.message)]
    for one in found:
        if one not in missing:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if missing:
        message = (
            "the PNG figures show boxes for characters that matplotlib's font does not have. Set `font.family` in a "
            "matplotlibrc file to an installed font that has them, such as Noto Sans CJK JP."
        )
        warnings.warn(message, InputWarning, stacklevel=3)
