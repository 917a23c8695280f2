"""The samples of a run one by one, as a table."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from html import escape
from math import isnan, nan
from typing import Any

from interdyn._numbers import percent
from interdyn.values._notebook import table_html
from interdyn.values._signed import signed

_SHOWN = 20  # rows, in a terminal and in a notebook


@dataclass(frozen=True)
class SampleRow:
    """One sample; undefined entries are NaN, or None if they are not numbers.

    Attributes
    ----------
    group, sample_id, label
        Its group and number; its class as used in training, None if not recorded.
    output
        Log-odds of the label with all players present (or another output, in its unit).
    mean_order, profile
        Mean order of the salient interactions; share of each order ``1..n``.
    cancelling, cancelling_by_order
        Share of the strength that interactions of opposite sign cancel, 0 to 1.
    score
        Minus the log-odds of the label with all players present, a mean over the measurements while it learned.
    rank
        Rank by descending score among the training samples (or among the others).
    carriers
        Up to three players on which the label rests most: those whose removal costs most, in descending order.
    flagged, sentence
        Whether it looks memorised or mislabelled, with the reason; only training samples can.
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
    rank: int | None
    carriers: tuple[int, ...]
    flagged: bool
    sentence: str

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row under `SampleTable.HEADS`; ``-`` for undefined entries."""
        label, rank = ("-" if x is None else str(x) for x in (self.label, self.rank))
        plain = ("-" if isnan(x) else f"{x:.2f}" for x in (self.mean_order, self.cancelling))
        numbers = (signed(self.output), *plain, signed(self.score))
        return (self.group, str(self.sample_id), label, *numbers, rank, "yes" if self.flagged else "")


@dataclass(frozen=True)
class SampleFlags:
    """The score above which training samples are flagged, and how many of the flags should be correct.

    Attributes
    ----------
    held_out, of
        How many samples were not trained on, and how many were.
    above
        How many training samples score above the ``allowed``-th highest of the held-out samples.
    expected
        How many of them should have a correct label, estimated from the held-out samples.
    needed
        The smallest number of held-out samples needed; 0 if there are enough.
    threshold
        The score above which samples are flagged; None if none is.
    precision, precision_low, precision_high
        Share of correct flags, estimated from the held-out samples, and its 90 % interval.

    Examples
    --------
    >>> print(SampleFlags(held_out=99, of=400, above=40, allowed=2, expected=8.0, threshold=1.5, precision=0.8,
    ...             precision_low=0.45, precision_high=0.97))
    40 of 400 training samples look memorised or mislabelled. Estimated from 99 samples that were not trained on,
    about 80 % of these flags are right (90 % interval 45 % to 97 %).
    """

    held_out: int
    of: int
    above: int = 0
    allowed: int = 0
    expected: float = nan
    needed: int = 0
    threshold: float | None = None
    precision: float = nan
    precision_low: float = nan
    precision_high: float = nan

    def __str__(self) -> str:
        if not self.allowed:
            return (
                f"Wrong labels cannot be distinguished from hard samples with {self.held_out or 'no'} samples that "
                f"were not trained on: add a group of {self.needed} or more."
            )
        if not self.above:
            return f"No training sample stands out from the {self.held_out} that were not trained on."
        if self.threshold is None:
            return (
                f"No sample is flagged: {self.above} of {self.of} training samples stand out, but estimated from the "
                f"{self.held_out} that were not trained on, about {self.expected:.1f} would with correct labels, too. "
                "Measure more samples that are not trained on."
            )
        return (
            f"{self.above} of {self.of} training samples look memorised or mislabelled. Estimated from {self.held_out} "
            f"samples that were not trained on, about {percent(self.precision)} of these flags are right (90 % "
            f"interval {percent(self.precision_low)} to {percent(self.precision_high)})."
        )


class SampleTable(tuple[SampleRow, ...]):
    """Rows of samples, training samples first, the most suspicious first; can be passed to ``pandas.DataFrame``.

    Attributes
    ----------
    step
        The step of the outputs and profiles.
    scored_at
        The steps that the scores are averaged over, ascending; at the last of them the network had learned.
    flags
        Which samples are flagged and how certain that is; None without scores, and in results of version 0.1.
    sentence
        The outcome as a sentence.
    """

    HEADS = ("group", "sample", "label", "output", "order", "cancels", "score", "rank", "flag")

    step: int
    scored_at: tuple[int, ...]
    flags: SampleFlags | None
    sentence: str

    @classmethod
    def of(
        cls, rows: Iterable[SampleRow], *, step: int, scored_at: Iterable[int], flags: SampleFlags | None, sentence: str
    ) -> "SampleTable":
        """Return a table of these rows."""
        table = cls(rows)
        table.step, table.scored_at, table.flags, table.sentence = step, tuple(scored_at), flags, sentence
        return table

    @classmethod
    def from_json(cls, block: "SampleTable | Mapping[str, Any]") -> "SampleTable":
        """Return the table in a run's ``analysis.json``."""
        if isinstance(block, SampleTable):
            return block
        rows = [
            SampleRow(**{f.name: _from_json(f.type, row.get(f.name)) for f in fields(SampleRow)})
            for row in block["rows"]
        ]
        at, said, flags = int(block.get("step") or 0), str(block.get("sentence") or ""), None
        if told := block.get("flags"):
            flags = SampleFlags(**{f.name: _from_json(f.type, told.get(f.name)) for f in fields(SampleFlags)})
        return cls.of(rows, step=at, scored_at=block.get("looks") or (), flags=flags, sentence=said)

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain data."""
        flags = None if self.flags is None else asdict(self.flags)
        about = {"step": self.step, "looks": list(self.scored_at), "flags": flags}
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
    """Return a value of plain data as in `SampleRow`: null becomes NaN for numbers, a list becomes a tuple."""
    if isinstance(value, list):
        return tuple(nan if item is None else item for item in value)
    return nan if value is None and kind is float else value
