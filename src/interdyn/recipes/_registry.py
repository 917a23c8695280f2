"""Models, data sets and recipes by name: those registered in this process, and those of providers.

A provider is a package that a distribution declares in the entry-point group ``interdyn.recipes``::

    [project.entry-points."interdyn.recipes"]
    acme = "acme_recipes"

Importing the package registers its models and data sets with `model` and `dataset`; each TOML file in its folder
``library`` is a recipe under the name of the file. The package is imported when a model or data set is looked up by
name. Listing and reading recipes does not import it.
"""

import difflib
import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from interdyn.errors import InterdynWarning, RecipeError

Factory = TypeVar("Factory", bound=Callable[..., Any])
_T = TypeVar("_T")

_GROUP = "interdyn.recipes"
_MODELS: dict[str, dict[str, Callable[..., Any]]] = {}  # name: module:factory of each that was registered
_DATASETS: dict[str, dict[str, Callable[..., Any]]] = {}


def model(name: str) -> Callable[[Factory], Factory]:
    """Register a factory of networks: ``factory(shape, n_outputs, **options) -> torch.nn.Module``.

    ``shape`` is the shape of one input without the sample axis, ``n_outputs`` the number of classes, or 1 for
    a regression. A second factory under one name is an error when the name is looked up. The same function may be
    defined again, for example by running a notebook cell again.
    """
    return _adder(_MODELS, name)


def dataset(name: str) -> Callable[[Factory], Factory]:
    """Register a factory of data sets: ``factory(*, seed, **options) -> Dataset``; names as for `model`."""
    return _adder(_DATASETS, name)


def find_model(name: str, *, allow_code: bool = False) -> Callable[..., Any]:
    """Return the factory of a registered name or of ``module:factory``.

    Parameters
    ----------
    name
        A registered name; ``module:factory`` of a registered factory; or, with ``allow_code``, any other.
    allow_code
        Whether a module may be imported, and so code run, because ``name`` says so.

    Raises
    ------
    RecipeError
        If there is none, two share the name, or it is code that is not allowed.
    """
    return _find(name, _MODELS, "model", allow_code=allow_code)


def find_dataset(name: str, *, allow_code: bool = False) -> Callable[..., Any]:
    """Return the factory of a registered name or of ``module:factory``; see `find_model`.

    Raises
    ------
    RecipeError
        If there is none, two share the name, or it is code that is not allowed.
    """
    return _find(name, _DATASETS, "data", allow_code=allow_code)


def is_code(name: str, *, provider: str = "") -> bool:
    """Return whether a name stands for a module to import, outside the package of the recipe's own provider.

    Examples
    --------
    >>> is_code("mlp"), is_code("mine:net"), is_code("acme.nets:net", provider="acme"), is_code("acmes:net")
    (False, True, False, True)
    """
    module, colon, _ = name.partition(":")
    return bool(colon) and not (provider and f"{module}.".startswith(f"{provider}."))


def library() -> dict[str, dict[Path, str]]:
    """Return the files of the providers' recipes by name, each with the package of its provider.

    A name that two providers use has two files.
    """
    found: dict[str, dict[Path, str]] = {}
    for provider, spec in _of_providers(find_spec):  # a dotted name imports its parent
        for folder in spec.submodule_search_locations or ():
            for file in Path(folder, "library").glob("*.toml"):
                found.setdefault(file.stem, {})[file] = provider.module
    return dict(sorted(found.items()))


def nearest(name: str, choices: Sequence[str]) -> str:
    """Return a hint for a misspelt name: the nearest choice, or all of them.

    Examples
    --------
    >>> nearest("epoch", ["epochs", "seed"])
    'Did you mean `epochs`?'
    >>> nearest("zzz", ["epochs", "seed"])
    'Choose one of: epochs, seed.'
    """
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"Did you mean `{close[0]}`?" if close else f"Choose one of: {', '.join(choices)}."


def nearest_provided(name: str, choices: Sequence[str]) -> str:
    """Return the hint of `nearest` for a name from providers, or how to install one if there are none."""
    if choices and entry_points(group=_GROUP):
        return nearest(name, choices)
    return (
        f"No installed package provides any (entry-point group `{_GROUP}`). Install interdyn again; in its source "
        "tree: pip install -e ."
    )


def imported(name: str) -> Callable[..., Any]:
    """Return the function named by ``module:function``.

    Raises
    ------
    RecipeError
        If it cannot be imported, or is not a function.
    """
    module, _, attribute = name.partition(":")
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise RecipeError(
            f"{name!r} must name a factory that can be imported; got: {error}. "
            "Run the command in the folder of that module, or install it."
        ) from error
    if not callable(factory):
        raise RecipeError(f"{name!r} must name a function; got {type(factory).__name__}. Name the factory itself.")
    found: Callable[..., Any] = factory
    return found


def call_factory(
    factory: Callable[..., Any], options: Mapping[str, Any], *arguments: Any, place: str, **fixed: Any
) -> Any:
    """Return ``factory(*arguments, **fixed, **options)``.

    Raises
    ------
    RecipeError
        If the factory has no such option, or an option is missing; ``place`` is the section to correct.

    Examples
    --------
    >>> call_factory(lambda shape, *, width=1: (shape, width), {"width": 3}, 8, place="model.options")
    (8, 3)
    """
    signature = inspect.signature(factory)
    parameters = signature.parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in fixed]
        for key in options:
            if key not in known:
                help_ = nearest(key, known) if known else "Remove it."
                raise RecipeError(f"[{place}] has no key `{key}`; got `{place}.{key} = {options[key]!r}`. {help_}")
    for key, value in options.items():
        _check_option(signature.parameters.get(key), value, place=f"{place}.{key}")
    try:
        signature.bind(*arguments, **fixed, **options)
    except TypeError as error:
        raise RecipeError(
            f"[{place}] must have the options that the factory needs; got {dict(options)}: {error}. Add the missing "
            "one to the recipe."
        ) from None
    return factory(*arguments, **fixed, **options)


def _check_option(parameter: inspect.Parameter | None, value: Any, *, place: str) -> None:
    """Refuse an option that does not have the type annotated in the factory, if there is one."""
    if parameter is None or parameter.annotation in (parameter.empty, Any):
        return
    try:
        kind = TypeAdapter(parameter.annotation)
    except (PydanticUserError, TypeError, AttributeError):  # a type of the factory's own, which recipes cannot hold
        return
    try:
        kind.validate_json(json.dumps(value), strict=True)  # a list may replace a tuple, 1 may replace 1.0
    except (ValidationError, TypeError, ValueError, RecursionError):
        named = getattr(parameter.annotation, "__name__", str(parameter.annotation))
        raise RecipeError(
            f"`{place}` must have the type {named}; got {value!r:.60}. Correct it, or pass --set {place}=VALUE."
        ) from None


def _adder(registry: dict[str, dict[str, Callable[..., Any]]], name: str) -> Callable[[Factory], Factory]:
    def add(factory: Factory) -> Factory:
        registry.setdefault(name, {})[f"{factory.__module__}:{factory.__qualname__}"] = factory
        return factory

    return add


def _find(
    name: str, registry: Mapping[str, Mapping[str, Callable[..., Any]]], section: str, *, allow_code: bool
) -> Callable[..., Any]:
    for _ in _of_providers(import_module):  # each registers what it provides
        pass
    if ":" in name:
        registered = [factories[name] for factories in registry.values() if name in factories]
        if not registered and not allow_code:
            raise RecipeError(
                f"`{section}.name` must be a registered name, or code that you allow to run; got {name!r}, which "
                f"imports the module {name.partition(':')[0]!r}. Read it first; then add --allow-code (in Python: "
                "allow_code=True)."
            )
        return registered[0] if registered else imported(name)
    factories = registry.get(name, {})
    if not factories:
        raise RecipeError(
            f"`{section}.name` must be a registered name or module:factory; got {name!r}. "
            f"{nearest_provided(name, sorted(registry))}"
        )
    if len(factories) > 1:
        raise RecipeError(
            f"`{section}.name` must name one factory; got {name!r} for {' and '.join(factories)}. Choose one of these: "
            f"--set {section}.name={next(iter(factories))}"
        )
    return next(iter(factories.values()))


def _of_providers(find: Callable[[str], _T | None]) -> Iterator[tuple[EntryPoint, _T]]:
    """Yield every provider with what is found by the name of its package.

    One that fails causes a warning and does not stop the others: what the import of an unknown package raises can have
    any type.
    """
    for provider in entry_points(group=_GROUP):
        try:
            found = find(provider.module)
            if found is None:
                raise ModuleNotFoundError(f"no package {provider.module}")
        except Exception as error:
            _warn_of(provider, error)
        else:
            yield provider, found


def _warn_of(provider: EntryPoint, error: Exception) -> None:
    distribution = provider.dist.name if provider.dist else provider.name
    warnings.warn(
        f"models, data and recipes of the distribution `{distribution}` are left out: its package {provider.module} "
        f"must be importable; got {type(error).__name__}: {error}. Update the distribution, or remove it: pip "
        f"uninstall {distribution}",
        InterdynWarning,
        stacklevel=2,
    )
