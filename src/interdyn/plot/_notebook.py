"""A run as a notebook shows it: what happened in words, and the phases as a picture."""

import base64
import io
from html import escape
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from interdyn.plot._phases import plot_loss_gap, plot_mean_order
from interdyn.values import RunResult

_DPI = 100


def run_html(view: RunResult) -> str:
    """Return the sentences of the verdict, and mean order and loss gap side by side; of its own, without any script.

    Examples
    --------
    >>> from interdyn.values import RunResult
    >>> html = run_html(RunResult.from_json({"steps": [0, 10], "mean_order": [3.5, 1.6], "verdict": ["No <verdict>."]}))
    >>> "No &lt;verdict&gt;." in html, "data:image/png;base64," in html
    (True, True)
    """
    figure = Figure(figsize=(10.0, 3.2), dpi=_DPI, layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    plot_mean_order(view, ax=left)
    plot_loss_gap(view, ax=right)
    image = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(image)
    data = base64.b64encode(image.getvalue()).decode()
    said = "".join(f"<div>{escape(sentence)}</div>" for sentence in view.verdict)
    count = "1 checkpoint" if len(view.steps) == 1 else f"{len(view.steps)} checkpoints"
    parts = [count, *(f"{group.n_samples} {name} samples" for name, group in view.groups.items() if group.n_samples)]
    parts += [f"{len(view.orders)} players"] if len(view.orders) else []
    gap = view.solver.max_gap
    parts += [f"gap of the split at most {float(gap):.2g}"] if gap is not None else []
    alt = escape(f"Mean order and loss gap of {view.recipe} over training", quote=True)
    return (
        f'<div><div><strong>{escape(view.recipe)}</strong> <span style="opacity:0.75">{escape(", ".join(parts))}</span>'
        f'</div>{said}<img alt="{alt}" style="max-width:100%" src="data:image/png;base64,{data}"></div>'
    )
