"""From interactions over steps to spectra, phases, theory and a verdict: the result of a training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from interdyn.dynamics import Onset, Phases, Verdict, find_phases, whole_verdict
from interdyn.errors import InputError
from interdyn.measurement._predicted import predictable, predicted
from interdyn.measurement._seen import Seen
from interdyn.sparsify import expected_seconds, identified
from interdyn.spectra import bootstrap_distribution
from interdyn.theory import NoiseFit, falling, fit_noise, row_norm_ratios
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import (
    Band,
    GameRule,
    GroupResult,
    HarmResult,
    Interactions,
    LeftOpen,
    PhaseResult,
    RowNorms,
    RunResult,
    SplitQuality,
    SplitRule,
    TheoryResult,
    TheorySummary,
    Trajectory,
    orders,
)
from interdyn.values._table_prediction import DISTANCES

_RATIO_NOISE = np.logspace(-10, 2, 49)
RESAMPLES = 200  # of the samples, for intervals at every step of a running training
_RULE = ("solver", "noise_bound", "tol", "tol_rule", "max_iter", "merge_order_one")
_SAMPLES, _SECONDS = 8, 40.0  # limits for the ranges in a result
_PROGRAMS = 14  # approximate number of splits per end of a range


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
) -> RunResult:
    """Return what a run's interactions show: order distributions, phases, the theory's fit, a verdict.

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
    RunResult
        RunResult, without the run's name and cost.

    Raises
    ------
    InputError
        If there is no group, or a group does not have one result for each step, of the same samples and players.
    """
    chosen = chosen_options(options)
    rule = {"salience": chosen["salience"], "salience_rule": chosen["salience_rule"]}
    courses: dict[str, Course] = {}
    for name, group in groups.items():
        found: Sequence[Interactions] = group["interactions"]
        if len(found) != len(steps) or not len(steps):
            raise InputError(
                f"group {name!r} needs one result for each of {len(steps)} steps (at least one); got {len(found)}. "
                "Measure the missing steps first."
            )
        if len(shapes := {tuple(one.i_and.shape) for one in found}) > 1:
            raise InputError(
                f"group {name!r} needs the same samples and players at every step; got tables of shapes "
                f"{sorted(shapes)}. Leave out the steps that were measured differently."
            )
        courses[name] = Course([Seen.of(one, **rule) for one in found], list(group["sample_ids"]))
    if not courses:
        raise InputError("`groups` must name at least one group of samples; got none. Pass {'test': {...}}.")
    last = next(iter(groups.values()))["interactions"][-1]
    losses = {"train_loss": train_loss, "test_loss": test_loss}
    arrays = {name: None if loss is None else np.asarray(loss, dtype=float) for name, loss in losses.items()}
    tables = [_tables_of(one) for one in next(iter(groups.values()))["interactions"]]
    return of_the_whole(np.asarray(steps, dtype=float), courses, last, arrays, chosen, tables=tables)


def _tables_of(found: Interactions) -> np.ndarray:
    """Return the tables that interactions explain, for the samples that are predicted."""
    v = values_from_and(found.i_and) + values_from_or(found.i_or) + found.residual
    return predictable(v.cpu().numpy())


def chosen_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options of an analysis with their defaults."""
    return {
        "salience": 0.03,
        "salience_rule": "mean-effect",
        "bootstrap": 500,
        "seed": 0,
        "ranges": True,
        **(options or {}),
    }


def so_far(
    steps: np.ndarray, courses: Mapping[str, Course], losses: Mapping[str, np.ndarray], verdict: Verdict
) -> RunResult:
    """Return the result of a running training, as far as it is known.

    There is no theory, since its ``w*`` is the final network's; the verdict's stage is given as ``stage``.
    """
    measured = _measured(steps, courses, losses, n_bootstrap=RESAMPLES, seed=0)
    phases = PhaseResult(
        found=verdict.since is not None,
        boundary_step=verdict.since,
        interval=verdict.interval,
        rise_starts=verdict.since,
        rise_starts_interval=verdict.interval,
        status=verdict.phase_2.sentence,
        gap_onset_step=verdict.gap.step,
        gap_interval=verdict.gap.interval,
        gap_status=verdict.gap.sentence,
    )
    said: dict[str, Any] = {"phases": phases, "harm": _harm(verdict), "stage": str(verdict.stage)}
    return RunResult(**measured, **said, verdict=(verdict.sentence,))


def _harm(verdict: Verdict) -> HarmResult:
    pattern = verdict.pattern
    return HarmResult(
        **vars(verdict.harm),
        best_step=verdict.best_step,
        pattern=pattern.sentence if pattern is not None else "",
    )


def _measured(
    steps: np.ndarray,
    courses: Mapping[str, Course],
    losses: Mapping[str, np.ndarray | None],
    *,
    n_bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """Return what every training has: groups with their spectra, losses, quality and options of the splits."""
    main = next(iter(courses.values()))
    every = [one for course in courses.values() for one in course.seen]
    gap, residual = (np.concatenate(parts) for parts in ([s.gap for s in every], [s.relative_residual for s in every]))
    quality = SplitQuality(mean_gap=gap.mean(), max_gap=gap.max(), max_residual=residual.max())
    return {
        "steps": steps,
        "n_players": main.strength.shape[-1],
        "n_samples": len(main.sample_ids),
        **losses,
        "groups": {name: _group(course, n_bootstrap=n_bootstrap, seed=seed) for name, course in courses.items()},
        "solver": quality,
        "split": split_rule(one.settings for one in every),
        "game": GameRule.of([s.settings for s in every], n_players=main.strength.shape[-1], unit=main.seen[0].unit),
    }


def of_the_whole(
    steps: np.ndarray,
    courses: Mapping[str, Course],
    last: Interactions,
    losses: Mapping[str, np.ndarray | None],
    chosen: Mapping[str, Any],
    *,
    pattern: Onset | None = None,
    window: np.ndarray | None = None,
    tables: Sequence[np.ndarray] = (),
) -> RunResult:
    """Return the result of a finished training, from all spectra, and the first group's tables and split."""
    main, resampling = next(iter(courses.values())), {"n_bootstrap": chosen["bootstrap"], "seed": chosen["seed"]}
    known = {name: losses.get(name) for name in ("train_loss", "test_loss", "test_accuracy")}
    trajectory = Trajectory(steps, main.strength, unit=main.seen[0].unit, window=window, **known)
    phases = find_phases(trajectory, seed=chosen["seed"])
    verdict = whole_verdict(trajectory, phases=phases, pattern=pattern, seed=chosen["seed"])
    fit = fit_noise(
        last,
        main.strength,
        steps=steps,
        boundary_step=phases.boundary_step,
        salience=chosen["salience"],
        salience_rule=chosen["salience_rule"],
        **resampling,
    )
    measured = _measured(steps, courses, losses, **resampling)
    prediction = predicted(tables, last, main.strength, phases.in_phase_2, steps, chosen)
    in_phase_2 = phases.in_phase_2.copy()
    in_phase_2[-1] = False  # its network supplies w*
    theory = _theory(fit, in_phase_2)
    mean_orders = {name: group.mean_order.value for name, group in measured["groups"].items() if group.mean_order}
    sentences = [verdict.sentence, prediction.sentence, *_mislabelled(mean_orders)]
    if isinstance(measured["split"].order_weight, tuple):
        sentences.append(
            "The checkpoints were split with different options, so their orders cannot be compared: measure them again "
            "with the same options."
        )
    norms = RowNorms(noise_var=_RATIO_NOISE, ratios=row_norm_ratios(last.n_players, _RATIO_NOISE))
    said: dict[str, Any] = {
        "phases": _phases(phases),
        "harm": _harm(verdict),
        "theory": theory,
        "prediction": prediction,
        "row_norms": norms,
        "verdict": tuple(sentences),
    }
    return RunResult(**measured, **said)


def _group(course: Course, *, n_bootstrap: int, seed: int) -> GroupResult:
    """Return the spectrum of a group over the steps, residuals and gaps."""
    spectra, strength = [one.spectrum for one in course.seen], course.strength
    bands = bootstrap_distribution(strength, n_bootstrap=n_bootstrap, seed=seed)
    total = strength.sum(-1)
    k = np.arange(1, strength.shape[-1] + 1)
    share = np.nan_to_num(bands.distribution)
    return GroupResult(
        n_samples=strength.shape[1],
        sample_ids=tuple(course.sample_ids),
        order_distribution=Band(share, bands.distribution_low, bands.distribution_high),
        mean_order=Band(bands.mean_order, bands.mean_order_low, bands.mean_order_high),
        level=bands.level,
        strength={
            f"{kind}_{sign}": np.stack([getattr(s, sign)[:, place].mean(axis=0) for s in spectra])
            for place, kind in enumerate(("and", "or"))
            for sign in ("positive", "negative")
        },
        unit=course.seen[0].unit,
        n_salient=np.array([s.n_salient.sum(axis=(-2, -1)).mean() for s in spectra]),
        salience=np.array([np.mean(s.salience) for s in spectra]),
        effect=np.array([one.effect for one in course.seen]),
        per_sample_mean_order=np.where(total > 0, (strength @ k) / np.where(total > 0, total, 1), np.nan),
        residual=np.array([one.residual for one in course.seen]),
        gap=np.array([one.gap.max() for one in course.seen]),
    )


def split_rule(settings: Iterable[Mapping[str, Any]]) -> SplitRule:
    """Return the options of the splits of a run.

    Examples
    --------
    >>> split_rule([{"solver": "admm", "order_weight": 0.02, "tol": 2e-3}]).order_weight
    0.02
    """
    every = list(settings)
    last = every[-1] if every else {}
    weights = tuple(dict.fromkeys(one.get("order_weight") for one in every)) or (None,)
    record = {key: last[key] for key in _RULE if key in last}
    record["order_weight"] = weights if len(weights) > 1 else weights[0]
    tolerances = [one["tol"] for one in every if "tol" in one]
    return SplitRule(**record | ({"tol": max(tolerances)} if tolerances else {}))


def left_open(found: Interactions, *, step: float) -> LeftOpen | None:
    """Return what sparsity leaves open of the interactions at one step, on the first samples that vary.

    As many samples as take about forty seconds in one thread, at most eight; None if that is less than one.
    """
    rows = (found.objective > 0).nonzero()[:, 0]
    n = found.n_players
    one = 2 * _PROGRAMS * (n + 1) * expected_seconds(n, 1, tol=1e-4, threads=1)
    count = min(len(rows), _SAMPLES, int(_SECONDS / one))
    if not count:
        return None
    chosen = found.sample(rows[:count])
    ranges = identified(chosen, strongest=0, allow_large=True)
    strength = chosen.i_and.abs() + chosen.i_or.abs()
    total = strength[:, 1:].sum(-1, keepdim=True)
    k = torch.tensor(orders(n).tolist(), dtype=torch.float64, device=strength.device)
    return LeftOpen(
        step=step,
        n_samples=count,
        factor=ranges.factor.max().item(),
        mean_order=(ranges.mean_order.low.mean().item(), ranges.mean_order.high.mean().item()),
        reported_mean_order=((strength @ k) / total[:, 0]).mean().item(),
        share_low=tuple((ranges.strength.low / total).mean(0).tolist()),
        share_high=tuple((ranges.strength.high / total).mean(0).tolist()),
    )


def _phases(phases: Phases) -> PhaseResult:
    evidence = phases.evidence
    return PhaseResult(
        found=phases.found,
        kind=str(phases.status),
        status=phases.sentence,
        boundary_step=phases.boundary_step,
        interval=phases.interval,
        fall_ends=None if phases.fall_ends is None else phases.fall_ends.step,
        fall_ends_interval=None if phases.fall_ends is None else phases.fall_ends.interval,
        rise_starts=None if phases.rise_starts is None else phases.rise_starts.step,
        rise_starts_interval=None if phases.rise_starts is None else phases.rise_starts.interval,
        level=phases.level,
        gap_onset_step=phases.gap_onset_step,
        gap_interval=phases.gap_interval,
        gap_status="No losses were recorded." if phases.gap is None else phases.gap.sentence,
        agreement=phases.agreement,
        spindle=None if phases.initial is None else phases.initial.is_spindle,
        initial="" if phases.initial is None else phases.initial.sentence,
        evidence=None if evidence is None else {k: _plain(v) for k, v in vars(evidence).items()},
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _theory(fit: NoiseFit, in_phase_2: np.ndarray) -> TheoryResult:
    return TheoryResult(
        noise_var=Band(fit.noise_var, fit.noise_var_low, fit.noise_var_high),
        tv=Band(fit.tv_distance, fit.tv_low, fit.tv_high),
        tv_null_sigma0=fit.tv_null_sigma0,
        tv_null_tilt=fit.tv_null_tilt,
        tilt=fit.tilt,
        in_phase_2=in_phase_2,
        sentences=fit.sentence,
        order_distribution=fit.distribution,
        level=fit.level,
        empty_effect=fit.empty_effect,
        overall=_overall(fit, in_phase_2),
    )


def _overall(fit: NoiseFit, in_phase_2: np.ndarray) -> TheorySummary:
    if not in_phase_2.any():
        return TheorySummary(sentence="No second phase was found, and the theory is about the second phase only.")
    trend = falling(fit.noise_var, in_phase_2)
    distances = (fit.tv_distance, fit.tv_null_sigma0, fit.tv_null_tilt, fit.tv_low, fit.tv_high)
    mean, sigma0, tilt, low, high = (float(x[in_phase_2].mean()) for x in distances)
    return TheorySummary(
        n_steps=int(in_phase_2.sum()),
        mean_tv_phase_2=mean,
        mean_tv_phase_2_low=low,
        mean_tv_phase_2_high=high,
        mean_tv_null_sigma0=sigma0,
        mean_tv_null_tilt=tilt,
        noise_rank_correlation=trend.rank_correlation,
        noise_rank_correlation_low=trend.low,
        noise_rank_correlation_high=trend.high,
        sentence=(
            f"{DISTANCES} Over phase 2 the theory's distance from the measured one is {mean:.3f} on average (total "
            f"variation, 0 to 1); without noise {sigma0:.3f}, a one-parameter tilt {tilt:.3f}. {trend.sentence}"
        ),
    )


def _mislabelled(mean_orders: Mapping[str, np.ndarray]) -> list[str]:
    """Return a sentence on whether mislabelled samples have a higher order at the end; empty without such samples."""
    if not {"mislabelled", "test"} <= mean_orders.keys():
        return []
    wrong, right = mean_orders["mislabelled"][-1], mean_orders["test"][-1]
    if not (np.isfinite(wrong) and np.isfinite(right)):
        return []
    side = "higher" if wrong > right else "not higher"
    return [
        f"At the end, mislabelled training samples have mean order {wrong:.2f}, {side} than test samples ({right:.2f})."
    ]
