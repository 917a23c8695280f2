"""The identity of a run directory: which recipe and plan, written by which version; from any file that states it."""

import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from interdyn._arguments import file_path
from interdyn.errors import InterdynError, NotARunError, StorageError
from interdyn.store._files import (
    SCHEMA,
    DamagedError,
    check_schema,
    is_sealed,
    names_in,
    read_bytes,
    read_header,
    read_json,
)
from interdyn.values import accessor

KIND = "interdyn-run"
FOLDERS = ("checkpoints", "trainer", "measurements", "exhibits", "units")
_GROUP_NAME = re.compile(r"\w[\w.-]*")
STEP_NAME = re.compile(r"step_(\d+)\.safetensors")


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
        The planned checkpoints, ascending optimiser steps; for an open-ended run, those present when it was opened.
    groups
        The planned groups of samples.
    created
        Date and time, UTC, ISO 8601.
    version
        Version of this package that started the run.
    open_ended
        Whether the run accepts any further step, as one that follows a training of unknown length does.
    id
        Drawn when the run started, to recognise files of another run; empty in runs of earlier versions.
    """

    path: Path
    recipe_name: str
    config_hash: str
    steps: tuple[int, ...]
    groups: tuple[str, ...]
    created: str
    version: str
    open_ended: bool = False
    id: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """The content of ``run.json``, which every header repeats."""
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "id": self.id,
            "recipe_name": self.recipe_name,
            "config_hash": self.config_hash,
            "steps": None if self.open_ended else list(self.steps),
            "groups": list(self.groups),
            "created": self.created,
            "version": self.version,
        }

    def _repr_html_(self) -> str:
        """Return the run for a notebook, with its figures."""
        try:
            html: str = accessor("load_run")(self.path)._repr_html_()
        except InterdynError as error:
            return f"<div><strong>{escape(self.recipe_name)}</strong> {escape(str(error))}</div>"
        return html


def as_run(run: "Run | str | Path") -> Run:
    """Return a run unchanged, or the run in a folder.

    Raises
    ------
    NotARunError, SchemaError, IncompleteRunError
        As `open_run`.
    """
    return run if isinstance(run, Run) else open_run(run)


def holds_a_run(path: Path) -> bool:
    """Return whether a run was started in a folder, even if the file that identifies it is damaged.

    Raises
    ------
    StorageError
        If the system cannot read it.
    """
    try:
        if read_json(path / "run.json") is not None:
            return True
    except DamagedError:
        if any(names_in(path / folder) for folder in FOLDERS):
            return True
    return _identity_in_files(path) is not None


def open_run(path: str | Path) -> Run:
    """Return the run in ``path``; if its ``run.json`` is damaged, from its other files.

    Raises
    ------
    NotARunError
        If ``path`` is not a run directory.
    SchemaError
        If a newer version of this package wrote it.
    StorageError
        If the system cannot read it: a disk error, no permission.
    """
    path = file_path(path, "run", error=NotARunError)
    _check_links(path)
    try:
        identity = read_json(path / "run.json")
    except DamagedError:
        identity = None
    if identity is None or identity.get("kind") != KIND:
        identity = _identity_in_files(path)
    try:
        if identity is None or identity["kind"] != KIND:
            raise KeyError(KIND)
        _check_identity(identity)
        check_schema(identity["schema"], path)
        return Run(
            path=path,
            recipe_name=str(identity["recipe_name"]),
            config_hash=str(identity["config_hash"]),
            steps=_steps_on_disk(path) if identity["steps"] is None else tuple(int(s) for s in identity["steps"]),
            groups=tuple(str(group) for group in identity["groups"]),
            created=str(identity["created"]),
            version=str(identity["version"]),
            open_ended=identity["steps"] is None,
            id=str(identity.get("id", "")),
        )
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        if not names_in(path) and not path.is_dir():
            what, do = "no such folder", f"Make one: interdyn demo --out {path}"
        else:
            what, do = "no readable `run.json` of interdyn in it", _runs_below(path)
        raise NotARunError(f"a run directory was needed; got {path}: {what}. {do}") from error


def _headers(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the readable headers of the measurements and checkpoints in a folder."""
    for folder in ("measurements", "checkpoints"):
        for name in names_in(path / folder):
            if name.startswith("step_") and (header := read_header(path / folder / name)) is not None:
                yield header


def _identity_in_files(path: Path) -> dict[str, Any] | None:
    """Return the content of ``run.json`` from the headers of the other files; None if they do not have it.

    Each header contains it; in runs of earlier versions the recipe and the names of the files give most of it.
    """
    headers = list(_headers(path))
    told = Counter(json.dumps(header["run"], sort_keys=True) for header in headers if header.get("run"))
    if told:
        found: dict[str, Any] = json.loads(told.most_common(1)[0][0])
        return found
    hashes = Counter(str(header.get("config_hash")) for header in headers)
    recipe = _parsed(path)
    if not hashes or recipe is None:
        return None
    groups = {str(header["group"]) for header in headers if "group" in header}
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "recipe_name": str(recipe.get("name") or ""),
        "config_hash": hashes.most_common(1)[0][0],
        "steps": None if "tracker" in recipe else _steps_on_disk(path),
        "groups": sorted(groups, key=lambda group: (group != "test", group)),
        "created": "",
        "version": str(headers[0].get("version", "")),
    }


def _check_identity(identity: Mapping[str, Any]) -> None:
    """Refuse what no run has: steps that are not numbers, groups whose names lead out of the folder."""
    steps, groups = identity["steps"], identity["groups"]
    texts = ("recipe_name", "config_hash", "created", "version")
    if not (
        (steps is None or (isinstance(steps, list | tuple) and all(type(step) is int and step >= 0 for step in steps)))
        and isinstance(groups, list)
        and all(isinstance(name, str) and _GROUP_NAME.fullmatch(name) for name in groups)
        and all(isinstance(identity[key], str) for key in texts)
    ):
        raise ValueError("an entry of another kind")


def _check_links(path: Path) -> None:
    """Refuse a run with links, or with entries that are neither files nor folders.

    In an untrusted run they could expose files of this computer, or keep a reader waiting forever.

    Raises
    ------
    NotARunError
        Names the entry.
    """
    for folder in (path, *(path / name for name in (*FOLDERS, "figures"))):
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            if entry.is_symlink() or not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                what = "a link" if entry.is_symlink() else "something that is not a file"
                raise NotARunError(
                    f"a run must contain only files and folders; got {what}, `{entry.path}`. Replace it by the file it "
                    "points to, or remove it."
                )


def _runs_below(path: Path) -> str:
    """Return which runs a folder that is not a run contains, as the last sentence of an error."""
    found = sorted(file.parent.name for file in path.glob("*/run.json"))
    return f"Choose one of the runs in it: {', '.join(found[:8])}." if found else "Choose the folder of a run."


def _parsed(path: Path) -> dict[str, Any] | None:
    """Return the content of the ``recipe.toml`` of a folder whose identity is not known, or None."""
    try:
        data = read_bytes(path / "recipe.toml") or b""
        is_sealed(data)
        return tomllib.loads(data.decode())
    except ValueError:
        return None


def _steps_on_disk(path: Path) -> tuple[int, ...]:
    """Return the steps of an open-ended run; a step exists once its checkpoint does, which is written last."""
    names = names_in(path / "checkpoints")
    return tuple(sorted(int(match[1]) for name in names if (match := STEP_NAME.fullmatch(name))))


def check_inside(run: Run, step: int) -> None:
    """Refuse a step that is not in the run's plan."""
    if not run.open_ended and step not in run.steps:
        raise StorageError(f"step {step} must be one of the run's checkpoints; got the plan {list(run.steps)}.")
