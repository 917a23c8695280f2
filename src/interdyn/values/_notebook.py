"""Interactions as a notebook shows them: a small table whose only styles are bars in two colours."""

from collections.abc import Iterable, Sequence
from html import escape

AND, OR = "#0072b2", "#e69f00"  # those of the figures; colour-blind-safe

_CELL = 'style="text-align:left;padding:2px 10px"'
_BAR = "display:inline-block;height:0.7em;border-radius:2px"
_WIDEST = 120  # pixels of the strongest bar


def terms_html(terms: Iterable[tuple[str, Sequence[object], float]], *, unit: str = "", note: str = "") -> str:
    """Return a table of interactions ``(kind, players, value)``, strongest first, each with a bar.

    Examples
    --------
    >>> "1, 2" in terms_html([("and", (1, 2), -0.5)], unit="nat")
    True
    """
    rows = list(terms)
    most = max((abs(value) for _, _, value in rows), default=0.0) or 1.0
    lines = [
        [
            f"{value:+.3g}",
            _bar(abs(value) / most, AND if kind == "and" else OR),
            kind.upper(),
            escape(", ".join(map(str, players))),
        ]
        for kind, players, value in rows
    ]
    heads = [f"value ({escape(unit)})" if unit else "value", "", "kind", "players"]
    return table_html(heads, lines or [["none differs from zero", "", "", ""]], note=note)


def table_html(heads: Sequence[str], rows: Iterable[Sequence[str]], *, note: str = "") -> str:
    """Return a table of cells that are already HTML, with a line below it."""
    head = "".join(f'<th scope="col" {_CELL}>{cell}</th>' for cell in heads)
    body = "".join("<tr>" + "".join(f"<td {_CELL}>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    below = f'<div style="opacity:0.75;font-size:0.9em">{escape(note)}</div>' if note else ""
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}</div>"


def _bar(share: float, colour: str) -> str:
    return f'<span style="{_BAR};background:{colour};width:{max(1, round(_WIDEST * share))}px"></span>'
