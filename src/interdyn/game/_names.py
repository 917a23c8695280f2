"""Names of players: from names of columns, from tokens, or given one by one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jaxtyping import Int
from torch import Tensor

from interdyn._arguments import told
from interdyn.errors import PlayersError
from interdyn.game._user_code import Explained, of_function
from interdyn.values import Names, checked_names

Columns = Sequence[int] | Mapping[str, int]
"""The columns of a name; of a one-hot code also by category, as ``{"Berlin": 1, "Rome": 2}``."""
FeatureNames = Sequence[str] | Sequence[Sequence[str]] | Mapping[str, Columns] | Callable[[Any], Sequence[str]]
"""One per player or per column; names with their columns; or a function from token ids to strings."""


def player_names(names: FeatureNames, inputs: Tensor, ids: Int[Tensor, "rows ..."], n: int) -> Names:
    """Return the names of ``n`` players, in one row for all samples if they are the same.

    Parameters
    ----------
    names
        A name for each player, the same for all samples or a row for each. For samples that are rows of columns or
        tokens also a name for each column; names with the columns that each covers, in a list or by category; or a
        function from the token ids of a sample to their strings, such as a tokenizer's ``convert_ids_to_tokens``. A
        player is then named by its columns, or by its tokens.
    inputs
        The samples.
    ids
        The player of each feature, below 0 if there is none; of a shape that broadcasts to the samples.
    n
        Number of players.

    Raises
    ------
    ShapeError
        If there is not one name for each player.
    PlayersError
        If names do not fit the columns.

    Examples
    --------
    >>> import torch
    >>> player_names(["age", "city A", "city B"], torch.zeros(2, 3), torch.tensor([[0, 1, 1]]), 2)
    ('age', 'city A, city B')
    """
    listed = isinstance(names, Mapping | Sequence) or getattr(names, "ndim", 0) > 0
    if not callable(names) and (isinstance(names, str | bytes) or not listed):
        raise PlayersError(f"`names` must be strings, rows of strings or a function; got {told(names)}. Pass a list.")
    rows = inputs.ndim == 2
    of_columns = rows and not isinstance(names, Mapping) and not callable(names) and len(names) == inputs.shape[1]
    if not (of_columns or isinstance(names, Mapping) or callable(names)):
        return checked_names(names, n, (len(inputs),))
    ids = ids.reshape(*ids.shape[:2], -1)[..., 0] if ids.ndim > 2 else ids  # a token that is a vector is one feature
    if not rows or ids.shape[1] not in (1, inputs.shape[1]):
        raise PlayersError(
            f"names of columns or tokens need samples that are rows of them; got samples of shape "
            f"{tuple(inputs.shape[1:])}. Name the players one by one."
        )
    samples = len(inputs) if callable(names) else len(ids)
    every = ids.expand(samples, inputs.shape[1]).tolist()
    out = [_joined(names, inputs[i].tolist(), of, n) for i, of in enumerate(every)]
    return out[0] if len(set(out)) == 1 else tuple(out)


def columns_of(given: Any) -> list[int] | None:
    """Return the columns of a name; None if they are not columns, or columns by category.

    Examples
    --------
    >>> columns_of([1, 2]), columns_of({"clerk": 1, "cook": 2}), columns_of("1")
    ([1, 2], [1, 2], None)
    """
    at = given.values() if isinstance(given, Mapping) else given
    found: list[Any] = list(at) if isinstance(at, Iterable) else [None]
    return found if all(isinstance(i, int) for i in found) else None


def _joined(names: Any, row: Sequence[Any], of: Sequence[int], n: int) -> tuple[str, ...]:
    """Return the name of each player of one sample, joined from those of its features."""
    if isinstance(names, Mapping):
        covered = {name: columns_of(at) for name, at in names.items()}
        if any(at is None for at in covered.values()):
            raise PlayersError(
                f"`names` must give the columns of each name; got {told(names)}. Pass {{'job': [1, 2]}}, or "
                "{'job': {'clerk': 1, 'cook': 2}}."
            )
        named = [(name, of[i]) for name, at in covered.items() for i in at or () if i < len(of)]
        each = [[name for name, player in dict.fromkeys(named) if player == i] for i in range(n)]
    else:
        with Explained(of_function("names", "the token ids of a sample, and return a string for each of them")):
            texts = [str(text) for text in (names(row) if callable(names) else names)]
        if len(texts) != len(row):
            raise PlayersError(
                f"`names` must give a string for each of the {len(row)} columns or tokens; got {len(texts)}."
            )
        each = [[text for text, player in zip(texts, of, strict=True) if player == i] for i in range(n)]
    return tuple(" ".join(t).replace(" ##", "") if callable(names) else ", ".join(t) for t in each)
