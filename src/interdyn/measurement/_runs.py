"""The analysis of a whole run, from its directory alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from interdyn import store
from interdyn.measurement._analysis import analyse
from interdyn.measurement._reading import stored_reading
from interdyn.measurement._rule import identified_record
from interdyn.measurement._samples import samples_record
from interdyn.measurement._stored import interactions, read_looks
from interdyn.store import Measurement


def analyse_run(run: store.Run, *, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the analysis of everything a run has measured at all its steps, from the disk alone.

    Returns
    -------
    As `analyse`; ``summary`` also holds accuracies where they were recorded, what sparsity leaves open at the last
    step, forward passes and seconds.

    Raises
    ------
    IncompleteRunError
        If a group has not been measured at every step.
    """
    history, stored = read_looks(run)
    groups = {
        name: {"interactions": [interactions(m) for m in rows], "sample_ids": rows[0].sample_ids.tolist()}
        for name, rows in stored.items()
    }
    losses = {name: _column(history, name) for name in ("train_loss", "test_loss")}
    result = analyse([entry["step"] for entry in history], groups, **losses, options=options)
    extra: dict[str, Any] = {
        name: column for name in ("train_accuracy", "test_accuracy") if (column := _column(history, name)) is not None
    }
    everything = [measurement for rows in stored.values() for measurement in rows]
    main = next(iter(groups.values()))["interactions"][-1]
    extra["identified"] = identified_record(main, step=history[-1]["step"])
    extra["forward_passes"] = sum(measurement.forward_passes for measurement in everything)
    extra["seconds"] = _seconds(history, everything)
    rule = {key: options[key] for key in ("salience", "salience_rule") if options and key in options}
    kept = [stored_reading(m, **rule) for rows in zip(*stored.values(), strict=True) for m in rows]
    analysis = {**result["analysis"], "samples": samples_record(kept)}
    return {"summary": {**result["summary"], **extra}, "analysis": analysis}


def _column(history: Sequence[Mapping[str, Any]], name: str) -> list[float] | None:
    """Return one quantity over the steps, NaN where it was not recorded; None where it never was."""
    values = [entry.get(name) for entry in history]
    return None if all(v is None for v in values) else [float("nan") if v is None else v for v in values]


def _seconds(history: Sequence[Mapping[str, Any]], measurements: Sequence[Measurement]) -> dict[str, float]:
    """Return the wall time of the whole run by part, over all its interruptions, without the analysis."""
    rest = sum(entry["seconds"].get("evaluation", 0.0) for entry in history)
    rest += sum(measurement.seconds["split"] for measurement in measurements)
    return {
        "training": sum(entry["seconds"].get("training", 0.0) for entry in history),
        "forward_passes": sum(measurement.seconds["forward"] for measurement in measurements),
        "everything_else": rest,
    }
