"""One setting in place of another, over data sets: what optimiser, schedule and knobs do on each of them."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from _tables import lines
from interdyn.recipes import StudyResult
from interdyn.recipes._over_seeds import mean_over

Pairs = Sequence[tuple[str, str]]

RATES = {
    "sgd": ("0.03", "0.1", "0.3"),
    "sgd-momentum": ("0.003", "0.01", "0.03"),
    **dict.fromkeys(("adam", "adamw", "muon"), ("0.0003", "0.001", "0.003")),
}
SCHEDULED = ("sgd-momentum", "adamw", "muon")
SCHEDULES = ("step", "cosine", "warm-up")
QUANTITIES = {
    "order_at_85": "Mean order at equal test accuracy, where 0.85 is first reached",
    "low_share": "Share of training in low orders, within 0.5 of the minimum, over log(1 + step)",
    "end_mean_order": "Mean order at the end",
    "test_accuracy": "Test accuracy at the end",
}
SMALL = 6  # pairs of a line that is on two data sets with three seeds
AGREE = 0.9  # share of the pairs of each data set that have the sign of a finding
HEAD = """Each line replaces one setting by another, all else equal. Numbers are differences, means over pairs of
settings and seeds; in brackets, how many of the pairs have the sign of the mean. "Same direction" means that the mean
has one sign on every data set, and that at least nine of ten pairs on each of them have it. A line whose differences
are all 0 has no direction."""


def instead(new: str, old: str) -> Pairs:
    """Return the settings of two optimisers that belong together: three rates, and schedules where both have them."""
    rated = [(f"{new}-{a}", f"{old}-{b}") for a, b in zip(RATES[new], RATES[old], strict=True)]
    both = SCHEDULES if new in SCHEDULED and old in SCHEDULED else ()
    return [*rated, *((f"{new}-{name}", f"{old}-{name}") for name in both)]


def scheduled(name: str) -> Pairs:
    """Return the settings with a schedule, each with the constant rate that it begins or ends with."""
    return [(f"{optimiser}-{name}", f"{optimiser}-{RATES[optimiser][1]}") for optimiser in SCHEDULED]


CONTRASTS: Mapping[str, Mapping[str, Pairs]] = {
    "optimisers": {
        "largest rate for a tenth of it": [
            (f"{name}-{rates[2]}", f"{name}-{rates[0]}") for name, rates in RATES.items()
        ],
        "cosine for a constant rate": scheduled("cosine"),
        "step for a constant rate": scheduled("step"),
        "warm-up for none": scheduled("warm-up"),
        "momentum for none": instead("sgd-momentum", "sgd"),
        "AdamW for Adam": instead("adamw", "adam"),
        "AdamW for SGD with momentum": instead("adamw", "sgd-momentum"),
        "Muon for SGD with momentum": instead("muon", "sgd-momentum"),
    },
    "knobs": {
        "weight decay of 0.01 for none": [("weight-decay-0.01", "default")],
        "dropout of 0.5 for none": [("dropout-0.5", "default")],
        "label smoothing of 0.3 for none": [("label-smoothing-0.3", "default")],
        "images shifted by up to 2 for none": [("shift-2", "default")],
    },
}


def differences(result: StudyResult, pairs: Pairs, quantity: str) -> list[float]:
    """Return the differences of a quantity, of every pair of settings and every seed that has both."""
    values = {
        (run.planned.variant, run.planned.seed): value
        for run in result.finished
        if (value := run.values.get(quantity)) is not None
    }
    seeds = sorted({seed for _, seed in values})
    both = [((new, seed), (old, seed)) for new, old in pairs for seed in seeds]
    return [values[new] - values[old] for new, old in both if new in values and old in values]


def agreeing(found: Sequence[float]) -> int:
    """Return how many differences have the sign of their mean, which none has if the mean is 0."""
    sign = np.sign(np.mean(found))
    return sum(np.sign(one) == sign for one in found) if sign else 0


def same_way(by_data: Sequence[Sequence[float]]) -> bool:
    """Return whether the mean has one sign on every data set, which nine of ten differences on each have."""
    if not all(by_data) or not by_data:
        return False
    signs = {np.sign(np.mean(found)) for found in by_data}
    return len(signs) == 1 and 0 not in signs and all(agreeing(found) >= AGREE * len(found) for found in by_data)


def by_chance(by_data: Sequence[Sequence[float]]) -> float:
    """Return the probability that differences agree as `same_way` asks if their signs are those of fair coins.

    It is an upper bound, since the mean must have the sign too.
    """
    if not all(by_data) or not by_data or not any(one for found in by_data for one in found):
        return 0.0
    each = [_at_least(math.ceil(AGREE * len(found)), len(found)) for found in by_data]
    return 2 * math.prod(each)


def _at_least(k: int, n: int) -> float:
    """Return the probability of at least k heads in n throws."""
    return float(sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n)


def chance(results: Mapping[str, StudyResult]) -> str:
    """Return how many lines of all quantities are tested, and how many of them chance makes agree."""
    tested = [list(by.values()) for name in QUANTITIES for by in by_data(results, name).values()]
    small = [one for one in tested if sum(map(len, one)) <= SMALL]
    return (
        f"Of {len(tested)} lines ({len(tested) // len(QUANTITIES)} replacements, {len(QUANTITIES)} quantities) "
        f"{sum(map(same_way, tested))} have the same direction on every data set; with signs of fair coins "
        f"{sum(map(by_chance, tested)):.2g} would, {sum(map(by_chance, small)):.2g} of these among the {len(small)} "
        "lines on two data sets with three seeds. Pairs that share a setting are not independent, so chance may do "
        "more."
    )


def section(results: Mapping[str, StudyResult]) -> list[str]:
    """Return what the page says over data sets, from the studies by name."""
    data = _data(results)
    told = ["## Over data sets", "", *textwrap.wrap(HEAD, 120), ""]
    for quantity, words in QUANTITIES.items():
        found = by_data(results, quantity)
        rows = [(name, *(cell(by.get(one, ())) for one in data)) for name, by in found.items()]
        told += [f"{words}. Same direction on every data set: {', '.join(always(found)) or 'none'}.", ""]
        told += [*lines(("replacement", *data), rows), ""]
    return told


def by_data(results: Mapping[str, StudyResult], quantity: str) -> dict[str, dict[str, list[float]]]:
    """Return of each replacement the differences of a quantity, by data set that has a study with both settings."""
    out = {}
    for kind, contrasts in CONTRASTS.items():
        studies = {name: results[f"{kind}-{name}"] for name in _data(results) if f"{kind}-{name}" in results}
        for contrast, pairs in contrasts.items():
            both = {name: one for name, one in studies.items() if any({*pair} <= {*one.by_variant} for pair in pairs)}
            out[contrast] = {name: differences(one, pairs, quantity) for name, one in both.items()}
    return out


def always(found: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    """Return the replacements that change a quantity in the same direction on every data set, with their pairs."""
    out = []
    for name, by in found.items():
        if same_way(list(by.values())):
            way = "lower" if np.mean(by[min(by)]) < 0 else "higher"
            pairs = ", ".join(f"{data} {agreeing(one)} of {len(one)}" for data, one in by.items())
            out.append(f"{name} ({way}; pairs: {pairs})")
    return out


def in_low_orders(results: Mapping[str, StudyResult]) -> str:
    """Return which knobs keep a network longer in low orders, and which have lower ones at equal test accuracy."""
    knobs = {name.partition("-")[2]: one for name, one in results.items() if name.startswith("knobs-")}
    longer, lower, tested = {}, {}, 0
    for data, result in knobs.items():
        others = [name for name in result.by_variant if name != "default"]
        gains = {name: mean_over(differences(result, [(name, "default")], "low_share")) for name in others}
        orders = {name: mean_over(differences(result, [(name, "default")], "order_at_85")) for name in others}
        longer[data] = [name for name, found in gains.items() if (found.low or 0) > 0]
        lower[data] = [name for name, found in orders.items() if (found.high or 0) < 0]
        tested += len(others)
    both = {data: [name for name in longer[data] if name in lower[data]] for data in knobs}
    everywhere = sorted(set.intersection(*map(set, both.values()))) if both else []
    return (
        "Which knob keeps a network longest in low orders at equal test accuracy? "
        f"{', '.join(everywhere) or 'None does'} on every data set. A longer time in low orders than with the "
        f"default is established (complete 95 % interval) with {_by_data(longer)}; a lower mean order at equal test "
        f"accuracy with {_by_data(lower)}; both with {_by_data(both)}. Of {tested} comparisons of each kind about "
        f"{0.025 * tested:.2g} would be established by chance."
    )


def _by_data(named: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{', '.join(names) or 'none'} on {data}" for data, names in named.items())


def _data(results: Mapping[str, StudyResult]) -> list[str]:
    """Return the data sets of the studies that are compared."""
    return sorted({name.partition("-")[2] for name in results if name.partition("-")[0] in CONTRASTS})


def cell(found: Sequence[float]) -> str:
    """Return the mean difference and how many agree with it."""
    if not found:
        return "-"
    return f"{np.mean(found):+.3f} ({agreeing(found)} of {len(found)})" if any(found) else f"0 in all {len(found)}"
