"""The truth of each training of the monitor's evidence, and how each signal fares on the two questions.

*Is this training being harmed?* is asked at every measured step, so that each signal has one value there: others' is
that of the last evaluation. A training weighs 1, however many steps it has. *Where was the best step?* is asked once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from _monitor_series import smoothed
from interdyn.dynamics import find_gap_onset, least_loss

RISES = 1.05  # of the smoothed least test loss, and by two standard errors: harm
RINGS, TOO_SMALL = 1.3, 2.0  # of the pattern, at two steps in a row; alpha of weightwatcher
DRAWS, LEVEL = 2000, 0.9
END, BLIND, SHARES = "end", "share of the steps", np.arange(1, 21) / 20  # controls of the second question
STEP, HARM = "log step", "harm (`find_harm`)"
Kept = Mapping[str, Any]


# -- the truth ---------------------------------------------------------------------------------------


def truth(fine: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return where the test loss is least, at which evaluations training has harmed, and where the gap begins."""
    steps, test = np.array(fine["steps"], float), smoothed(np.array(fine["test"]))
    least = int(test.argmin())
    above = test - test[least]
    harmed = (np.arange(len(test)) > least) & (test > RISES * test[least]) & (above > 2 * np.array(fine["error"]))
    gap = find_gap_onset(steps, np.array(fine["train"]), np.array(fine["test"]))
    return {
        "least_at": float(steps[least]),
        "least": float(test[least]),
        "end": float(test[-1]),
        "harmed": harmed,
        "since": float(steps[harmed.argmax()]) if harmed.any() else None,
        "gap_grows": gap.found,
        "gap_onset": gap.step,
        "gap_interval": gap.interval,
    }


def judge(kept: dict[str, Any]) -> None:
    """Add the truth of a training, and at which measured steps it was harmed by then."""
    kept["truth"] = truth(kept["fine"])
    kept["now"] = at_looks(kept, kept["truth"]["harmed"].astype(float)) > 0


def at_looks(kept: Kept, course: Sequence[float | None] | np.ndarray) -> np.ndarray:
    """Return a course over evaluations at each measured step: that of the last evaluation up to there."""
    values = np.array([np.nan if x is None else x for x in course], float)
    return values[np.searchsorted(kept["fine"]["steps"], kept["looks"], side="right") - 1]


# -- signals -----------------------------------------------------------------------------------------


def known(course: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if x is None else x for x in course], float)


def rise(course: np.ndarray) -> np.ndarray:
    """Return how far each value is above the least so far.

    >>> rise(np.array([2.0, 1.0, 1.5]))
    array([0. , 0. , 0.5])
    """
    return course - np.fmin.accumulate(course)


def logged(course: Sequence[float | None]) -> np.ndarray:
    return rise(np.log(np.maximum(known(course), 1e-12)))


def of_rival(name: str) -> Callable[[Kept], np.ndarray]:
    return lambda k: at_looks(k, logged(k["rivals"][name]["signal"]))


@dataclass(frozen=True)
class Signal:
    """A signal: whose it is, its value at each measured step (larger: more harm), and where its own rule rings.

    ``rings`` is None where there is no rule but the threshold that the other tasks give; ``best`` names a best step.
    """

    family: str  # ours, other, labels (needs held-out ones) or control
    values: Callable[[Kept], np.ndarray] | None
    rings: Callable[[Kept], float | None] | None = None
    best: Callable[[Kept], float | None] | None = None


def twice(values: np.ndarray, looks: Sequence[float], threshold: float) -> float | None:
    """Return the step at which a signal has exceeded a threshold twice in a row."""
    above = np.nan_to_num(values, nan=-np.inf) > threshold
    both = above[1:] & above[:-1]
    return float(looks[1 + int(both.argmax())]) if both.any() else None


def stops(name: str) -> Callable[[Kept], float | None]:
    return lambda k: k["rivals"][name]["stops_at"]


def keeps(name: str) -> Callable[[Kept], float | None]:
    return lambda k: k["rivals"][name]["best"] if k["rivals"][name]["stops_at"] is not None else None


def alpha_rings(k: Kept) -> float | None:
    small = known(k["alpha"]) < TOO_SMALL
    return float(k["looks"][int(small.argmax())]) if small.any() else None


def lowest(k: Kept) -> float | None:
    order = known(k["mean_order"])
    return None if np.isnan(order).all() else float(k["looks"][int(np.nanargmin(order))])


def pattern_rings(k: Kept) -> float | None:
    return twice(known(k["pattern"]), k["looks"], RINGS)


def least_after_harm(k: Kept) -> float | None:
    """Return the step of the least validation loss, where harm was said by then."""
    if k["harm"]["said"] is None:
        return None
    until = int(np.searchsorted(k["fine"]["steps"], k["harm"]["said"], side="right"))
    return least_loss(np.array(k["fine"]["steps"][:until], float), np.array(k["fine"]["validation"][:until]))


SIGNALS: dict[str, Signal] = {
    "R": Signal("ours", lambda k: known(k["pattern"]), pattern_rings, pattern_rings),
    "mean order": Signal("ours", lambda k: rise(known(k["mean_order"])), None, lowest),
    "cancelling share": Signal("ours", lambda k: rise(known(k["cancelling"]))),
    "Walsh degree": Signal("ours", lambda k: rise(known(k["degree"]))),
    "seed twin, order 1": Signal("ours", lambda k: rise(-known([x[0] for x in k["twin"]]))),
    "Label Wave": Signal("other", of_rival("label-wave"), stops("label-wave"), keeps("label-wave")),
    "gradient disparity": Signal(
        "other", of_rival("gradient-disparity"), stops("gradient-disparity"), keeps("gradient-disparity")
    ),
    "instance-wise stopping": Signal(
        "other",
        lambda k: at_looks(k, k["rivals"]["instance-stopping"]["signal"]),
        stops("instance-stopping"),
        keeps("instance-stopping"),
    ),
    "weightwatcher": Signal("other", lambda k: -known(k["alpha"]), alpha_rings, alpha_rings),
    "patience": Signal("labels", of_rival("patience"), stops("patience"), keeps("patience")),
    HARM: Signal("labels", None, lambda k: k["harm"]["said"], least_after_harm),
    "training loss": Signal("control", lambda k: -at_looks(k, k["fine"]["train"])),
    STEP: Signal("control", lambda k: np.log1p(np.array(k["looks"], float))),
}


def measured(name: str, kept: Sequence[Kept]) -> list[Kept]:
    """Return the trainings in which a signal was measured: seed twins are few, weightwatcher may be absent."""
    field = {"seed twin, order 1": "twin", "weightwatcher": "alpha"}.get(name)
    return list(kept) if field is None else [k for k in kept if k[field] is not None]


# -- is this training being harmed? ------------------------------------------------------------------


@dataclass(frozen=True)
class Fare:
    """How a signal fares on the first question; draws are of tasks, and of trainings in them."""

    n: int
    auc: float
    balanced: float  # accuracy, by thresholds of the other tasks
    auc_draws: np.ndarray
    draws: np.ndarray  # of the balanced accuracy
    worst: tuple[float, str]  # balanced accuracy of the worst task
    false_alarms: tuple[int, int]  # of harmless trainings
    alarms: tuple[int, int]  # of harmed trainings
    early: int  # alarms of harmed trainings before harm begins
    late: tuple[float, ...]  # alarm step over the start of harm


Looks = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Values, truths and weights at the measured steps of a training."""


def looks_of(signal: Signal, k: Kept) -> Looks:
    """Return a signal at the measured steps of a training; what is not known is the least."""
    assert signal.values is not None
    values = signal.values(k)
    return np.where(np.isfinite(values), values, -1e6), k["now"], np.full(len(values), 1 / len(values))


def joined(parts: Sequence[Looks]) -> Looks:
    values, true, weight = (np.concatenate(x) for x in zip(*parts, strict=True))
    return values, true, weight


def accuracy(said: np.ndarray, true: np.ndarray, weight: np.ndarray) -> float:
    """Return the mean of the shares of harmed and of other steps that are told; of those of which there are any.

    >>> accuracy(np.array([True, True, False]), np.array([True, False, False]), np.ones(3))
    0.75
    """
    told, there = (said, ~said), (true, ~true)
    return float(np.mean([np.average(x[y], weights=weight[y]) for x, y in zip(told, there, strict=True) if y.any()]))


def threshold(parts: Sequence[Looks]) -> float:
    """Return the threshold of the largest balanced accuracy on some trainings; of 300 between their values."""
    values, true, weight = joined(parts)
    between = np.unique(values)
    middle = (between[1:] + between[:-1]) / 2 if len(between) > 1 else between
    middle = middle[:: max(1, len(middle) // 300)]
    return float(middle[int(np.argmax([accuracy(values > edge, true, weight) for edge in middle]))])


def left_out(parts: Sequence[Looks], tasks: Sequence[str]) -> dict[str, float]:
    """Return for each task the threshold that the trainings of all others give; its own where there is no other."""
    pairs = list(zip(parts, tasks, strict=True))
    return {task: threshold([p for p, t in pairs if t != task] or list(parts)) for task in sorted(set(tasks))}


def resampled(kept: Sequence[Kept], rng: np.random.Generator) -> list[int]:
    """Return trainings drawn with replacement: tasks first, then of each as many trainings as it has.

    Trainings of one task are alike, so that draws of trainings alone would give intervals that are too narrow.
    """
    tasks = np.array([k["task"] for k in kept])
    groups = [np.flatnonzero(tasks == task) for task in np.unique(tasks)]
    return [int(i) for g in rng.integers(len(groups), size=len(groups)) for i in rng.choice(groups[g], len(groups[g]))]


def edges(draws: np.ndarray) -> tuple[float, float]:
    """Return the interval of some draws; NaN where none is known."""
    found = draws[np.isfinite(draws)]
    if not len(found):
        return np.nan, np.nan
    low, high = np.quantile(found, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def figures(parts: Sequence[Looks], said: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return AUC and balanced accuracy over the measured steps of some trainings; NaN where all are of one kind."""
    values, true, weight = joined(parts)
    if true.all() or not true.any():
        return np.nan, np.nan
    return area(values, true, weight), accuracy(np.concatenate(said), true, weight)


def area(values: np.ndarray, true: np.ndarray, weight: np.ndarray) -> float:
    """Return the area under the ROC curve: the weighted share of pairs that are in order, ties half.

    >>> area(np.array([1.0, 2.0, 2.0]), np.array([False, False, True]), np.ones(3))
    0.75
    """
    level = np.unique(values, return_inverse=True)[1]
    bad, good = (np.bincount(level, weights=weight * side) for side in (true, ~true))
    return float(bad @ (np.cumsum(good) - good / 2) / (bad.sum() * good.sum()))


def told(signal: Signal, kept: Sequence[Kept]) -> tuple[dict[str, Any], list[float | None]]:
    """Return AUC, balanced accuracy, their draws and the worst task, and where the thresholds of other tasks ring."""
    tasks, parts = [k["task"] for k in kept], [looks_of(signal, k) for k in kept]
    edge = left_out(parts, tasks)
    said = [values > edge[task] for (values, _, _), task in zip(parts, tasks, strict=True)]
    auc, balanced = figures(parts, said)
    worst = (2.0, "")
    for task in edge:
        own = [i for i, t in enumerate(tasks) if t == task]
        _, true, weight = joined([parts[i] for i in own])
        worst = min(worst, (accuracy(np.concatenate([said[i] for i in own]), true, weight), task))
    rng = np.random.default_rng(0)  # the same draws for every signal of the same trainings
    chosen = [resampled(kept, rng) for _ in range(DRAWS)]
    draws = np.array([figures([parts[i] for i in c], [said[i] for i in c]) for c in chosen]).T
    rung = [twice(p[0], k["looks"], edge[k["task"]]) for p, k in zip(parts, kept, strict=True)]
    return {"auc": auc, "balanced": balanced, "worst": worst, "auc_draws": draws[0], "draws": draws[1]}, rung


NOT_TOLD = {"auc": np.nan, "balanced": np.nan, "worst": (np.nan, "")}
NOT_TOLD |= {"auc_draws": np.full(DRAWS, np.nan), "draws": np.full(DRAWS, np.nan)}


def fare(name: str, every: Sequence[Kept]) -> Fare:
    """Return how a signal fares on the first question, on the trainings in which it was measured."""
    signal, kept = SIGNALS[name], measured(name, every)
    seen, rung = (NOT_TOLD, []) if signal.values is None else told(signal, kept)
    if signal.rings is not None:
        rung = [signal.rings(k) for k in kept]
    since = [k["truth"]["since"] for k in kept]
    pairs = list(zip(rung, since, strict=True))
    harmless, harmed = ([at is not None for at, s in pairs if (s is None) is one] for one in (True, False))
    return Fare(
        n=len(kept),
        **seen,
        false_alarms=(sum(harmless), len(harmless)),
        alarms=(sum(harmed), len(harmed)),
        early=sum(at < s for at, s in pairs if at is not None and s is not None),
        late=tuple((at + 1) / (s + 1) for at, s in pairs if at is not None and s is not None),
    )


# -- where was the best step? ------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """How a signal fares on the second question; a training in which it names no step goes on to its end."""

    n: int
    named: int
    ratio: float  # of steps, median; where one is named
    ratio_draws: np.ndarray
    loss: float  # test loss there over its minimum, geometric mean
    draws: np.ndarray  # of the logarithm of that
    harmed: float  # the same, of harmed trainings
    harmless: float
    worst: tuple[float, str]


def cost(k: Kept, step: float | None) -> float:
    """Return the test loss at the evaluation nearest to a step, over its minimum; at the end where none is named."""
    steps = np.array(k["fine"]["steps"], float)
    near = len(steps) - 1 if step is None else int(np.argmin(np.abs(np.log1p(steps) - np.log1p(step))))
    return float(smoothed(np.array(k["fine"]["test"]))[near] / k["truth"]["least"])


def share_of_steps(kept: Sequence[Kept]) -> list[float]:
    """Return for each training the share of its steps that is best, in the mean, in the trainings of other tasks."""
    tasks = np.array([k["task"] for k in kept])
    losses = np.log([[cost(k, share * k["fine"]["steps"][-1]) for share in SHARES] for k in kept])
    others = {task: losses[tasks != task] if (tasks != task).any() else losses for task in np.unique(tasks)}
    return [float(SHARES[int(others[k["task"]].mean(axis=0).argmin())] * k["fine"]["steps"][-1]) for k in kept]


def name_step(name: str, every: Sequence[Kept]) -> Named:
    """Return how far the steps that a signal, or a control that sees nothing, names are from the best ones."""
    kept = measured(name, every)
    if name == BLIND:
        at: list[float | None] = [*share_of_steps(kept)]
    else:
        at = [None if name == END else SIGNALS[name].best(k) for k in kept]
    losses = np.log([cost(k, step) for k, step in zip(kept, at, strict=True)])
    over = [np.nan if s is None else (s + 1) / (k["truth"]["least_at"] + 1) for s, k in zip(at, kept, strict=True)]
    ratios = np.array(over)
    bad = np.array([k["truth"]["since"] is not None for k in kept])
    rng = np.random.default_rng(0)
    chosen = [resampled(kept, rng) for _ in range(DRAWS)]
    medians = np.array([median(ratios[c]) for c in chosen])
    means = np.array([losses[c].mean() for c in chosen])
    top = int(losses.argmax())
    return Named(
        n=len(kept),
        named=sum(step is not None for step in at),
        ratio=median(ratios),
        ratio_draws=medians,
        loss=float(np.exp(losses.mean())),
        draws=means,
        harmed=float(np.exp(losses[bad].mean())) if bad.any() else np.nan,
        harmless=float(np.exp(losses[~bad].mean())) if (~bad).any() else np.nan,
        worst=(float(np.exp(losses[top])), kept[top]["name"]),
    )


def median(values: np.ndarray) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan


NAMING = tuple(name for name, signal in SIGNALS.items() if signal.best is not None)
