"""The end of a run: its summary and its analysis."""

from pathlib import Path
from typing import Any

from interdyn._version import VERSION
from interdyn.errors import IncompleteRunError, InterdynError, RunError, SchemaError, StorageError
from interdyn.store._atomic import sync_folder
from interdyn.store._files import BROKEN, DamagedError, read_header, read_json, write_json
from interdyn.store._records import file_of
from interdyn.store._run import Run, as_run
from interdyn.values import RunResult


def write_result(run: Run, result: RunResult) -> None:
    """Write ``analysis.json`` and then ``summary.json``, whose presence means that the run is complete.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    content = result.model_copy(update=identity(run)).to_json()
    write_json(run.path / "analysis.json", content["analysis"])
    write_json(run.path / "summary.json", content["summary"])


def withdraw_results(run: Run) -> None:
    """Remove the summary, if there is one: a run that is resumed is not complete any more.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    try:
        (run.path / "summary.json").unlink()
        sync_folder(run.path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"an outdated summary must be removed; got {error}. Check {run.path}.") from error


def read_result(run: Run | str | Path, *, brief: bool = False) -> RunResult:
    """Return the result of a finished run, or of that in a folder.

    Parameters
    ----------
    run
        The run, or its folder.
    brief
        Whether ``analysis.json`` is left unread: no intervals, no samples and no groups but the first, in a fifth of
        the time.

    Raises
    ------
    IncompleteRunError
        If the run is not finished, or its results are damaged; states its progress and the command that finishes it.
    NotARunError, SchemaError, StorageError, RunError
        If the folder is not a run, a newer version of this package wrote it, it cannot be read, or an entry is invalid.
    """
    opened = as_run(run)
    summary = _read(opened, "summary.json")
    analysis = None if brief else _read(opened, "analysis.json", needed=False)
    try:
        return RunResult.from_json(summary or {}, analysis)
    except InterdynError:
        raise
    except BROKEN as error:
        raise _incomplete(opened, "summary.json") from error


def has_result(run: Run) -> bool:
    """Return whether the results of a run exist and are intact.

    Raises
    ------
    StorageError, SchemaError
        As `read_result`.
    """
    try:
        read_result(run)
    except (SchemaError, StorageError):
        raise
    except RunError:
        return False
    return True


def _read(run: Run, name: str, *, needed: bool = True) -> dict[str, Any] | None:
    try:
        content = read_json(run.path / name)
    except DamagedError as error:
        raise _incomplete(run, name) from error
    if content is None and needed:
        raise _incomplete(run, name)
    if content is not None and content.get("config_hash", run.config_hash) != run.config_hash:
        raise _incomplete(run, name)  # that of another run
    return content


def _incomplete(run: Run, name: str) -> IncompleteRunError:
    return IncompleteRunError(
        f"a finished run was needed; got {run.path}, which has no intact `{name}`; it has {_progress(run)}. "
        f"{_way_out(run)}"
    )


def _way_out(run: Run) -> str:
    if run.open_ended:  # a user's own training
        return f"Close its tracker, or call: interdyn report {run.path}. While it grows: interdyn dashboard {run.path}"
    return f"Finish it: {_command(run)}"


def identity(run: Run) -> dict[str, Any]:
    """Return what every result records about its run: recipe, hash of its settings, version of this package."""
    return {"recipe": run.recipe_name, "config_hash": run.config_hash, "version": VERSION}


def to_measure(run: Run) -> str:
    """Return what to do about a missing measurement of a run, as the last sentence of an error."""
    if run.open_ended:
        return "It was not measured there, or the file is damaged: choose a measured step, or train further."
    return f"Measure it: {_command(run)}"


def _command(run: Run) -> str:
    return f"interdyn run {run.path / 'recipe.toml'} --out {run.path}"


def _progress(run: Run) -> str:
    folder = Path(run.path)
    measured = sum(
        all(read_header(folder / file_of("measurements", step, group)) is not None for group in run.groups)
        for step in run.steps
    )
    return f"{measured} of {len(run.steps)} checkpoints measured"
