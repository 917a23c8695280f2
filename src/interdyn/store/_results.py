"""The end of a run: its summary and its analysis."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interdyn.errors import IncompleteRunError, StorageError
from interdyn.store._atomic import write_json
from interdyn.store._files import SCHEMA, check_schema, read_header
from interdyn.store._run import VERSION, Run


def write_results(run: Run, *, summary: Mapping[str, Any], analysis: Mapping[str, Any]) -> None:
    """Write ``analysis.json`` and then ``summary.json``, whose presence says that the run is complete.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    write_json(run.path / "analysis.json", analysis)
    write_json(run.path / "summary.json", summary)


def withdraw_results(run: Run) -> None:
    """Take the summary away, if there is one: a run that goes on is not complete any more.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    try:
        (run.path / "summary.json").unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"a summary that holds no longer must be taken away; got {error}. Check {run.path}."
        ) from error


def read_summary(run: Run) -> dict[str, Any]:
    """Return the summary of a complete run.

    Raises
    ------
    IncompleteRunError
        If the run has not come to its end; says how far it is and the command that finishes it.
    SchemaError
        If a newer version of this package wrote it.
    """
    return _read(run, "summary.json")


def read_analysis(run: Run) -> dict[str, Any]:
    """Return the analysis of a complete run: the details behind the summary.

    Raises
    ------
    IncompleteRunError
        If the run has not come to its end; says how far it is and the command that finishes it.
    SchemaError
        If a newer version of this package wrote it.
    """
    return _read(run, "analysis.json")


def read_results(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the summary of a complete run, and its analysis, empty where it was not written.

    Raises
    ------
    IncompleteRunError, SchemaError
        As `read_summary`.
    """
    there = (run.path / "analysis.json").is_file()
    return read_summary(run), read_analysis(run) if there else {}


def _read(run: Run, name: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((run.path / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IncompleteRunError(
            f"a finished run was needed; got {run.path}, which lacks a whole `{name}` and has "
            f"{_progress(run)}. {_way_out(run)}"
        ) from error
    check_schema(content.get("schema"), run.path / name)
    return content


def _way_out(run: Run) -> str:
    if run.open_ended:  # a training of the user's own
        return f"Close its tracker, or call: interdyn report {run.path}. While it grows: interdyn dashboard {run.path}"
    return f"Finish it: {_command(run)}"


def identity(run: Run) -> dict[str, Any]:
    """Return what every result says of its run: schema, recipe, hash of its settings, version of this package."""
    return {"schema": SCHEMA, "recipe": run.recipe_name, "config_hash": run.config_hash, "version": VERSION}


def to_measure(run: Run) -> str:
    """Return what to do about a measurement that a run lacks, as the last sentence of an error."""
    if run.open_ended:
        return "Its training has not looked there, or the file is damaged: choose what is there, or train on."
    return f"Measure it: {_command(run)}"


def _command(run: Run) -> str:
    return f"interdyn run {run.path / 'recipe.toml'} --out {run.path}"


def _progress(run: Run) -> str:
    folder = Path(run.path) / "measurements"
    measured = sum(
        all(read_header(folder / f"step_{step:08d}.{group}.safetensors") is not None for group in run.groups)
        for step in run.steps
    )
    return f"{measured} of {len(run.steps)} checkpoints measured"
