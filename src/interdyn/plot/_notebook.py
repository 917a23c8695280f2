"""A run as a notebook shows it: the verdict as text, and the phases as an image."""

import base64
from html import escape

from interdyn.plot._figures import plot_loss_gap, plot_mean_order
from interdyn.plot._save import picture
from interdyn.values import RunResult


def run_html(view: RunResult) -> str:
    """Return the sentences of the verdict, and mean order and loss gap side by side, as HTML without scripts.

    Examples
    --------
    >>> from interdyn.values import RunResult
    >>> html = run_html(RunResult.from_json({"steps": [0, 10], "mean_order": [3.5, 1.6], "verdict": ["No <verdict>."]}))
    >>> "No &lt;verdict&gt;." in html, "data:image/png;base64," in html
    (True, True)
    """
    image = picture(view, (plot_mean_order, plot_loss_gap), size=(10.0, 3.2), dpi=100, across=True)
    data = base64.b64encode(image).decode()
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
