"""User code: notes on the errors it raises, and the one place where such errors are caught."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import Tensor

from interdyn.errors import InterdynError
from interdyn.game._batches import out_of_memory

_T = TypeVar("_T")


class Explained:
    """Context that passes an error of user code through unchanged, with an explanatory note.

    Errors of this package and out-of-memory errors get no note; nor does an error that already has this one.

    Parameters
    ----------
    say
        Returns the note for an error; an empty one is left out.

    Examples
    --------
    >>> try:
    ...     with Explained(lambda error: f"a number was needed; got {type(error).__name__}."):
    ...         float("x")
    ... except ValueError as error:
    ...     print(error.__notes__)
    ['interdyn: a number was needed; got ValueError.']
    """

    def __init__(self, say: Callable[[Exception], str]) -> None:
        self._say = say

    def __enter__(self) -> None:
        """Begin to listen."""

    def __exit__(self, _: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        """Add the note to an error that passes through."""
        if not isinstance(error, Exception) or isinstance(error, InterdynError) or out_of_memory(error):
            return
        said = self._say(error)
        with suppress(AttributeError, TypeError):  # a frozen error takes no notes
            if said and f"interdyn: {said}" not in getattr(error, "__notes__", ()):
                error.add_note(f"interdyn: {said}")


def attempted(act: Callable[[], _T]) -> _T | Exception:
    """Return what ``act`` returns, or the error it ends in: for user code where there is an alternative.

    It is the only place in this package where every error is caught: what a network raises for a batch, layout or copy
    that it does not support is of no known type, and measuring continues without it.

    Examples
    --------
    >>> attempted(lambda: 1), attempted(lambda: 1 / 0)
    (1, ZeroDivisionError('division by zero'))
    """
    try:
        return act()
    except Exception as error:
        return error


def of_model(model: Any, inputs: Sequence[Tensor], error: Exception, *, exported: bool) -> str:
    """Return the note for an error that a model raises for a batch of inputs."""
    if "more than 1 value per channel" in str(error) and _without_statistics(model):
        return of_batch(model, "an error for a single sample", alone=True)
    shapes = " and ".join(f"{tuple(x.shape[1:])} ({str(x.dtype).removeprefix('torch.')})" for x in inputs)
    do = (
        "Export it with a dynamic first axis"
        if exported and "uard" in str(error)
        else "Pass samples of the size, channels and type it was trained on"
    )
    return (
        f"the model must accept inputs of shape {shapes}, {len(inputs[0])} in a batch; it raised this "
        f"{type(error).__name__} itself. {do}."
    )


def of_function(name: str, takes: str) -> Callable[[Exception], str]:
    """Return a function that makes the note for an error of a user's function: which one, and what it must take."""
    return lambda error: (
        f"the function `{name}` must take {takes}; it raised this {type(error).__name__} itself. Correct the function."
    )


def of_batch(model: Any, got: str, *, alone: bool) -> str:
    """Return the note on a model whose output for a sample depends on the others in its batch.

    ``alone``: whether each sample is already in its own batch.
    """
    named = ", ".join(map(repr, _without_statistics(model)[:3]))
    do = [f"give the layers {named} running statistics, track_running_stats=True"] if named else []
    do += [] if alone else ["pass `batch_size=1`, which runs each masked input alone"]
    return (
        f"the output for a sample must not depend on the others in its batch; got {got}. To measure it, "
        f"{', or '.join(do)}."
    )


def _without_statistics(model: Any) -> list[str]:
    modules = model.named_modules() if isinstance(model, torch.nn.Module) else ()
    norm = torch.nn.modules.batchnorm._BatchNorm
    return [name for name, module in modules if isinstance(module, norm) and module.running_mean is None]
