"""The parts of a run's result: groups, phases, theory, and the quality of the splits."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from interdyn.values._record import Band, Flags, Numbers, OverOrders, OverSteps, Pair, Record, fits

KINDS = ("and_positive", "and_negative", "or_positive", "or_negative")


class GroupResult(Record):
    """What was measured on one group of samples (``"test"`` or another).

    Attributes
    ----------
    n_samples, sample_ids
        How many samples, and their numbers in the data.
    order_distribution
        Share of each order in the salient strength, ``(steps, orders)``, with interval.
    mean_order
        Strength-weighted mean order, ``(steps,)``, with interval.
    level
        Nominal coverage of the intervals.
    strength
        Mean magnitude of the salient interactions, each name of `KINDS` to ``(steps, orders)``, in ``unit``.
    n_salient, salience
        Mean number of salient interactions of a sample, and mean threshold, ``(steps,)``.
    effect
        Effect of all players together, mean over samples of ``|v(N) - v({})|``, ``(steps,)``, in ``unit``. None in
        older runs.
    per_sample_mean_order
        ``(steps, samples)``.
    gap, residual
        Largest certified gap and largest residual of each step, ``(steps,)``.
    """

    n_samples: int | None = None
    sample_ids: tuple[int, ...] = ()
    order_distribution: Annotated[Band, AfterValidator(fits("steps", "orders"))] | None = None
    mean_order: Annotated[Band, AfterValidator(fits("steps"))] | None = None
    level: float | None = None
    strength: Mapping[str, OverOrders] | None = None
    unit: str = "unit of the output"
    n_salient: OverSteps | None = None
    salience: OverSteps | None = None
    effect: OverSteps | None = None
    per_sample_mean_order: Numbers | None = None
    residual: OverSteps | None = None
    gap: OverSteps | None = None


class PhaseResult(Record):
    """The verdict on the two phases; steps are optimiser steps, ``None`` if there is no answer.

    ``status``, ``gap_status``, ``agreement`` and ``initial`` are sentences, ``kind`` one of
    `interdyn.dynamics.PhaseStatus`, ``evidence`` the numbers of `interdyn.dynamics.PhaseEvidence`. The boundary is the
    interval ``interval``, from the low end of where the fall ends to the high end of where the rise starts.
    """

    found: bool = False
    kind: str = ""
    status: str = ""
    boundary_step: float | None = None
    interval: Pair | None = None
    fall_ends: float | None = None
    fall_ends_interval: Pair | None = None
    rise_starts: float | None = None
    rise_starts_interval: Pair | None = None
    level: float | None = None
    gap_onset_step: float | None = None
    gap_interval: Pair | None = None
    gap_status: str = ""
    agreement: str = ""
    spindle: bool | None = None
    initial: str = ""
    evidence: Mapping[str, Any] | None = None


class HarmResult(Record):
    """Whether training harms, from the held-out losses: the fields of `interdyn.dynamics.Onset`, and two more.

    ``growth`` is the rise as a share of the smallest held-out loss, ``best_step`` the checkpoint with the smallest
    (None without held-out losses), ``pattern`` a sentence if, without held-out losses, training samples show a
    pattern typical of trainings that are being harmed.
    """

    found: bool = False
    step: float | None = None
    interval: Pair | None = None
    level: float | None = None
    growth: float | None = None
    probability: float | None = None
    best_step: float | None = None
    sentence: str = ""
    pattern: str = ""


class TheorySummary(Record):
    """The theory over phase 2: mean total variation distances, and the rank correlation of noise and step."""

    n_steps: int = 0
    mean_tv_phase_2: float | None = None
    mean_tv_phase_2_low: float | None = None
    mean_tv_phase_2_high: float | None = None
    mean_tv_null_sigma0: float | None = None
    mean_tv_null_tilt: float | None = None
    noise_rank_correlation: float | None = None
    noise_rank_correlation_low: float | None = None
    noise_rank_correlation_high: float | None = None
    sentence: str = ""


class TheoryResult(Record):
    """The theory's fit, one entry per step of the run (NaN where the step was not fitted); see `theory.NoiseFit`.

    ``noise_var`` is the paper's sigma squared; ``tv`` the total variation distance between the measured and
    the theoretical distribution over orders, in [0, 1]; the nulls are the same distance for ``sigma = 0`` and
    for an exponential tilt of the final distribution. ``overall`` summarises phase 2.
    """

    noise_var: Band
    tv: Band
    tv_null_sigma0: Numbers
    tv_null_tilt: Numbers
    tilt: Numbers
    in_phase_2: Flags
    sentences: tuple[str, ...]
    order_distribution: OverOrders | None = None
    level: float | None = None
    empty_effect: Numbers | None = None
    overall: TheorySummary = TheorySummary()


class RowNorms(Record):
    """Norm of the theory's rows of order ``k`` divided by that of order ``k + 1``, ``k = 0..n-1``: ``(levels, n)``."""

    noise_var: Numbers
    ratios: Numbers


class SplitQuality(Record):
    """Certified gap, mean and largest; largest residual relative to ``max|v|`` of its table."""

    mean_gap: float | None = None
    max_gap: float | None = None
    max_residual: float | None = None


class SplitRule(Record):
    """The options of the splits of a run.

    ``order_weight`` is None if version 0.1 made the split, by least energy, and lists all weights if they differ;
    ``tol`` is the coarsest.
    """

    solver: str | None = None
    order_weight: float | tuple[float | None, ...] | None = None
    noise_bound: Any = None
    tol: float | None = None
    tol_rule: str | None = None
    max_iter: int | None = None
    merge_order_one: bool | None = None


class LeftOpen(Record):
    """What sparsity alone leaves open at a step, over all explanations within ``factor`` of the sparsest.

    ``mean_order`` is low and high, a mean over ``n_samples`` samples; the shares are those of each order.
    """

    step: float | None = None
    n_samples: int
    factor: float
    mean_order: Pair
    reported_mean_order: float
    share_low: tuple[float, ...] = ()
    share_high: tuple[float, ...] = ()
