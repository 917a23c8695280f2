"""What figures accept: the result of a run, in any form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from interdyn.errors import InputError
from interdyn.store import read_result
from interdyn.values import RunResult

Drawable = RunResult | Mapping[str, Any] | Path | str


def has_numbers(array: np.ndarray | None) -> bool:
    """Return whether there is anything to draw: an array with at least one finite number."""
    return array is not None and bool(np.isfinite(array).any())


def load_run(path: Path | str) -> RunResult:
    """Return the result of a finished run; see `interdyn.store.read_result`.

    Raises
    ------
    NotARunError
        When the folder has no ``run.json``.
    IncompleteRunError
        When ``summary.json`` is missing, half written or holds no checkpoint.
    SchemaError
        When a newer version wrote the run.

    Examples
    --------
    >>> load_run("nowhere")
    Traceback (most recent call last):
    interdyn.errors.NotARunError: a run directory was needed; got nowhere: ...
    """
    return read_result(path)


def as_view(data: Drawable) -> RunResult:
    """Accept a `RunResult`, a run directory, or ``{"summary": ..., "analysis": ...}``."""
    if isinstance(data, RunResult):
        return data
    if isinstance(data, str | Path):
        return load_run(data)
    if not isinstance(data, Mapping) or "summary" not in data:
        raise InputError(
            "`data` must be a run directory, a RunResult or a mapping with the key 'summary'; "
            f"got {type(data).__name__}. Pass the folder of the run."
        )
    return RunResult.from_json(data["summary"], data.get("analysis"))
