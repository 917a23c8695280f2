"""How samples and their players are shown: small sample views for a run directory, for display only."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int, Num

from interdyn.errors import InputError
from interdyn.game import Columns, FeatureNames, columns_of
from interdyn.measurement._config import Group
from interdyn.store import Exhibit, Pieces

_SIDE = 96  # pixels: larger images are reduced
_POINTS = 512  # per cloud: further points are not shown


def exhibit_of(
    group: Group, *, shown: Num[np.ndarray, "samples *shape"] | None = None, classes: Sequence[str] = ()
) -> Exhibit | None:
    """Return the images, points, words or columns of a measured group; None for inputs of another kind.

    Parameters
    ----------
    group
        The samples; ``config.names`` names columns or tokens, or the players, as parts of point clouds and images.
    shown
        The samples in readable form, such as before they were standardised, shape ``(samples, *shape)``; by default
        the inputs.
    classes
        Name of each class.

    Raises
    ------
    InputError
        If there are fewer or more names than features of a sample.

    Examples
    --------
    >>> from interdyn.players import columns
    >>> from interdyn.measurement import MeasurementConfig
    >>> group = Group("test", (torch.ones(1, 2),), None, (7,), MeasurementConfig(players=columns(), names=("a", "b")))
    >>> exhibit_of(group).pieces
    ((('a = 1', 0), ('b = 1', 1)),)
    """
    found = group.inputs[0].detach().cpu().numpy() if shown is None else np.asarray(shown)
    bare = Exhibit(group.name, np.array(group.sample_ids), classes=tuple(classes))
    mask = _mask_of(group, found.shape)
    if mask is None:
        return None
    if found.ndim == 4 and mask.ndim == 4:
        return replace(_with_pictures(bare, found, mask), pieces=_of_players(group))
    if mask.shape != found.shape:
        return None
    if found.ndim == 3 and group.config.feature_mask is not None and found.shape[2] in (2, 3):
        return replace(_with_points(bare, found, mask), pieces=_of_players(group))
    if found.ndim == 3:
        return replace(bare, pieces=tuple(_steps(of) for of in mask))
    if found.ndim == 2:
        return replace(bare, pieces=tuple(_pieces(group, row, of) for row, of in zip(found, mask, strict=True)))
    return None


def _of_players(group: Group) -> tuple[Pieces, ...]:
    """Return the names of the players of each sample, where they are named one by one; else nothing."""
    names = group.config.names
    if not names or callable(names) or isinstance(names, Mapping):
        return ()
    rows = [names] * len(group) if isinstance(names[0], str) else names
    if len(rows) != len(group) or any(len(row) > group.n_players for row in rows):
        return ()
    return tuple(tuple((str(name), i) for i, name in enumerate(row) if name) for row in rows)


def check_names(group: Group) -> None:
    """Refuse names that do not fit the samples, before anything is measured.

    Raises
    ------
    InputError
        If a sample is not a row of columns or tokens, or there are fewer or more names than features.
    """
    if _names_of_features(group) is None:
        return
    shape = tuple(group.inputs[0].shape)
    if len(shape) != 2:
        raise InputError(
            f"`names` is for samples that are rows of columns or tokens; got samples of shape {shape[1:]}. Leave it "
            "out."
        )
    row = group.inputs[0][0].detach().cpu().numpy()
    _pieces(group, row, np.zeros(len(row), dtype=int))


def _names_of_features(group: Group) -> FeatureNames | None:
    """Return the names of a group's columns or tokens; None if there are none, or they are names of players."""
    names, shape = group.config.names, group.inputs[0].shape
    if names is None or callable(names) or isinstance(names, Mapping):
        return names
    first = names if not names or isinstance(names[0], str) else names[0]
    return None if len(first) == group.n_players and (len(shape) != 2 or len(first) != shape[1]) else names


def _mask_of(group: Group, shape: tuple[int, ...]) -> Int[np.ndarray, "samples ..."] | None:
    """Return the player of each feature of each sample, or of each cell of a feature map; None if not known."""
    config, players = group.config, group.config.players
    tokens = not group.inputs[0].is_floating_point()
    if config.layer is not None and len(shape) != 4 and not tokens:
        return None
    if players is None:
        given = config.feature_mask
        if isinstance(given, Mapping):
            given = given.get(group.keywords[0]) if group.keywords else None
        given = given[0] if isinstance(given, tuple) else given
        if given is None:
            return None
        mask = np.asarray(given)
        if mask.ndim > len(shape):  # each token is a vector
            mask = mask.reshape(*mask.shape[: len(shape)], -1)[..., 0]
        of_a_map = config.layer is not None and mask.ndim == len(shape) == 4
        return np.broadcast_to(mask, (len(group), *mask.shape[1:]) if of_a_map else shape)
    if config.layer is None:
        return np.broadcast_to(players.feature_mask(shape[1:], list(group.sample_ids)).numpy(), shape)
    if players.kind != "patches" or len(shape) != 4:
        return None
    cells = players.feature_mask((1, *players.grid), list(group.sample_ids))
    return np.broadcast_to(cells.numpy(), (len(group), 1, *players.grid))


def _with_pictures(
    bare: Exhibit,
    shown: Num[np.ndarray, "samples channels height width"],
    mask: Int[np.ndarray, "samples channels rows cols"],
) -> Exhibit:
    """Return a view of small 8-bit images, each scaled from its darkest to its brightest, and each pixel's player.

    ``mask`` may differ in size from the images, as for a feature map: only the position of its cells matters.

    Examples
    --------
    >>> pictures, halves = np.arange(8.0).reshape(1, 1, 2, 4), np.array([[[[0, 1]]]])
    >>> found = _with_pictures(Exhibit("test", np.array([7])), pictures, halves)
    >>> found.pictures[0, :, :, 0].tolist(), found.players[0].tolist()
    ([[0, 36, 73, 109], [146, 182, 219, 255]], [[0, 0, 1, 1], [0, 0, 1, 1]])
    """
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
    return replace(bare, pictures=levels.permute(0, 2, 3, 1).numpy(), players=players.astype(np.int16))


def _with_points(
    bare: Exhibit, shown: Num[np.ndarray, "samples points axes"], mask: Int[np.ndarray, "samples points axes"]
) -> Exhibit:
    """Return a view of point clouds and each point's player; of many points, an evenly spaced selection."""
    chosen = np.linspace(0, shown.shape[1] - 1, min(shown.shape[1], _POINTS)).astype(int)
    players = mask[:, :, 0][:, chosen].astype(np.int16)
    return replace(bare, points=shown[:, chosen].astype(np.float32), players=players)


def _steps(players: Int[np.ndarray, "steps features"]) -> Pieces:
    """Return the steps of a sequence, each with its player."""
    return tuple((f"step {i + 1}", int(player)) for i, player in enumerate(players[:, 0]))


def _pieces(group: Group, row: np.ndarray, players: Int[np.ndarray, " features"]) -> Pieces:
    """Return the words of a sentence, or name, value and player of each column, or of columns that share a name."""
    names = _names_of_features(group)
    if isinstance(names, Mapping):
        covered = {name: columns_of(at) or [] for name, at in names.items()}
        outside = [i for columns in covered.values() for i in columns if not 0 <= i < len(row)]
        if outside:
            raise InputError(f"`names` must refer to columns 0 to {len(row) - 1}; got column {outside[0]}. Correct it.")
        return tuple((_told(name, row, names[name]), int(players[at[0]])) for name, at in covered.items() if at)
    texts = [f"column {i + 1}" for i in range(len(row))]
    if names is not None:
        texts = [str(text) for text in (names(row.tolist()) if callable(names) else names)]
    if len(texts) != len(row):
        raise InputError(
            f"`names` must give a string for each of the {len(row)} columns or tokens of a sample; got {len(texts)}. "
            "Pass as many."
        )
    if callable(names):
        return _words(texts, players.tolist())
    return tuple((_told(text, row, [i]), int(players[i])) for i, text in enumerate(texts))


def _told(name: str, row: np.ndarray, columns: Columns) -> str:
    """Return the name of a column with its value, of a one-hot code with its category; otherwise the name alone.

    The category named ``""`` is a number, the others are 1 where it is missing or does not apply.

    Examples
    --------
    >>> row = np.array([0.0, 1.0, 39.0])
    >>> _told("age", row, [2]), _told("city", row, {"Berlin": 0, "Rome": 1}), _told("city", row, [0, 1])
    ('age = 39', 'city = Rome', 'city')
    """
    if not isinstance(columns, Mapping):
        return f"{name} = {float(row[columns[0]]):.4g}" if len(columns) == 1 else name
    active = [category for category, i in columns.items() if category and row[i] > 0.5]
    if not active and "" in columns:
        return f"{name} = {float(row[columns['']]):.4g}"
    return f"{name} = {active[0]}" if len(active) == 1 else name


def _words(tokens: Sequence[str], players: Sequence[int]) -> Pieces:
    """Return the words of a sentence, joined from their tokens, each with its player; no padding or special tokens.

    Examples
    --------
    >>> _words(["[CLS]", "un", "##happy", "end", "[PAD]"], [-1, 0, 0, 1, -1])
    (('unhappy', 0), ('end', 1))
    """
    words: list[tuple[str, int]] = []
    for text, player in zip(tokens, players, strict=True):
        if text.startswith("##") and words:
            words[-1] = (words[-1][0] + text[2:], words[-1][1])
        elif not (text.startswith("[") and text.endswith("]") and text != "[UNK]"):
            words.append((text, player))
    return tuple(words)
