"""The recipe of a run: what it started with, kept in two files, each of which can be restored from the other."""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import tomli_w

from interdyn._version import VERSION
from interdyn.errors import IncompleteRunError, RecipeError
from interdyn.schedules import MOST_NEAR
from interdyn.store._files import DamagedError, is_sealed, read_bytes, read_json, write_json, write_text
from interdyn.store._run import Run, holds_a_run, open_run


def config_hash(recipe: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a resolved recipe; the order of its keys does not matter.

    Examples
    --------
    >>> config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, allow_nan=False).encode()).hexdigest()


def begin_run(
    path: Path,
    recipe: Mapping[str, Any],
    *,
    steps: Sequence[int] | None,
    groups: Sequence[str],
    environment: Mapping[str, Any],
) -> Run:
    """Open the run in ``path``, or start one there; call it inside `writing`. Without ``steps`` it is open-ended.

    An open-ended run keeps the name it started with, whatever its folder is called by now. If ``run.json`` or
    ``recipe.toml`` is damaged, it is restored.

    Raises
    ------
    RecipeError
        If the folder contains a run of another recipe.
    NotARunError, SchemaError
        If the identity of the run cannot be read, or a newer version of this package wrote it.
    StorageError
        If the file system refuses.
    """
    if holds_a_run(path):
        run = open_run(path)
        wanted = {**recipe, "name": run.recipe_name} if run.open_ended else recipe
        if run.config_hash != config_hash(wanted):
            keys = ", ".join(f"`{key}`" for key in _differences(_any_recipe(run), wanted)[:3])
            raise RecipeError(
                f"continuing the run in {path} needs the recipe it started with; "
                f"got one that differs{' in ' if keys else ''}{keys}. Choose "
                "another folder: `out` in Python, --out of a command."
            )
        mend(run, wanted)
        return run
    run = Run(
        path=path,
        recipe_name=recipe["name"],
        config_hash=config_hash(recipe),
        steps=() if steps is None else tuple(int(step) for step in steps),
        groups=tuple(groups),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=VERSION,
        open_ended=steps is None,
        id=uuid4().hex,
    )
    # run.json comes last: it is what makes the folder a run
    write_text(path / "recipe.toml", tomli_w.dumps(recipe))
    write_json(path / "env.json", environment)
    write_json(path / "run.json", {**run.identity, "recipe": recipe})
    return open_run(path)


def mend(run: Run, recipe: Mapping[str, Any] | None = None) -> list[str]:
    """Restore ``run.json`` and ``recipe.toml`` if damaged or missing; call it inside `writing`.

    Returns
    -------
    list[str]
        The names of the files that were written.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    told = recipe or _any_recipe(run)
    done = []
    try:
        whole = read_json(run.path / "run.json") is not None
    except DamagedError:
        whole = False
    if not whole:
        write_json(run.path / "run.json", {**run.identity, **({"recipe": told} if told else {})})
        done.append("run.json")
    if told and not has_whole_recipe(run):
        write_text(run.path / "recipe.toml", tomli_w.dumps(told))
        done.append("recipe.toml")
    return done


def read_recipe(run: Run) -> dict[str, Any]:
    """Return the resolved recipe of a run, as plain data; from ``run.json`` if ``recipe.toml`` is damaged.

    Raises
    ------
    IncompleteRunError
        If both files are missing or damaged.
    """
    found = _any_recipe(run)
    if not found:
        raise IncompleteRunError(
            f"a run needs its recipe in `recipe.toml`; got none that can be read in {run.path}. "
            f"Put it back, or start again in another folder: interdyn run RECIPE --out DIR"
        )
    return found


def _any_recipe(run: Run) -> dict[str, Any]:
    """Return the recipe of a run from either of the files that contain it; empty if neither is intact."""
    with suppress(DamagedError):
        if (found := _recipe_in_toml(run)) is not None:
            return found
    with suppress(DamagedError):
        recipe: Any = (read_json(run.path / "run.json") or {}).get("recipe")
        if isinstance(recipe, dict):
            return recipe
    return {}


def _recipe_in_toml(run: Run) -> dict[str, Any] | None:
    """Return the content of ``recipe.toml``, or None if there is no such file."""
    data = read_bytes(run.path / "recipe.toml")
    if data is None:
        return None
    new = is_sealed(data)
    try:
        recipe = tomllib.loads(data.decode())
    except ValueError:
        raise DamagedError("it is not complete TOML") from None
    if run.id and not new:
        raise DamagedError("its digest is missing")
    if new and config_hash(recipe) != run.config_hash:
        raise DamagedError("it is not the recipe that the run started with")
    return recipe


def has_whole_recipe(run: Run) -> bool:
    """Return whether ``recipe.toml`` exists, is intact and belongs to the run."""
    try:
        return _recipe_in_toml(run) is not None
    except DamagedError:
        return False


def read_salience(run: Run) -> dict[str, Any]:
    """Return the run's rule of salience, as options ``salience`` and ``salience_rule``.

    Raises
    ------
    IncompleteRunError
        As `read_recipe`.
    """
    rule = read_recipe(run).get("analysis", {})
    return {key: rule[key] for key in ("salience", "salience_rule") if key in rule}


def read_window(run: Run) -> int:
    """Return how many nearby steps a measurement of the run takes, by its recipe; 1 if none can be read."""
    recipe = _any_recipe(run)
    said = [recipe[place] for place in ("tracker", "checkpoints") if isinstance(recipe.get(place), Mapping)]
    found = next((one["window"] for one in said if "window" in one), 1)
    return min(found, MOST_NEAR) if isinstance(found, int) and found >= 1 else 1


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys in which two recipes differ."""
    a, b = dict(_flat(old)), dict(_flat(new))
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
