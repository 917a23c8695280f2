"""What the samples of a probe look like, for the tracker's folder."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int

from interdyn.errors import InputError
from interdyn.measurement import steps_of, with_pictures, with_points, words_of
from interdyn.store import Exhibit, Pieces
from interdyn.tracking._look import Looking
from interdyn.tracking._probe import Probe

Names = Sequence[str] | Callable[[Any], Sequence[str]]
"""The name of each column; or a function from a row of token ids to their texts."""


def exhibit_of(looking: Looking, probe: Probe, *, n_players: int | None, names: Names | None) -> Exhibit | None:
    """Return pictures, points, words or columns of a group as it is looked at; None for inputs of another kind.

    Raises
    ------
    InputError
        If the names are fewer or more than the features of a sample.
    """
    shown = probe.inputs[0].detach().cpu().numpy()
    bare = Exhibit(probe.name, np.array(probe.sample_ids))
    mask = _mask_of(looking, probe, n_players)
    if mask is None:
        return None
    if shown.ndim == 4 and mask.ndim == 4:
        return with_pictures(bare, shown, mask)
    if looking.config.layer is not None or mask.shape != shown.shape:
        return None
    if shown.ndim == 3 and looking.config.feature_mask is not None and shown.shape[2] in (2, 3):
        return with_points(bare, shown, mask)
    if shown.ndim == 3:
        return replace(bare, pieces=tuple(steps_of(of) for of in mask))
    if shown.ndim == 2:
        return replace(bare, pieces=tuple(_pieces(row, of, names) for row, of in zip(shown, mask, strict=True)))
    return None


def _mask_of(looking: Looking, probe: Probe, n_players: int | None) -> Int[np.ndarray, "samples ..."] | None:
    """Return the player of each feature of each sample, or of each cell of a feature map; None where it is unknown."""
    shape = tuple(probe.inputs[0].shape)
    if looking.config.feature_mask is not None:
        mask = np.asarray(looking.config.feature_mask)[: len(probe)]
        map_of_pictures = looking.config.layer is not None and mask.ndim == len(shape) == 4
        return np.broadcast_to(mask, (len(probe), *mask.shape[1:]) if map_of_pictures else shape)
    players = looking.drawn(n_players)
    assert players is not None
    if looking.config.layer is None:
        return np.broadcast_to(players.feature_mask(shape[1:], list(probe.sample_ids)).numpy(), shape)
    if players.kind != "patches" or len(shape) != 4:
        return None
    found = players.feature_mask((1, *players.grid), list(probe.sample_ids))
    return np.broadcast_to(found.numpy(), (len(probe), 1, *players.grid))


def check_names(names: Names | None, probe: Probe) -> None:
    """Refuse names that do not fit the samples, before anything is looked at.

    Raises
    ------
    InputError
        If a sample is no row of columns or tokens, or they are fewer or more than its features.
    """
    if names is None:
        return
    shape = tuple(probe.inputs[0].shape)
    if len(shape) != 2:
        raise InputError(
            f"`names` is for samples that are rows of columns or tokens; got samples of shape {shape[1:]}."
        )
    _texts(probe.inputs[0][0].detach().cpu().numpy(), names)


def _texts(row: np.ndarray, names: Names) -> list[str]:
    """Return the text of each token or column of a row."""
    texts = [str(text) for text in (names(row.tolist()) if callable(names) else names)]
    if len(texts) != len(row):
        raise InputError(
            f"`names` must give a text for each of the {len(row)} columns or tokens of a sample; got {len(texts)}."
        )
    return texts


def _pieces(row: np.ndarray, players: Int[np.ndarray, " features"], names: Names | None) -> Pieces:
    texts = [f"column {i + 1}" for i in range(len(row))] if names is None else _texts(row, names)
    if callable(names):
        return words_of(texts, players.tolist())
    return tuple(
        (f"{name} = {value:.4g}", int(player)) for name, value, player in zip(texts, row, players, strict=True)
    )
