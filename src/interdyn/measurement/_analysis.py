"""From interactions over steps to spectra, phases, theory and a verdict in words: the summary of a run."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interdyn.dynamics import Phases, find_phases
from interdyn.errors import InputError
from interdyn.measurement._rule import split_record
from interdyn.measurement._seen import Seen
from interdyn.measurement._verdict import verdict
from interdyn.spectra import bootstrap_distribution
from interdyn.theory import NoiseFit, falling, fit_noise, row_norm_ratios
from interdyn.values import Interactions, Trajectory

_RATIO_NOISE = np.logspace(-10, 2, 49)
_THEORY_NUMBERS = (
    *("noise_var", "noise_var_low", "noise_var_high"),
    *("tv_distance", "tv_low", "tv_high", "tv_null_sigma0", "tv_null_tilt", "tilt"),
)


@dataclass(frozen=True)
class Course:
    """One group of samples over all steps."""

    seen: Sequence[Seen]
    sample_ids: Sequence[int]

    @property
    def strength(self) -> np.ndarray:
        """Salient strength, shape ``(steps, samples, orders)``."""
        return np.stack([one.spectrum.strength for one in self.seen])


def analyse(
    steps: Sequence[float],
    groups: Mapping[str, Mapping[str, Any]],
    *,
    train_loss: Sequence[float] | None,
    test_loss: Sequence[float] | None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return what a run's interactions say: order distributions, phases, the theory's fit, a verdict.

    Parameters
    ----------
    steps
        Optimiser steps, ascending.
    groups
        Name of each group of samples to ``{"interactions": [Interactions for each step], "sample_ids": [...]}``. The
        first group is the one that phases and theory are about.
    train_loss, test_loss
        Mean loss at each step, or None.
    options
        ``salience`` (0.03), ``salience_rule`` (``"mean-effect"``), ``bootstrap`` (500 resamples), ``seed`` (0).

    Returns
    -------
    ``{"summary": ..., "analysis": ...}``, plain data as ``docs/run-directory.md`` describes, NaN as None; without the
    run's name and cost, which the caller adds.

    Raises
    ------
    InputError
        If there is no group, or a group does not have one result for each step.
    """
    chosen = chosen_options(options)
    courses = {name: _course(name, group, len(steps), chosen) for name, group in groups.items()}
    if not courses:
        raise InputError("`groups` must name at least one group of samples; got none. Pass {'test': {...}}.")
    last = next(iter(groups.values()))["interactions"][-1]
    return analysed(steps, courses, last, losses=(train_loss, test_loss), options=chosen)


def chosen_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options of an analysis with their defaults."""
    return {"salience": 0.03, "salience_rule": "mean-effect", "bootstrap": 500, "seed": 0, **(options or {})}


def analysed(
    steps: Sequence[float],
    courses: Mapping[str, Course],
    last: Interactions,
    *,
    losses: tuple[Sequence[float] | np.ndarray | None, Sequence[float] | np.ndarray | None],
    options: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """Do what `analyse` does with what is kept of the interactions, and those of the first group at the last step."""
    chosen, main = options, next(iter(courses.values()))
    at = np.asarray(steps, dtype=float)
    train, test = (None if loss is None else np.asarray(loss, dtype=float) for loss in losses)
    trajectory = Trajectory(at, main.strength, train, test, main.seen[0].unit)
    phases = find_phases(trajectory, n_bootstrap=chosen["bootstrap"], seed=chosen["seed"])
    fit = fit_noise(
        last,
        main.strength,
        steps=at,
        boundary_step=phases.boundary_step,
        salience=chosen["salience"],
        salience_rule=chosen["salience_rule"],
        n_bootstrap=chosen["bootstrap"],
        seed=chosen["seed"],
    )
    in_phase_2 = phases.in_phase_2.copy()
    in_phase_2[-1] = False  # its network supplies w*
    theory_summary = _theory_summary(fit, in_phase_2)
    n = last.n_players
    summary: dict[str, Any] = {
        "steps": at.tolist(),
        "n_players": n,
        "n_samples": len(main.sample_ids),
        "orders": list(range(1, n + 1)),
        "order_distribution": trajectory.distribution.tolist(),
        "mean_order": trajectory.mean_order.tolist(),
        "train_loss": None if train is None else train.tolist(),
        "test_loss": None if test is None else test.tolist(),
        "phases": _phases(phases),
        "theory": _theory(fit, at, in_phase_2),
        "theory_summary": theory_summary,
        "solver": solver_record(one for course in courses.values() for one in course.seen),
        "split": split_record(one.settings for course in courses.values() for one in course.seen),
        "verdict": verdict(phases, theory_summary, {k: c.strength for k, c in courses.items()}, at),
    }
    if isinstance(summary["split"]["order_weight"], list):
        summary["verdict"].append(
            "Its measurements were split by different rules, so orders at different checkpoints cannot be compared: "
            "measure them again."
        )
    resampling = {"n_bootstrap": chosen["bootstrap"], "seed": chosen["seed"]}
    analysis = {
        "groups": {name: group_record(course, **resampling) for name, course in courses.items()},
        "theory": {
            "order_distribution": fit.distribution.tolist(),
            "bound": fit.tv_bound,
            "level": fit.level,
            "empty_effect": fit.empty_effect.tolist(),
        },
        "row_norms": {"noise_var": _RATIO_NOISE.tolist(), "ratios": row_norm_ratios(n, _RATIO_NOISE).tolist()},
    }
    return {"summary": without_nan(summary), "analysis": without_nan(analysis)}


def _course(name: str, group: Mapping[str, Any], steps: int, options: Mapping[str, Any]) -> Course:
    found: Sequence[Interactions] = group["interactions"]
    if len(found) != steps or not steps:
        raise InputError(
            f"group {name!r} needs one result for each of {steps} steps (at least one); got {len(found)}. "
            "Measure the missing steps first."
        )
    rule = {"salience": options["salience"], "salience_rule": options["salience_rule"]}
    return Course([Seen.of(interactions, **rule) for interactions in found], list(group["sample_ids"]))


def group_record(course: Course, *, n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Return what ``analysis.json`` holds of a group: its spectrum over the steps, residuals and gaps."""
    spectra = [one.spectrum for one in course.seen]
    strength = course.strength
    bands = bootstrap_distribution(strength, n_bootstrap=n_bootstrap, seed=seed)
    total = strength.sum(-1)
    orders = np.arange(1, strength.shape[-1] + 1)
    mean_of_each = np.where(total > 0, (strength @ orders) / np.where(total > 0, total, 1), np.nan)
    signed = {
        f"{kind}_{sign}": np.stack([getattr(s, sign)[:, place].mean(axis=0) for s in spectra]).tolist()
        for place, kind in enumerate(("and", "or"))
        for sign in ("positive", "negative")
    }
    return {
        "n_samples": strength.shape[1],
        "sample_ids": list(course.sample_ids),
        "order_distribution": np.nan_to_num(bands.distribution).tolist(),
        "order_distribution_low": bands.distribution_low.tolist(),
        "order_distribution_high": bands.distribution_high.tolist(),
        "mean_order": bands.mean_order.tolist(),
        "mean_order_low": bands.mean_order_low.tolist(),
        "mean_order_high": bands.mean_order_high.tolist(),
        "level": bands.level,
        "strength": signed,
        "unit": course.seen[0].unit,
        "n_salient": [float(s.n_salient.sum(axis=(-2, -1)).mean()) for s in spectra],
        "salience": [float(np.mean(s.salience)) for s in spectra],
        "per_sample_mean_order": mean_of_each.tolist(),
        "residual": [one.residual for one in course.seen],
        "gap": [float(one.gap.max()) for one in course.seen],
    }


def _phases(phases: Phases) -> dict[str, Any]:
    evidence = phases.evidence
    return {
        "found": phases.found,
        "kind": str(phases.status),
        "status": phases.sentence,
        "boundary_step": phases.boundary_step,
        "interval": None if phases.interval is None else list(phases.interval),
        "level": phases.level,
        "gap_onset_step": phases.gap_onset_step,
        "gap_interval": None if phases.gap_interval is None else list(phases.gap_interval),
        "gap_status": "No losses were recorded." if phases.gap is None else phases.gap.sentence,
        "agreement": phases.agreement,
        "spindle": None if phases.initial is None else phases.initial.is_spindle,
        "initial": "" if phases.initial is None else phases.initial.sentence,
        "evidence": None if evidence is None else {k: _plain(v) for k, v in vars(evidence).items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _theory(fit: NoiseFit, steps: np.ndarray, in_phase_2: np.ndarray) -> list[dict[str, Any]]:
    return [
        {
            "step": float(step),
            **{name: float(getattr(fit, name)[i]) for name in _THEORY_NUMBERS},
            "in_phase_2": bool(in_phase_2[i]),
            "described": bool(fit.described[i]),
            "sentence": fit.sentence[i],
        }
        for i, step in enumerate(steps)
    ]


def _theory_summary(fit: NoiseFit, in_phase_2: np.ndarray) -> dict[str, Any]:
    if not in_phase_2.any():
        return {
            "n_steps": 0,
            "mean_tv_phase_2": None,
            "mean_tv_phase_2_low": None,
            "mean_tv_phase_2_high": None,
            "mean_tv_null_sigma0": None,
            "mean_tv_null_tilt": None,
            "noise_rank_correlation": None,
            "sentence": "No second phase was found, so there is nothing the theory could describe.",
        }
    trend = falling(fit.noise_var, in_phase_2)
    mean, sigma0, tilt = (float(x[in_phase_2].mean()) for x in (fit.tv_distance, fit.tv_null_sigma0, fit.tv_null_tilt))
    described = int((fit.described & in_phase_2).sum())
    return {
        "n_steps": int(in_phase_2.sum()),
        "n_described": described,
        "mean_tv_phase_2": mean,
        "mean_tv_phase_2_low": float(fit.tv_low[in_phase_2].mean()),
        "mean_tv_phase_2_high": float(fit.tv_high[in_phase_2].mean()),
        "mean_tv_null_sigma0": sigma0,
        "mean_tv_null_tilt": tilt,
        "noise_rank_correlation": trend.rank_correlation,
        "noise_rank_correlation_low": trend.low,
        "noise_rank_correlation_high": trend.high,
        "sentence": (
            f"Over phase 2 the theory's order distribution is on average {mean:.3f} from the measured one (total "
            f"variation, 0 to 1); without noise {sigma0:.3f}, a one-parameter tilt {tilt:.3f}. It describes "
            f"{described} of {int(in_phase_2.sum())} steps. {trend.sentence}"
        ),
    }


def solver_record(seen: Iterable[Seen]) -> dict[str, float]:
    """Return mean and largest certified gap, and the largest residual relative to ``max|v|`` of its table."""
    every = list(seen)
    gap, residual = (np.concatenate(parts) for parts in ([s.gap for s in every], [s.relative_residual for s in every]))
    return {"mean_gap": float(gap.mean()), "max_gap": float(gap.max()), "max_residual": float(residual.max())}


def without_nan(value: Any) -> Any:
    """Return plain data with NaN and infinity as None, which JSON can hold."""
    if isinstance(value, float):  # first, as most of the data are
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return {key: without_nan(item) for key, item in value.items()} if isinstance(value, Mapping) else value
