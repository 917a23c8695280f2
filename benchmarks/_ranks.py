"""How well measures of complexity rank networks by their gap: over all of them, and within each study."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln
from scipy.stats import rankdata

EXACT = 11  # settings up to which all ways to redraw them are counted; 352,716 of 11
DRAWN = 50_000  # ways that are drawn of more
CLEAR = 0.005  # distance from 0 of an end that counts where ways are drawn: four times what other draws move it
PART = 4000  # ways at a time
FEWEST = 6  # networks of a group
FEWEST_SETTINGS = 4  # of a group with an interval

OURS = ("mean order", "H/V", "Walsh degree", "cancelling share", "twin order 1", "twin order 2", "twin order 3")
RIVALS = ("sharpness", "flatness", "weight norm", "distance from start", "margin", "alpha", "training loss")
SMALLER = {"twin order 1", "twin order 2", "twin order 3", "margin", "alpha", "training loss"}
"""Measures that are expected to be small where the gap is large."""

Network = dict[str, Any]


class Ranked(NamedTuple):
    """How well a measure ranks.

    Attributes
    ----------
    name
        Of the measure.
    whole, interval
        Rank correlation with the gap over all networks, and its 90 % interval.
    median, worst, group
        Over studies, and which study is the worst.
    judged, wrong
        How many studies have an interval, and in how many of them it lies below 0.
    right
        The studies whose interval lies above 0, and where it begins.
    """

    name: str
    whole: float
    interval: tuple[float, float]
    median: float
    worst: float
    group: str
    judged: int
    right: dict[str, float]
    wrong: int


def signed(networks: Sequence[Network], name: str) -> np.ndarray:
    """Return a measure of networks, turned so that more should mean a larger gap; NaN where there is none."""
    values = np.array([np.nan if n.get(name) is None else float(n[name]) for n in networks])
    return -values if name in SMALLER else values


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation of the known pairs; NaN where fewer than four are, or one is level."""
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 4:
        return math.nan
    x, y = rankdata(a[known]), rankdata(b[known])
    x, y = x - x.mean(), y - y.mean()
    size = math.sqrt(float((x @ x) * (y @ y)))
    return float(x @ y) / size if size else math.nan


def groups(networks: Sequence[Network]) -> dict[str, list[int]]:
    """Return the places of the networks of each study that are enough to be ranked."""
    out: dict[str, list[int]] = {}
    for i, network in enumerate(networks):
        out.setdefault(network["study"], []).append(i)
    return {name: members for name, members in out.items() if len(members) >= FEWEST}


def settings(networks: Sequence[Network]) -> np.ndarray:
    """Return the number of each network's setting, redrawn with all its seeds; of one setting that of each network."""
    names = [(n["study"], n["variant"]) for n in networks]
    each = list(dict.fromkeys(names))
    return np.array([each.index(name) for name in names]) if len(each) > 1 else np.arange(len(networks))


def interval(networks: Sequence[Network], x: np.ndarray, y: np.ndarray, seed: int = 0) -> tuple[float, float] | None:
    """Return the 90 % interval of a rank correlation, settings drawn with all their seeds; of one setting its seeds.

    Of few settings all ways to draw them are counted, so that no chance is in it. None of fewer than four.
    """
    of = settings(networks)
    if len(set(of)) < FEWEST_SETTINGS:
        return None
    times, likely = redrawn(len(set(of)), seed)
    parts = [weighted(x, y, times[at : at + PART][:, of]) for at in range(0, len(times), PART)]
    found = np.concatenate(parts)
    known = np.isfinite(found)
    return quantiles(found[known], likely[known]) if known.any() else None


@lru_cache(maxsize=32)
def redrawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each of some things is drawn, of all ways or many, and how likely each way is."""
    if count > EXACT:
        at = np.random.default_rng(seed).integers(count, size=(DRAWN, count), dtype=np.uint8)
        times, likely = _counted(at, count), np.full(DRAWN, 1 / DRAWN)
    else:
        times = _counted(np.array(list(combinations_with_replacement(range(count), count))), count)
        likely = np.exp(gammaln(count + 1) - gammaln(times + 1.0).sum(1) - count * math.log(count))
    return times, likely


def _counted(drawn: np.ndarray, count: int) -> np.ndarray:
    return np.stack([(drawn == i).sum(1, dtype=np.uint8) for i in range(count)], axis=1)


def weighted(x: np.ndarray, y: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return `rank_correlation` of networks that are there several times, for each line of ``times``."""
    known = np.isfinite(x) & np.isfinite(y)
    w = times[:, known].astype(float)
    n = w.sum(1)
    a, b = (_centred_ranks(one[known], w, n) for one in (x, y))
    size = np.sqrt((w * a * a).sum(1) * (w * b * b).sum(1))
    fine = (n >= 4) & (size > 1e-9)
    return np.where(fine, (w * a * b).sum(1) / np.where(fine, size, 1.0), np.nan)


def _centred_ranks(one: np.ndarray, w: np.ndarray, n: np.ndarray) -> np.ndarray:
    below = (one[:, None] < one[None]) + 0.5 * (one[:, None] == one[None])
    return w @ below - n[:, None] / 2


def quantiles(found: np.ndarray, likely: np.ndarray) -> tuple[float, float]:
    """Return the ends, at or beyond which 5 % or more lie to either side."""
    order = np.argsort(found)
    share = np.cumsum(likely[order]) / likely.sum()
    low, high = np.searchsorted(share, 0.05 - 1e-12), np.searchsorted(share, 0.95 + 1e-12)
    return float(found[order[low]]), float(found[order[min(high, len(order) - 1)]])


def side(ends: tuple[float, float], networks: Sequence[Network]) -> int:
    """Return 1 if an interval of networks lies above 0, -1 if below, else 0."""
    margin = CLEAR if len(set(settings(networks))) > EXACT else 0.0
    return int(ends[0] > margin) - int(ends[1] < -margin)


def ranking(networks: Sequence[Network], target: str) -> list[Ranked]:
    """Return how well each measure ranks, the best in its worst study first."""
    y, parts, out = signed(networks, target), groups(networks), []
    for name in (*OURS, *RIVALS):
        x = signed(networks, name)
        each = {group: rank_correlation(x[at], y[at]) for group, at in parts.items()}
        known = {group: value for group, value in each.items() if math.isfinite(value)}
        whole = rank_correlation(x, y)
        if not known or not math.isfinite(whole):
            continue
        members = {group: [networks[i] for i in parts[group]] for group in known}
        found = {group: interval(some, x[parts[group]], y[parts[group]]) for group, some in members.items()}
        ends = {group: one for group, one in found.items() if one is not None}
        sides = {group: side(one, members[group]) for group, one in ends.items()}
        right = {group: ends[group][0] for group, one in sides.items() if one > 0}
        worst, median = min(known, key=known.__getitem__), float(np.median(list(known.values())))
        all_of_them = interval(networks, x, y) or (math.nan, math.nan)
        counts = (len(sides), right, list(sides.values()).count(-1))
        out.append(Ranked(name, whole, all_of_them, median, known[worst], worst, *counts))
    return sorted(out, key=lambda one: -one.worst)
