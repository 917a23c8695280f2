"""By which rule tables were split, and what sparsity leaves open at the end of a run."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from interdyn.sparsify import expected_seconds, identified
from interdyn.values import Interactions, orders

_KEYS = ("solver", "order_weight", "noise_bound", "tol", "tol_rule", "max_iter", "merge_order_one")
_SAMPLES, _SECONDS = 8, 40.0  # of the ranges in a summary, at most
_PROGRAMS = 14  # splits that each end of a range takes, about


def split_record(settings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the options of the splits of a run, as its summary holds them.

    ``order_weight`` is None where version 0.1 made the split, by least energy, and the list of all where they are
    mixed; ``tol`` is the coarsest.

    Examples
    --------
    >>> split_record([{"solver": "admm", "order_weight": 0.02, "tol": 2e-3}])["order_weight"]
    0.02
    """
    every = list(settings)
    last = every[-1] if every else {}
    record = {key: last[key] for key in _KEYS if key in last}
    weights: list[float | None] = []
    for one in every:
        weight = one.get("order_weight")
        if weight not in weights:
            weights.append(weight)
    record["order_weight"] = weights if len(weights) > 1 else (weights or [None])[0]
    tolerances = [one["tol"] for one in every if "tol" in one]
    return record | ({"tol": max(tolerances)} if tolerances else {})


def identified_record(found: Interactions, *, step: float) -> dict[str, Any] | None:
    """Return what sparsity leaves open of the interactions at one step, on the first samples that vary.

    As many samples as take some forty seconds in one thread, at most eight; None where that is less than one.

    Returns
    -------
    ``step``, ``n_samples``, ``factor``, ``mean_order`` (low and high, means over the samples), and of each order the
    share of the strength, ``share_low`` and ``share_high``.
    """
    rows = (found.objective > 0).nonzero()[:, 0]
    n = found.n_players
    one = 2 * _PROGRAMS * (n + 1) * expected_seconds(n, 1, tol=1e-4, threads=1)
    count = min(len(rows), _SAMPLES, int(_SECONDS / one))
    if not count:
        return None
    chosen = found.sample(rows[:count])
    ranges = identified(chosen, strongest=0, allow_large=True)
    total = (chosen.i_and[:, 1:].abs() + chosen.i_or[:, 1:].abs()).sum(-1, keepdim=True)
    return {
        "step": step,
        "n_samples": count,
        "factor": float(ranges.factor.max()),
        "mean_order": [float(ranges.mean_order.low.mean()), float(ranges.mean_order.high.mean())],
        "reported_mean_order": _mean_order(chosen),
        "share_low": (ranges.strength.low / total).mean(0).tolist(),
        "share_high": (ranges.strength.high / total).mean(0).tolist(),
    }


def _mean_order(found: Interactions) -> float:
    """Return the mean order of the reported explanations, all interactions counted, on average over samples."""
    k = torch.tensor(orders(found.n_players).tolist(), dtype=torch.float64, device=found.i_and.device)
    strength = found.i_and.abs() + found.i_or.abs()
    return float(((strength @ k) / strength[:, 1:].sum(-1)).mean())
