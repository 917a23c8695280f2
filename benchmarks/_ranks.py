"""How well measures of complexity rank networks by their gap: over all of them, and within each study."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

DRAWN = 500  # resampled groups of networks
FEWEST = 6  # networks of a group

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
    right, wrong
        In how many studies the interval lies above 0, and below.
    """

    name: str
    whole: float
    interval: tuple[float, float]
    median: float
    worst: float
    group: str
    right: int
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


def interval(networks: Sequence[Network], x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the 90 % interval of a rank correlation, settings drawn with all their seeds; of one setting its seeds."""
    settings: dict[Any, list[int]] = {}
    for i, n in enumerate(networks):
        settings.setdefault((n["study"], n["variant"]), []).append(i)
    members = list(settings.values()) if len(settings) > 1 else [[i] for i in range(len(networks))]
    rng, drawn = np.random.default_rng(0), []
    for _ in range(DRAWN):
        at = np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))]).astype(int)
        drawn.append(rank_correlation(x[at], y[at]))
    if np.isnan(drawn).all():
        return math.nan, math.nan
    low, high = np.nanquantile(drawn, (0.05, 0.95))
    return float(low), float(high)


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
        within = [interval([networks[i] for i in at], x[at], y[at]) for at in (parts[group] for group in known)]
        worst, median = min(known, key=known.__getitem__), float(np.median(list(known.values())))
        right, wrong = sum(low > 0 for low, _ in within), sum(high < 0 for _, high in within)
        out.append(Ranked(name, whole, interval(networks, x, y), median, known[worst], worst, right, wrong))
    return sorted(out, key=lambda one: -one.worst)
