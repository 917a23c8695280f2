"""What samples look like beside their players, for a run's directory: small, and only for the eye."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int, Num

from interdyn.store import Exhibit, Pieces

_SIDE = 96  # pixels: larger pictures are shown smaller
_POINTS = 512  # of a cloud: more are not shown


def with_pictures(
    bare: Exhibit,
    shown: Num[np.ndarray, "samples channels height width"],
    mask: Int[np.ndarray, "samples channels rows cols"],
) -> Exhibit:
    """Return an exhibit of small 8-bit pictures, each from its darkest to its brightest, and the player of each pixel.

    ``mask`` may be of another size than the pictures, as that of a feature map is: only where its cells lie matters.

    Examples
    --------
    >>> pictures, halves = np.arange(8.0).reshape(1, 1, 2, 4), np.array([[[[0, 1]]]])
    >>> found = with_pictures(Exhibit("test", np.array([7])), pictures, halves)
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


def with_points(
    bare: Exhibit, shown: Num[np.ndarray, "samples points axes"], mask: Int[np.ndarray, "samples points axes"]
) -> Exhibit:
    """Return an exhibit of clouds of points and the player of each point; of many points some are taken, evenly."""
    chosen = np.linspace(0, shown.shape[1] - 1, min(shown.shape[1], _POINTS)).astype(int)
    players = mask[:, :, 0][:, chosen].astype(np.int16)
    return replace(bare, points=shown[:, chosen].astype(np.float32), players=players)


def words_of(tokens: Sequence[str], players: Sequence[int]) -> Pieces:
    """Return the words of a sentence, put together from their tokens, each with its player, without padding and frame.

    Examples
    --------
    >>> words_of(["[CLS]", "un", "##happy", "end", "[PAD]"], [-1, 0, 0, 1, -1])
    (('unhappy', 0), ('end', 1))
    """
    words: list[tuple[str, int]] = []
    for text, player in zip(tokens, players, strict=True):
        if text.startswith("##") and words:
            words[-1] = (words[-1][0] + text[2:], words[-1][1])
        elif not (text.startswith("[") and text.endswith("]") and text != "[UNK]"):
            words.append((text, player))
    return tuple(words)


def steps_of(players: Int[np.ndarray, "steps *features"]) -> Pieces:
    """Return the steps of a sequence, each with its player.

    Examples
    --------
    >>> steps_of(np.array([[0, 0], [1, 1]]))
    (('step 1', 0), ('step 2', 1))
    """
    first = players.reshape(len(players), -1)[:, 0]
    return tuple((f"step {i + 1}", int(player)) for i, player in enumerate(first))
