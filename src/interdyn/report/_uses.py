"""What the network uses: the strongest interactions of each sample at each step, and what the samples look like."""

import base64
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from interdyn.plot import group_name
from interdyn.store import Exhibit, Measurement, Run, open_run, read_exhibit, read_measurement

TOP = 5  # interactions shown of each sample
_MOST = 100  # samples shown of each group
_BYTES = 1_000_000  # of pictures: larger ones are shown coarser


def uses(folder: Path) -> dict[str, Any] | None:
    """Return samples and their strongest interactions for the page; None where no group has been measured.

    Returns
    -------
    ``groups``: for each group its name in words, its samples (number, label), their look, and for every step the
    strongest interactions and the course of those that are strongest at the end; arrays are packed (`packed`).
    """
    run = open_run(folder)
    groups = [found for name in run.groups if (found := _group(run, name)) is not None]
    return {"groups": groups, "top": TOP} if groups else None


def packed(array: np.ndarray) -> dict[str, Any]:
    """Return an array as compressed text, which the page's JavaScript turns into a typed array.

    Examples
    --------
    >>> pack = packed(np.arange(3, dtype=np.int32))
    >>> pack["type"], pack["shape"], list(gzip.decompress(base64.b64decode(pack["data"]))[:5])
    ('int32', [3], [0, 0, 0, 0, 1])
    """
    solid = np.ascontiguousarray(array)
    data = base64.b64encode(gzip.compress(solid.tobytes(), compresslevel=6, mtime=0)).decode()
    return {"type": solid.dtype.name, "shape": list(solid.shape), "data": data}


def quantised(array: np.ndarray) -> dict[str, Any]:
    """Return an array as `packed` does, rounded to whole multiples of ``scale``, 1/32767 of the largest.

    Examples
    --------
    >>> pack = quantised(np.array([-2.0, 0.5]))
    >>> round(pack["scale"] * 32767, 6), pack["type"]
    (2.0, 'int16')
    """
    scale = float(np.abs(array).max(initial=0.0)) / 32767 or 1.0
    return {**packed(np.round(array / scale).astype(np.int16)), "scale": scale}


def _group(run: Run, name: str) -> dict[str, Any] | None:
    looks = [m for step in run.steps if (m := read_measurement(run, step, group=name)) is not None]
    looks = [m for m in looks if m.v.shape == looks[-1].v.shape] if looks else []
    if not looks:
        return None
    last = looks[-1]
    count = min(len(last.v), _MOST)
    found = [_strongest(m, count) for m in looks]
    subsets, values = (np.stack(part) for part in zip(*found, strict=True))
    final = found[-1][0]
    courses = np.stack([_signed(m, count)[np.arange(count)[:, None], final] for m in looks])
    exhibit = read_exhibit(run, name)
    if exhibit is not None and len(exhibit.sample_ids) != len(last.sample_ids):
        exhibit = None  # of a tracked training that went on with other samples
    return {
        "name": group_name(name),
        "steps": [m.step for m in looks],
        "unit": last.unit,
        "players": int(last.v.shape[1]).bit_length() - 1,
        "ids": last.sample_ids[:count].tolist(),
        "labels": None if last.targets is None else last.targets[:count].tolist(),
        "classes": [] if exhibit is None else list(exhibit.classes),
        "output": packed(np.stack([m.v[:count, -1] for m in looks]).astype(np.float32)),
        "subsets": packed(subsets.astype(np.int32)),
        "values": quantised(values),
        "courses": quantised(courses),
        **_look(exhibit, count),
    }


def _signed(m: Measurement, count: int) -> Float[np.ndarray, "samples both"]:
    """Return AND, then OR interactions without the constant, in one row for each sample."""
    i_and, i_or = m.i_and[:count].copy(), m.i_or[:count].copy()
    i_and[:, 0] = i_or[:, 0] = 0.0
    return np.concatenate([i_and, i_or], axis=1)


def _strongest(m: Measurement, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return place (AND first, OR after) and value of the strongest interactions, strongest first."""
    both = _signed(m, count)
    top = min(TOP, both.shape[1])
    place = np.argpartition(-np.abs(both), top - 1, axis=1)[:, :top]
    value = np.take_along_axis(both, place, axis=1)
    order = np.argsort(-np.abs(value), axis=1, kind="stable")
    return np.take_along_axis(place, order, axis=1), np.take_along_axis(value, order, axis=1)


def _look(exhibit: Exhibit | None, count: int) -> Mapping[str, Any]:
    """Return the look of the samples for the page; without one, players have numbers."""
    if exhibit is None:
        return {"look": "numbers"}
    if exhibit.pictures is not None and exhibit.players is not None:
        every = 1
        while exhibit.pictures[:count, ::every, ::every].size > _BYTES:
            every += 1
        pictures = exhibit.pictures[:count, ::every, ::every]
        players = exhibit.players[:count, ::every, ::every]
        return {"look": "pictures", "pictures": packed(pictures), "of": packed(players.astype(np.int8))}
    if exhibit.points is not None and exhibit.players is not None:
        points = exhibit.points[:count].astype(np.float32)
        return {"look": "points", "points": packed(points), "of": packed(exhibit.players[:count].astype(np.int8))}
    return {"look": "pieces", "pieces": _pieces(exhibit.pieces[:count])}


def _pieces(pieces: Sequence[Sequence[tuple[str, int]]]) -> list[list[list[Any]]]:
    return [[[text, player] for text, player in row] for row in pieces]
