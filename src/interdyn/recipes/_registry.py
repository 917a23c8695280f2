"""Names for networks and data sets; a file in ``models`` or ``data`` with a decorated factory adds one."""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from interdyn.errors import RecipeError
from interdyn.recipes._load import nearest

Factory = TypeVar("Factory", bound=Callable[..., Any])

_MODELS: dict[str, Callable[..., Any]] = {}
_DATASETS: dict[str, Callable[..., Any]] = {}


def model(name: str) -> Callable[[Factory], Factory]:
    """Register a factory of networks: ``factory(shape, n_outputs, **options) -> torch.nn.Module``.

    ``shape`` is the shape of one input without the sample axis, ``n_outputs`` the number of classes, or 1 for
    a regression.
    """
    return _adder(_MODELS, name)


def dataset(name: str) -> Callable[[Factory], Factory]:
    """Register a factory of data sets: ``factory(*, seed, **options) -> Dataset``."""
    return _adder(_DATASETS, name)


def find_model(name: str) -> Callable[..., Any]:
    """Return the factory of a registered name or of ``module:factory``.

    Raises
    ------
    RecipeError
        If there is none.
    """
    return _find(name, _MODELS, "models")


def find_dataset(name: str) -> Callable[..., Any]:
    """Return the factory of a registered name or of ``module:factory``.

    Raises
    ------
    RecipeError
        If there is none.
    """
    return _find(name, _DATASETS, "data")


def _adder(registry: dict[str, Callable[..., Any]], name: str) -> Callable[[Factory], Factory]:
    def add(factory: Factory) -> Factory:
        if registry.setdefault(name, factory) is not factory:
            raise RecipeError(f"`{name}` must name one factory; got a second one. Register it under another name.")
        return factory

    return add


def _find(name: str, registry: dict[str, Callable[..., Any]], folder: str) -> Callable[..., Any]:
    if ":" in name:
        return imported(name)
    package = import_module(f"interdyn.recipes.{folder}")
    for entry in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(entry.name)
    if name not in registry:
        section = "model" if folder == "models" else "data"
        raise RecipeError(
            f"`{section}.name` must be a registered name or module:factory; got {name!r}. "
            f"{nearest(name, sorted(registry))}"
        )
    return registry[name]


def imported(name: str) -> Callable[..., Any]:
    """Return the function that ``module:function`` names.

    Raises
    ------
    RecipeError
        If it cannot be imported, or is no function.
    """
    module, _, attribute = name.partition(":")
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecipeError(
            f"{name!r} must name a factory that can be imported; got: {error}. "
            "Run the command in the folder of that module, or install it."
        ) from error
    if not callable(factory):
        raise RecipeError(f"{name!r} must name a function; got {type(factory).__name__}. Name the factory itself.")
    found: Callable[..., Any] = factory
    return found
