"""Named types with shape and meaning, shared by all packages."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

Model: TypeAlias = Callable[..., Any]
"""A ``torch.nn.Module`` or any function from input tensors to an output tensor."""

Solver: TypeAlias = Literal["admm", "lp", "sgd-paper"]
"""Names of the ways to split a value table into AND and OR interactions."""

KINDS: tuple[str, str] = ("and", "or")
"""The two types of interaction, in the order of every axis ``kinds``."""
