"""The samples of a run one by one, as a table."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from html import escape
from math import isnan, nan
from typing import Any

from interdyn.values._notebook import table_html

_SHOWN = 20  # rows, in a terminal and in a notebook


@dataclass(frozen=True)
class SampleRow:
    """One sample; what is not defined is NaN, or None where it is not a number.

    Attributes
    ----------
    group, sample_id, label
        Where it comes from; its class as training sees it, None where the run holds none.
    output
        Log-odds of the label with all players present (or another output, in its unit).
    mean_order, profile
        Mean order of the salient interactions; share of each order ``1..n``.
    cancelling, cancelling_by_order
        Share of the strength that interactions of opposite sign take from each other, 0 to 1.
    score, score_low, score_high
        Over-fitting score and its interval: minus the log-odds with one player left out, a mean over players and
        measurements.
    rank, rank_low, rank_high
        Place by falling score among the training samples (or among the others); the places that the intervals allow.
    carriers
        Up to three players on which the label rests most: those whose loss costs most, in falling order.
    flagged, sentence
        Whether it looks memorised or mislabelled, and why, in words; only training samples can.
    """

    group: str
    sample_id: int
    label: int | None
    output: float
    mean_order: float
    profile: tuple[float, ...]
    cancelling: float
    cancelling_by_order: tuple[float, ...]
    score: float
    score_low: float
    score_high: float
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    carriers: tuple[int, ...]
    flagged: bool
    sentence: str

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the row under `SampleTable.HEADS`; ``-`` for what is not defined."""
        score = "-" if isnan(self.score) else f"{self.score:+.2f}"
        score += "" if isnan(self.score_high) else f" ± {self.score_high - self.score:.2f}"
        rank = "-" if self.rank is None else f"{self.rank} ({self.rank_low}-{self.rank_high})"
        label = "-" if self.label is None else str(self.label)
        numbers = tuple(
            "-" if isnan(x) else f"{x:{p}}"
            for x, p in zip((self.output, self.mean_order, self.cancelling), ("+.2f", ".2f", ".2f"), strict=True)
        )
        return (self.group, str(self.sample_id), label, *numbers, score, rank, "yes" if self.flagged else "")


class SampleTable(tuple[SampleRow, ...]):
    """Rows of samples, training samples first, the most suspicious first; ``pandas.DataFrame`` takes it as it is.

    Attributes
    ----------
    step
        The measurement that outputs and profiles are of.
    scored_at
        The steps that the scores are means over, ascending.
    learned_at
        The step that flags are of, at which the network had learned.
    sentence
        What the table says, in words.
    """

    HEADS = ("group", "sample", "label", "output", "order", "cancels", "score", "rank", "flag")

    step: int
    scored_at: tuple[int, ...]
    learned_at: int
    sentence: str

    @classmethod
    def of(
        cls, rows: Iterable[SampleRow], *, step: int, scored_at: Iterable[int], learned_at: int, sentence: str
    ) -> "SampleTable":
        """Return a table of these rows."""
        table = cls(rows)
        table.step, table.scored_at, table.learned_at, table.sentence = step, tuple(scored_at), learned_at, sentence
        return table

    @classmethod
    def from_json(cls, block: "SampleTable | Mapping[str, Any]") -> "SampleTable":
        """Return the table that a run's ``analysis.json`` holds."""
        if isinstance(block, SampleTable):
            return block
        rows = [
            SampleRow(**{f.name: _from_json(f.type, row.get(f.name)) for f in fields(SampleRow)})
            for row in block["rows"]
        ]
        at, since = (int(block.get(key) or 0) for key in ("step", "learned_at"))
        said = str(block.get("sentence") or "")
        return cls.of(rows, step=at, scored_at=block.get("looks") or (), learned_at=since, sentence=said)

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain data."""
        about = {"step": self.step, "looks": list(self.scored_at), "learned_at": self.learned_at}
        return {**about, "sentence": self.sentence, "rows": [asdict(row) for row in self]}

    def __repr__(self) -> str:
        shown = [self.HEADS, *(row.cells() for row in self[:_SHOWN])]
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
        ]
        return "\n".join([self.sentence, *lines, *self._left()])

    def _repr_html_(self) -> str:
        rows = [[escape(cell) for cell in row.cells()] for row in self[:_SHOWN]]
        return table_html(self.HEADS, rows, note=" ".join([self.sentence, *self._left()]))

    def _left(self) -> list[str]:
        return [f"{len(self) - _SHOWN} more."] if len(self) > _SHOWN else []


def _from_json(kind: Any, value: Any) -> Any:
    """Return a value of plain data as `SampleRow` has it: null is NaN where a number is meant, a list a tuple."""
    if isinstance(value, list):
        return tuple(nan if item is None else item for item in value)
    return nan if value is None and kind is float else value
