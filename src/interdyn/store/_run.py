"""The identity of a run directory: which recipe, which plan, written by which version."""

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from interdyn._arguments import file_path
from interdyn.errors import IncompleteRunError, InterdynError, NotARunError, RecipeError, StorageError
from interdyn.store._atomic import write_atomic, write_json
from interdyn.store._files import SCHEMA, check_schema
from interdyn.values import accessor

KIND = "interdyn-run"
_FOLDERS = ("checkpoints", "measurements", "exhibits", "trainer", "figures")
_GROUP_NAME = re.compile(r"\w[\w.-]*")
_UNREADABLE = (ValueError, TypeError, RecursionError)  # no text, no JSON, nested beyond reading, of another kind
STEP_NAME = re.compile(r"step_(\d+)\.safetensors")
VERSION = version("interdyn")


@dataclass(frozen=True)
class Run:
    """A run directory.

    Attributes
    ----------
    path
        The folder.
    recipe_name
        Name of the recipe.
    config_hash
        SHA-256 of the resolved recipe; see `config_hash`.
    steps
        The planned checkpoints, ascending optimiser steps; of an open-ended run those there when it was opened.
    groups
        The planned groups of samples.
    created
        Date and time, UTC, ISO 8601.
    version
        Version of this package that began the run.
    open_ended
        Whether the run takes any further step, as one does that follows a training of unknown length.
    """

    path: Path
    recipe_name: str
    config_hash: str
    steps: tuple[int, ...]
    groups: tuple[str, ...]
    created: str
    version: str
    open_ended: bool = False

    def _repr_html_(self) -> str:
        """Return the run for a notebook, with its figures."""
        try:
            html: str = accessor("load_run")(self.path)._repr_html_()
        except InterdynError as error:
            return f"<div><strong>{escape(self.recipe_name)}</strong> {escape(str(error))}</div>"
        return html


def as_run(run: "Run | str | Path") -> Run:
    """Return a run as it is, or that in a folder.

    Raises
    ------
    NotARunError, SchemaError, IncompleteRunError
        As `open_run`.
    """
    return run if isinstance(run, Run) else open_run(run)


def read_salience(run: Run) -> dict[str, Any]:
    """Return the rule of salience that the run's recipe names, as options ``salience`` and ``salience_rule``.

    Raises
    ------
    IncompleteRunError
        As `read_recipe`.
    """
    rule = read_recipe(run).get("analysis", {})
    if not isinstance(rule, Mapping):
        raise IncompleteRunError(f"`analysis` in the recipe of {run.path} must be a table; got {rule!r:.60}. Mend it.")
    return {key: rule[key] for key in ("salience", "salience_rule") if key in rule}


def config_hash(recipe: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a resolved recipe; the order of its keys does not matter.

    Examples
    --------
    >>> config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, allow_nan=False).encode()).hexdigest()


def begin_run(
    path: Path,
    recipe: Mapping[str, Any],
    *,
    steps: Sequence[int] | None,
    groups: Sequence[str],
    environment: Mapping[str, Any],
) -> Run:
    """Open the run in ``path``, or begin one there; call it inside `writing`. Without ``steps`` it is open-ended.

    Raises
    ------
    RecipeError
        If the folder holds a run of another recipe.
    NotARunError, SchemaError
        If the identity of the run cannot be read, or a newer version of this package wrote it.
    StorageError
        If the file system refuses.
    """
    if (path / "run.json").exists():
        run = open_run(path)
        if run.config_hash != config_hash(recipe):
            keys = ", ".join(f"`{key}`" for key in _differences(read_recipe(run), recipe)[:3])
            raise RecipeError(
                f"continuing the run in {path} needs the recipe it began with; "
                f"got one that differs in {keys}. Choose another folder with --out."
            )
        return run
    # run.json comes last: it is what makes the folder a run
    write_atomic(path / "recipe.toml", tomli_w.dumps(recipe).encode())
    write_json(path / "env.json", environment)
    identity = {
        "kind": KIND,
        "schema": SCHEMA,
        "recipe_name": recipe["name"],
        "config_hash": config_hash(recipe),
        "steps": None if steps is None else [int(step) for step in steps],
        "groups": list(groups),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": VERSION,
    }
    write_json(path / "run.json", identity)
    return open_run(path)


def open_run(path: str | Path) -> Run:
    """Return the run in ``path``.

    Raises
    ------
    NotARunError
        If ``path`` is not a run directory.
    SchemaError
        If a newer version of this package wrote it.
    """
    path = file_path(path, "run", error=NotARunError)
    _check_links(path)
    try:
        identity = json.loads((path / "run.json").read_text(encoding="utf-8"))
        if identity["kind"] != KIND:
            raise KeyError(KIND)
        _check_identity(identity)
        check_schema(identity["schema"], path)
        return Run(
            path=path,
            recipe_name=identity["recipe_name"],
            config_hash=identity["config_hash"],
            steps=_steps_on_disk(path) if identity["steps"] is None else tuple(identity["steps"]),
            groups=tuple(identity["groups"]),
            created=identity["created"],
            version=identity["version"],
            open_ended=identity["steps"] is None,
        )
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, LookupError, *_UNREADABLE) as error:
        if not path.exists():
            what, do = "no such folder", f"Make one: interdyn demo --out {path}"
        else:
            what, do = "no readable `run.json` of interdyn in it", _runs_below(path)
        raise NotARunError(f"a run directory was needed; got {path}: {what}. {do}") from error


def _check_identity(identity: Mapping[str, Any]) -> None:
    """Refuse what no run has: steps that are no numbers, groups whose names lead out of the folder."""
    steps, groups = identity["steps"], identity["groups"]
    texts = ("recipe_name", "config_hash", "created", "version")
    if not (
        (steps is None or (isinstance(steps, list) and all(type(step) is int and step >= 0 for step in steps)))
        and isinstance(groups, list)
        and all(isinstance(name, str) and _GROUP_NAME.fullmatch(name) for name in groups)
        and all(isinstance(identity[key], str) for key in texts)
    ):
        raise ValueError("an entry of another kind")


def _check_links(path: Path) -> None:
    """Refuse a run in which something leads elsewhere, or is neither a file nor a folder.

    What a stranger sends could show files of this computer otherwise, or keep a reader waiting for ever.

    Raises
    ------
    NotARunError
        Names what it is.
    """
    for folder in (path, *(path / name for name in _FOLDERS)):
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            if entry.is_symlink() or not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                what = "a link" if entry.is_symlink() else "something that is no file"
                raise NotARunError(
                    f"a run must hold files and folders of its own; got {what}, `{entry.path}`. Put what it stands "
                    "for in its place, or remove it."
                )


def _runs_below(path: Path) -> str:
    """Return which runs a folder holds that is none itself, as the last sentence of an error."""
    found = sorted(file.parent.name for file in path.glob("*/run.json"))
    return f"Take one of the runs in it: {', '.join(found[:8])}." if found else "Choose the folder of a run."


def read_recipe(run: Run) -> dict[str, Any]:
    """Return the resolved recipe of a run, as plain data.

    Raises
    ------
    IncompleteRunError
        If the file is missing or damaged.
    """
    try:
        return tomllib.loads((run.path / "recipe.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise IncompleteRunError(
            f"a run holds its recipe in `recipe.toml`; got none that can be read in {run.path}. "
            "Begin again in another folder: interdyn run RECIPE --out DIR"
        ) from error


def _steps_on_disk(path: Path) -> tuple[int, ...]:
    """Return the steps of an open-ended run; a step is there once its checkpoint is, which is written last."""
    names = (path / "checkpoints").glob("step_*.safetensors")
    return tuple(sorted(int(match[1]) for name in names if (match := STEP_NAME.fullmatch(name.name))))


def check_inside(run: Run, step: int) -> None:
    """Refuse a step that the run's plan does not have."""
    if not run.open_ended and step not in run.steps:
        raise StorageError(f"step {step} must be one of the run's checkpoints; got the plan {list(run.steps)}.")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys in which two recipes differ."""
    a, b = dict(_flat(old)), dict(_flat(new))
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
