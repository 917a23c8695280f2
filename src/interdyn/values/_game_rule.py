"""Which game a network was measured in: how many parts there are, how many were drawn, and how they are masked."""

from collections.abc import Mapping, Sequence
from typing import Any

from interdyn.values._record import Record

_WORDS = {
    "n_players": "number of players (n)",
    "n_parts": "number of parts (N)",
    "cut": "kind of parts",
    "others": "parts not drawn",
    "layer": "layer",
    "baseline": "baseline",
    "batch_norm": "batch-norm statistics",
    "unit": "output",
}


class GameRule(Record):
    """The rule by which samples were partitioned and masked; None for entries that a run does not record.

    With ``n`` of ``N`` parts drawn and the rest present, an AND interaction of order ``k`` is seen at the order of its
    intersection with those drawn, ``k n / N`` on average: mean orders of different games cannot be compared.

    Attributes
    ----------
    n_players
        How many players were drawn, ``n``.
    n_parts
        From how many parts they were drawn, ``N``: the fewest and the most of any sample.
    cut
        What the parts are, for example ``"patches(8, 8).central(6, 6)"``.
    others
        How parts that are not drawn are treated, ``"keep"`` or ``"mask"``.
    layer, baseline, unit
        Where and by what players are masked; unit of the output.
    batch_norm
        Whether its statistics are those of the network, ``"as trained"``, or recomputed, ``"calibrated"``.

    Examples
    --------
    >>> print(GameRule(n_players=10, n_parts=(36, 36)))
    10 of 36 parts
    >>> print(GameRule(n_players=10))
    10 players, N not recorded
    """

    n_players: int = 0
    n_parts: tuple[int, int] | None = None
    cut: str | None = None
    others: str | None = None
    layer: str | None = None
    baseline: str | None = None
    unit: str | None = None
    batch_norm: str | None = None

    @classmethod
    def of(cls, settings: Sequence[Mapping[str, Any]], *, n_players: int, unit: str) -> "GameRule":
        """Return the game of measurements, from the settings that each of them records.

        Examples
        --------
        >>> GameRule.of([{"players": "columns().choose(3, seed=1, others='keep')"}], n_players=3, unit="nat").others
        'keep'
        """
        numbers = [one["n_parts"] for one in settings if one.get("n_parts") is not None]
        known = len(numbers) == len(settings) > 0
        last = settings[-1] if settings else {}
        players = last.get("players")
        rows = last.get("calibrated_rows")
        cut, _, draw = ("" if players is None else str(players)).partition(".choose(")
        return cls(
            n_players=n_players,
            n_parts=(min(low for low, _ in numbers), max(high for _, high in numbers)) if known else None,
            cut=cut or None,
            others=None if not draw else "mask" if "mask" in draw else "keep",
            layer=last.get("layer"),
            baseline=last.get("baselines"),
            unit=unit or None,
            batch_norm=None if rows is None else "calibrated" if rows else "as trained",
        )

    def __str__(self) -> str:
        if self.n_parts is None:
            return f"{self.n_players} players, N not recorded" if self.n_players else "N not recorded"
        low, high = self.n_parts
        if low == high == self.n_players:
            return f"all {high} parts"
        return f"{self.n_players} of {high if low == high else f'{low} to {high}'} parts"


def different_games(rules: Sequence[GameRule]) -> dict[str, tuple[str, ...]]:
    """Return how games differ, with the values of each; empty if their mean orders may be compared.

    An entry that one of them does not record is no difference.

    Examples
    --------
    >>> different_games([GameRule(n_players=8, n_parts=(16, 16)), GameRule(n_players=8, n_parts=(36, 36))])
    {'number of parts (N)': ('16', '36')}
    """
    out = {}
    for name, words in _WORDS.items():
        values = [getattr(rule, name) for rule in rules]
        said = {value for value in values if value not in (None, 0)}
        if len(said) > 1:
            out[words] = tuple(_text(value) for value in values)
    return out


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        low, high = value
        return str(low) if low == high else f"{low} to {high}"
    return "not recorded" if value in (None, 0) else str(value)
