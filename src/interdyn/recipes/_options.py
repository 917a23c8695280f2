"""Calling a factory with the options of a recipe, with an error for people when they do not fit."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from interdyn.errors import RecipeError
from interdyn.recipes._load import nearest


def call_factory(
    factory: Callable[..., Any], options: Mapping[str, Any], *arguments: Any, place: str, **fixed: Any
) -> Any:
    """Return ``factory(*arguments, **fixed, **options)``.

    Raises
    ------
    RecipeError
        If the factory takes no such option or lacks one; ``place`` is the section to correct.

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
    try:
        signature.bind(*arguments, **fixed, **options)
    except TypeError as error:
        raise RecipeError(
            f"[{place}] must give what the factory takes; got {dict(options)}: {error}. Add it to the recipe."
        ) from None
    return factory(*arguments, **fixed, **options)
