"""Interactions of many samples matched by the names of their players: what a network uses over all of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from interdyn.errors import ShapeError
from interdyn.values import members

_SEED = 20_240_229  # of the codes of names
_SHORT = 64  # multiple of the requested interactions that are counted one by one, where samples have different parts


@dataclass(frozen=True)
class Usage:
    r"""The interactions that a network uses over many samples, strongest first.

    $$\mathrm{mean}(a) = \frac{1}{|X_a|} \sum_{x \in X_a} |I_x(a)|\,[\,|I_x(a)| \ge \tau_x\,]$$

    with ``X_a`` the samples in which interaction ``a`` is known: those that have all of its players, and, where samples
    consist of different parts (the words of sentences), those without one of its parts, which count 0. Samples that
    have all of its parts, but where some of them were not drawn as players, are left out.

    Attributes
    ----------
    kinds
        ``"and"`` or ``"or"`` of each interaction.
    players
        Names of the players of each.
    value
        ``I`` of each sample, shape ``(samples, interactions)``; 0 below the salience threshold, NaN where not known.
    unit
        Unit of the values.

    Examples
    --------
    >>> found = Usage(("and",), (("age", "income"),), np.array([[3.0], [-1.0], [0.0], [np.nan]]), "log-odds")
    >>> found.seen.tolist(), found.mean.round(3).tolist(), found.share.round(3).tolist()
    ([3], [1.333], [0.667])
    >>> found
     mean |I|  positive  negative  samples  kind  players
        1.333        +1    -0.333   2 of 3   AND  age, income
    """

    kinds: tuple[str, ...]
    players: tuple[tuple[str, ...], ...]
    value: Float[np.ndarray, "samples used"]
    unit: str = ""

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def seen(self) -> Int[np.ndarray, " used"]:
        """Number of samples in which it is known."""
        return np.asarray(np.isfinite(self.value).sum(axis=0))

    @property
    def mean(self) -> Float[np.ndarray, " used"]:
        """Mean of ``|I|`` over those samples; 0 without such samples."""
        return np.asarray(self.positive - self.negative)

    @property
    def positive(self) -> Float[np.ndarray, " used"]:
        """Mean of the values that raise the output, 0 or more."""
        return self._mean(np.maximum(self.value, 0.0))

    @property
    def negative(self) -> Float[np.ndarray, " used"]:
        """Mean of the values that lower the output, 0 or less."""
        return self._mean(np.minimum(self.value, 0.0))

    @property
    def share(self) -> Float[np.ndarray, " used"]:
        """Share of those samples in which it is salient."""
        return self._mean(np.where(np.isnan(self.value), np.nan, self.value != 0))

    def _mean(self, of: Float[np.ndarray, "samples used"]) -> Float[np.ndarray, " used"]:
        return np.asarray(np.nansum(of, axis=0) / np.maximum(self.seen, 1))

    def of(self, rows: Bool[np.ndarray, " samples"] | Int[np.ndarray, " some"]) -> "Usage":
        """Return the same for some samples, for example those of one class, in the same order of interactions."""
        return replace(self, value=self.value[rows])

    def first(self, k: int) -> "Usage":
        """Return the first ``k`` interactions."""
        return Usage(self.kinds[:k], self.players[:k], self.value[:, :k], self.unit)

    def by_share(self) -> "Usage":
        """Return the same, sorted by descending share of samples, then by strength."""
        order = np.lexsort((-self.mean, -self.share))
        kinds, players = tuple(self.kinds[i] for i in order), tuple(self.players[i] for i in order)
        return Usage(kinds, players, self.value[:, order], self.unit)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each interaction, for ``pandas.DataFrame``."""
        columns: Mapping[str, Sequence[Any]] = {
            "kind": self.kinds,
            "players": self.players,
            "mean": self.mean.tolist(),
            "positive": self.positive.tolist(),
            "negative": self.negative.tolist(),
            "share": self.share.tolist(),
            "seen": self.seen.tolist(),
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def __repr__(self) -> str:
        lines = [f"{'mean |I|':>9}  positive  negative  samples  kind  players"]
        for row in self.rows():
            count = f"{round(row['share'] * row['seen'])} of {row['seen']}"
            up, down = (f"{row[sign]:+.3g}" if row[sign] else "0" for sign in ("positive", "negative"))
            who = ", ".join(row["players"])
            lines.append(f"{row['mean']:>9.4g}  {up:>8}  {down:>8}  {count:>7}  {row['kind'].upper():>4}  {who}")
        return "\n".join(lines)


class Matched:
    """The subsets of players of many samples, matched by the players' names.

    Parameters
    ----------
    names
        Name of each player of each sample, shape ``(samples, n)``; ``""`` where a sample has fewer players. If a sample
        has a name twice, its players are numbered: first, second, ... of that name.
    others
        Other parts of each sample, which are not players. None: a sample may have any part that is not a player.

    Raises
    ------
    ShapeError
        If samples have different numbers of names.

    Notes
    -----
    A set of names is identified by the sum of random 64-bit numbers, one for each name: among a million sets, two
    collide with probability 3e-8. Memory ``16 * samples * 2**n`` bytes.

    Examples
    --------
    >>> both = Matched([["age", "sex"], ["income", "age"]])
    >>> i_and = np.array([[9.0, 1.0, 0.5, 3.0], [9.0, 0.0, -2.0, 0.1]])
    >>> both.usage(i_and, 0 * i_and, threshold=np.array([0.4, 0.4]), least=1)
     mean |I|  positive  negative  samples  kind  players
            3        +3         0   1 of 1   AND  age, sex
          1.5      +0.5        -1   2 of 2   AND  age
          0.5      +0.5         0   1 of 1   AND  sex
    """

    def __init__(self, names: Sequence[Sequence[str]], *, others: Sequence[Collection[str]] | None = None) -> None:
        rows = [_numbered(row) for row in names]
        if len({len(row) for row in rows}) != 1:
            raise ShapeError(
                f"`names` must have a row for each sample, all of the same length; got {names!r:.80}. Pass one name "
                "for each player."
            )
        self.names: list[tuple[str, ...]] = rows
        parts = (
            None if others is None else [frozenset(row) | frozenset(own) for row, own in zip(others, rows, strict=True)]
        )
        # where all samples have the same parts, no part is missing
        self._parts = None if parts is None or len(set(parts)) == 1 else parts
        random = np.random.default_rng(_SEED)
        every = dict.fromkeys(name for row in rows for name in row)
        code = {name: random.integers(2**64, dtype=np.uint64) if name else np.uint64(0) for name in every}
        of_players = np.array([[code[name] for name in row] for row in rows], dtype=np.uint64)
        whole = np.array([[bool(name) for name in row] for row in rows])
        codes, real = np.zeros((len(rows), 1), dtype=np.uint64), np.ones((len(rows), 1), dtype=bool)
        for i in range(of_players.shape[1]):
            codes = np.concatenate([codes, codes + of_players[:, i : i + 1]], axis=1)
            real = np.concatenate([real, real & whole[:, i : i + 1]], axis=1)
        real[:, 0] = False  # the constant is not an interaction
        self._codes: UInt64[np.ndarray, "samples subsets"] = np.where(real, codes, np.uint64(0))
        self._order = np.argsort(self._codes, axis=1)
        self._known, self._counts = np.unique(self._codes[real], return_counts=True)

    @property
    def n_players(self) -> int:
        """Number of players of a sample."""
        return len(self.names[0])

    def strongest(
        self,
        i_and: Float[np.ndarray, "samples subsets"],
        i_or: Float[np.ndarray, "samples subsets"],
        *,
        threshold: Float[np.ndarray, " samples"],
        k: int,
        least: int = 3,
        rows: Bool[np.ndarray, " samples"] | None = None,
    ) -> UInt64[np.ndarray, " used"]:
        """Return codes of at most ``k`` interactions by descending mean, over ``rows``; see `usage`."""
        both = np.concatenate([i_and, i_or], axis=1)
        codes = np.concatenate([self._codes, ~self._codes], axis=1)
        size = self._codes.shape[1]
        salient = (np.abs(both) >= threshold[:, None]) & (both != 0) & np.tile(self._codes != 0, 2)
        if rows is not None:
            salient &= rows[:, None]
        found, first, place = np.unique(codes[salient], return_index=True, return_inverse=True)
        total = np.bincount(place, weights=np.abs(both[salient]), minlength=len(found))
        is_or = (np.nonzero(salient)[1] >= size)[first] if len(found) else np.zeros(0, dtype=bool)
        if self._parts is not None or rows is not None:
            short = np.lexsort((found, -total))[: _SHORT * k]
            found, total = found[short], total[short]
            known = np.isfinite(self.values(i_and, i_or, threshold=threshold, codes=found))
            seen = (known if rows is None else known[rows]).sum(axis=0)
        else:
            seen = self._counts[np.searchsorted(self._known, np.where(is_or, ~found, found))]
        mean = total / np.maximum(seen, 1)
        enough = np.flatnonzero(seen >= min(least, len(self.names) if rows is None else int(rows.sum())))
        return np.asarray(found[enough[np.lexsort((found[enough], -mean[enough]))[:k]]])

    def places(self, codes: UInt64[np.ndarray, " used"]) -> Int[np.ndarray, "samples used"]:
        """Return where each sample has the interactions: AND first, OR after, as the subsets; -1 for nowhere."""
        size = self._codes.shape[1]
        out = np.full((len(self.names), len(codes)), -1, dtype=np.int64)
        for row, (own, order) in enumerate(zip(self._codes, self._order, strict=True)):
            ordered = own[order]
            for offset, wanted in ((size, ~codes), (0, codes)):
                at = np.minimum(np.searchsorted(ordered, wanted), size - 1)
                hit = (ordered[at] == wanted) & (wanted != 0)
                out[row, hit] = order[at[hit]] + offset
        return out

    def values(
        self,
        i_and: Float[np.ndarray, "samples subsets"],
        i_or: Float[np.ndarray, "samples subsets"],
        *,
        threshold: Float[np.ndarray, " samples"],
        codes: UInt64[np.ndarray, " used"],
    ) -> Float[np.ndarray, "samples used"]:
        """Return the value of each interaction in each sample; 0 below the threshold, NaN where not known."""
        places = self.places(codes)
        row, subset, size = np.arange(len(places))[:, None], places % self._codes.shape[1], self._codes.shape[1]
        value = np.where(places < size, i_and[row, subset], i_or[row, subset])
        return self.told(places, np.where(np.abs(value) >= threshold[:, None], value, 0.0))

    def told(
        self, places: Int[np.ndarray, "samples used"], value: Float[np.ndarray, "samples used"]
    ) -> Float[np.ndarray, "samples used"]:
        """Return values with NaN, or 0, in samples that do not have the interactions among their players."""
        out = np.where(places < 0, np.nan, value)
        for at in range(places.shape[1]) if self._parts is not None else ():
            wanted = set(self.players(places[:, at])[1])
            for row in np.flatnonzero(places[:, at] < 0):
                out[row, at] = np.nan if wanted <= self._parts[row] else 0.0  # type: ignore[index]
        return out

    def players(self, place: Int[np.ndarray, " samples"]) -> tuple[str, tuple[str, ...]]:
        """Return kind and names of the players of one interaction, given its column of `places`."""
        row = int(np.argmax(place >= 0))
        kind, subset = divmod(int(place[row]), self._codes.shape[1])
        return ("and", "or")[kind], tuple(self.names[row][i] for i in members(subset))

    def usage(
        self,
        i_and: Float[np.ndarray, "samples subsets"],
        i_or: Float[np.ndarray, "samples subsets"],
        *,
        threshold: Float[np.ndarray, " samples"],
        k: int = 12,
        least: int = 3,
        unit: str = "",
    ) -> Usage:
        """Return the ``k`` strongest interactions over the samples.

        Parameters
        ----------
        i_and, i_or
            Interactions, shape ``(samples, 2**n)``.
        threshold
            Salience threshold of each sample.
        k
            Most interactions to return.
        least
            Fewest samples in which an interaction must be known; all, if there are fewer samples. A mean over a single
            sample would often be the largest.
        unit
            Unit of the interactions.
        """
        codes = self.strongest(i_and, i_or, threshold=threshold, k=k, least=least)
        places = self.places(codes)
        named = [self.players(places[:, at]) for at in range(len(codes))]
        value = self.values(i_and, i_or, threshold=threshold, codes=codes)
        return Usage(tuple(kind for kind, _ in named), tuple(who for _, who in named), value, unit)


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    """Return unique names: repeated names get a number from the second on.

    Examples
    --------
    >>> _numbered(["the", "dog", "the", ""])
    ('the', 'dog', 'the (2)', '')
    """
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(f"{name} ({seen[name]})" if name and seen[name] > 1 else name)
    return tuple(out)
