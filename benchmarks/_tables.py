"""Cells of the tables in docs/results: how a summary reads in a line, and what both tables compute again."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import torch

from interdyn.transforms import and_from_values
from interdyn.values import Interactions


def course(mean_order: Sequence[float | None]) -> str:
    """Return the mean order at the start, its minimum, and that at the end."""
    known = [x for x in mean_order if x is not None and not math.isnan(x)]
    return f"{known[0]:.2f} → {min(known):.2f} → {known[-1]:.2f}" if known else "nothing salient"


def span(step: float | None, interval: Sequence[float] | None) -> str:
    """Return a step with its interval."""
    return "none" if step is None or interval is None else f"{step:.0f} ({interval[0]:.0f} to {interval[1]:.0f})"


def number(value: float | None, digits: int) -> str:
    """Return a number, or ``none``."""
    return "none" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def share_interval(share: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of a share of n simulations (Wilson).

    Examples
    --------
    >>> [round(end, 3) for end in share_interval(0.5, 100)]
    [0.404, 0.596]
    """
    z = 1.96
    middle, half = share + z**2 / (2 * n), z * (share * (1 - share) / n + (z / (2 * n)) ** 2) ** 0.5
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def wrapped(text: str) -> list[str]:
    """Return the lines of a paragraph; a number and its percent sign stay together.

    Examples
    --------
    >>> wrapped("a" * 116 + " 30 % more")[1]
    '30 % more'
    """
    return [
        line.replace("\u00a0", " ")
        for line in textwrap.wrap(text.replace(" %", "\u00a0%"), 120, break_on_hyphens=False)
    ]


def lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown."""
    return ["| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *rows)]


def and_alone(v: torch.Tensor) -> Interactions:
    """Return the AND interactions that explain the outputs exactly, without any OR: the Möbius transform."""
    zero = torch.zeros_like(v)
    one = zero[..., 0]
    return Interactions(
        and_from_values(v), zero, "", residual=zero, objective=one, gap=one, status=None, noise_bound=one
    )


def put(page: Path, head: str, section: str = "") -> None:
    """Write the head of a page and a section, in place of an older one of the same title, with which it begins."""
    old = page.read_text().split("\n## ")[1:] if page.exists() else []
    new = [section.strip().removeprefix("## ")] if section else []
    sections = {text.split("\n", 1)[0]: text.strip() for text in (*old, *new)}
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(head + "\n\n".join(f"## {text}" for _, text in sorted(sections.items())) + "\n")
