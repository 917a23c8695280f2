"""Reading recipes: a library name or a file, overrides, and readable errors."""

import tomllib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from interdyn.errors import InterdynWarning, RecipeError
from interdyn.recipes._protocol import paper_options
from interdyn.recipes._registry import is_code, library, nearest, nearest_provided
from interdyn.recipes._schema import ExpectedSection, Recipe

_SMOKE_PLAYERS = 8


def recipes() -> dict[str, str]:
    """Return name and description of every recipe in the library: those of all installed providers.

    A recipe that cannot be read, or a name that two providers use, is left out with a warning.

    Raises
    ------
    RecipeError
        If no provider is installed.

    Examples
    --------
    >>> "digits-cnn" in recipes()
    True
    """
    known, found = library(), {}
    if not known:
        raise RecipeError(f"the library of recipes must have a provider; got none. {nearest_provided('', [])}")
    for name in known:
        try:
            found[name] = str(_read(name)[0].get("description", ""))
        except RecipeError as error:
            warnings.warn(f"the recipe `{name}` is left out: {error}", InterdynWarning, stacklevel=2)
    return found


def load_recipe(
    source: str | Path,
    *,
    overrides: Sequence[str] = (),
    scale: str | None = None,
    smoke: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return a recipe, resolved and checked.

    Parameters
    ----------
    source
        Name of a recipe in the library, or the path of a TOML file.
    overrides
        Strings ``section.key=value``; the value is TOML (a bare word is a string). They override everything, including
        the scale and ``protocol = "paper"``.
    scale
        Name of a table ``[scale.NAME]`` of the recipe, whose dotted keys replace those of the file: the same experiment
        at another size, such as ``"paper"`` for the published one. By default, the file's own values.
    smoke
        Scale everything down so that the run takes under 20 seconds; the expected block is dropped, and the table
        ``[scale.smoke]`` is applied, if there is one.
    changes
        Dotted keys to values, as a study sets them; they override the scale, and ``overrides`` override them.

    Raises
    ------
    RecipeError
        If there is no such recipe, or a key or value cannot be used; names the nearest valid one.

    Examples
    --------
    >>> load_recipe("digits-cnn", overrides=["training.epochs=3"]).training.epochs
    3
    """
    tree, provider = _read(source)
    scales = tree.pop("scale", {})
    of_a_run = isinstance(scales, str)
    if of_a_run:  # resolved already
        tree["scale"], scales = scales, {}
    if scale is not None:
        if scale not in scales:
            raise RecipeError(
                f"`scale` must be one of the recipe's own; got {scale!r}. "
                f"{nearest(scale, sorted(scales)) if scales else 'It has none: leave it out.'}"
            )
        tree["scale"] = scale
        _rescale(tree, scales[scale])
    if smoke:
        _rescale(tree, scales.get("smoke", {}))
    _rescale(tree, changes or {})
    given = [_parsed(override) for override in overrides]
    for path, value, told in given:
        _put(tree, path, value, told=told)
    asked_for = not of_a_run or any(path == ["protocol"] for path, _, _ in given)
    if tree.get("protocol") == "paper" and asked_for:
        _rescale(tree, paper_options(tree))
        for path, value, told in given:  # the command line has the last word
            _put(tree, path, value, told=told)
    recipe = resolve(tree)
    if code_of(recipe):  # only the provider of its library may name code
        recipe._provider = provider
    return _smoke(recipe) if smoke else recipe


def code_of(recipe: Recipe) -> dict[str, str]:
    """Return what a recipe names as ``module:factory`` and would therefore run, by key; not its provider's own code.

    Examples
    --------
    >>> code_of(load_recipe("digits-mlp")), code_of(load_recipe("digits-mlp", overrides=["model.name=mine:net"]))
    ({}, {'model.name': 'mine:net'})
    """
    named = {"model.name": recipe.model.name, "data.name": recipe.data.name}
    return {key: name for key, name in named.items() if is_code(name, provider=recipe._provider)}


def _rescale(tree: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Set dotted keys of ``tree``."""
    for dotted, value in changes.items():
        _put(tree, dotted.split("."), value, told=f"{dotted} = {value!r}")


def resolve(tree: Mapping[str, Any]) -> Recipe:
    """Return the recipe described by plain data.

    Raises
    ------
    RecipeError
        If a key or value cannot be used.
    """
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(sentence(error)) from None


def _read(source: str | Path) -> tuple[dict[str, Any], str]:
    """Return the content of a recipe, and the package of the provider whose library it is in; empty for a file."""
    known = library()
    found = known.get(str(source)) or {Path(source): ""}
    files = list(found)
    if len(files) > 1:
        raise RecipeError(
            f"a library name must be that of one recipe; got `{source}` for {' and '.join(map(str, files))}. "
            "Pass the path of one of them, or uninstall the other package."
        )
    try:
        return tomllib.loads(files[0].read_text(encoding="utf-8")), found[files[0]]
    except FileNotFoundError:
        raise RecipeError(
            f"a recipe must be a library name or a TOML file; got {str(source)!r}. "
            f"{nearest_provided(str(source), list(known))}{' List them: interdyn recipes' if known else ''}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # not text, not TOML, nested too deeply, not a file name
        raise RecipeError(
            f"a recipe must be a readable TOML file; got {str(files[0])!r}: {error}. Correct it there."
        ) from None


def _parsed(override: str) -> tuple[list[str], Any, str]:
    """Return the path and the value of ``section.key=value``, and the string itself."""
    dotted, equals, text = override.partition("=")
    path = [part.strip() for part in dotted.split(".")]
    if not equals or not all(path):
        raise RecipeError(
            f"an override needs the form section.key=value; got {override!r}. "
            "Write for example: --set training.epochs=20"
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()
    return path, value, override


def _put(tree: dict[str, Any], path: Sequence[str], value: Any, *, told: str) -> None:
    for part in path[:-1]:
        branch = tree.setdefault(part, {})
        if not isinstance(branch, dict):
            raise RecipeError(
                f"an override must name a key inside a section; got {told!r}, but `{part}` is a value. "
                "Write for example: --set training.epochs=20"
            )
        tree = branch
    tree[path[-1]] = value


def _smoke(recipe: Recipe) -> Recipe:
    """Return ``recipe`` scaled to a few seconds."""
    n, measure = recipe.players.n, recipe.measure
    n_train = min(recipe.data.n_train or 120, 120)
    wrong = round(recipe.data.label_noise * n_train) if recipe.data.label_noise else 2
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"n_train": n_train, "n_test": min(recipe.data.n_test or 200, 200)}),
            "training": recipe.training.model_copy(update={"epochs": min(recipe.training.epochs, 3)}),
            "checkpoints": recipe.checkpoints.model_copy(
                update={"count": min(recipe.checkpoints.count, 4), "window": 1}  # too short for windows
            ),
            "players": recipe.players.model_copy(update={"n": n and min(n, _SMOKE_PLAYERS)}),
            "measure": measure.model_copy(
                update={
                    "test_samples": min(measure.test_samples, 4),
                    "mislabelled_samples": min(measure.mislabelled_samples, 2, wrong),
                    "train_samples": measure.train_samples and min(measure.train_samples, 4),
                    "tol": "auto" if measure.order_weight else 1e-2,
                }
            ),
            "analysis": recipe.analysis.model_copy(update={"bootstrap": min(recipe.analysis.bootstrap, 100)}),
            "expected": ExpectedSection(),
        }
    )


def sentence(error: ValidationError) -> str:
    """Return the first problem as a sentence: what was needed, given, and what to do."""
    problems = error.errors(include_url=False, include_context=False)
    problem = problems[0]
    keys = _keys_of(problem["loc"])
    place, got, kind = ".".join(keys), problem.get("input"), problem["type"]
    if kind == "extra_forbidden":
        where = f"[{'.'.join(keys[:-1])}]" if keys[:-1] else "a recipe"
        return f"{where} has no key `{keys[-1]}`; got {got!r} for it. {nearest(keys[-1], _fields_at(keys[:-1]))}"
    if kind == "missing":
        return f"a recipe needs the key `{place}`; got none. Add it to the file, or pass --set {place}=VALUE."
    if kind == "value_error":
        rule = problem["msg"].removeprefix("Value error, ")
        return f"[{place}] cannot be used: {rule}; got {got!r}. Correct it, or pass --set {place}.KEY=VALUE."
    # a key that takes several types has one problem for each of them
    rules = [_rule(other["type"], other["msg"]) for other in problems if _keys_of(other["loc"]) == keys]
    return f"`{place}` must be {' or '.join(rules)}; got {got!r}. Correct it, or pass --set {place}=VALUE."


def _rule(kind: str, message: str) -> str:
    """Return what a value must be, from pydantic's message."""
    if kind in {"model_type", "dict_type"}:
        return "a table of keys and values"
    if kind == "string_pattern_mismatch":
        return "a word of letters, digits, `.`, `_` and `-`"
    return message.removeprefix("Input should be ").replace("a valid i", "an i").replace("a valid ", "a ")


def _keys_of(place: Sequence[Any]) -> list[str]:
    keys: list[str] = []
    for part in place:
        # the first part that is not a key of a section, or follows a plain value, still belongs to the place
        if keys and not _fields_at(keys):
            break
        keys.append(str(part))
    return keys


def _fields_at(keys: Sequence[str]) -> list[str]:
    """Return the keys of the section at the dotted path ``keys``; none if it is not a section."""
    section: type[BaseModel] = Recipe
    for key in keys:
        annotation = section.model_fields[key].annotation if key in section.model_fields else None
        choices = [annotation, *get_args(annotation)]
        found = [kind for kind in choices if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not found:
            return []
        section = found[0]
    return list(section.model_fields)
