"""Which parts of an input are the players: patches of an image, columns, steps of a sequence, segments of a map.

A feature mask states the player of each feature: ``0..n-1``; ``-1`` for background, which is never masked; ``-2`` for
features that are always masked (players that were not drawn, with ``others="mask"``).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from interdyn._arguments import choice, whole
from interdyn.errors import PlayersError, ShapeError
from interdyn.game._baselines import broadcasts_to, seems_channels_last
from interdyn.game._samples import tensor_of

BACKGROUND = -1
ALWAYS_MASKED = -2


@dataclass(frozen=True, repr=False)
class Players:
    """A partition of an input into players, and which of them to draw.

    Attributes
    ----------
    kind
        ``"patches"``, ``"columns"``, ``"steps"`` or ``"segments"``.
    grid
        Rows and columns of the grid of patches; number of pieces of a sequence, and 1.
    window
        Rows and columns of the central cells that may be players; ``None`` for all.
    groups
        Columns that belong together, for ``"columns"``; ``None``: each column separately.
    ids
        The given map, for ``"segments"``.
    n
        How many players to draw for each sample; ``None`` for all.
    seed
        Seed of the draw; a sample's draw depends only on the seed and its id.
    others
        How players that are not drawn are treated: ``"keep"`` (always present) or ``"mask"`` (always masked).
    channels
        Where an image has its channels: ``"first"``, ``"last"``, or None: first, and an image whose channels seem to be
        last is refused.
    """

    kind: Literal["patches", "columns", "steps", "segments"]
    grid: tuple[int, int] = (0, 0)
    window: tuple[int, int] | None = None
    groups: tuple[tuple[int, ...], ...] | None = None
    ids: Tensor | None = None
    n: int | None = None
    seed: int = 0
    others: Literal["keep", "mask"] = "keep"
    channels: Literal["first", "last"] | None = None

    def __repr__(self) -> str:
        """Return the call that creates it."""
        if self.kind == "patches":
            last = "" if self.channels is None else f", channels={self.channels!r}"
            out = f"patches({self.grid[0]}, {self.grid[1]}{last})"
        elif self.kind == "steps":
            out = f"steps({self.grid[0]})"
        elif self.kind == "columns":
            out = f"columns({'' if self.groups is None else [list(g) for g in self.groups]})"
        else:
            out = f"segments(map of shape {tuple(self.ids.shape) if self.ids is not None else ()})"
        if self.window is not None:
            out += f".central({self.window[0]}, {self.window[1]})"
        if self.n is not None:
            out += f".choose({self.n}, seed={self.seed}, others={self.others!r})"
        return out

    def central(self, rows: int, cols: int) -> "Players":
        """Return a partition in which only the central ``rows x cols`` cells of the grid may be players."""
        if self.kind != "patches" or not (1 <= rows <= self.grid[0] and 1 <= cols <= self.grid[1]):
            raise PlayersError(
                f"`central` needs a grid of patches and a window inside it; got {rows} x {cols} for {self.kind} "
                f"{self.grid}. Use it as `patches(8, 8).central(6, 6)`."
            )
        return replace(self, window=(rows, cols))

    def choose(self, n: int, *, seed: int = 0, others: Literal["keep", "mask"] = "keep") -> "Players":
        """Return a partition from which ``n`` players are drawn at random for each sample, without replacement."""
        n = whole(n, "n", least=1, do="Choose 10 players, for example.", error=PlayersError)
        seed = whole(seed, "seed", do="Choose another.", error=PlayersError)
        choice(others, "others", ("keep", "mask"), error=PlayersError)
        return replace(self, n=n, seed=seed, others=others)

    def with_channels(self, channels: Literal["first", "last"] | None) -> "Players":
        """Set the channel axis of patches that do not state one; other players, and None, are unchanged."""
        given = self.kind != "patches" or self.channels is not None or channels is None
        return self if given else replace(self, channels=channels)

    def count(self, shape: Sequence[int]) -> int:
        """Return how many players a sample of ``shape`` has, wherever its channels are.

        Examples
        --------
        >>> patches(8, 8).central(6, 6).count((32, 32, 3)), columns().choose(3).count((5,))
        (36, 3)
        """
        return self.n_parts(shape) if self.n is None else self.n

    def n_parts(self, shape: Sequence[int]) -> int:
        """Return from how many parts the players of a sample of ``shape`` are drawn.

        Examples
        --------
        >>> patches(8, 8).central(6, 6).choose(10).n_parts((32, 32, 3)), columns().choose(3).n_parts((5,))
        (36, 5)
        """
        if self.kind == "patches":
            rows, cols = self.window or self.grid
            return rows * cols
        cells = self.cells(shape)
        return len(torch.unique(cells[cells >= 0]))

    def cells(self, shape: Sequence[int]) -> Tensor:
        """Return the id of the cell of each feature for a sample of ``shape`` (without the sample axis); -1: none."""
        if self.kind == "patches":
            return self._patch_cells(tuple(shape))
        if self.kind == "columns":
            return self._column_cells(tuple(shape))
        if self.kind == "steps":
            return self._step_cells(tuple(shape))
        assert self.ids is not None
        if not broadcasts_to(self.ids.shape, tuple(shape)):
            raise PlayersError(
                f"a map of segments must broadcast to one sample of shape {tuple(shape)}; got {tuple(self.ids.shape)}. "
                "Pass a map of the image's height and width; for maps that differ by sample use `feature_mask`."
            )
        return self.ids

    def feature_mask(self, shape: Sequence[int], sample_ids: Sequence[int]) -> Int64[Tensor, "samples ..."]:
        """Return the feature mask of each sample.

        Parameters
        ----------
        shape
            Shape of one sample's input (or feature map), without the sample axis.
        sample_ids
            A number for each sample that does not depend on what else is measured: with the seed, it fixes the draw.

        Returns
        -------
        Int64[Tensor, "samples ..."]
            Ids ``0..n-1``, -1 and -2, of a shape that broadcasts to ``(samples, *shape)``; a single row if nothing is
            drawn.

        Raises
        ------
        PlayersError
            If the partition does not fit the shape, or fewer players exist than are to be drawn.

        Examples
        --------
        >>> patches(2, 2).choose(2, seed=1).feature_mask((1, 2, 2), [0, 1])[:, 0].tolist()
        [[[0, 1], [-1, -1]], [[0, -1], [1, -1]]]
        """
        cells = self.cells(shape)
        available = torch.unique(cells[cells >= 0]).tolist()
        if not available:
            raise PlayersError(f"there must be at least one player; got none in a sample of shape {tuple(shape)}.")
        if self.n is None:
            return renumbered(cells, available, [available], BACKGROUND)
        if self.n > len(available):
            raise PlayersError(
                f"cannot draw {self.n} players from {len(available)}; choose at most {len(available)}, or cut finer."
            )
        other = BACKGROUND if self.others == "keep" else ALWAYS_MASKED
        chosen = [drawn(available, self.n, seed=self.seed, sample=sample) for sample in sample_ids]
        return renumbered(cells, available, chosen, other)

    def names(self, shape: Sequence[int], sample_ids: Sequence[int]) -> tuple[tuple[str, ...], ...]:
        """Return what the drawn players of each sample are called: their places, counted from 1; empty for all.

        Where all are players, their numbers mean the same in every sample.

        Examples
        --------
        >>> patches(2, 2).choose(2, seed=1).names((1, 2, 2), [0, 1])
        (('row 1 column 1', 'row 1 column 2'), ('row 1 column 1', 'row 2 column 1'))
        """
        if self.n is None:
            return ()
        if self.kind == "patches":  # wherever the channels are
            (rows, cols), (height, width) = self.grid, self.window or self.grid
            inside = torch.arange(rows * cols).reshape(rows, cols)
            top, left = (rows - height) // 2, (cols - width) // 2
            available = inside[top : top + height, left : left + width].reshape(-1).tolist()
        else:
            cells = self.cells(shape)
            available = torch.unique(cells[cells >= 0]).tolist()
        chosen = [drawn(available, self.n, seed=self.seed, sample=sample) for sample in sample_ids]
        return tuple(tuple(place_name(self.kind, cell, self.grid[1]) for cell in row) for row in chosen)

    def _patch_cells(self, shape: tuple[int, ...]) -> Tensor:
        (rows, cols), whole = self.grid, shape
        if self.channels is None and seems_channels_last(shape):
            raise PlayersError(
                f"patches cut height and width, the last two axes of an image; got a sample of shape {shape}, whose "
                f'channels seem to be last. Pass patches({rows}, {cols}, channels="last"), or "first" if they are '
                "first."
            )
        shape = shape[:-1] if self.channels == "last" else shape
        if len(shape) < 2 or shape[-2] < rows or shape[-1] < cols:
            raise PlayersError(
                f"a grid of {rows} x {cols} patches needs images of at least that many pixels; got a sample of shape "
                f"{whole}. Use a coarser grid."
            )
        row = torch.arange(shape[-2]) * rows // shape[-2]
        col = torch.arange(shape[-1]) * cols // shape[-1]
        out = row[:, None] * cols + col[None, :]
        if self.window is not None:
            top, left = (rows - self.window[0]) // 2, (cols - self.window[1]) // 2
            inside_row = (row >= top) & (row < top + self.window[0])
            inside_col = (col >= left) & (col < left + self.window[1])
            out = torch.where(inside_row[:, None] & inside_col[None, :], out, BACKGROUND)
        out = out[..., None] if self.channels == "last" else out
        return out.reshape(*(1,) * (len(whole) - out.ndim), *out.shape)

    def _step_cells(self, shape: tuple[int, ...]) -> Tensor:
        count = self.grid[0]
        if not shape or shape[0] < count:
            raise PlayersError(
                f"{count} pieces need a sequence of at least that many steps along the first axis of a sample; got a "
                f"sample of shape {shape}. Use fewer pieces."
            )
        return (torch.arange(shape[0]) * count // shape[0]).reshape(-1, *(1,) * (len(shape) - 1))

    def _column_cells(self, shape: tuple[int, ...]) -> Tensor:
        width = shape[-1] if shape else 0
        groups = self.groups if self.groups is not None else tuple((i,) for i in range(width))
        out = torch.full((width,), BACKGROUND)
        for player, group in enumerate(groups):
            for column in group:
                if not 0 <= column < width or out[column] >= 0:
                    raise PlayersError(
                        f"groups of columns must be disjoint and in 0..{width - 1}; got column {column} in group "
                        f"{player}. Correct that group."
                    )
                out[column] = player
        return out.reshape(*(1,) * (len(shape) - 1), width)


def place_name(kind: str, cell: int, cols: int) -> str:
    """Return what a cell of a grid of patches, a column, a piece of a sequence or a segment is called."""
    if kind == "patches":
        return f"row {cell // cols + 1} column {cell % cols + 1}"
    return f"{ {'columns': 'column', 'steps': 'piece'}.get(kind, 'segment') } {cell + 1}"


def drawn(available: Sequence[int], n: int, *, seed: int, sample: int) -> list[int]:
    """Return ``n`` of the available cells in ascending order; the draw depends only on the seed and the sample's id."""
    sample = whole(sample, "sample_ids", do="They seed the draw: pass 0 or more.", error=PlayersError)
    return sorted(int(c) for c in np.random.default_rng([seed, int(sample)]).permutation(available)[:n])


def renumbered(cells: Tensor, available: list[int], chosen: Sequence[Sequence[int]], other: int) -> Tensor:
    """Return the cells of each sample with its ``chosen`` numbered 0, 1, ..; ``other`` for the rest of the available.

    Shape ``(samples, *cells.shape)``; cells that are not available are -1.
    """
    table = np.full((len(chosen), max(available) + 2), BACKGROUND)
    table[:, available] = other
    np.put_along_axis(table, np.array(chosen), np.arange(len(chosen[0]))[None], axis=1)
    return torch.from_numpy(table)[:, torch.where(cells >= 0, cells, table.shape[1] - 1)]


def patches(rows: int, cols: int, *, channels: Literal["first", "last"] | None = None) -> Players:
    """Return players that are the cells of a grid of ``rows x cols`` over height and width.

    These are the last two axes, or with ``channels="last"`` the two before the last one. By default channels are first,
    except for images of a Keras network that is configured with channels last; other images whose channels seem to be
    last are refused. An image or feature map whose size is not a multiple of the grid is cut as evenly as possible.
    Cell ``(r, c)`` is player ``r * cols + c``.

    Raises
    ------
    PlayersError
        If ``rows`` or ``cols`` is below 1, or ``channels`` is unknown.

    Examples
    --------
    >>> patches(2, 2).cells((1, 4, 4))[0, 0].tolist(), patches(2, 2, channels="last").cells((4, 4, 1))[0, :, 0].tolist()
    ([0, 0, 1, 1], [0, 0, 1, 1])
    """
    choice(channels, "channels", (None, "first", "last"), error=PlayersError)
    sizes = [whole(given, name, least=1, error=PlayersError) for name, given in (("rows", rows), ("cols", cols))]
    return Players("patches", grid=(sizes[0], sizes[1]), channels=channels)


def has_channels_last(model: object, shape: Sequence[int]) -> bool:
    """Return whether a model is a Keras model whose images have channels last; imports nothing.

    Examples
    --------
    >>> has_channels_last(torch.nn.Linear(1, 1), (8, 8, 3))
    False
    """
    if not any(kind.__module__.partition(".")[0] == "keras" for kind in type(model).__mro__):
        return False
    last = str(sys.modules["keras"].config.image_data_format()) == "channels_last"
    return last and not seems_channels_last((*shape[1:], *shape[:1]))


def columns(groups: Sequence[Sequence[int]] | None = None) -> Players:
    """Return players that are the columns of a table (the last axis), or groups of them (such as one-hot codes).

    Columns in no group are background. Group ``i`` is player ``i``.

    Raises
    ------
    PlayersError
        If a group is empty.

    Examples
    --------
    >>> columns([[0], [1, 2]]).cells((4,)).tolist()
    [0, 1, 1, -1]
    """
    if groups is None:
        return Players("columns")
    try:
        named = tuple(tuple(int(i) for i in group) for group in groups)
    except (TypeError, ValueError, OverflowError):
        raise PlayersError(
            f"groups of columns must be lists of column numbers; got {groups!r:.60}. Write columns([[0], [1, 2]])."
        ) from None
    if () in named:
        raise PlayersError(f"each group must have at least one column; group {named.index(())} is empty. Leave it out.")
    return Players("columns", groups=named)


def steps(count: int) -> Players:
    """Return players that are ``count`` pieces of a sequence: the first axis of a sample, cut as evenly as possible.

    Raises
    ------
    PlayersError
        If ``count`` is below 1.

    Examples
    --------
    >>> steps(2).cells((5, 3))[:, 0].tolist()
    [0, 0, 0, 1, 1]
    """
    return Players("steps", grid=(whole(count, "count", least=1, do="Pass 8, for example.", error=PlayersError), 1))


def segments(ids: Tensor | np.ndarray) -> Players:
    """Return players given by a map of labels, of a shape that broadcasts to one sample; negative: background.

    Labels are renumbered in ascending order, so maps that start at 1 or skip labels are allowed; to keep ids unchanged
    use ``feature_mask``.

    Examples
    --------
    >>> segments(np.array([[0, 0], [1, -1]])).cells((2, 2)).tolist()
    [[0, 0], [1, -1]]
    """
    try:
        out = tensor_of(ids, "ids")
    except ShapeError as error:
        raise PlayersError(str(error)) from None
    if out.is_floating_point() or out.is_complex():
        raise PlayersError(f"a map of segments must contain integers; got {out.dtype}. Convert it with `.astype(int)`.")
    return Players("segments", ids=torch.where(out >= 0, out.long(), BACKGROUND))
