"""The drawings of *Interactions in five minutes*: one AND and one OR, as a network's outputs on masked sentences."""

import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from interdyn import measure, value_table
from interdyn.plot import plot_sample
from interdyn.plot._style import COLOURS, INK, MUTED

CASES = ((True, True), (True, False), (False, True), (False, False))
SAID = ("both words are there", "only the first", "only the second", "neither")


def together(x: torch.Tensor) -> torch.Tensor:
    """Return 4 where both words are there."""
    return 4 * x[:, 0] * x[:, 1]


def either(x: torch.Tensor) -> torch.Tensor:
    """Return 3 where at least one word is there."""
    return 3 * torch.maximum(x[:, 0], x[:, 1])


RULES = {"and": (together, ("not", "dull")), "or": (either, ("great", "superb"))}


def interaction(kind: str) -> Figure:
    """Draw the outputs for all four masked sentences, and the one interaction that explains them all."""
    rule, words = RULES[kind]
    asked = {"output": "regression", "feature_mask": torch.arange(2)[None]}
    outputs = value_table(rule, torch.ones(1, 2), **asked).values[0]
    found = measure(rule, torch.ones(1, 2), **asked, noise_bound=0.0)[0].top(1)[0]
    assert (found.kind, found.players) == (kind, (0, 1))
    figure = Figure(figsize=(7.2, 3.3), layout="constrained")
    ax = figure.subplots()
    ax.set(xlim=(-0.2, 9.6), ylim=(-0.15, 4.75))
    ax.axis("off")
    for row, (present, said) in enumerate(zip(CASES, SAID, strict=True)):
        y = 3 - row
        for place, (word, there) in enumerate(zip(words, present, strict=True)):
            tile(ax, 2.6 + 1.6 * place, y, word if there else "", there)
        output = float(outputs[present[0] + 2 * present[1]])
        ax.text(2.3, y + 0.35, said, ha="right", va="center", fontsize=10, color=MUTED)
        ax.barh(y + 0.35, 0.65 * output, left=6.4, height=0.5, color=COLOURS["up"], zorder=2)
        ax.text(6.5 + 0.65 * output, y + 0.35, f"+{output:.0f}" if output else "0", va="center", fontsize=12)
    ax.plot([6.4, 6.4], [-0.05, 3.85], color=INK, linewidth=1)
    ax.text(3.9, 4.2, "what the network sees", ha="center", fontsize=10, color=MUTED)
    ax.text(6.4, 4.2, "its score for the film", fontsize=10, color=MUTED)
    return figure


SENTENCE = ("not", "a", "dull", "moment", "great", "and", "superb")


def review(x: torch.Tensor) -> torch.Tensor:
    """Return the score of a review by three rules: one AND, one OR, and one word by itself."""
    return 4 * x[:, 0] * x[:, 2] + 3 * torch.maximum(x[:, 4], x[:, 6]) - 1.5 * x[:, 3]


def explained() -> Figure:
    """Draw the interactions of a review on its words."""
    asked = {"output": "regression", "feature_mask": torch.arange(7)[None], "noise_bound": 0.0, "tol": 1e-5}
    found = measure(review, torch.ones(1, 7), **asked)[0]
    kinds = [(term.kind, term.players, round(term.value, 2)) for term in found.top(3)]
    assert kinds == [("and", (0, 2), 4.0), ("or", (4, 6), 3.0), ("and", (3,), -1.5)]
    figure = Figure(figsize=(7.2, 1.4), layout="constrained")
    plot_sample(found, names=SENTENCE, k=3, ax=figure.subplots())
    return figure


def tile(ax: object, x: float, y: float, word: str, there: bool) -> None:
    """Draw a word, or the place of one that is masked."""
    style = {"facecolor": "#f2f2f2", "edgecolor": INK} if there else {"facecolor": "none", "edgecolor": MUTED}
    box = FancyBboxPatch((x, y), 1.3, 0.7, boxstyle="round,pad=0.02,rounding_size=0.1", linewidth=1.2, **style)
    box.set_linestyle("-" if there else (0, (3, 3)))
    ax.add_patch(box)
    ax.text(
        x + 0.65,
        y + 0.35,
        word or "masked",
        ha="center",
        va="center",
        fontsize=12 if word else 9,
        color=INK if word else MUTED,
    )
