"""Several runs, or many seeds, on one page."""

import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interdyn.dynamics import recommend
from interdyn.errors import InputError, InputWarning
from interdyn.plot import load_run, panels
from interdyn.report import _words
from interdyn.report._chart import chart
from interdyn.report._page import filled
from interdyn.store import write_atomic
from interdyn.values import RunResult, different_games


@dataclass(frozen=True)
class Table:
    """A table of a page: anchor, heading, explanation, names of columns, rows."""

    anchor: str
    heading: str
    text: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def write_study(
    named: Mapping[str, Sequence[RunResult]], out: Path | str, *, title: str, tables: Sequence[Table]
) -> Path:
    """Write the page of a study: its question, tables, and the curves of its variants, as means over seeds.

    Raises
    ------
    InputError
        If no run is finished.
    RunError
        If the page cannot be written.
    """
    if not named:
        raise InputError("the page of a study needs a finished run; got none. Run it first.")
    charts = [chart(panels.comparison(named, quantity), slider=False) for quantity in panels.QUANTITIES]
    views = [view for members in named.values() for view in members]
    content = {"names": list(named), "title": title, "tables": tables, "rules": (), "games": {}, "over_seeds": ()}
    return _written(out, _page(charts, views, **content, home=""))


def write_comparison(runs: Sequence[Path | str], out: Path | str, *, seeds: bool = False) -> Path:
    """Write one page that compares finished runs.

    Parameters
    ----------
    runs
        Folders of two or more runs.
    out
        The page to write, for example ``comparison.html``.
    seeds
        Whether runs of the same recipe are seeds: drawn as their mean and range.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    InputError
        If there are fewer than two runs, or seeds were measured in different games.
    RunError
        If a run cannot be read, or the page cannot be written.

    Warns
    -----
    InputWarning
        If the runs were measured in different games (number of players or parts, baseline, output). The page lists the
        differences.

    Notes
    -----
    The page has the figures of `interdyn.plot.plot_comparison`, a table of the verdicts, and every setting in which
    the runs differ. It works offline.
    """
    folders = [Path(run) for run in runs]
    if len(folders) < 2:
        raise InputError(f"a comparison needs two or more runs; got {len(folders)}. Pass their folders.")
    views = [load_run(folder) for folder in folders]
    if games := different_games([view.game for view in views]):
        warnings.warn(
            f"orders can only be compared within one game; these runs differ in {', '.join(games)}. Measure them with "
            "the same settings.",
            InputWarning,
            stacklevel=2,
        )
    return _written(out, comparison(folders, views, _names(folders, views), seeds=seeds))


def comparison(
    folders: Sequence[Path], views: Sequence[RunResult], names: Sequence[str], *, seeds: bool = False, home: str = ""
) -> str:
    """Return the page that compares runs; ``home`` is the address of the list of all runs, if there is one.

    Raises
    ------
    InputError
        If seeds were measured in different games.
    """
    grouped: dict[str, list[RunResult]] = {}
    for name, view in zip(names, views, strict=True):
        grouped.setdefault(view.recipe if seeds else name, []).append(view)
    figures = [panels.comparison(grouped, quantity) for quantity in panels.QUANTITIES]
    return _page(
        [chart(figure, slider=False) for figure in figures],
        views,
        names=names,
        title=f"Comparison of {len(names)} runs",
        tables=[_verdicts(names, views), _settings(names, folders)],
        rules=_rules(names, views),
        over_seeds=[line for name, members in grouped.items() if (line := _words.over_seeds(name, members))],
        games=different_games([view.game for view in views]),
        home=home,
    )


def _page(charts: Sequence[Mapping[str, Any]], views: Sequence[RunResult], **content: Any) -> str:
    """Return a page of charts and tables that has no slider."""
    payload = {"steps": [0], "positions": [0], "notes": [""], "start": 0, "uses": None}
    drawn = [one for one in charts if not one["missing"]]
    versions = sorted({view.version for view in views if view.version})
    payload["charts"] = drawn
    return filled("compare.html.j2", charts=drawn, payload=payload, versions=versions, live=False, **content)


def _written(out: Path | str, html: str) -> Path:
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
    """Return the split rule of each run, where they differ."""
    rules = [_words.split_rule(view.split) for view in views]
    return [f"{name}: {rule}" for name, rule in zip(names, rules, strict=True)] if len(set(rules)) > 1 else []


def _verdicts(names: Sequence[str], views: Sequence[RunResult]) -> Table:
    columns = ("run", "recommendation", "phase 2", "loss gap", "harm", "mean order", "players")
    return Table(
        "verdicts",
        "What happened in each run",
        "Steps are given as 90 % intervals, the mean order at the start, at its minimum and at the end.",
        (*columns, "prediction by the theory", "samples", "test accuracy"),
        tuple((name, *_row(view)) for name, view in zip(names, views, strict=True)),
    )


def _settings(names: Sequence[str], folders: Sequence[Path]) -> Table:
    differ = _differences(folders)
    text = "" if differ else "The recipes are the same."
    return Table("settings", "Settings that differ", text, ("setting", *names), tuple(differ))


def _row(view: RunResult) -> tuple[str, ...]:
    facts = {name: f"{value} ({remark})" if remark else value for name, value, remark in _words.facts(view)}
    accuracy = None if view.test_accuracy is None else float(view.test_accuracy[-1])
    return (
        recommend(view).sentence,
        facts.get("Phase 2", "not analysed"),
        facts.get("Loss gap", "no losses").split(" (")[0],
        facts.get("Harm", "no losses").split(" (")[0],
        _words.mean_order(view) or "not recorded",
        str(view.game),
        _words.predicted(view),
        str(view.n_samples or "not recorded"),
        _words.number(accuracy, ".3f"),
    )


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
