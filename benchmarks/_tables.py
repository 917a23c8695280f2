"""Cells of the tables in docs/results: how a summary reads in a line, and what both tables compute again."""

import math
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


def put(page: Path, head: str, section: str) -> None:
    """Write a section, which begins with its title, into a page, in place of an older one of the same title."""
    old = page.read_text().removeprefix(head).split("\n## ") if page.exists() else []
    sections = {part.removeprefix("## ").split("\n", 1)[0]: part.removeprefix("## ").strip() for part in old if part}
    text = section.strip().removeprefix("## ")
    sections[text.split("\n", 1)[0]] = text
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(head + "\n\n".join(f"## {text}" for _, text in sorted(sections.items())) + "\n")
