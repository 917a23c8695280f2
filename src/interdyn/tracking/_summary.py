"""The summary of a tracked training, from its directory alone."""

from importlib.metadata import version
from pathlib import Path

from interdyn import store
from interdyn.measurement import analyse_run


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
