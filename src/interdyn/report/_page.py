"""One HTML file from a run, with charts, text, and everything needed to show them."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from interdyn.errors import InterdynWarning, missing_extra
from interdyn.plot import Panel, StepAxis, has_numbers, panels, phase_2_begins, save_figures
from interdyn.report import _first, _words
from interdyn.report._chart import chart, numbers
from interdyn.report._looked import looked
from interdyn.report._plotly import plotly_script
from interdyn.report._uses import Uses
from interdyn.store import read_result, write_atomic
from interdyn.values import RunResult

try:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
except ImportError as error:
    raise missing_extra("jinja2", "report", "writing the report") from error

_SECTIONS = {  # anchor to name, in the order of the page
    "top": "Summary",
    "sure": "Certainty",
    "dynamics": "Dynamics",
    "uses": "What it uses",
    "samples": "Samples",
    "theory": "Theory",
    "trust": "Quality",
    "words": "Terms",
}
_NO_FILES = "The files of the measurements are not in this run. Run the recipe again with this version."
_NO_SAMPLES = (
    "Record a group of training samples: `measure.train_samples` or `measure.mislabelled_samples` in the recipe, or a "
    "group `train` in the tracker's probe."
)
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def write_report(run_dir: Path | str) -> Path:
    """Write ``report.html`` and the PNG figures of a finished run.

    Parameters
    ----------
    run_dir
        Run directory with ``run.json`` and ``summary.json``; ``analysis.json`` and ``recipe.toml`` are used if they
        exist.

    Returns
    -------
    Path
        Path of the page: one file of 5 to 8 MB that works offline, with plotly's JavaScript, all numbers and small
        images of up to 100 samples of each group.

    Raises
    ------
    RunError
        When the run cannot be read (`NotARunError`, `IncompleteRunError`, `SchemaError`), or a file cannot be
        written (`StorageError`; an earlier report is intact).

    Notes
    -----
    Cost about three seconds, most of it for the PNG files. Text from the run is escaped everywhere, and a content
    security policy forbids any request.

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
    alive: bool = True,
    home: str = "",
) -> str:
    """Return the page of a run as text.

    Parameters
    ----------
    view
        The run.
    texts
        Settings to show verbatim, by file name.
    used
        What `Uses.record` returns.
    live
        Whether the page requests new results from its own host, as the live page does.
    bare
        Whether plotly's JavaScript is left out, for a page that has it already.
    alive
        Whether a process still writes to a run that has not ended.
    home
        Address of the list of all runs; empty where there is none.
    """
    share = _largest_share(view)
    heat_maps = [panels.heat_map(view, name, top=share) for name in list(view.groups) or ["test"]]
    evaluated = [panel for panel in (panels.losses(view), panels.accuracies(view)) if not panel.missing]
    orders = panels.orders(view, theory=True, others=("mislabelled",))
    sections = {
        "overview": [panels.overview(view)],
        "orders": [replace(orders, title="Orders at the selected checkpoint")],
        "dynamics": [*heat_maps, panels.mean_order(view), *evaluated, panels.loss_gap(view)],
        "prediction": [panels.prediction(view), panels.prediction_distance(view)],
        "theory": [panels.distance(view), panels.noise(view)],
        "uses": [panels.courses(view)] if used else [],
        "repeatability": [panels.repeatability(view)] if view.windows is not None else [],
    }
    charts = {name: [chart(p) for p in group if not p.missing] for name, group in sections.items()}
    payload = {
        "charts": [one for group in charts.values() for one in group],
        "steps": numbers(view.steps),
        "positions": numbers(StepAxis.of(view.steps).position(view.steps)),
        "notes": _words.notes(view),
        "start": _start(view),
        "uses": used,
        "looked": looked(view.samples, used),
    }
    content: dict[str, Any] = {"view": view, "words": _words, "first": _first, "charts": charts, "payload": payload}
    content |= {"shown": _shown(view, charts), "absent": _absent(view, sections.values(), used)}
    content |= {"alive": alive, "home": home, "used": used, "advice": _first.advice(view, alive=alive)}
    return filled("page.html.j2", texts=texts or {}, live=live, bare=bare, **content)


def _shown(view: RunResult, charts: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return the sections that have content, anchor to name, in the order of the navigation bar."""
    has = {
        "dynamics": charts["orders"] or charts["dynamics"],
        "uses": charts["uses"] or charts["repeatability"],
        "samples": view.samples,
        "theory": charts["prediction"] or charts["theory"],
    }
    return {anchor: name for anchor, name in _SECTIONS.items() if has.get(anchor, True)}


def _absent(view: RunResult, sections: Iterable[Sequence[Panel]], used: Any) -> dict[str, list[str]]:
    """Return what is not shown: what to record, and the titles of the figures that need it."""
    found: dict[str, list[str]] = {}
    for panel in (one for group in sections for one in group if one.missing):
        found.setdefault(panel.missing, []).append(panel.title)
    if not used:
        found[_NO_FILES] = ["What the network uses"]
    if not view.samples:
        found[_NO_SAMPLES] = ["Samples to check"]
    return found


def filled(template: str, *, bare: bool = False, **content: Any) -> str:
    """Return a template of this folder filled with content, all text escaped, and plotly's JavaScript."""
    plotly = Markup("" if bare else plotly_script())  # the installed library's own file: no data in it
    return _TEMPLATES.get_template(template).render(plotly=plotly, **content)


def _largest_share(view: RunResult) -> float:
    """Return the largest share of any group, so that heat maps can be compared by eye."""
    bands = [g.order_distribution for g in view.groups.values() if g.order_distribution is not None]
    return max((float(np.nanmax(band.value)) for band in bands if has_numbers(band.value)), default=1.0)


def _start(view: RunResult) -> int:
    """Return the checkpoint shown first: where harm began, else phase 2; the last one of an unfinished run."""
    began, harm = phase_2_begins(view), view.harm
    at = harm.step if harm is not None and harm.step is not None else None if began is None else began[0]
    if at is None or view.stage is not None:
        return len(view.steps) - 1
    axis = StepAxis.of(view.steps)
    return int(np.abs(axis.position(view.steps) - axis.position(np.array(at))).argmin())


def _texts(folder: Path) -> dict[str, Any]:
    """Return the settings and the environment of the run, verbatim from its files."""
    names = ("recipe.toml", "run.json", "env.json")
    return {
        name: (folder / name).read_text(encoding="utf-8", errors="replace")
        for name in names
        if (folder / name).is_file()
    }
