"""The nearby steps of each measurement, combined: curves over windows, and the repeatability of an explanation."""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn.dynamics import HIGH_ORDER, Onset, find_pattern
from interdyn.measurement._degree import cross_spectrum, mean_degree
from interdyn.measurement._result import Course
from interdyn.measurement._seen import Seen
from interdyn.schedules import groups_of, windows_of
from interdyn.sparsify import expected_seconds, split
from interdyn.spectra import SalienceRule, bootstrap_distribution, window_mean
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Band, Interactions, Repeatability, WindowResult

NOISE = 0.005  # of a table's standard deviation: a disturbance without any training step
_SAMPLES, _SECONDS = 8, 20.0  # limits for the splits with noise
_OPTIONS = ("solver", "tol", "max_iter", "merge_order_one", "order_weight")


class Recent:
    """The latest steps of the first group: their explanations, and the cross spectrum of each nearby pair.

    Parameters
    ----------
    window
        How many steps a measurement takes; with 1, only the latest is kept.
    """

    def __init__(self, window: int) -> None:
        self._kept: deque[tuple[int, Interactions]] = deque(maxlen=window)
        self._pairs: dict[tuple[int, int], Float[Tensor, " degrees"]] = {}

    def add(self, step: int, found: Interactions) -> None:
        """Take the interactions at a step, which is later than those before, or replaces one."""
        v = _tables(found)
        for other, before in self._kept if self._kept.maxlen != 1 else ():
            if before.i_and.shape == found.i_and.shape and 10 * max(step, other) <= 11 * min(step, other):
                both = cross_spectrum(torch.stack([_tables(before), v]))
                self._pairs[min(step, other), max(step, other)] = both.reshape(-1, both.shape[-1]).mean(0)
        kept = {**dict(self._kept), step: found}
        self._kept.clear()
        self._kept.extend(sorted(kept.items(), key=lambda one: one[0]))

    @property
    def last(self) -> Interactions:
        """The interactions at the last step."""
        return self._kept[-1][1]

    def found(self, steps: Sequence[int]) -> list[Interactions]:
        """Return the interactions at these steps, as far as they are still kept."""
        known = dict(self._kept)
        return [known[step] for step in steps if step in known]

    def degree(self, steps: Sequence[int]) -> float:
        """Return the Walsh degree of the cross spectrum of a window; NaN for a single step."""
        spectra = [self._pairs.get(pair) for pair in combinations(steps, 2)]
        known = [one for one in spectra if one is not None]
        if not known or len(known) < len(spectra):
            return float("nan")
        return mean_degree(torch.stack(known).mean(0))


def _tables(found: Interactions) -> Float[Tensor, "*batch subsets"]:
    return values_from_and(found.i_and) + values_from_or(found.i_or) + found.residual


def of_windows(
    steps: Sequence[int], window: int, courses: Mapping[str, Course], recent: Recent, *, n_bootstrap: int, seed: int
) -> WindowResult:
    """Return the curves of the measurements: mean of the single spectra, and the second measure of order."""
    groups = groups_of(steps, window)
    orders, shares = {}, {}
    for name, course in courses.items():
        strength = np.stack([course.strength[group].mean(axis=0) for group in groups])
        bands = bootstrap_distribution(strength, n_bootstrap=n_bootstrap, seed=seed)
        orders[name] = Band(bands.mean_order, bands.mean_order_low, bands.mean_order_high)
        shares[name] = np.nan_to_num(bands.distribution)
    return WindowResult(
        size=window,
        number=np.array(windows_of(steps, window), dtype=float),
        steps=np.array([steps[group[0]] for group in groups], dtype=float),
        counts=np.array([len(group) for group in groups], dtype=float),
        mean_order=orders,
        order_distribution=shares,
        degree=np.array([recent.degree([steps[i] for i in group]) for group in groups]),
    )


def pattern_of(steps: Sequence[int], seen: Sequence[Seen], window: int) -> Onset:
    """Return `find_pattern` of a group, from the means over each measurement's steps."""
    high = [one.spectrum.strength[:, HIGH_ORDER - 1 :].sum(axis=1).mean() for one in seen]
    both, windows = np.array([high, [one.effect for one in seen]]), groups_of(steps, window)
    first, means = [float(steps[i[0]]) for i in windows], np.stack([both[:, i].mean(axis=1) for i in windows], axis=1)
    return find_pattern(np.array(first), *means)


def repeatability(
    steps: Sequence[int],
    window: int,
    recent: Recent,
    *,
    salience: float | None = None,
    salience_rule: SalienceRule = "mean-effect",
) -> Repeatability | None:
    """Return the repeatability by order of the last measurement of several steps, with its conditioning line.

    The latter compares the last step's tables with the same tables plus noise, split again (seed 0). On the first
    samples that vary, at most eight; fewer if their splits would take more than twenty seconds.

    None if the last measurement has one step, or the splits cannot be repeated.
    """
    at = [steps[i] for i in groups_of(steps, window)[-1]]
    found = recent.found(at)
    if len(at) < 2 or len(found) < len(at) or found[-1].settings.get("solver", "admm") != "admm":
        return None
    last = found[-1]
    rows = (last.objective > 0).nonzero()[:, 0]
    one = (len(at) - 1) * expected_seconds(last.n_players, 1, tol=1e-3, threads=1)
    rows = rows[: min(_SAMPLES, int(_SECONDS / one))]
    if not len(rows):
        return None
    chosen = [each.sample(rows) for each in found]
    v, draw = _tables(chosen[-1]), torch.Generator().manual_seed(0)
    options = {key: last.settings[key] for key in _OPTIONS if last.settings.get(key) is not None}
    again = [chosen[-1]]
    for _ in at[1:]:
        noise = torch.randn(v.shape, generator=draw, dtype=torch.float64).to(v.device)
        noisy = v + NOISE * v.std(dim=-1, keepdim=True) * noise
        again.append(split(noisy, noise_bound=chosen[-1].noise_bound, unit=last.unit, allow_large=True, **options))
    before, there = (
        window_mean(each, salience=salience, salience_rule=salience_rule).repeatability for each in (chosen, again)
    )
    return Repeatability(
        step=at[-1],
        n_steps=len(at),
        n_samples=len(rows),
        value=before,
        conditioning=there,
        noise=NOISE,
    )
