"""What the measured samples look like: small pictures, words, points, so that interactions can be shown on them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from interdyn.store._files import read_arrays, write_arrays
from interdyn.store._run import VERSION, Run

Pieces = tuple[tuple[str, int], ...]
"""The pieces of a sample in reading order: what is written, and its player, below 0 for none."""


@dataclass(frozen=True)
class Exhibit:
    """The samples of one group, to be looked at; not what the network sees.

    Attributes
    ----------
    group, sample_ids
        The group; indices into the data set, shape ``(samples,)``.
    pictures
        8-bit pictures, grey or red, green, blue, shape ``(samples, height, width, 1 or 3)``; None where there are none.
    points
        Points of clouds, float32, shape ``(samples, points, 2 or 3)``; None where there are none.
    players
        The player of each pixel ``(samples, height, width)`` or point ``(samples, points)``, below 0 for none.
    pieces
        Words or columns of each sample; empty where there are none.
    classes
        Name of each class, where the data name them.
    """

    group: str
    sample_ids: Int[np.ndarray, " samples"]
    pictures: UInt8[np.ndarray, "samples height width colours"] | None = None
    points: Float[np.ndarray, "samples points axes"] | None = None
    players: Int[np.ndarray, "samples ..."] | None = None
    pieces: tuple[Pieces, ...] = ()
    classes: tuple[str, ...] = ()


def write_exhibit(run: Run, exhibit: Exhibit) -> None:
    """Write what the samples of a group look like, in the folder ``exhibits``.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    arrays: dict[str, Any] = {"sample_ids": exhibit.sample_ids}
    for name in ("pictures", "points", "players"):
        if getattr(exhibit, name) is not None:
            arrays[name] = getattr(exhibit, name)
    header: dict[str, Any] = {"group": exhibit.group, "config_hash": run.config_hash, "version": VERSION}
    header |= {"pieces": exhibit.pieces, "classes": exhibit.classes}
    write_arrays(run.path / "exhibits" / f"{exhibit.group}.safetensors", arrays, header=header)


def read_exhibit(run: Run, group: str) -> Exhibit | None:
    """Return what the samples of a group look like, or None where the run does not hold it, as older ones do not.

    Raises
    ------
    SchemaError
        If a newer version wrote it.
    """
    found = read_arrays(run.path / "exhibits" / f"{group}.safetensors")
    if found is None or found[1].get("config_hash") != run.config_hash:
        return None
    arrays, header = found
    return Exhibit(
        group,
        arrays["sample_ids"],
        arrays.get("pictures"),
        arrays.get("points"),
        arrays.get("players"),
        tuple(tuple((str(text), int(player)) for text, player in row) for row in header.get("pieces", ())),
        tuple(str(name) for name in header.get("classes", ())),
    )
