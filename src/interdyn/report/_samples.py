"""Which samples are over-fitted: the table of the analysis in the words of the page."""

from collections.abc import Mapping
from typing import Any

_MOST = 200  # rows shown


def samples(analysis: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return sentence, heads and rows of the table of samples; None where the analysis holds none.

    Rows are of training samples by rank, then of the others, as `interdyn samples` prints them.
    """
    found = analysis.get("samples")
    if not found or not found.get("rows"):
        return None
    rows = found["rows"]
    heads = (
        "group",
        "sample",
        "label",
        "output",
        "mean order",
        "cancels",
        "score",
        "rank",
        "looks memorised or mislabelled",
    )
    return {
        "sentence": str(found.get("sentence") or ""),
        "heads": heads,
        "rows": [_cells(row) for row in rows[:_MOST]],
        "left_out": max(len(rows) - _MOST, 0),
        "flagged": [f"{row['group']} {row['sample_id']}: {row['sentence']}" for row in rows if row.get("flagged")],
    }


def _cells(row: Mapping[str, Any]) -> list[str]:
    score = _number(row.get("score"), "+.2f")
    if row.get("score") is not None and row.get("score_high") is not None:
        score += f" ± {row['score_high'] - row['score']:.2f}"
    rank = "-" if row.get("rank") is None else f"{row['rank']} ({row['rank_low']}-{row['rank_high']})"
    return [
        str(row["group"]),
        str(row["sample_id"]),
        "-" if row.get("label") is None else str(row["label"]),
        _number(row.get("output"), "+.2f"),
        _number(row.get("mean_order"), ".2f"),
        _number(row.get("cancelling"), ".2f"),
        score,
        rank,
        "yes" if row.get("flagged") else "",
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
