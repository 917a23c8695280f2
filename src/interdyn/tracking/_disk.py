"""The run of a tracked training on disk: begun or found again, and its summary, from its directory alone."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from interdyn import store
from interdyn.measurement import analyse_run


def tracked_run(folder: Path, settings: Mapping[str, Any], *, groups: Sequence[str]) -> store.Run:
    """Return the run in a folder, begun there or found again; call it inside `interdyn.store.writing`.

    Raises
    ------
    StorageError
        If another training is there.
    """
    return store.begin_run(
        folder,
        {"name": folder.name or "tracked", "tracker": settings},
        steps=None,
        groups=groups,
        environment={
            "schema": store.SCHEMA,
            "packages": {name: version(name) for name in ("interdyn", "torch")},
        },
    )


def looks_on_disk(run: store.Run) -> Iterator[tuple[int, list[store.Measurement], dict[str, float]]]:
    """Yield step, measurements and losses of each look that a run has whole."""
    history = {entry["step"]: entry for entry in store.read_history(run)}
    for step in run.steps:
        found = [store.read_measurement(run, step, group=group) for group in run.groups]
        whole = [m for m in found if m is not None]
        if step in history and len(whole) == len(found):
            yield step, whole, {k: v for k, v in history[step].items() if k in ("train_loss", "test_loss")}


def write_summary(folder: Path) -> None:
    """Analyse everything that a tracker has kept in its folder, and write the results there."""
    run = store.open_run(folder)
    result = analyse_run(run)
    identity = {
        "schema": store.SCHEMA,
        "recipe": run.recipe_name,
        "config_hash": run.config_hash,
        "version": version("interdyn"),
    }
    store.write_results(run, summary={**result["summary"], **identity}, analysis={**result["analysis"], **identity})
