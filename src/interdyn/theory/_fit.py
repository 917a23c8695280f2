"""The noise level of each checkpoint, from its order distribution; and whether it falls over phase 2."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from interdyn._arguments import draws, instance, number, real_array, seed as checked_seed
from interdyn.errors import InputError, ShapeError
from interdyn.spectra import DEFAULT_SALIENCE, SalienceRule, sum_by_order
from interdyn.spectra._bootstrap import check_level, check_strength, interval_edges, share
from interdyn.theory._expected import distribution_by_level, target_weights
from interdyn.theory._search import Match, interval, match, nearest_tilt, resample, total_variation
from interdyn.values import Interactions


@dataclass(frozen=True)
class NoiseFit:
    """The theory's nearest noise level at each step, its distance, and the distances of simpler explanations.

    All arrays have one entry per step; NaN where nothing is salient. Distances are total variation
    distances between distributions over orders, 0 to 1.

    Attributes
    ----------
    noise_var, noise_var_low, noise_var_high
        The nearest value of the paper's ``sigma**2``, with a bootstrap interval over samples.
    tv_distance, tv_low, tv_high
        Its distance, with a bootstrap interval (the level is searched again in every draw).
    tv_null_sigma0
        Distance of the theory without noise.
    tv_null_tilt, tilt
        Distance of the nearest ``q_k ~ p_k exp(tilt * k)``, ``p`` the order distribution of ``w*``, and its ``tilt``.
    distribution
        The theory's order distribution at ``noise_var``, shape ``(steps, n orders)``.
    sentence
        The result as sentences, one entry per step.
    empty_effect
        Distance with the other choice for the empty set, at its own nearest level, minus ``tv_distance``.
    level
        Nominal coverage of the intervals.
    """

    noise_var: Float[np.ndarray, " steps"]
    noise_var_low: Float[np.ndarray, " steps"]
    noise_var_high: Float[np.ndarray, " steps"]
    tv_distance: Float[np.ndarray, " steps"]
    tv_low: Float[np.ndarray, " steps"]
    tv_high: Float[np.ndarray, " steps"]
    tv_null_sigma0: Float[np.ndarray, " steps"]
    tv_null_tilt: Float[np.ndarray, " steps"]
    tilt: Float[np.ndarray, " steps"]
    distribution: Float[np.ndarray, "steps orders"]
    sentence: tuple[str, ...]
    empty_effect: Float[np.ndarray, " steps"]
    level: float

    def __repr__(self) -> str:
        known = ~np.isnan(self.noise_var)
        spread = ""
        if known.any():
            noise, tv = self.noise_var[known], self.tv_distance[known]
            spread = f", noise_var in [{noise.min():.2g}, {noise.max():.2g}], tv in [{tv.min():.3f}, {tv.max():.3f}]"
        return f"NoiseFit(steps={len(known)}{spread})"


def fit_noise(
    final: Interactions,
    strength: Float[np.ndarray, "steps samples orders"],
    *,
    steps: Sequence[float] | np.ndarray | None = None,
    boundary_step: float | None = None,
    noise_levels: Sequence[float] | np.ndarray | None = None,
    salience: float | None = None,
    salience_rule: SalienceRule = "mean-effect",
    empty: Literal["zero", "value"] = "zero",
    level: float = 0.9,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> NoiseFit:
    r"""Return, for each step, the noise level at which the theory is nearest to the measurement.

    $$\hat\sigma^2_t = \arg\min_{\sigma^2} \tfrac12 \sum_k |p_t(k) - p_{theo}(k; \sigma^2)|$$

    Parameters
    ----------
    final
        Interactions of the final network, shape ``(samples, 2**n)``; its salient ones are ``w*``.
    strength
        Measured salient strength of orders ``1..n`` of the same samples in the same order, shape
        ``(steps, samples, n)``: `OrderSpectrum.strength` of all steps, stacked, in the unit of the output.
    steps, boundary_step
        Number of each step, and the step at which phase 2 starts. The sentences of earlier steps state that the theory
        is about phase 2.
    noise_levels
        Levels to search, positive and ascending; by default `default_levels` and, around the nearest, finer ones.
    salience, salience_rule
        Threshold on ``final``, the one that ``strength`` was measured with. The theory's own threshold is
        ``0.03 |v_theo - w_{}|`` of each sample; ``salience`` replaces the 0.03 under ``"mean-effect"``.
    empty
        Entry of the empty set in ``w*``: see `target_weights`.
    level, n_bootstrap, seed
        Coverage of the intervals, number and seed of the draws of samples.

    Raises
    ------
    ShapeError
        If ``final`` has no sample axis, or samples, orders or steps do not agree.
    InputError
        For an option that cannot be used, or a boundary without ``steps``.
    NonFiniteError
        If an input contains NaN or infinity.

    Notes
    -----
    The distance is a rough function of the level, because of the threshold: all levels are tried. Ties go to the
    smallest noise. The theory's strength is computed once for each level and sample, so a draw needs no transform;
    outside the finer levels an interval is as coarse as the grid, a sixth of a decade. Intervals are extended to
    contain their estimate (resampling biases a minimum distance upwards); at level 0.9 they contained the noise in
    83 % of 150 planted worlds with perturbed samples at n = 5 and in 92 % of 100 at n = 8. Cost: twice about 300
    levels of ``O(n 2**n)`` per sample and kind, about a second for 20 samples at n = 10. Oracle: known worlds in
    ``tests/test_theory.py``, made with dense matrices. Source: paper, section 5; distance, intervals and nulls
    are ours.

    Examples
    --------
    >>> import torch
    >>> from interdyn.theory import strength_by_level, target_weights
    >>> zeros, one = torch.zeros(1, 8, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    >>> i_and = torch.tensor([[0.0, 1, 1, 2, 1, 0, 0, 3]], dtype=torch.float64)
    >>> found = Interactions(i_and, zeros, "", residual=zeros, objective=one, gap=one, status="", noise_bound=one)
    >>> measured = strength_by_level(target_weights(found), np.array([1e-1, 1e-2]))
    >>> fit_noise(found, measured, n_bootstrap=10).noise_var.round(2)
    array([0.1 , 0.01])
    """
    strength, steps = _check(final, strength, steps, boundary_step)
    level, n_bootstrap, seed = check_level(level), draws(n_bootstrap, "n_bootstrap"), checked_seed(seed)
    chosen, other = (
        target_weights(final, salience=salience, salience_rule=salience_rule, empty=choice)
        for choice in (empty, "value" if empty == "zero" else "zero")
    )
    own = salience if salience_rule == "mean-effect" and salience is not None else DEFAULT_SALIENCE
    measured = share(strength.mean(axis=1))
    found = match(chosen, measured, noise_levels=noise_levels, salience=own)
    w_strength = sum_by_order(chosen.i_and.abs() + chosen.i_or.abs())[..., 1:].cpu().numpy()
    tilt, tv_tilt = nearest_tilt(measured, share(w_strength.mean(axis=0)))
    columns = _with_intervals(found, strength, level=level, n_bootstrap=n_bootstrap, seed=seed) | {
        "tv_null_sigma0": total_variation(measured, distribution_by_level(chosen, np.zeros(1), salience=own)),
        "tv_null_tilt": tv_tilt,
    }
    claims = {
        "step": steps,
        "is_final": np.isclose(strength, w_strength, rtol=1e-9, atol=0).all(axis=(1, 2)),
        "at_low": found.nearest == 0,
        "at_high": found.nearest == len(found.levels) - 1,
    }
    told = [
        _describe({key: column[t].item() for key, column in (columns | claims).items()}, boundary_step)
        for t in range(len(strength))
    ]
    distribution = share(found.expected.mean(axis=1))[found.nearest]
    return NoiseFit(
        **columns,
        tilt=tilt,
        distribution=np.where(np.isnan(found.distance)[:, None], np.nan, distribution),
        sentence=tuple(told),
        empty_effect=match(other, measured, noise_levels=noise_levels, salience=own).distance - found.distance,
        level=level,
    )


def _with_intervals(
    found: Match, strength: Float[np.ndarray, "steps samples orders"], *, level: float, n_bootstrap: int, seed: int
) -> dict[str, Float[np.ndarray, " steps"]]:
    """Return the fields of `NoiseFit` that resampling gives, by name."""
    noise_var = np.where(np.isnan(found.distance), np.nan, found.levels[found.nearest])
    noise_draws, tv_draws = resample(found, strength, n_bootstrap=n_bootstrap, seed=seed)
    edges = interval_edges(level, strength.shape[1])
    log_low, log_high = interval(np.log(noise_draws), np.log(noise_var), edges)
    tv_low, tv_high = interval(tv_draws, found.distance, edges)
    return {
        "noise_var": noise_var,
        "noise_var_low": np.minimum(np.exp(log_low), noise_var),  # again, as exp and log round
        "noise_var_high": np.maximum(np.exp(log_high), noise_var),
        "tv_distance": found.distance,
        "tv_low": tv_low,
        "tv_high": tv_high,
    }


def _check(
    final: Interactions, strength: Any, steps: Any, boundary_step: float | None
) -> tuple[Float[np.ndarray, "steps samples orders"], Float[np.ndarray, " steps"]]:
    """Return strength and step numbers (NaN when not given), checked against each other."""
    instance(final, "final", Interactions, do="Pass the interactions of the final network.")
    strength = check_strength(strength)
    n, batch = final.n_players, final.batch_shape
    if len(batch) != 1 or strength.ndim != 3 or strength.shape[1:] != (batch[0], n):
        raise ShapeError(
            "`final` must have one sample axis and `strength` the shape (steps, samples, orders) with the same samples "
            f"and {n} orders; got a batch of shape {batch} and {strength.shape}. "
            "Stack `OrderSpectrum.strength` of the same samples at all steps."
        )
    if steps is None:
        if boundary_step is not None:
            raise InputError("`boundary_step` needs the numbers of the steps; got none. Pass `steps` too.")
        return strength, np.full(len(strength), np.nan)
    steps = real_array(steps, "steps", finite=True)
    if boundary_step is not None:
        number(boundary_step, "boundary_step", do="Leave it out where there is none.")
    if steps.shape != (len(strength),):
        raise ShapeError(f"`steps` must have one number for each of {len(strength)} steps; got shape {steps.shape}.")
    return strength, steps


def _describe(step: Mapping[str, Any], boundary_step: float | None) -> str:
    """Return one to three sentences on how near the theory is at a step, and what weakens that.

    ``step`` has its number as ``"step"`` (NaN when unknown), fields of `NoiseFit`, and the claims ``"is_final"``
    (measured strength is that of ``w*``), ``"at_low"`` and ``"at_high"`` (the level lies at an end of the search).

    Examples
    --------
    >>> numbers = {"step": 5, "noise_var": 1e-3, "tv_distance": 0.2, "tv_null_sigma0": 0.4, "tv_null_tilt": 0.3}
    >>> claims = {"is_final": False, "at_low": False, "at_high": False}
    >>> _describe(numbers | claims, None)
    'Nearest noise variance 0.001: its order distribution is 0.200 from the measured one.'
    """
    tv = step["tv_distance"]
    if math.isnan(tv):
        return "Nothing is salient in the network or in the theory, so there are no distributions to compare."
    if boundary_step is not None and step["step"] < boundary_step:
        return (
            f"This is phase 1, before the boundary at step {boundary_step:g}, which the theory does not cover: the "
            f"nearest noise level ({step['noise_var']:.2g}, distance {tv:.3f}) has no meaning here."
        )
    if step["is_final"]:
        return "This network supplies the target of the regression, so its agreement is not a test."
    said = f"Nearest noise variance {step['noise_var']:.2g}: its order distribution is {tv:.3f} from the measured one."
    return " ".join([said, *_remarks(step)])


def _remarks(step: Mapping[str, Any]) -> list[str]:
    """Return what weakens a distance."""
    tv, out = step["tv_distance"], []
    nulls = {"no noise": step["tv_null_sigma0"], "a tilt of the final distribution": step["tv_null_tilt"]}
    as_good = [name for name, distance in nulls.items() if distance <= tv]
    if as_good:
        out.append(f"The simpler explanation by {' or by '.join(as_good)} is at least as near.")
    if step["at_low"] or step["at_high"]:
        end = "lower" if step["at_low"] else "upper"
        out.append(f"The level is at the {end} end of the search range, so it is only a bound.")
    return out


class NoiseTrend(NamedTuple):
    """Rank correlation of the noise level with time.

    Attributes
    ----------
    rank_correlation, low, high
        Spearman's correlation, -1 if each level is below the previous one, with an interval; NaN with too few steps.
    n_steps
        Number of steps used.
    is_falling
        Whether the complete interval is below 0.
    sentence
        The result as a sentence.
    """

    rank_correlation: float
    low: float
    high: float
    n_steps: int
    is_falling: bool
    sentence: str


def _ranks(x: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """Return ranks from 0, the mean rank for ties."""
    _, index, count = np.unique(x, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count + 1) / 2)[index])


def falling(
    noise_var: Float[np.ndarray, " steps"], in_phase_2: Bool[np.ndarray, " steps"], *, level: float = 0.9
) -> NoiseTrend:
    r"""Return the rank correlation of the noise level with time over phase 2.

    $$\rho = \mathrm{corr}(\mathrm{rank}(t), \mathrm{rank}(\sigma^2_t)), \quad
      \tanh\left(\mathrm{artanh}\,\rho \mp z \sqrt{(1 + \rho^2/2)/(m - 3)}\right)$$

    Parameters
    ----------
    noise_var
        Fitted level of each step in temporal order, `NoiseFit.noise_var`; NaN where there is none.
    in_phase_2
        The steps to use. Leave out the last step, whose network supplies ``w*``.
    level
        Nominal coverage of the interval, between 0 and 1.

    Raises
    ------
    ShapeError
        If the two arrays differ in length.
    InputError
        If ``level`` does not lie between 0 and 1.

    Notes
    -----
    The interval assumes independent steps, which neighbours in training are not quite: treat it as a guide. A perfect
    correlation of ``m`` steps is moved inwards by half a swap of neighbours, ``6 / (m (m^2 - 1))``, so that its
    interval has a width. Source: Bonett and Wright (2000).

    Examples
    --------
    >>> noise_var = np.array([7.0, 1e-1, 1e-2, 1e-4, 1e-3, 1e-6, 1e-8])
    >>> print(falling(noise_var, np.array([False, True, True, True, True, True, True])).sentence)
    The noise levels fall over phase 2: rank correlation -0.94 (-0.99 to -0.55, 6 steps).
    """
    noise_var, use = real_array(noise_var, "noise_var"), real_array(in_phase_2, "in_phase_2", finite=True) > 0
    if noise_var.ndim != 1 or noise_var.shape != use.shape:
        raise ShapeError(
            "`noise_var` and `in_phase_2` must have one entry per step; "
            f"got shapes {noise_var.shape} and {use.shape}. Pass both for the same steps."
        )
    level = check_level(level)
    y = noise_var[use & ~np.isnan(noise_var)]
    m = len(y)
    if m < 4 or np.ptp(y) == 0:
        reason = f"{m} steps are too few" if m < 4 else "all levels are the same"
        return NoiseTrend(math.nan, math.nan, math.nan, m, False, f"No verdict on falling noise levels: {reason}.")
    rho = float(np.corrcoef(np.arange(m), _ranks(y))[0, 1])
    inside = 1 - 6 / (m * (m**2 - 1))
    z = math.atanh(min(max(rho, -inside), inside))
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt((1 + rho**2 / 2) / (m - 3))
    low, high = min(rho, math.tanh(z - half)), max(rho, math.tanh(z + half))
    verdict = "The noise levels fall over phase 2" if high < 0 else "The noise levels do not clearly fall over phase 2"
    sentence = f"{verdict}: rank correlation {rho:.2f} ({low:.2f} to {high:.2f}, {m} steps)."
    return NoiseTrend(rho, low, high, m, high < 0, sentence)
