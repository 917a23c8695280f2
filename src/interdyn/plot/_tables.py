"""Interactions for the figures of single samples: NumPy arrays from a result or from a run on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from interdyn._version import VERSION
from interdyn.errors import IncompleteRunError, InputError
from interdyn.plot._naming import Naming, named, naming_of
from interdyn.plot._panel import credit
from interdyn.store import Run, as_run, read_exhibit, read_measurement, read_salience, to_measure

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
        Unit of the outputs; where they come from, as text.
    base, output
        ``v({})`` and ``v(N)`` of each sample; for a mean over nearby steps, what its interactions add up to.
    threshold
        Salience threshold of each sample.
    naming
        Names of the players.
    salience
        Part of the mean effect that counts as salient; None where the run uses another rule.
    stamp
        Recipe and version, for the corner of the figure.
    error
        Standard error of AND and OR interactions, where they are means over nearby steps.
    ids, labels, classes
        Number and class of each sample, and names of the classes; None or empty where they are not known.
    """

    i_and: Float[np.ndarray, "samples subsets"]
    i_or: Float[np.ndarray, "samples subsets"]
    effect: Float[np.ndarray, " samples"]
    base: Float[np.ndarray, " samples"]
    output: Float[np.ndarray, " samples"]
    threshold: Float[np.ndarray, " samples"]
    naming: Naming
    unit: str
    source: str
    salience: float | None = SALIENCE
    stamp: str = credit("", VERSION)
    error: Float[np.ndarray, "samples kinds subsets"] | None = None
    ids: Int[np.ndarray, " samples"] | None = None
    labels: Int[np.ndarray, " samples"] | None = None
    classes: tuple[str, ...] = ()


def thresholds(
    both: Float[np.ndarray, "samples both"],
    effect: Float[np.ndarray, " samples"],
    *,
    salience: float | None = None,
    salience_rule: str = "mean-effect",
) -> Float[np.ndarray, " samples"]:
    """Return the threshold of each sample by the rule of a run: `interdyn.spectra.salience_threshold`, in NumPy.

    ``both`` holds AND and OR interactions with the constant as 0, ``effect`` is ``|v(N) - v({})|``.

    Examples
    --------
    >>> thresholds(np.array([[0.0, 4.0]]), np.array([5.0])).tolist()
    [0.15]
    """
    if salience_rule == "absolute":
        return np.full(len(effect), float(salience or 0.0))
    if salience_rule == "max":
        return np.asarray((0.05 if salience is None else salience) * np.abs(both).max(axis=1))
    return np.full(len(effect), (SALIENCE if salience is None else salience) * effect.mean())


def tables_of(data: Any, *, step: int | None = None, group: str = "test") -> Tables:
    """Return the interactions of a result (`interdyn.values.Interactions`) or of a run at a step, by default the last.

    Also the mean over nearby steps, with its error (`interdyn.spectra.WindowMean`).

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
    base = i_and[:, 0] + residual[:, 0]
    output = i_and.sum(1) + i_or[:, 1:].sum(1) + residual[:, -1]
    names = found.names if found.batch_shape or not found.names else (found.names,)
    about = {"n": found.n_players, "samples": len(i_and), "players": str(found.settings.get("players", ""))}
    return _made(i_and, i_or, base, output, named(names, **about), found.unit, f"{len(i_and)} samples")


def _of_window(found: Any) -> Tables:
    i_and, i_or, *errors = (
        np.atleast_2d(np.asarray(getattr(one, kind).cpu()))
        for one in (found.mean, found.standard_error)
        for kind in ("i_and", "i_or")
    )
    base, output = i_and[:, 0], i_and.sum(1) + i_or[:, 1:].sum(1)
    error = np.stack(errors, axis=1) if found.n_steps > 1 else None
    source = f"{len(i_and)} samples, mean of {found.n_steps} nearby steps"
    names = found.mean.names if found.mean.batch_shape or not found.mean.names else (found.mean.names,)
    naming = named(names, n=found.mean.n_players, samples=len(i_and), players="")
    return _made(i_and, i_or, base, output, naming, found.mean.unit, source, error=error)


def _made(
    i_and: np.ndarray, i_or: np.ndarray, base: np.ndarray, output: np.ndarray, naming: Naming, *rest: Any, **more: Any
) -> Tables:
    """Return tables with their effect and, unless it is given, the threshold of the default rule."""
    effect = np.abs(output - base)
    threshold = more.pop("threshold", None)
    if threshold is None:
        threshold = np.full(len(effect), SALIENCE * effect.mean() if len(effect) else 0.0)
    return Tables(i_and, i_or, effect, base, output, threshold, naming, *rest, **more)


def without_constant(i_and: np.ndarray, i_or: np.ndarray) -> Float[np.ndarray, "samples both"]:
    """Return AND and OR interactions side by side, the constant as 0."""
    both = np.concatenate([i_and, i_or], axis=1)
    both[:, [0, i_and.shape[1]]] = 0.0
    return both


def _of_run(run: Run, step: int | None, group: str) -> Tables:
    if group not in run.groups or (step is not None and step not in run.steps):
        raise InputError(
            f"`group` must be one of {', '.join(run.groups)} and `step` one of {list(run.steps)}; got group {group!r}, "
            f"step {step}. Choose among these."
        )
    at = run.steps[-1] if step is None else step
    found = read_measurement(run, at, group=group)
    if found is None:
        raise IncompleteRunError(
            f"the figure needs group `{group}` at step {at}; got no intact file of it in {run.path}. {to_measure(run)}"
        )
    rule, exhibit = read_salience(run), read_exhibit(run, group)
    salience = (
        float(rule.get("salience", SALIENCE)) if rule.get("salience_rule", "mean-effect") == "mean-effect" else None
    )
    base, output = found.v[:, 0], found.v[:, -1]
    n, samples = found.v.shape[1].bit_length() - 1, len(found.v)
    return _made(
        found.i_and,
        found.i_or,
        base,
        output,
        naming_of(exhibit, found.settings, n=n, samples=samples),
        found.unit,
        f"{samples} {group} samples at step {at:,}",
        salience,
        credit(run.recipe_name, run.version),
        threshold=thresholds(without_constant(found.i_and, found.i_or), np.abs(output - base), **rule),
        ids=found.sample_ids,
        labels=found.targets,
        classes=() if exhibit is None else exhibit.classes,
    )
