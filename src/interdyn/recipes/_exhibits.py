"""What the samples of a group look like, for the run's directory."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int, Num

from interdyn.measurement import steps_of, with_pictures, with_points, words_of
from interdyn.recipes._dataset import Samples
from interdyn.recipes._measuring import Group
from interdyn.recipes._schema import Recipe
from interdyn.store import Exhibit, Pieces


def exhibit_of(group: Group, samples: Samples, recipe: Recipe) -> Exhibit:
    """Return the pictures, points, words or columns of a group, each with the players that are masked together."""
    ids = group.sample_ids
    assert samples.shown is not None
    shown = np.asarray(samples.shown[ids])
    bare = Exhibit(group.name, ids, classes=samples.class_names)
    if samples.vocabulary:
        rows = zip(shown.tolist(), _mask_of(group, shown).tolist(), strict=True)
        pieces = tuple(words_of([samples.vocabulary[token] for token in tokens], of) for tokens, of in rows)
        return replace(bare, pieces=pieces)
    if shown.ndim == 4:
        return with_pictures(bare, shown, _mask_of(group, shown, layer=recipe.measure.layer))
    if recipe.players.kind in ("clusters", "parts") and shown.ndim == 3:
        return with_points(bare, shown, _mask_of(group, shown))
    return replace(bare, pieces=_columns(shown, _mask_of(group, shown), samples))


def _mask_of(
    group: Group, shown: Num[np.ndarray, "samples *shape"], *, layer: str | None = None
) -> Int[np.ndarray, "samples ..."]:
    """Return the player of each feature, of the shape of the inputs; of a feature map as it is, without channels."""
    if group.feature_mask is not None:
        mask = group.feature_mask.numpy()
        mask = mask.reshape(mask.shape[: shown.ndim]) if mask.ndim > shown.ndim else mask
        return np.broadcast_to(mask, shown.shape)
    assert group.players is not None
    if layer is not None:  # any map of this many cells: only where the cells lie matters
        side = group.players.grid
        found = group.players.feature_mask((1, *side), group.sample_ids.tolist())
        return np.broadcast_to(found.numpy(), (len(shown), 1, *side))
    found = group.players.feature_mask(shown.shape[1:], group.sample_ids.tolist())
    return np.broadcast_to(found.numpy(), shown.shape)


def _columns(
    shown: Num[np.ndarray, "samples *shape"], mask: Int[np.ndarray, "samples *shape"], samples: Samples
) -> tuple[Pieces, ...]:
    """Return name, value and player of each column, of each part of a table, or of each step of a sequence."""
    parts = None if samples.parts is None else samples.parts[0].numpy()
    out = []
    for row, players in zip(shown, mask, strict=True):
        if row.ndim > 1:  # a sequence: its steps, all features of which are one player
            out.append(steps_of(players))
            continue
        places = range(len(row)) if parts is None or not samples.names else np.unique(parts[parts >= 0])
        pieces = []
        for place in places:
            inside = [place] if parts is None or not samples.names else np.flatnonzero(parts == place)
            name = samples.names[place] if place < len(samples.names) else f"column {place + 1}"
            value = f"{float(row[inside[0]]):.4g}" if len(inside) == 1 else ""  # of words there are only indicators
            pieces.append((f"{name} = {value}" if value else name, int(players[inside[0]])))
        out.append(tuple(pieces))
    return tuple(out)
