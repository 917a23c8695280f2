"""A synthetic game whose interactions are known by hand."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from interdyn.errors import RecipeError
from interdyn.recipes import Dataset, dataset
from interdyn.values import Term, subset_masks

_KINDS = ("and", "or", "xor")


@dataset("game")
def game(
    *,
    seed: int,
    terms: Sequence[Mapping[str, Any]],
    n_players: int = 8,
    draws: int = 8,
    full: int = 64,
    spread: float = 0.1,
) -> Dataset:
    """Return a regression whose target is a sum of AND, OR and XOR terms of the players present.

    Parameters
    ----------
    seed
        Seed of the amplitudes.
    terms
        Each ``{kind = "and" | "or" | "xor", players = [...], weight = number}``; an XOR has two players and
        is ``OR - AND`` of them.
    n_players
        Number of columns.
    draws
        Copies of each of the ``2**n_players`` patterns of presence.
    full
        Samples with all players present; only these are measured.
    spread
        A present player is a number drawn from ``1 - spread .. 1 + spread``, an absent one is 0.

    Raises
    ------
    RecipeError
        If a term is not one of these.

    Examples
    --------
    >>> terms = [{"kind": "and", "players": [0, 1], "weight": 2.0}]
    >>> data = game(seed=0, terms=terms, n_players=3, draws=1, full=1)
    >>> data.targets.tolist()
    [0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0, 2.0]
    """
    most = (1 << 22) >> min(max(n_players, 0), 22)
    fits = 1 <= n_players <= 16 and 1 <= draws <= most and 1 <= full <= 1 << 20 and 0 <= spread < 1
    if not fits:
        raise RecipeError(
            "`data.options` of `game` must have `n_players` 1 to 16, `draws` and `full` 1 or more and no more than "
            f"fit into memory, `spread` from 0 to below 1; got {n_players}, {draws}, {full} and {spread}. Correct them."
        )
    patterns = np.concatenate([np.tile(subset_masks(n_players), (draws, 1)), np.ones((full, n_players), bool)])
    rng = np.random.default_rng(seed)
    amplitudes = rng.uniform(1 - spread, 1 + spread, size=patterns.shape)
    planted = [part for term in terms for part in _parts(term, n_players)]
    targets = np.zeros(len(patterns))
    for kind, players, weight in planted:
        chosen = patterns[:, list(players)]
        targets += weight * (chosen.all(axis=1) if kind == "and" else chosen.any(axis=1))
    return Dataset(
        inputs=(patterns * amplitudes).astype(np.float32),
        targets=targets,
        n_classes=None,
        measurable=np.arange(len(patterns)) >= len(patterns) - full,
        planted=tuple(planted),
    )


def _parts(term: Mapping[str, Any], n_players: int) -> list[Term]:
    """Return a term as AND and OR interactions."""
    try:
        kind, players, weight = term["kind"], tuple(sorted(set(term["players"]))), float(term["weight"])
        inside = bool(players) and players[0] >= 0 and players[-1] < n_players
        distinct = (
            len(players) == len(term["players"]) and all(type(p) is int for p in players) and math.isfinite(weight)
        )
        if not (inside and distinct and kind in _KINDS) or (kind == "xor" and len(players) != 2):
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError):
        raise RecipeError(
            'a term of `data.options.terms` must be {kind = "and" | "or" | "xor", players = [...], '
            f"weight = number}} with different players in 0..{n_players - 1}, two for xor; got {term!r:.80}. "
            "Correct it in the recipe."
        ) from None
    if kind == "xor":
        return [Term("or", players, weight), Term("and", players, -weight)]
    return [Term(kind, players, weight)]
