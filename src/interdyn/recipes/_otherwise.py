"""Alternatives to the choices of a recipe, one at a time, for `interdyn.recipes.trust`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from interdyn._numbers import percent
from interdyn.recipes._dataset import Samples
from interdyn.recipes._schema import Recipe
from interdyn.schedules import windows_of

CHECKPOINTS = 10
"""How many checkpoints are measured again."""

DRAWN = "samples drawn"
"""The change that changes no choice: other samples are measured."""

_LEVELS = (0.1, 0.9)  # quantiles of a network's inputs, used as baselines
_MOST_ROWS = 256  # rows for those quantiles


@dataclass(frozen=True)
class Change:
    """One alternative choice.

    Attributes
    ----------
    what, way
        The choice, and its alternative.
    sections
        Names of the recipe's sections to their changes.
    steps
        Checkpoints to measure instead; None: the same.
    window
        Nearby steps per measurement.
    why
        Why it is not possible; empty if it is.
    """

    what: str
    way: str
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    steps: tuple[int, ...] | None = None
    window: int = 1
    why: str = ""

    def applied(self, recipe: Recipe) -> Recipe:
        """Return the recipe with this choice."""
        update = {name: getattr(recipe, name).model_copy(update=given) for name, given in self.sections.items()}
        return recipe.model_copy(update=update)


def chosen(steps: Sequence[int], *, shift: int = 0) -> tuple[int, ...]:
    """Return evenly spaced checkpoints, including both ends; with a ``shift``, the neighbours of those in between.

    Examples
    --------
    >>> chosen(range(19)), chosen(range(19), shift=1)
    ((0, 2, 4, 6, 8, 10, 12, 14, 16, 18), (0, 3, 5, 7, 9, 11, 13, 15, 17, 18))
    """
    places = np.linspace(0, len(steps) - 1, min(CHECKPOINTS, len(steps))).round().astype(int)
    places[1:-1] += shift
    return tuple(steps[at] for at in sorted({int(at) for at in np.clip(places, 0, len(steps) - 1)}))


def begins_of(steps: Sequence[int], window: int) -> list[int]:
    """Return the first step of each measurement."""
    numbers = windows_of(steps, window)
    return [step for at, step in enumerate(steps) if at == 0 or numbers[at] != numbers[at - 1]]


def otherwise(
    recipe: Recipe, steps: Sequence[int], samples: Samples, network: nn.Module, n_players: int
) -> Iterator[Change]:
    """Yield alternatives to each choice, two if there are two.

    Parameters
    ----------
    recipe
        Of the run.
    steps
        Steps at which the run has its networks.
    samples, network
        Its data and its final network, whose levels give baselines.
    n_players
        Interactions of its last measurement.
    """
    yield from _baselines(recipe, samples, network)
    yield from _players(recipe, n_players)
    measured, salience = recipe.measure, recipe.analysis.salience
    for bound in (measured.noise_bound * 0.5 or 0.01, measured.noise_bound * 2 or 0.02):
        yield Change("noise bound", f"{bound:g}", {"measure": {"noise_bound": bound}})
    for weight in (0.0, 2 * measured.order_weight) if measured.order_weight else (0.01, 0.02):
        yield Change("order weight", f"{weight:g}", {"measure": {"order_weight": weight}})
    for level in (0.5 * salience, 2 * salience):
        yield Change("salience", f"{level:g}", {"analysis": {"salience": level}})
    yield from _windows(recipe.checkpoints.window, steps)
    begins = begins_of(steps, recipe.checkpoints.window)
    for shift, word in ((1, "next"), (-1, "last")):
        if len(begins) > CHECKPOINTS:
            yield Change("checkpoints", f"the {word} ones", steps=chosen(begins, shift=shift))
    for seed in (measured.seed + 1, measured.seed + 2):
        yield Change(DRAWN, f"seed {seed}", {"measure": {"seed": seed}})


def _baselines(recipe: Recipe, samples: Samples, network: nn.Module) -> Iterator[Change]:
    """Yield the first two baselines that make sense for the inputs and differ from the recipe's."""
    ways = dict(_candidates(recipe, samples, network))
    own = recipe.measure.baseline
    others = {way: change for way, change in ways.items() if change["baseline"] != own}
    for way, change in list(others.items())[:2]:
        yield Change("baseline", way, {"measure": change})


def _candidates(recipe: Recipe, samples: Samples, network: nn.Module) -> Iterator[tuple[str, dict[str, Any]]]:
    layer, inputs = recipe.measure.layer, samples.inputs
    if not inputs.is_floating_point():
        embedding = next((name for name, one in network.named_modules() if isinstance(one, nn.Embedding)), None)
        if samples.mask_value is not None:
            yield "mask", {"baseline": "mask", "layer": None}
        if embedding is not None:
            yield "mean-embedding", {"baseline": "mean-embedding", "layer": embedding}
        for word in ("[PAD]", "[UNK]"):
            if word in samples.vocabulary:
                yield word, {"baseline": float(samples.vocabulary.index(word))}
        return
    if layer is None and recipe.players.kind == "clusters":
        yield "part-mean", {"baseline": "part-mean"}
    if layer is None:
        yield "mean", {"baseline": "mean"}
    rows = inputs[torch.from_numpy(samples.train_ids[:_MOST_ROWS])]
    seen = rows if layer is None else _output_of(network, layer, rows)
    if layer is not None or recipe.players.kind == "clusters":
        yield "0", {"baseline": 0.0}
    for share, level in zip(_LEVELS, np.quantile(seen.numpy(), _LEVELS).tolist(), strict=True):
        yield f"{level:.3g}, the {percent(share)} quantile", {"baseline": level}
    yield f"{float(seen.mean()):.3g}, the mean level", {"baseline": float(seen.mean())}


def _output_of(network: nn.Module, layer: str, rows: torch.Tensor) -> torch.Tensor:
    """Return the output of a layer, in eval mode, on the CPU."""
    kept: list[torch.Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _, __, out: kept.append(out.detach().cpu()))
    try:
        with torch.no_grad():
            network.eval()(rows.to(next(network.parameters()).device))
    finally:
        hook.remove()
    return kept[0]


def _players(recipe: Recipe, n_players: int) -> Iterator[Change]:
    """Yield other players, other numbers of them, and other treatments of those that are not drawn."""
    section = recipe.players
    if section.n is None:  # all of them: fewer can be drawn, but no others
        for n in (n_players - 1, n_players - 2):
            yield Change("number of players", str(n), {"players": {"n": n}})
        return
    for seed in (section.seed + 1, section.seed + 2):
        yield Change("players drawn", f"seed {seed}", {"players": {"seed": seed}})
    for n in (section.n - 2, section.n + 2):
        yield Change("number of players", str(n), {"players": {"n": n}})
    others = "mask" if section.others == "keep" else "keep"
    way = {"mask": "players not drawn masked", "keep": "players not drawn kept"}[others]
    yield Change("background", way, {"players": {"others": others}})


def _windows(window: int, steps: Sequence[int]) -> Iterator[Change]:
    """Yield measurements of two and of three nearby steps, if the run has their networks."""
    own = set(chosen(begins_of(steps, window)))
    for size in (2, 3):
        if size > window:
            why = (
                f"the run has the networks of {window} nearby step{'s' if window > 1 else ''} only; run it with "
                "--set checkpoints.window=3"
            )
            yield Change("window", f"{size} nearby steps", why=why)
            continue
        kept: list[int] = []
        first, count = -1, 0
        for step, number in zip(steps, windows_of(steps, window), strict=True):
            if number != first:
                first, count, wanted = number, 0, step in own
            count += 1
            if wanted and count <= size:
                kept.append(step)
        yield Change("window", f"{size} nearby steps", steps=tuple(kept), window=size)
