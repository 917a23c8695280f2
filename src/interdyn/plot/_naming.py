"""Names of the players of samples, and whether a name means the same in every sample."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from interdyn.store import Exhibit, Pieces

_VALUE = re.compile(r" = (?:[-+]?[0-9.]+(?:e[-+]?[0-9]+)?|nan|[-+]?inf)$")
_CATEGORY = re.compile(r" = [^=]*$")  # or a number, of a one-hot code
_STEP = re.compile(r"step \d+$")  # of a sequence; a column has its value, too
_GRID = re.compile(r"patches\((\d+), (\d+)")
_FEW = 3  # most pieces of a player that are all named


@dataclass(frozen=True)
class Naming:
    """Names of the players of a group of samples.

    Attributes
    ----------
    rows
        Name of each player of each sample where the sample is shown, such as ``"age = 39"``.
    keys
        The same by names that mean the same in every sample, such as ``"age"``; None where there are none.
    sentence
        What the names stand for, or why there are none.
    kind
        ``"columns"`` (or steps of a sequence), ``"words"``, ``"places"``, ``"names"`` or ``"numbers"``.
    others
        Parts of each sample that are not players; None where every sample has the same parts.
    grid
        Rows and columns of the grid that places are on.
    """

    rows: tuple[tuple[str, ...], ...]
    keys: tuple[tuple[str, ...], ...] | None
    sentence: str
    kind: Literal["columns", "words", "places", "names", "numbers"]
    others: tuple[frozenset[str], ...] | None = None
    grid: tuple[int, int] | None = None


def naming_of(exhibit: Exhibit | None, settings: Mapping[str, Any], *, n: int, samples: int) -> Naming:
    """Return the names of players, from the sample views and the settings of the measurement.

    Parameters
    ----------
    exhibit
        Sample views of the run; None where it has none.
    settings
        Settings of the measurement: the description ``players``.
    n, samples
        Number of players and of samples.
    """
    players, numbers = str(settings.get("players", "")), _numbers(n, samples)
    if exhibit is not None and len(exhibit.sample_ids) < samples:
        exhibit = None
    if exhibit is not None and exhibit.pieces:
        if exhibit.pictures is None and exhibit.points is None:
            return _of_pieces(exhibit.pieces[:samples], n)
        rows = tuple(_names(row, n) for row in exhibit.pieces[:samples])
        return Naming(rows, rows, "Players have names, which mean the same in every sample.", "names")
    if exhibit is not None and exhibit.pictures is not None and exhibit.players is not None:
        return _of_pictures(exhibit.players[:samples], players, n)
    clusters = exhibit is not None and exhibit.points is not None
    if clusters or ".choose(" in players:
        why = "Players have only numbers, which mean something else in each sample, so that samples cannot be compared."
        return Naming(numbers, None, f"{why} Pass names=... to the tracker or to measure.", "numbers")
    return Naming(numbers, numbers, "Players have numbers, taken to mean the same in every sample.", "numbers")


def named(names: Sequence[Any], *, n: int, samples: int, players: str) -> Naming:
    """Return the names that a result has, one for each player or a row for each sample."""
    if names:
        rows = tuple(tuple(row) for row in names) if not isinstance(names[0], str) else (tuple(names),) * samples
        grid = _GRID.search(players)
        placed = grid is not None and all(re.fullmatch(r"row \d+ column \d+", name) for row in rows for name in row)
        if placed and grid is not None:
            return Naming(rows, rows, _places(grid), "places", grid=(int(grid[1]), int(grid[2])))
        return Naming(rows, rows, "Players are matched by their names.", "names")
    return naming_of(None, {"players": players}, n=n, samples=samples)


def _numbers(n: int, samples: int) -> tuple[tuple[str, ...], ...]:
    return (tuple(f"player {i}" for i in range(n)),) * samples


def _of_pieces(pieces: Sequence[Pieces], n: int) -> Naming:
    """Return names of columns, which are the same in all samples, or else of words."""
    rows = tuple(_names(row, n) for row in pieces)
    for value in (_VALUE, _CATEGORY):
        bare = [tuple((value.sub("", text), player) for text, player in row) for row in pieces]
        texts = {tuple(text for text, _ in row) for row in bare}
        if len(texts) != 1 or len(set(next(iter(texts)))) < len(next(iter(texts))):
            continue
        keys = tuple(_names(row, n) for row in bare)
        sentence = "Players are columns, which mean the same in every sample."
        if all(_STEP.match(text) for text, _ in pieces[0]):
            sentence = "Players are steps of the sequence, counted from 1; their content differs by sample."
        return Naming(rows, keys, sentence, "columns")
    words = tuple(tuple(name.casefold() for name in row) for row in rows)
    others = tuple(frozenset(text.casefold() for text, player in row if player < 0) for row in pieces)
    sentence = "Players are words; an interaction counts 0 in a sample without one of its words."
    return Naming(rows, words, sentence, "words", others)


def _names(row: Pieces, n: int) -> tuple[str, ...]:
    """Return the name of each player, from its pieces; ``""`` for a player without pieces.

    Examples
    --------
    >>> _names((("not", 0), ("a", -1), ("good", 1), ("film", 1)), 3)
    ('not', 'good film', '')
    """
    joint = ", " if any(_CATEGORY.search(text) for text, _ in row) else " "
    out = []
    for i in range(n):
        own = [text for text, player in row if player == i]
        out.append(joint.join(own) if len(own) <= _FEW else f"{own[0]} … {own[-1]}")
    return tuple(out)


def _of_pictures(players: Int[np.ndarray, "samples height width"], described: str, n: int) -> Naming:
    """Return names by places on the grid, else by numbers where all images are partitioned in the same way."""
    grid = _GRID.search(described)
    if grid is not None:
        rows, cols = int(grid[1]), int(grid[2])
        keys = tuple(_cells(one, rows, cols, n) for one in players)
        return Naming(keys, keys, _places(grid), "places", grid=(rows, cols))
    numbers = tuple(tuple(f"area {i + 1}" for i in range(n)) for _ in players)
    if (players == players[:1]).all():
        return Naming(numbers, numbers, "Players are areas of the image, the same in every sample.", "numbers")
    why = "Each image is partitioned into its own areas, so that samples cannot be compared."
    return Naming(numbers, None, why, "numbers")


def _places(grid: re.Match[str]) -> str:
    return (
        f"Players are cells of the {grid[1]} by {grid[2]} grid, counted from the top left; their content differs by "
        "sample."
    )


def _cells(players: Int[np.ndarray, "height width"], rows: int, cols: int, n: int) -> tuple[str, ...]:
    """Return the place of each player of one image: the cell that contains the centre of its pixels."""
    out = []
    for i in range(n):
        y, x = np.nonzero(players == i)
        if not len(y):
            out.append("")
            continue
        row, col = (
            (c.mean() + 0.5) * k / size for c, k, size in ((y, rows, players.shape[0]), (x, cols, players.shape[1]))
        )
        out.append(f"row {int(row) + 1} column {int(col) + 1}")
    return tuple(out)
