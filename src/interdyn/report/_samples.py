"""Which samples are over-fitted: the table of samples in the words of the page."""

from typing import Any

from interdyn.values import SampleTable

_MOST = 200  # rows shown


def samples(table: SampleTable | None) -> dict[str, Any] | None:
    """Return sentence, heads and rows of the table of samples; None where the run holds none.

    Rows are of training samples by rank, then of the others, as `interdyn samples` prints them.
    """
    if not table:
        return None
    return {
        "sentence": table.sentence,
        "heads": (*table.HEADS[:-1], "looks memorised or mislabelled"),
        "rows": [row.cells() for row in table[:_MOST]],
        "left_out": max(len(table) - _MOST, 0),
        "flagged": [f"{row.group} {row.sample_id}: {row.sentence}" for row in table if row.flagged],
    }
