"""Several runs, or many seeds, on one page."""

import tomllib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from interdyn.errors import InputError
from interdyn.plot import QUANTITIES, StepAxis, course_of, load_run, named_runs
from interdyn.report import _words
from interdyn.report._chart import STEP, Chart, layout_over_time, numbers
from interdyn.report._page import filled
from interdyn.store import write_atomic
from interdyn.values import Band, RunResult

_COLOURS = ("reality", "theory", "mislabelled", "null-b", "muted", "accent")
_DASHES = ("solid", "dash", "dot", "dashdot")
_CAPTIONS = {
    "mean_order": "How many input parts an interaction joins, on average.",
    "loss_gap": "Test loss minus training loss.",
    "noise_var": "The noise level at which the theory matches each checkpoint best.",
    "tv_distance": "0 means that the theory's distribution over orders is the measured one, 1 that they share nothing.",
}


def write_comparison(runs: Sequence[Path | str], out: Path | str, *, seeds: bool = False) -> Path:
    """Write one page that sets finished runs beside each other.

    Parameters
    ----------
    runs
        Folders of two or more runs.
    out
        The page to write, for example ``comparison.html``.
    seeds
        Whether runs of one recipe are seeds of it: drawn as their mean and range.

    Returns
    -------
    Path of the page.

    Raises
    ------
    InputError
        If there are fewer than two runs.
    RunError
        If a run cannot be read, or the page cannot be written.

    Notes
    -----
    The page holds the figures of `interdyn.plot.plot_comparison`, a table of the verdicts, and every setting in which
    the runs differ. It needs no network.
    """
    folders = [Path(run) for run in runs]
    if len(folders) < 2:
        raise InputError(f"a comparison needs two or more runs; got {len(folders)}. Pass their folders.")
    views = [load_run(folder) for folder in folders]
    names = _names(folders, views)
    grouped: dict[str, list[RunResult]] = {}
    for name, view in zip(names, views, strict=True):
        grouped.setdefault(view.recipe if seeds else name, []).append(view)
    charts = [_chart(quantity, named_runs(grouped)) for quantity in QUANTITIES]
    drawn = [chart for chart in charts if not chart.missing]
    payload = {
        "charts": [chart.payload() for chart in drawn],
        "steps": [0],
        "positions": [0],
        "notes": [""],
        "start": 0,
        "uses": None,
    }
    html = filled(
        "compare.html.j2",
        names=names,
        charts=charts,
        rows=[(name, *_row(view)) for name, view in zip(names, views, strict=True)],
        rules=_rules(names, views),
        differences=_differences(folders),
        versions=sorted({view.version for view in views if view.version}),
        payload=payload,
        live=False,
    )
    path = Path(out)
    write_atomic(path, html.encode())
    return path


def _names(folders: Sequence[Path], views: Sequence[RunResult]) -> list[str]:
    """Return the shortest names that differ: recipes, else folders, else both with a number."""
    for names in ([v.recipe for v in views], [f.resolve().name for f in folders], [str(f) for f in folders]):
        if len(set(names)) == len(names):
            return names
    return [f"{view.recipe} {i + 1}" for i, view in enumerate(views)]


def _rules(names: Sequence[str], views: Sequence[RunResult]) -> list[str]:
    """Return by which rule each run was split, where they are not all split by the same."""
    rules = [_words.split_rule(view.split) for view in views]
    return [f"{name}: {rule}" for name, rule in zip(names, rules, strict=True)] if len(set(rules)) > 1 else []


def _row(view: RunResult) -> tuple[str, ...]:
    short = [(name, value, remark.removeprefix("90 % interval ")) for name, value, remark in _words.facts(view)]
    facts = {name: f"{value} ({remark})" if remark else value for name, value, remark in short}
    accuracy = None if view.test_accuracy is None else float(view.test_accuracy[-1])
    return (
        facts.get("Phase boundary", "not searched"),
        facts.get("Over-fitting since", "no losses"),
        facts.get("Mean order", "not recorded").split(" (")[0],
        facts.get("Distance to theory", "not fitted").split(" (")[0],
        str(view.n_samples or "not recorded"),
        _words.number(accuracy, ".3f"),
    )


def _chart(quantity: str, grouped: Mapping[str, Sequence[RunResult]]) -> Chart:
    """Return the chart of one quantity, a line for each run or for each group of seeds."""
    title, label = QUANTITIES[quantity]
    widest = max((view for views in grouped.values() for view in views), key=lambda view: view.steps[-1])
    courses = {name: course for name, views in grouped.items() if (course := course_of(views, quantity)) is not None}
    if not courses:
        return Chart(quantity, title, "", missing=f"Record `{quantity}` in at least one run.")
    axis = StepAxis.of(widest.steps)
    data: list[dict[str, Any]] = []
    for place, (name, (steps, band)) in enumerate(courses.items()):
        many = len(grouped[name])
        words = f"{name} ({many} seeds, band: range)" if many > 1 else name
        data += _line(axis, steps, band, place=place, name=words)
    layout = layout_over_time(
        widest, label, y={"type": "log", "exponentformat": "power"} if quantity == "noise_var" else {}
    )
    layout |= {"shapes": [], "annotations": []}  # boundaries are in the table: one line for each would cross them all
    spoken = "; ".join(f"{name} ends at {band.value[-1]:.3g}" for name, (_, band) in courses.items())
    return Chart(quantity, title, _CAPTIONS[quantity], f"{title} of several runs: {spoken}.", data=data, layout=layout)


def _line(axis: StepAxis, steps: np.ndarray, band: Band, *, place: int, name: str) -> list[dict[str, Any]]:
    x, colour = numbers(axis.position(steps)), _COLOURS[place % len(_COLOURS)]
    traces: list[dict[str, Any]] = []
    columns = [numbers(steps)]
    hover = STEP + f"{escape(name)}: %{{y:.3~g}}"
    interval = band.interval()
    if interval is not None and f"{colour}-band" in _BANDS:
        edge = {"x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        traces.append({**edge, "y": numbers(interval[0])})
        traces.append({**edge, "y": numbers(interval[1]), "fill": "tonexty", "fillcolor": f"var:{colour}-band"})
    if interval is not None:
        columns += [numbers(interval[0]), numbers(interval[1])]
        hover += "<br>%{customdata[1]:.3~g} to %{customdata[2]:.3~g}"
    traces.append(
        {
            "x": x,
            "y": numbers(band.value),
            "mode": "lines+markers",
            "name": escape(name),
            "line": {"color": f"var:{colour}", "width": 2, "dash": _DASHES[place // len(_COLOURS) % len(_DASHES)]},
            "marker": {"color": f"var:{colour}", "size": 5},
            "customdata": [list(row) for row in zip(*columns, strict=True)],
            "hovertemplate": hover + "<extra></extra>",
        }
    )
    return traces


_BANDS = {"reality-band", "theory-band", "mislabelled-band", "muted-band"}


def _differences(folders: Sequence[Path]) -> list[tuple[str, ...]]:
    """Return every setting in which the recipes differ: its dotted name, and its value in each run."""
    paths = [folder / "recipe.toml" for folder in folders]
    texts = [path.read_text(encoding="utf-8") if path.is_file() else "" for path in paths]
    recipes = [dict(_flat(tomllib.loads(text))) for text in texts]
    keys = sorted({key for recipe in recipes for key in recipe if not key.startswith(("expected.", "description"))})
    values = {key: [recipe.get(key, "-") for recipe in recipes] for key in keys}
    return [(key, *map(str, row)) for key, row in values.items() if any(value != row[0] for value in row)]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for key, value in tree.items():
        out += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return out
