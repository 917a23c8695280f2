"""One HTML file from a run: charts, words, and everything needed to show them, inside it."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from interdyn.errors import InterdynWarning, missing_extra
from interdyn.plot import StepAxis, has_numbers, panels, save_figures
from interdyn.report import _words
from interdyn.report._chart import chart, numbers
from interdyn.report._plotly import plotly_script
from interdyn.report._uses import Uses
from interdyn.store import read_result, write_atomic
from interdyn.values import RunResult

try:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
except ImportError as error:
    raise missing_extra("jinja2", "report", "writing the report") from error

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def write_report(run_dir: Path | str) -> Path:
    """Write ``report.html`` and the PNG figures of a finished run.

    Parameters
    ----------
    run_dir
        Run directory with ``run.json`` and ``summary.json``; ``analysis.json`` and ``recipe.toml`` when
        there.

    Returns
    -------
    Path
        Path of the page. It is one file of 5 to 8 MB, needs no network, and holds plotly's JavaScript, all numbers and
        small pictures of up to a hundred samples of each group.

    Raises
    ------
    RunError
        When the run cannot be read (`NotARunError`, `IncompleteRunError`, `SchemaError`), or a file cannot be
        written (`StorageError`; an earlier report is intact).

    Notes
    -----
    Cost about three seconds, most of it for the PNG files. Text from the run is escaped everywhere, and the
    page forbids itself any request by a content security policy.

    Examples
    --------
    >>> write_report("nowhere")
    Traceback (most recent call last):
    interdyn.errors.NotARunError: a run directory was needed; got nowhere: ...
    """
    folder = Path(run_dir)
    uses = Uses(folder)
    html = render(read_result(folder), texts=_texts(folder), used=uses.record())
    if uses.damage:
        warnings.warn(uses.damage, InterdynWarning, stacklevel=2)
    save_figures(folder)
    path = folder / "report.html"
    write_atomic(path, html.encode())
    return path


def render(
    view: RunResult,
    *,
    texts: dict[str, str] | None = None,
    used: dict[str, Any] | None = None,
    live: bool = False,
    bare: bool = False,
) -> str:
    """Return the page of a run as text.

    Parameters
    ----------
    view
        The run.
    texts
        Settings to show as they are, by file name.
    used
        What `Uses.record` returns.
    live
        Whether the page asks its own host for what is new, as the live page does.
    bare
        Whether plotly's JavaScript is left out, for a page that has it.
    """
    share = _largest_share(view)
    heat_maps = [panels.heat_map(view, name, top=share) for name in list(view.groups) or ["test"]]
    evaluated = [panel for panel in (panels.losses(view), panels.accuracies(view)) if not panel.missing]
    orders = panels.orders(view, theory=True, others=("mislabelled",))
    sections = {
        "orders": [chart(replace(orders, title="Orders at the chosen checkpoint"))],
        "dynamics": [chart(p) for p in (*heat_maps, panels.mean_order(view), *evaluated, panels.loss_gap(view))],
        "prediction": [chart(panels.prediction(view)), chart(panels.prediction_distance(view))],
        "theory": [chart(p) for p in (panels.distance(view), panels.noise(view))],
        "uses": [chart(panels.courses(view))] if used else [],
        "repeatability": [chart(panels.repeatability(view))] if view.windows is not None else [],
    }
    payload = {
        "charts": [one for section in sections.values() for one in section if not one["missing"]],
        "steps": numbers(view.steps),
        "positions": numbers(StepAxis.of(view.steps).position(view.steps)),
        "notes": _words.notes(view),
        "start": _start(view),
        "uses": used,
    }
    content: dict[str, Any] = {"view": view, "words": _words, "charts": sections, "payload": payload}
    return filled("page.html.j2", texts=texts or {}, live=live, bare=bare, **content)


def filled(template: str, *, bare: bool = False, **content: Any) -> str:
    """Return a template of this folder with its content, every text of it escaped, and plotly's JavaScript."""
    plotly = Markup("" if bare else plotly_script())  # the installed library's own file: no data in it
    return _TEMPLATES.get_template(template).render(plotly=plotly, **content)


def _largest_share(view: RunResult) -> float:
    """Return the largest share of any group, so that heat maps can be compared by eye."""
    bands = [g.order_distribution for g in view.groups.values() if g.order_distribution is not None]
    return max((float(np.nanmax(band.value)) for band in bands if has_numbers(band.value)), default=1.0)


def _start(view: RunResult) -> int:
    """Return the checkpoint shown first: the middle of phase 2, where theory and network can be compared."""
    inside = np.flatnonzero(view.theory.in_phase_2) if view.theory is not None else np.empty(0, dtype=np.intp)
    return int(inside[len(inside) // 2]) if inside.size else len(view.steps) - 1


def _texts(folder: Path) -> dict[str, Any]:
    """Return the settings and the environment of the run as they stand in its files."""
    names = ("recipe.toml", "run.json", "env.json")
    return {
        name: (folder / name).read_text(encoding="utf-8", errors="replace")
        for name in names
        if (folder / name).is_file()
    }
