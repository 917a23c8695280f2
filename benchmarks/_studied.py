"""What a kept study trains: its recipe, what it changes in it, and on which data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interdyn.recipes import Recipe, Study, load_recipe

OWN = Path(__file__).parent / "studies" / "recipes"
"""Recipes of studies; those without a file here are of the library."""


def recipe_name(study: Study) -> str:
    """Return how the page names the recipe of a study: by its file if it is not of the library."""
    return f"benchmarks/studies/recipes/{study.recipe}" if study.recipe.endswith(".toml") else study.recipe


def changes(study: Study) -> list[str]:
    """Return the settings of all runs that differ from the recipe, each with the recipe's own."""
    tree = _recipe(study).model_dump(mode="json")
    out = []
    for key, value in study.set.items():
        section, _, name = key.partition(".")
        if tree[section][name] != value:
            out.append(f"`{key}` {_plain(value)} instead of {_plain(tree[section][name])}")
    return out


def data_set(study: Study) -> str:
    """Return the name of the data that a study trains on; of the shortcut's images, of what they are made."""
    options = [study.set.get("data.options", {}), *(one.set.get("data.options", {}) for one in study.variant)]
    made_of = {one["of"] for one in options if "of" in one}
    return made_of.pop() if len(made_of) == 1 else str(study.set.get("data.name", _recipe(study).data.name))


def data_sets(studies: Sequence[Study]) -> str:
    """Return on how many data sets studies stand, and how many studies on each.

    Examples
    --------
    >>> data_sets([])
    '0 data sets (studies on each: )'
    """
    names = [data_set(study) for study in studies]
    each = sorted(set(names), key=lambda name: (-names.count(name), name))
    return f"{len(each)} data sets (studies on each: {', '.join(f'{name} {names.count(name)}' for name in each)})"


def _recipe(study: Study) -> Recipe:
    own = OWN / study.recipe
    return load_recipe(str(own) if own.is_file() else study.recipe, scale=study.scale)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {one}" for key, one in value.items()) + "}"
    if value is None:
        return "not set"
    return str(value).lower() if isinstance(value, bool) else str(value)
