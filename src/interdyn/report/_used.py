"""What the network uses over all samples of a group: matched interactions at every checkpoint, for the page."""

import base64
import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt64

from interdyn.plot._naming import Naming
from interdyn.plot._panel import shortened
from interdyn.spectra import Matched
from interdyn.values import signed

K = 12  # interactions that are shown at once
_MOST, _LEAST = 64, 16  # interactions of a group on a page
_VALUES = 320_000  # interactions times steps times samples: of long runs there are fewer interactions
_OF_CLASS, _CLASSES = 6, 12  # interactions of one class, and the number of classes
LEVELS = 4095  # of values that are drawn: finer ones would make long pages large
_UNKNOWN = -32768  # in the values: not known
_GREW = 0.1  # share of the strongest: less growth is not reported


@dataclass(frozen=True)
class Chosen:
    """The interactions of a group on the page: where each sample has them, and where that is not known."""

    kinds: tuple[str, ...]
    players: tuple[tuple[str, ...], ...]
    places: Int[np.ndarray, "samples used"]
    absent: Float[np.ndarray, "samples used"]  # NaN where it is not known, else 0

    @classmethod
    def of(cls, matched: Matched, codes: UInt64[np.ndarray, " used"]) -> "Chosen":
        """Return where the samples have the interactions of these codes."""
        places = matched.places(codes)
        named = [matched.players(places[:, at]) for at in range(len(codes))]
        absent = matched.told(places, np.zeros(places.shape))
        return cls(tuple(kind for kind, _ in named), tuple(who for _, who in named), places, absent)

    def first(self, count: int) -> "Chosen":
        """Return the same of the first samples."""
        return Chosen(self.kinds, self.players, self.places[:count], self.absent[:count])

    def values(
        self, entries: Float[np.ndarray, "samples used"], threshold: Float[np.ndarray, " samples"]
    ) -> Float[np.ndarray, "samples used"]:
        """Return the values, given those in the places: 0 below the threshold, NaN where not known."""
        salient = (np.abs(entries) >= threshold[:, None]) & (self.places >= 0)
        return np.where(salient, entries, self.absent)


def codes_of(
    by_step: Sequence[UInt64[np.ndarray, " some"]], *more: UInt64[np.ndarray, " some"], samples: int = 1
) -> np.ndarray:
    """Return the codes on the page: the strongest of the last step, of classes, then of earlier steps.

    Examples
    --------
    >>> steps = [np.array([3, 1], dtype=np.uint64), np.array([1, 2], dtype=np.uint64)]
    >>> codes_of(steps, np.array([9], dtype=np.uint64)).tolist()
    [1, 2, 9, 3]
    """
    most = min(_MOST, max(_LEAST, _VALUES // (samples * len(by_step))))
    every = [*by_step[-1:], *more, *reversed(by_step[:-1])]
    kept = dict.fromkeys(int(code) for codes in every for code in codes)
    return np.array(list(kept)[:most], dtype=np.uint64)


def codes_of_classes(
    matched: Matched,
    i_and: Float[np.ndarray, "samples subsets"],
    i_or: Float[np.ndarray, "samples subsets"],
    *,
    threshold: Float[np.ndarray, " samples"],
    labels: Iterable[int] | None,
) -> list[UInt64[np.ndarray, " some"]]:
    """Return the strongest interactions of each class alone, for the largest classes."""
    of = np.array([] if labels is None else list(labels), dtype=int)
    classes, counts = np.unique(of, return_counts=True)
    if len(classes) < 2:
        return []
    largest = classes[np.argsort(-counts, kind="stable")[:_CLASSES]]
    return [
        matched.strongest(i_and, i_or, threshold=threshold, k=_OF_CLASS, least=2, rows=of == label) for label in largest
    ]


def record_of(chosen: Chosen, naming: Naming, values: Float[np.ndarray, "steps samples used"]) -> dict[str, Any]:
    """Return what the page shows of a group: names, and the values of every step and sample, packed."""
    names = list(dict.fromkeys(name for who in chosen.players for name in who))
    at = {name: i for i, name in enumerate(names)}
    scale = float(np.nanmax(np.abs(values), initial=0.0)) / LEVELS or 1.0
    known = np.nan_to_num(np.round(values / scale), nan=_UNKNOWN)
    return {
        "naming": naming.sentence,
        "grid": naming.grid,
        "names": names,
        "kinds": list(chosen.kinds),
        "players": [[at[name] for name in who] for who in chosen.players],
        "values": {**packed(known.astype(np.int16)), "scale": scale},
        "grown": grown(chosen, values),
    }


def grown(chosen: Chosen, values: Float[np.ndarray, "steps samples used"]) -> list[Any] | None:
    """Return what grew most between the last two checkpoints: kind, names, mean strength before and now.

    Examples
    --------
    >>> chosen = Chosen(("and",), (("age",),), np.zeros((1, 1), dtype=int), np.zeros((1, 1)))
    >>> grown(chosen, np.array([[[1.0]], [[-3.0]]]))
    ['and', ['age'], 1.0, 3.0]
    """
    if len(values) < 2 or not len(chosen.kinds):
        return None
    seen = np.isfinite(values[-1]).sum(axis=0)
    before, now = (np.nansum(np.abs(one), axis=0) / np.maximum(seen, 1) for one in values[-2:])
    enough = np.where(seen >= min(3, values.shape[1]), now - before, 0.0)
    most = int(enough.argmax())
    if not enough[most] > _GREW * float(now.max()):
        return None
    return [chosen.kinds[most], list(chosen.players[most]), round(float(before[most]), 9), round(float(now[most]), 9)]


def being_learned(used: Mapping[str, Any] | None) -> str:
    """Return a sentence on the interaction that has grown most since the last but one checkpoint.

    Parameters
    ----------
    used
        What `interdyn.report._uses.Uses.record` returns; the first group counts.

    Returns
    -------
    The sentence; empty where players have no names that mean the same in every sample, or there is one checkpoint.

    Examples
    --------
    >>> group = {"steps": [10, 20], "unit": "log-odds", "used": {"grown": ["and", ["age", "job"], 0.5, 1.25]}}
    >>> being_learned({"groups": [group]})
    'Most growth since step 10: age AND job, from 0.50 to 1.25 log-odds on average.'
    """
    group = used["groups"][0] if used and used["groups"] else {}
    if not group.get("used") or len(group["steps"]) < 2:
        return ""
    since = f"since step {group['steps'][-2]:,}"
    if group["used"]["grown"] is None:
        return f"No interaction has grown much {since}."
    kind, who, before, now = group["used"]["grown"]
    names = f" {kind.upper()} ".join(shortened(name) for name in who)
    names = names if len(who) > 1 else f'"{names}"'
    low, high = (signed(x).lstrip("+") for x in (before, now))
    return f"Most growth {since}: {names}, from {low} to {high} {group['unit']} on average."


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


def quantised(array: np.ndarray, levels: int = 32767) -> dict[str, Any]:
    """Return an array as `packed` does, rounded to multiples of ``scale``, the largest value over ``levels``.

    Examples
    --------
    >>> pack = quantised(np.array([-2.0, 0.5]))
    >>> round(pack["scale"] * 32767, 6), pack["type"]
    (2.0, 'int16')
    """
    scale = float(np.abs(array).max(initial=0.0)) / levels or 1.0
    return {**packed(np.round(array / scale).astype(np.int16)), "scale": scale}
