"""The tables of earlier checkpoints predicted from the final network, and their order distributions without a fit."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interdyn.errors import PrecisionWarning
from interdyn.sparsify import expected_seconds, split
from interdyn.spectra import order_spectrum
from interdyn.spectra._bootstrap import known_mean, share
from interdyn.theory import Mechanism, TablePrediction, mechanism_tables, predict_tables, target_weights
from interdyn.theory._prediction import named
from interdyn.theory._search import total_variation
from interdyn.values import Band, Interactions, MechanismResult, PredictionResult, PredictionSummary, Selection

_PLAYERS = 16  # above this, a table takes many seconds
_ENTRIES = 2**18  # in the tables of a step: four samples of 16 players
_STEPS = 64
_SPLIT_SAMPLES, _SPLIT_SECONDS = 8, 20.0
_TOO_LOW = 0.3  # correlation of nearby steps below which tables change more than mechanisms differ
_NEAR = 0.01  # of a correlation: by less than this a prediction does not exceed a ceiling
_OF_THE_SPLIT = ("tol", "max_iter", "merge_order_one")


def predictable(v: Float[np.ndarray, "samples subsets"]) -> Float[np.ndarray, "few subsets"]:
    """Return the tables of the first samples, as many as a prediction uses.

    Examples
    --------
    >>> len(predictable(np.zeros((100, 2**12)))), len(predictable(np.zeros((100, 2**16))))
    (64, 4)
    """
    return np.asarray(v[: max(2, _ENTRIES // v.shape[-1])])


def near_by(count: int) -> Int[np.ndarray, " steps"]:
    """Return for each step but the last the measurement whose tables are its ceiling; -1 if there is none.

    It is the next one, and for the last but one the previous one, since predictions start from the last network.

    Examples
    --------
    >>> near_by(5).tolist(), near_by(2).tolist()
    ([1, 2, 3, 2], [-1])
    """
    return np.asarray([step + 1 if step + 2 < count else step - 1 for step in range(count - 1)], dtype=np.intp)


def predicted(
    tables: Sequence[Float[np.ndarray, "samples subsets"]],
    final: Interactions,
    strength: Float[np.ndarray, "steps samples orders"],
    in_phase_2: Bool[np.ndarray, " steps"],
    steps: Float[np.ndarray, " steps"],
    chosen: Mapping[str, Any],
    *,
    with_distances: bool = True,
) -> PredictionResult:
    """Return how well each mechanism predicts the tables of every step but the last from the last network.

    Parameters
    ----------
    tables
        Tables of each step, of the first samples of a group (`predictable`).
    final
        Interactions of that group at the last step.
    strength
        Salient strength of that group at each step.
    in_phase_2, steps
        Which steps are in phase 2, and their numbers.
    chosen
        Salience and its rule, number of draws and seed.
    with_distances
        Whether predictions are split, too, for their distances of order distributions.

    Notes
    -----
    At most 64 steps, evenly spaced, and as many samples as make a quarter of a million entries per step. As many
    predictions are split as take about twenty seconds in one thread, of at most eight samples.
    """
    count, n = len(steps), final.n_players
    reason = _why_not(tables, count, n)
    if reason:
        return PredictionResult(reason=reason)
    at = np.unique(np.linspace(0, count - 2, min(count - 1, _STEPS)).round().astype(int))
    samples = min(len(tables[-1]), len(final))
    if len({table.shape[-1] for table in tables}) > 1 or min(map(len, tables)) < samples:
        return PredictionResult(
            reason="The checkpoints have other samples or players than the last: measure all of them alike.",
        )
    salience = {"salience": chosen["salience"], "salience_rule": chosen["salience_rule"]}
    w_star = _first(target_weights(final, **salience), samples)
    near = near_by(count)[at]
    prediction = predict_tables(
        w_star,
        _stacked(tables, at, samples),
        near=_stacked(tables, near, samples) if (near >= 0).all() else None,
        n_draws=chosen["bootstrap"],
        seed=chosen["seed"],
    )
    inside = in_phase_2[at]
    distance, n_split = np.full((len(prediction.mechanisms), len(at)), np.nan), 0
    if with_distances:
        distance, n_split = _distances(prediction, w_star, final, strength[at], inside, salience)
    left = [f"{len(at)} of {count - 1} checkpoints were predicted"] if len(at) < count - 1 else []
    left += [f"{samples} of {len(final)} samples"] if samples < len(final) else []
    return PredictionResult(
        mechanisms=_by_mechanism(prediction, distance, at, count),
        ceiling=_spread(known_mean(prediction.ceiling), at, count),
        near=_spread(np.where(near < 0, np.nan, steps[near]), at, count),
        n_samples=samples,
        n_split=n_split,
        level=prediction.level,
        phase_2=_summary(prediction, distance, inside) if inside.any() else None,
        whole=_summary(prediction, distance, np.ones(len(at), dtype=bool)),
        reason=f"Of all, {' and '.join(left)}, to keep this short." if left else "",
    )


def _why_not(tables: Sequence[Float[np.ndarray, "samples subsets"]], count: int, n: int) -> str:
    """Return why nothing can be predicted, as a sentence; empty if it can."""
    if len(tables) < count:
        return "The tables of a checkpoint could not be read: `interdyn check` says what is damaged."
    if count < 2:
        return "There is no checkpoint before the last one: measure more."
    if min(map(len, tables)) < 2:
        return "A mechanism's parameter is fitted on other samples, but only one was measured: measure two or more."
    if n > _PLAYERS:
        return (
            f"Tables of {n} players take long: up to {_PLAYERS} are predicted automatically, more by "
            "`interdyn.theory.predict_tables`."
        )
    return ""


def _first(w_star: Selection, samples: int) -> Selection:
    return Selection(w_star.i_and[:samples], w_star.i_or[:samples], w_star.unit)


def _stacked(
    tables: Sequence[Float[np.ndarray, "samples subsets"]], at: Int[np.ndarray, " steps"], samples: int
) -> Float[Tensor, "steps samples subsets"]:
    return torch.from_numpy(np.stack([tables[step][:samples] for step in at]))


def _spread(values: Float[np.ndarray, " some"], at: Int[np.ndarray, " some"], count: int) -> Float[np.ndarray, " all"]:
    """Return values at some of ``count`` steps, NaN at the others."""
    out = np.full(count, np.nan)
    out[at] = values
    return out


def _by_mechanism(
    found: TablePrediction, distance: Float[np.ndarray, "mechanisms some"], at: Int[np.ndarray, " some"], count: int
) -> dict[str, MechanismResult]:
    out: dict[str, MechanismResult] = {}
    for i, name in enumerate(found.mechanisms):
        low, high = found.interval(name)
        value, low, high = (_spread(part, at, count) for part in (found.mean[i], low, high))
        out[name] = MechanismResult(
            correlation=Band(value, low, high),
            parameter=_spread(found.parameter[i], at, count),
            at_edge=_spread(found.at_edge[i].astype(float), at, count) == 1,
            distance=_spread(distance[i], at, count),
        )
    return out


def _summary(
    found: TablePrediction, distance: Float[np.ndarray, "mechanisms steps"], chosen: Bool[np.ndarray, " steps"]
) -> PredictionSummary:
    mean = found.over(chosen)
    theory, rival = mean.contest()
    gain, gain_low, gain_high = mean.gain(theory, rival)[:, 0]
    ends = {name: mean.interval(name)[:, 0] for name in mean.mechanisms}
    numbers = {"gain": gain, "gain_low": gain_low, "gain_high": gain_high, "ceiling": known_mean(mean.ceiling)[0]}
    return PredictionSummary(
        n_steps=int(chosen.sum()),
        correlation={name: _number(value) for name, value in zip(mean.mechanisms, mean.mean[:, 0], strict=True)},
        low={name: _number(low) for name, (low, _) in ends.items()},
        high={name: _number(high) for name, (_, high) in ends.items()},
        best=mean.best(0),
        theory=theory,
        rival=rival,
        distance={
            name: _number(value) for name, value in zip(mean.mechanisms, known_mean(distance[:, chosen]), strict=True)
        },
        sentence=" ".join([mean.for_the_theory(), *_doubts(found, mean, chosen, (theory, rival))]),
        **{name: _number(value) for name, value in numbers.items()},
    )


def _doubts(
    found: TablePrediction, mean: TablePrediction, chosen: Bool[np.ndarray, " steps"], pair: tuple[Mechanism, Mechanism]
) -> list[str]:
    """Return what weakens a comparison: parameters at the end of the tested range, a ceiling that is too low."""
    out = []
    for name in pair:
        edges = int(found.at_edge[found.mechanisms.index(name), chosen].sum())
        if edges:
            out.append(
                f"The parameter of {named(name)} is the largest tested at {edges} of {int(chosen.sum())} "
                "steps, so a larger one may predict better."
            )
    ceiling, best = known_mean(mean.ceiling)[0], mean.mean[:, 0]
    if np.isnan(best).all() or np.isnan(ceiling):
        return out
    if ceiling < _TOO_LOW:
        out.append(f"Nearby steps correlate at {ceiling:.2f}, which is too little to distinguish mechanisms.")
    elif ceiling < np.nanmax(best) - _NEAR:
        out.append("Measurements are too far apart for a nearby one to be a ceiling.")
    return out


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _distances(
    found: TablePrediction,
    w_star: Selection,
    final: Interactions,
    strength: Float[np.ndarray, "steps samples orders"],
    inside: Bool[np.ndarray, " steps"],
    salience: Mapping[str, Any],
) -> tuple[Float[np.ndarray, "mechanisms steps"], int]:
    """Return the distance of the order distributions of predicted and measured tables, and the number of samples.

    At the steps of phase 2, or at all if there is none; evenly spaced if they would take too long, NaN elsewhere.
    """
    out = np.full((len(found.mechanisms), len(inside)), np.nan)
    rule = final.settings
    if rule.get("solver", "admm") != "admm":
        return out, 0
    samples = min(w_star.batch_shape[0], _SPLIT_SAMPLES)
    one = expected_seconds(final.n_players, 1, tol=float(rule.get("tol", 1e-3)), threads=1)
    most = int(_SPLIT_SECONDS / (one * samples * len(found.mechanisms)))
    pool = np.flatnonzero(inside) if inside.any() else np.arange(len(inside))
    if not most:
        return out, 0
    at = pool[np.unique(np.linspace(0, len(pool) - 1, min(len(pool), most)).round().astype(int))]
    measured = share(strength[at, :samples].mean(axis=1))
    few = _first(w_star, samples)
    for i, name in enumerate(found.mechanisms):
        tried, place = np.unique(found.parameter[i, at], return_inverse=True)
        tables = torch.stack(list(mechanism_tables(few, name, tried)))
        orders = share(_split_as(final, tables, samples, salience).mean(axis=1))
        out[i, at] = total_variation(measured, orders[place])
    return out, samples


def _split_as(
    final: Interactions, tables: Float[Tensor, "some samples subsets"], samples: int, salience: Mapping[str, Any]
) -> Float[np.ndarray, "some samples orders"]:
    """Return the salient strength per order of tables split by the settings of ``final``."""
    rule = final.settings
    bound = rule.get("noise_bound", "absolute")
    given = {name: rule[name] for name in _OF_THE_SPLIT if name in rule}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        found = split(
            tables.flatten(0, 1),
            noise_bound=final.noise_bound[:samples].repeat(len(tables)) if isinstance(bound, str) else bound,
            order_weight=rule.get("order_weight", 0.0),
            allow_large=True,
            show_progress=False,
            unit=final.unit,
            **given,
        )
    rows = np.arange(len(found)).reshape(-1, samples)  # the threshold is that of the samples of a step
    return np.stack([order_spectrum(found.sample(torch.from_numpy(few)), **salience).strength for few in rows])
