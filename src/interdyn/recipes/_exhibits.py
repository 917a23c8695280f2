"""What the samples of a group look like, for the run's directory: small, and only for the eye."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int, Num

from interdyn.recipes._dataset import Samples
from interdyn.recipes._measuring import Group
from interdyn.recipes._schema import Recipe
from interdyn.store import Exhibit, Pieces

_SIDE = 96  # pixels: larger pictures are shown smaller
_POINTS = 512  # of a cloud: more are not shown


def exhibit_of(group: Group, samples: Samples, recipe: Recipe) -> Exhibit:
    """Return the pictures, points, words or columns of a group, each with the players that are masked together."""
    ids = group.sample_ids
    assert samples.shown is not None
    shown = np.asarray(samples.shown[ids])
    bare = Exhibit(group.name, ids, classes=samples.class_names)
    if samples.vocabulary:
        return replace(bare, pieces=_words(shown, _mask_of(group, shown), samples))
    if shown.ndim == 4:
        pictures, players = _pictures(shown, _mask_of(group, shown, layer=recipe.measure.layer))
        return replace(bare, pictures=pictures, players=players)
    if recipe.players.kind in ("clusters", "parts") and shown.ndim == 3:
        chosen = np.linspace(0, shown.shape[1] - 1, min(shown.shape[1], _POINTS)).astype(int)
        players = _mask_of(group, shown)[:, :, 0]
        players = players[:, chosen].astype(np.int16)
        return replace(bare, points=shown[:, chosen].astype(np.float32), players=players)
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


def _pictures(
    shown: Num[np.ndarray, "samples channels height width"], mask: Int[np.ndarray, "samples channels rows cols"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return small 8-bit pictures and the player of each of their pixels."""
    pictures = torch.from_numpy(np.asarray(shown, dtype=np.float32))
    pictures = pictures[:, :3] if pictures.shape[1] >= 3 else pictures[:, :1]
    side = max(pictures.shape[2:])
    if side > _SIDE:
        size = tuple(max(1, round(n * _SIDE / side)) for n in pictures.shape[2:])
        pictures = torch.nn.functional.interpolate(pictures, size=size, mode="area")
    low, high = pictures.amin((1, 2, 3), keepdim=True), pictures.amax((1, 2, 3), keepdim=True)
    levels = ((pictures - low) / (high - low).clamp_min(1e-12) * 255).round().to(torch.uint8)
    height, width = levels.shape[2:]
    rows = np.minimum((np.arange(height) + 0.5) * mask.shape[2] / height, mask.shape[2] - 1).astype(int)
    cols = np.minimum((np.arange(width) + 0.5) * mask.shape[3] / width, mask.shape[3] - 1).astype(int)
    players = mask[:, 0][:, rows][:, :, cols]
    return levels.permute(0, 2, 3, 1).numpy(), players.astype(np.int16)


def _words(
    shown: Num[np.ndarray, "samples tokens"], mask: Int[np.ndarray, "samples tokens"], samples: Samples
) -> tuple[Pieces, ...]:
    """Return the words of each sentence, put together from their tokens, without padding and frame."""
    out = []
    for ids, players in zip(shown.tolist(), mask.tolist(), strict=True):
        words: list[tuple[str, int]] = []
        for token, player in zip(ids, players, strict=True):
            text = samples.vocabulary[token]
            if text.startswith("##") and words:
                words[-1] = (words[-1][0] + text[2:], words[-1][1])
            elif not (text.startswith("[") and text.endswith("]") and text != "[UNK]"):
                words.append((text, player))
        out.append(tuple(words))
    return tuple(out)


def _columns(
    shown: Num[np.ndarray, "samples *shape"], mask: Int[np.ndarray, "samples *shape"], samples: Samples
) -> tuple[Pieces, ...]:
    """Return name, value and player of each column, of each part of a table, or of each step of a sequence."""
    parts = None if samples.parts is None else samples.parts[0].numpy()
    out = []
    for row, players in zip(shown, mask, strict=True):
        if row.ndim > 1:  # a sequence: its steps, all features of which are one player
            first = players.reshape(len(players), -1)[:, 0]
            out.append(tuple((f"step {i + 1}", int(player)) for i, player in enumerate(first)))
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
