"""What a history says: the results of a training that is over, and of one that goes on."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from interdyn.measurement._analysis import (
    Course,
    analysed,
    chosen_options,
    group_record,
    solver_record,
    without_nan,
)
from interdyn.measurement._rule import identified_record, split_record
from interdyn.measurement._samples import samples_record

if TYPE_CHECKING:
    from interdyn.measurement._history import History

_RESAMPLES = 200  # of the samples, for intervals at every step of a training that goes on
_ACCURACIES = ("train_accuracy", "test_accuracy")
_LOSSES = ("train_loss", "test_loss")


def of_the_whole(history: "History", options: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Return summary and analysis of a training that is over."""
    at, last = history.together, history.last
    train, test = (history.column(name) for name in _LOSSES)
    chosen = chosen_options(options) | history.salience
    result = analysed(at, courses(history), last, losses=(train, test), options=chosen)
    extra: dict[str, Any] = {
        name: column.tolist() for name in _ACCURACIES if (column := history.column(name)) is not None
    }
    extra["identified"] = identified_record(last, step=at[-1])
    extra |= history.cost()
    analysis = {**result["analysis"], "samples": samples_record(history.readings(together=True))}
    return {"summary": {**result["summary"], **without_nan(extra)}, "analysis": analysis}


def so_far(history: "History") -> dict[str, dict[str, Any]]:
    """Return summary and analysis of a training that goes on, as far as they can be known.

    There is no theory, since its ``w*`` is the final network's; the stage of the verdict stands under ``stage``.
    """
    groups = {name: group_record(course, n_bootstrap=_RESAMPLES, seed=0) for name, course in courses(history).items()}
    first = next(iter(groups.values()))
    verdict = history.verdict()
    assert verdict is not None
    orders = len(first["order_distribution"][0])
    columns = {name: history.column(name) for name in (*_LOSSES, *_ACCURACIES)}
    every = [one for course in courses(history, history.steps).values() for one in course.seen]
    summary = {
        "steps": list(history.together),
        "n_players": orders,
        "orders": list(range(1, orders + 1)),
        "n_samples": first["n_samples"],
        "order_distribution": first["order_distribution"],
        "mean_order": first["mean_order"],
        **{name: column.tolist() for name, column in columns.items() if column is not None},
        "phases": {
            "found": verdict.since is not None,
            "boundary_step": verdict.since,
            "interval": None if verdict.interval is None else list(verdict.interval),
            "status": verdict.sentence,
        },
        "stage": str(verdict.stage),
        "solver": solver_record(every),
        "split": split_record(one.settings for one in every),
        "verdict": [verdict.sentence],
    }
    analysis = {"groups": groups, "samples": samples_record(history.readings(together=True))}
    return {"summary": without_nan(summary), "analysis": without_nan(analysis)}


def courses(history: "History", steps: Sequence[int] | None = None) -> dict[str, Course]:
    """Return each group over the steps that belong together, or over others."""
    at = history.together if steps is None else steps
    ids = {reading.group: reading.sample_ids.tolist() for reading in history.readings(together=True)}
    return {name: Course([history.seen(step, name) for step in at], ids[name]) for name in history.groups}
