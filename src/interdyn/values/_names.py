"""Names of players: one per player, the same for all samples or a row of them for each sample."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from interdyn._arguments import told
from interdyn.errors import ShapeError

Names = tuple[str, ...] | tuple[tuple[str, ...], ...]
"""``()`` if players have numbers only."""


def checked_names(names: Sequence[str] | Sequence[Sequence[str]], n: int, batch: Sequence[int] = ()) -> Names:
    """Return names of ``n`` players as tuples; a row for a sample with fewer players is padded with ``""``.

    Raises
    ------
    ShapeError
        If there is not one name for each player, or not one row for each sample of a ``batch`` of that shape.

    Examples
    --------
    >>> checked_names(["age", "income"], 2), checked_names([["not", "dull"], ["fun"]], 2, (2,))
    (('age', 'income'), (('not', 'dull'), ('fun', '')))
    """
    if all(isinstance(name, str) for name in names):
        if names and len(names) != n:
            raise ShapeError(f"`names` must name each of the {n} players; got {len(names)} names.")
        return tuple(map(str, names))
    if not all(isinstance(row, list | tuple) or getattr(row, "ndim", 0) == 1 for row in names):
        raise ShapeError(f"`names` must be strings, or rows of strings; got {told(names)}. Pass a list.")
    rows = [tuple(map(str, row)) for row in names]
    if not batch or len(rows) != batch[0]:
        raise ShapeError(
            f"`names` must have one name for each player, or one row of them for each sample; got {len(rows)} rows for "
            f"a batch of shape {tuple(batch)}."
        )
    most = max(map(len, rows))
    if most > n:
        raise ShapeError(f"`names` must name each of the {n} players; got a row of {most} names.")
    return tuple(row + ("",) * (n - len(row)) for row in rows)


def names_of_samples(names: Names, key: Any) -> Names:
    """Return the names for the sample(s) ``key`` of the first axis of a batch.

    Examples
    --------
    >>> rows = (("not", "dull"), ("fun", ""))
    >>> names_of_samples(rows, 1), names_of_samples(rows, slice(1)), names_of_samples(("age", "income"), 1)
    (('fun', ''), (('not', 'dull'),), ('age', 'income'))
    """
    if not names or isinstance(names[0], str):
        return names
    chosen = np.arange(len(names))[key]
    return names[int(chosen)] if not chosen.ndim else tuple(names[i] for i in chosen)


def labels(players: Iterable[int], names: Sequence[str] = ()) -> list[str]:
    """Return the labels of players: their names, or their numbers if they have none.

    Examples
    --------
    >>> labels((0, 2)), labels((0, 2), ("age", "income", "sleep"))
    (['0', '2'], ['age', 'sleep'])
    """
    return [names[i] or str(i) if names else str(i) for i in players]
