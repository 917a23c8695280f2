"""Interactions as the figures of single samples see them: NumPy arrays from a result or from a run on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from interdyn._version import VERSION
from interdyn.errors import IncompleteRunError, InputError
from interdyn.plot._panel import credit
from interdyn.store import Run, as_run, read_measurement, read_salience, to_measure

SALIENCE = 0.03  # part of the mean effect below which an interaction does not count (paper, section 4)


@dataclass(frozen=True)
class Tables:
    """Interactions of a batch of samples.

    Attributes
    ----------
    i_and, i_or
        Shape ``(samples, 2**n)``.
    effect
        ``|v(N) - v({})|`` of each sample, shape ``(samples,)``.
    unit, source
        Unit of the outputs; where they come from, in words.
    salience
        Part of the mean effect that counts as salient; None where the run goes by another rule.
    stamp
        Recipe and version, for the corner of the figure.
    error
        Standard error of AND and OR interactions, where they are means over near-by steps.
    """

    i_and: Float[np.ndarray, "samples subsets"]
    i_or: Float[np.ndarray, "samples subsets"]
    effect: Float[np.ndarray, " samples"]
    unit: str
    source: str
    salience: float | None = SALIENCE
    stamp: str = credit("", VERSION)
    error: Float[np.ndarray, "samples kinds subsets"] | None = None


def tables_of(data: Any, *, step: int | None = None, group: str = "test") -> Tables:
    """Return the interactions of a result (`interdyn.values.Interactions`) or of a run at a step, by default the last.

    Also the mean over near-by steps, with its error (`interdyn.spectra.WindowMean`).

    Raises
    ------
    InputError
        If ``data`` is neither, or the run has no such step or group.
    IncompleteRunError
        If the run has not measured it.
    """
    if hasattr(data, "i_and") and hasattr(data, "residual"):
        return _of_result(data)
    if hasattr(data, "standard_error") and hasattr(data, "kept"):
        return _of_window(data)
    if not isinstance(data, Run | str | Path):
        raise InputError(
            f"`data` must be a result of `interdyn.measure` or a run directory; got {type(data).__name__}. "
            "Pass the folder of the run."
        )
    return _of_run(as_run(data), step, group)


def _of_result(found: Any) -> Tables:
    i_and, i_or, residual = (np.atleast_2d(np.asarray(x.cpu())) for x in (found.i_and, found.i_or, found.residual))
    effect = np.abs(i_and[:, 1:].sum(1) + i_or[:, 1:].sum(1) + residual[:, -1] - residual[:, 0])
    return Tables(i_and, i_or, effect, found.unit, f"{len(i_and)} samples")


def _of_window(found: Any) -> Tables:
    i_and, i_or, *errors = (
        np.atleast_2d(np.asarray(getattr(one, kind).cpu()))
        for one in (found.mean, found.standard_error)
        for kind in ("i_and", "i_or")
    )
    effect = np.abs(i_and[:, 1:].sum(1) + i_or[:, 1:].sum(1))
    error = np.stack(errors, axis=1) if found.n_steps > 1 else None
    source = f"{len(i_and)} samples, mean of {found.n_steps} near-by steps"
    return Tables(i_and, i_or, effect, found.mean.unit, source, error=error)


def _of_run(run: Run, step: int | None, group: str) -> Tables:
    if group not in run.groups or (step is not None and step not in run.steps):
        raise InputError(
            f"the run has the groups {', '.join(run.groups)} and the steps {list(run.steps)}; got group {group!r}, "
            f"step {step}. Choose among these."
        )
    at = run.steps[-1] if step is None else step
    found = read_measurement(run, at, group=group)
    if found is None:
        raise IncompleteRunError(
            f"the figure needs group `{group}` at step {at}; got no whole file of it in {run.path}. {to_measure(run)}"
        )
    rule = read_salience(run)
    salience = (
        float(rule.get("salience", SALIENCE)) if rule.get("salience_rule", "mean-effect") == "mean-effect" else None
    )
    effect = np.abs(found.v[:, -1] - found.v[:, 0])
    source = f"{len(found.v)} {group} samples at step {at:,}"
    stamp = credit(run.recipe_name, run.version)
    return Tables(found.i_and, found.i_or, effect, found.unit, source, salience, stamp)
