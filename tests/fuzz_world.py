"""Valid calls of the public functions, and what may be put in the place of each argument."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from matplotlib.figure import Figure

from interdyn import (
    dynamics,
    exports,
    game,
    measurement,
    monitors,
    plot,
    schedules,
    sparsify,
    spectra,
    theory,
    transforms,
    values,
)
from interdyn.measurement import MeasurementConfig, measure
from interdyn.players import columns, patches
from interdyn.tracking import Tracker


class Odd:
    """An object that is nothing we know."""

    def __repr__(self) -> str:
        return "Odd()"


@dataclass(frozen=True)
class Call:
    """A call that is right: the function, its arguments, and the kind of each that may be replaced."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    kinds: dict[str, str]


def on_axes(figure: Callable[..., Any]) -> Callable[..., Any]:
    """Return a figure that is drawn on axes of its own, which no list of open figures keeps."""
    return lambda **given: figure(**given, ax=Figure().subplots())


# what may stand in the place of an argument: (value, whether it is nonsense for sure); a function of the right value

NONSENSE = ("x", "", b"x", {}, {"a": 1}, Odd(), object, 1j, [], [[1], [1, 2]], float("nan"), -1, np.datetime64(0, "s"))
_WHOLE = [
    *((value, True) for value in (*NONSENSE, 0.5, float("inf"), "3", True, [1, 2], -(10**30), 10**40, np.ones(3))),
    *((value, False) for value in (1, 2, 3, np.int64(2), np.uint8(3), 2.0, torch.tensor(2), np.array(2), None)),
]
_SEED = [*((v, w) for v, w in _WHOLE), (2**63, True), (0, False), (2**32 + 1, False)]
_SHARE = [
    *((value, True) for value in (*NONSENSE, 0, 1, 2, float("inf"), "0.9", [0.5, 0.5], 10**400, True, np.ones(2))),
    *((value, False) for value in (0.5, np.float32(0.8), torch.tensor(0.7), np.array(0.6), None)),
]
_AMOUNT = [
    *((value, True) for value in (*NONSENSE, float("inf"), "0.02x", -0.5, 10**400, True)),
    *((value, False) for value in (0, 0.0, 0.5, 1, 3, np.float64(0.1), torch.tensor(0.1), None)),
]
_WORD = [
    *((value, True) for value in ("zzz", "", 3, b"max", [], {}, Odd(), 1.5, float("nan"), np.array(["max"]), True)),
    (None, False),
]
_PATH = [
    (v, True)
    for v in (5, "\0", "a\0b", b"abc", "x" * 5000, "", None, [], {}, Odd(), "no/such", "\ud800", ".", os.devnull)
]
_RESULT = [(value, True) for value in (*NONSENSE, None, 3, np.zeros((2, 8)), torch.zeros(8), (1, 2, 3), "found")]
_FREE = [(value, False) for value in (*NONSENSE, None, 0, 1, 3, True, "mean", np.ones(3), torch.ones(2), "auto")]


def _arrays(right: Any) -> list[tuple[Any, bool]]:
    array = np.arange(8.0) if right is None else np.asarray(right)
    floating = array.astype(np.float64)
    nan, huge = floating.copy(), floating * 1e305
    if nan.size:
        nan.reshape(-1)[0] = np.nan
    fine = [
        array.tolist(),
        floating[..., ::-1] if array.ndim else floating,
        np.flip(floating),
        np.asfortranarray(floating),
        floating.astype(">f8"),
        floating.astype(np.float32),
        floating.astype(np.float16),
        floating.astype(np.longdouble),
        torch.from_numpy(floating.copy()),
        torch.from_numpy(floating.copy()).to_sparse() if array.ndim else torch.tensor(1.0),
        torch.from_numpy(floating.copy()).requires_grad_(),
        floating.astype(object),
        np.ma.array(floating, mask=False),
        nan,
        -nan,
        huge,
        floating * 1e-320,
        floating[:0] if array.ndim else floating,
        floating[None],
        np.repeat(floating, 2, axis=-1) if array.ndim else floating,
        floating * 0,
        -floating,
        array > 0,
        array.astype(np.int8),
        array.astype(np.uint16),
        np.broadcast_to(floating, floating.shape),
        floating[..., :1] if array.ndim else floating,
        torch.empty(array.shape, device="meta"),
        1e400,
        0,
        -3,
    ]
    wrong = [
        "x",
        b"xy",
        {},
        {"a": floating},
        Odd(),
        object,
        None,
        [[1.0], [1.0, 2.0]],
        [["a", "b"]],
        floating + 1j,
        array.astype(str),
        np.array([None] * 3),
        floating.astype("M8[s]") if array.ndim else "x",
        np.ma.array(floating, mask=True),
        {1, 2},
    ]
    return [*((x, False) for x in fine), *((x, True) for x in wrong)]


LISTS = {"count": _WHOLE, "seed": _SEED, "share": _SHARE, "amount": _AMOUNT, "word": _WORD, "path": _PATH}
LISTS |= {"result": _RESULT, "free": _FREE}


@cache
def replacements(name_of_call: str) -> st.SearchStrategy[dict[str, tuple[Any, bool]]]:
    """Return one or two arguments of a call, each with what stands in its place."""
    call = calls()[name_of_call]

    @cache
    def of(name: str) -> st.SearchStrategy[tuple[Any, bool]]:
        kind = call.kinds[name]
        if kind in ("array", "array?"):
            values_ = _arrays(call.arguments[name])
            optional = [(v, w and not (kind == "array?" and v is None)) for v, w in values_]
            return st.sampled_from(optional)
        drawn = {
            "count": st.integers(-(10**3), 10**6),
            "amount": st.floats(),
            "share": st.floats(),
            "seed": st.integers(),
        }
        if kind in drawn:
            return st.one_of(st.sampled_from(LISTS[kind]), drawn[kind].map(lambda value: (value, False)))
        return st.sampled_from(LISTS[kind])

    names = st.lists(st.sampled_from(sorted(call.kinds)), min_size=1, max_size=2, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: of(name) for name in chosen}))


@cache
def world() -> dict[str, Any]:
    """Return small right things, made once."""
    rng = np.random.default_rng(0)
    v = rng.standard_normal((3, 8))
    found = sparsify.split(v)
    steps = np.array([0.0, 1, 2, 4, 8, 16, 32, 64])
    strength = rng.random((8, 3, 3)) + 0.1
    trajectory = values.Trajectory(steps, strength, rng.random(8), rng.random(8))
    spectrum = spectra.order_spectrum(found)
    return {
        "v": v,
        "found": found,
        "steps": steps,
        "strength": strength,
        "trajectory": trajectory,
        "spectrum": spectrum,
        "points": rng.random((2, 12, 3)),
        "ids": rng.integers(0, 3, (2, 12)),
        "net": torch.nn.Linear(3, 2),
        "x": rng.standard_normal((2, 3)).astype(np.float32),
        "table": values.ValueTable(torch.from_numpy(v)),
        "weights": theory.target_weights(found),
        "folder": TemporaryDirectory(),
    }


def _observe(step: Any, strict: Any) -> Any:
    w = world()
    x, y = torch.from_numpy(w["x"]), torch.tensor([0, 1])
    with Tracker((x, y), players=columns(), budget=None, strict=bool(strict)) as tracker:
        tracker.observe(0, w["net"])
        return tracker.observe(step, w["net"])


def _tracker(probe: Any, sample_ids: Any, loggers: Any, every: Any, n: Any) -> Any:
    w = world()
    with Tracker(
        probe,
        players=columns().choose(n) if n is not None else columns(),
        sample_ids=sample_ids,
        loggers=loggers,
        budget=None,
        schedule=schedules.every(every),
    ) as tracker:
        return tracker.observe(0, w["net"])


@cache
def calls() -> dict[str, Call]:
    """Return the calls by name; see `test_every_public_function_is_called`."""
    w = world()
    of_finder, good_finder = {"level": "share", "seed": "seed"}, {"level": 0.9, "seed": 0}
    level, good = {**of_finder, "n_bootstrap": "count"}, {**good_finder, "n_bootstrap": 120}
    found, v, x = w["found"], w["v"], w["x"]
    two = {"a": found, "b": found, "level": 0.9, "n_draws": 20, "seed": 0, "a_classes": None, "b_classes": None}
    return {
        "transforms.and_from_values": Call(transforms.and_from_values, {"v": v}, {"v": "array"}),
        "transforms.or_from_values": Call(transforms.or_from_values, {"v": v}, {"v": "array"}),
        "transforms.values_from_and": Call(transforms.values_from_and, {"i": v}, {"i": "array"}),
        "transforms.values_from_or": Call(transforms.values_from_or, {"i": v}, {"i": "array"}),
        "transforms.walsh_from_values": Call(transforms.walsh_from_values, {"v": v}, {"v": "array"}),
        "transforms.values_from_walsh": Call(transforms.values_from_walsh, {"w": v}, {"w": "array"}),
        "sparsify.split": Call(
            sparsify.split,
            {
                "v": v,
                "noise_bound": 0.02,
                "tol": 1e-3,
                "max_iter": 200,
                "order_weight": 0.02,
                "solver": "admm",
                "threads": 1,
            },
            {
                "v": "array",
                "noise_bound": "amount",
                "tol": "share",
                "max_iter": "count",
                "order_weight": "amount",
                "solver": "word",
            },
        ),
        "sparsify.split (rates)": Call(
            sparsify.split,
            {"v": v, "solver": "sgd-paper", "rates": (1e-3,), "max_iter": 5, "threads": 1},
            {"rates": "free", "threads": "count"},
        ),
        "sparsify.split (bounds)": Call(
            sparsify.split, {"v": v, "noise_bound": np.full(3, 0.1)}, {"noise_bound": "array", "v": "array"}
        ),
        "sparsify.identified": Call(
            sparsify.identified,
            {"found": found[:1], "strongest": 1, "slack": 1e-2, "threads": 1},
            {"found": "result", "strongest": "count", "slack": "share", "threads": "count"},
        ),
        "sparsify.expected_seconds": Call(
            sparsify.expected_seconds,
            {"n": 5, "tables": 3, "tol": 1e-3, "threads": 1},
            {"n": "count", "tables": "count", "tol": "share", "threads": "count"},
        ),
        "sparsify.first_tolerance": Call(
            sparsify.first_tolerance,
            {"tol": 1e-3, "order_weight": 0.02, "n": 5},
            {"tol": "share", "order_weight": "amount", "n": "count"},
        ),
        "spectra.order_spectrum": Call(
            spectra.order_spectrum,
            {"interactions": found, "salience": 0.03, "salience_rule": "max", "normalize": "sum"},
            {"interactions": "result", "salience": "amount", "salience_rule": "word", "normalize": "word"},
        ),
        "spectra.salience_threshold": Call(
            spectra.salience_threshold,
            {"interactions": found, "salience": 0.03, "rule": "max"},
            {"interactions": "result", "salience": "amount", "rule": "word"},
        ),
        "spectra.output_range": Call(spectra.output_range, {"interactions": found}, {"interactions": "result"}),
        "spectra.output_without": Call(spectra.output_without, {"interactions": found}, {"interactions": "result"}),
        "spectra.order_profile": Call(spectra.order_profile, {"spectrum": w["spectrum"]}, {"spectrum": "result"}),
        "spectra.sum_by_order": Call(spectra.sum_by_order, {"table": v}, {"table": "array"}),
        "spectra.is_salient": Call(
            spectra.is_salient, {"table": v, "threshold": np.full(3, 0.1)}, {"table": "array", "threshold": "array"}
        ),
        "spectra.bootstrap_distribution": Call(
            spectra.bootstrap_distribution, {"strength": w["strength"], **good}, {"strength": "array", **level}
        ),
        "spectra.jaccard_by_order": Call(
            spectra.jaccard_by_order,
            two,
            {"a": "result", "b": "result", "level": "share", "n_draws": "count", "seed": "seed"},
        ),
        "spectra.jaccard_by_order (classes)": Call(
            spectra.jaccard_by_order,
            {**two, "a_classes": np.array([0, 1, 1]), "b_classes": np.array([0, 1, 1])},
            {"a_classes": "free", "b_classes": "free"},
        ),
        "spectra.usage": Call(
            spectra.usage,
            {"found": found, "names": list("abc"), "k": 5, "least": 2, "salience": 0.03, "salience_rule": "max"},
            {
                "found": "result",
                "names": "free",
                "k": "count",
                "least": "count",
                "salience": "amount",
                "salience_rule": "word",
            },
        ),
        "spectra.costliest": Call(spectra.costliest, {"loss": v[0], "count": 2}, {"loss": "array", "count": "count"}),
        "spectra.window_mean": Call(
            lambda one, salience, salience_rule: spectra.window_mean(
                [found, one], salience=salience, salience_rule=salience_rule
            ),
            {"one": found, "salience": 0.03, "salience_rule": "max"},
            {"one": "result", "salience": "amount", "salience_rule": "word"},
        ),
        "theory.default_parameters": Call(
            theory.default_parameters, {"mechanism": "tilt", "n": 4}, {"mechanism": "word", "n": "count"}
        ),
        "theory.mechanism_tables": Call(
            lambda w_star, mechanism, parameters: list(theory.mechanism_tables(w_star, mechanism, parameters)),
            {"w_star": w["weights"], "mechanism": "joint theory", "parameters": np.array([0.1, 1.0])},
            {"w_star": "result", "mechanism": "word", "parameters": "array"},
        ),
        "theory.predict_tables": Call(
            theory.predict_tables,
            {"w_star": w["weights"], "measured": torch.from_numpy(v)[None], "n_draws": 120, "level": 0.9, "seed": 0},
            {"w_star": "result", "measured": "array", "n_draws": "count", "level": "share", "seed": "seed"},
        ),
        "theory.fit_noise": Call(
            theory.fit_noise,
            {
                "final": found,
                "strength": w["strength"],
                "steps": w["steps"],
                "boundary_step": 4.0,
                "noise_levels": np.logspace(-3, 1, 5),
                "salience": 0.03,
                "salience_rule": "max",
                "empty": "zero",
                **good,
            },
            {
                "final": "result",
                "strength": "array",
                "steps": "array?",
                "noise_levels": "array?",
                "salience": "amount",
                "salience_rule": "word",
                "empty": "word",
                **level,
            },
        ),
        "theory.falling": Call(
            theory.falling,
            {"noise_var": w["steps"], "in_phase_2": w["steps"] > 2, "level": 0.9},
            {"noise_var": "array", "in_phase_2": "array", "level": "share"},
        ),
        "theory.optimal_weights": Call(
            theory.optimal_weights,
            {"w_star": v, "noise_var": np.array([0.1, 1.0])},
            {"w_star": "array", "noise_var": "array"},
        ),
        "theory.row_norms": Call(
            theory.row_norms, {"n": 4, "noise_var": np.array([0.1])}, {"n": "count", "noise_var": "array"}
        ),
        "theory.row_norm_ratios": Call(
            theory.row_norm_ratios, {"n": 4, "noise_var": np.array([0.1])}, {"n": "count", "noise_var": "array"}
        ),
        "theory.default_levels": Call(theory.default_levels, {"n": 4}, {"n": "count"}),
        "theory.target_weights": Call(
            theory.target_weights,
            {"final": found, "salience": 0.03, "salience_rule": "max", "empty": "zero"},
            {"final": "result", "salience": "amount", "salience_rule": "word", "empty": "word"},
        ),
        "theory.strength_by_level": Call(
            theory.strength_by_level,
            {"w_star": w["weights"], "noise_var": np.array([0.1, 1.0]), "salience": 0.03},
            {"w_star": "result", "noise_var": "array", "salience": "amount"},
        ),
        "theory.distribution_by_level": Call(
            theory.distribution_by_level,
            {"w_star": w["weights"], "noise_var": np.array([0.1, 1.0]), "salience": 0.03},
            {"w_star": "result", "noise_var": "array", "salience": "amount"},
        ),
        "theory.weights_by_level": Call(
            lambda w_star, levels: list(theory.weights_by_level(w_star, levels)),
            {"w_star": torch.from_numpy(v), "levels": np.array([0.1])},
            {"w_star": "array", "levels": "array"},
        ),
        "dynamics.find_phases": Call(
            dynamics.find_phases,
            {"trajectory": w["trajectory"], "smallest_change": 0.1, **good_finder},
            {"trajectory": "result", "smallest_change": "amount", **of_finder},
        ),
        "dynamics.find_gap_onset": Call(
            dynamics.find_gap_onset,
            {"steps": w["steps"], "train_loss": w["steps"], "test_loss": 2 * w["steps"], **good_finder},
            {"steps": "array", "train_loss": "array", "test_loss": "array", **of_finder},
        ),
        "dynamics.find_harm": Call(
            dynamics.find_harm,
            {"steps": w["steps"], "held_out": 2 * w["steps"], **good_finder},
            {"steps": "array", "held_out": "array", **of_finder},
        ),
        "dynamics.least_loss": Call(
            dynamics.least_loss, {"steps": w["steps"], "held_out": w["steps"]}, {"steps": "array", "held_out": "array"}
        ),
        "dynamics.find_pattern": Call(
            dynamics.find_pattern,
            {"steps": w["steps"], "high_orders": w["steps"], "effect": w["steps"]},
            {"steps": "array", "high_orders": "array", "effect": "array"},
        ),
        "dynamics.recommend": Call(
            dynamics.recommend, {"result": values.RunResult.from_json({"steps": [0, 1]})}, {"result": "result"}
        ),
        "dynamics.pattern_signal": Call(
            dynamics.pattern_signal,
            {"high_orders": w["steps"], "effect": w["steps"]},
            {"high_orders": "array", "effect": "array"},
        ),
        "dynamics.initial_orders": Call(
            dynamics.initial_orders, {"share": np.array([0.5, 0.5]), "step": 0}, {"share": "array", "step": "amount"}
        ),
        "dynamics.spindle_law": Call(dynamics.spindle_law, {"n_players": 4}, {"n_players": "count"}),
        "dynamics.online_verdict": Call(
            dynamics.online_verdict,
            {"trajectory": w["trajectory"], "before": None, **good_finder},
            {"trajectory": "result", "before": "free", **of_finder},
        ),
        "dynamics.online_verdicts": Call(
            dynamics.online_verdicts, {"trajectory": w["trajectory"].first(2)}, {"trajectory": "result"}
        ),
        "dynamics.whole_verdict": Call(
            dynamics.whole_verdict,
            {"trajectory": w["trajectory"], "phases": None, **good_finder},
            {"trajectory": "result", "phases": "free", **of_finder},
        ),
        "values.Trajectory": Call(
            values.Trajectory,
            {"steps": w["steps"], "strength": w["strength"], "train_loss": w["steps"], "test_loss": None},
            {"steps": "array", "strength": "array", "train_loss": "array?", "test_loss": "array?"},
        ),
        "values.Trajectory (used)": Call(
            lambda steps, strength: dynamics.find_phases(values.Trajectory(steps, strength)),
            {"steps": w["steps"], "strength": w["strength"]},
            {"steps": "array", "strength": "array"},
        ),
        "values.ValueTable": Call(values.ValueTable, {"values": v}, {"values": "array"}),
        "values.Selection": Call(values.Selection, {"i_and": v, "i_or": v}, {"i_and": "array", "i_or": "array"}),
        "values.as_tensor": Call(values.as_tensor, {"array": v}, {"array": "array"}),
        "values.orders": Call(values.orders, {"n": 3}, {"n": "count"}),
        "values.subset_masks": Call(values.subset_masks, {"n": 3}, {"n": "count"}),
        "values.members": Call(values.members, {"subset": 5}, {"subset": "count"}),
        "values.subset_from_members": Call(
            values.subset_from_members, {"players": (0, 2), "n": 3}, {"players": "free", "n": "count"}
        ),
        "values.n_players_from_size": Call(values.n_players_from_size, {"size": 8}, {"size": "count"}),
        "Interactions.get_top_k": Call(found.get_top_k, {"k": 2}, {"k": "count"}),
        "Interactions.get_n_order": Call(found.get_n_order, {"order": 2}, {"order": "count"}),
        "Interactions.sparsify": Call(found.sparsify, {"threshold": 0.1}, {"threshold": "amount"}),
        "Interactions.top": Call(found[0].top, {"k": 2}, {"k": "count"}),
        "Interactions.pair": Call(found.pair, {"players": (0, 1)}, {"players": "free"}),
        "Interactions.sample": Call(found.sample, {"key": 1}, {"key": "free"}),
        "schedules.every": Call(
            lambda k, start: schedules.every(k, start=start)(5), {"k": 3, "start": 0}, {"k": "count", "start": "count"}
        ),
        "schedules.log_spaced": Call(
            lambda per_decade, first, step: schedules.due(schedules.log_spaced(per_decade, first=first), 0, step),
            {"per_decade": 8, "first": 1, "step": 100},
            {"per_decade": "count", "first": "count", "step": "count"},
        ),
        "schedules.at": Call(
            lambda one, two: schedules.due_steps(schedules.at(one, two), 0, 100),
            {"one": 1, "two": 50},
            {"one": "count", "two": "count"},
        ),
        "schedules.any_of": Call(
            lambda one, two: schedules.any_of(one, two)(3),
            {"one": schedules.every(2), "two": schedules.at(3)},
            {"one": "result", "two": "result"},
        ),
        "schedules.all_of": Call(
            lambda one, two: schedules.all_of(one, two)(3),
            {"one": schedules.every(2), "two": schedules.at(3)},
            {"one": "result", "two": "result"},
        ),
        "monitors.named": Call(
            lambda name, evaluations: monitors.named(name, evaluations=evaluations),
            {"name": "patience", "evaluations": 2},
            {"name": "word", "evaluations": "count"},
        ),
        "monitors.LabelWave": Call(
            lambda steps, seen: monitors.LabelWave().over(steps, seen),
            {"steps": np.arange(4.0), "seen": np.eye(4)},
            {"steps": "array", "seen": "free"},
        ),
        "monitors.GradientDisparity": Call(
            lambda seen, rises: monitors.GradientDisparity(rises=rises).observe(1, seen),
            {"seen": np.eye(3), "rises": 2},
            {"seen": "array", "rises": "count"},
        ),
        "monitors.InstanceStopping": Call(
            lambda seen, bound: monitors.InstanceStopping(bound=bound).observe(1, seen),
            {"seen": np.ones(3), "bound": 0.1},
            {"seen": "array", "bound": "free"},
        ),
        "monitors.batch_gradients": Call(
            lambda model, batches: monitors.batch_gradients(model, batches),
            {"model": torch.nn.Linear(2, 2), "batches": [(torch.ones(3, 2), torch.tensor([0, 1, 1]))]},
            {"model": "result", "batches": "result"},
        ),
        "players.columns": Call(columns, {"groups": [[0], [1, 2]]}, {"groups": "free"}),
        "players.patches": Call(
            patches, {"rows": 2, "cols": 2, "channels": "first"}, {"rows": "count", "cols": "count", "channels": "word"}
        ),
        "players.steps": Call(game.steps, {"count": 3}, {"count": "count"}),
        "players.segments": Call(game.segments, {"ids": w["ids"][:1]}, {"ids": "array"}),
        "players.choose": Call(
            columns().choose, {"n": 2, "seed": 0, "others": "keep"}, {"n": "count", "seed": "seed", "others": "word"}
        ),
        "players.choose_parts": Call(
            game.choose_parts,
            {"parts": w["ids"], "n": 2, "seed": 0, "sample_ids": [3, 4], "others": "keep"},
            {"parts": "array", "n": "count", "seed": "seed", "sample_ids": "free", "others": "word"},
        ),
        "players.n_parts": Call(game.n_parts, {"parts": w["ids"]}, {"parts": "array"}),
        "players.clusters": Call(
            game.clusters, {"points": w["points"], "k": 3, "seed": 0}, {"points": "array", "k": "count", "seed": "seed"}
        ),
        "players.part_means": Call(
            game.part_means, {"points": w["points"], "ids": w["ids"]}, {"points": "array", "ids": "array"}
        ),
        "players.mean_baseline": Call(game.mean_baseline, {"data": x}, {"data": "array"}),
        "players.blur_baseline": Call(
            game.blur_baseline,
            {"inputs": np.ones((2, 1, 5, 5)), "sigma": 2.0, "channels": "first"},
            {"inputs": "array", "sigma": "amount", "channels": "word"},
        ),
        "game.estimate_passes": Call(game.estimate_passes, {"n": 3, "samples": 2}, {"n": "count", "samples": "count"}),
        "game.labels_of": Call(game.labels_of, {"target": [0, 1], "samples": 2}, {"target": "free"}),
        "game.samples_of": Call(
            game.samples_of,
            {"inputs": x, "target": [0, 1], "most": 4},
            {"inputs": "free", "target": "free", "most": "count"},
        ),
        "measure": Call(
            lambda **given: measure(w["net"], given.pop("inputs"), **given),
            {
                "inputs": x,
                "target": 0,
                "players": columns(),
                "baselines": None,
                "batch_size": "auto",
                "sample_ids": None,
                "noise_bound": 0.02,
                "solver": "admm",
                "tol": 1e-3,
                "max_iter": 50,
                "order_weight": 0.02,
                "layer": None,
                "output": "log-odds",
                "names": None,
                "calibrate_batch_norm": None,
                "device": None,
                "threads": 1,
            },
            {
                "inputs": "array",
                "target": "free",
                "players": "free",
                "baselines": "free",
                "calibrate_batch_norm": "free",
                "batch_size": "free",
                "sample_ids": "free",
                "noise_bound": "amount",
                "solver": "word",
                "tol": "share",
                "max_iter": "count",
                "order_weight": "amount",
                "layer": "free",
                "output": "word",
                "names": "free",
                "device": "free",
                "threads": "count",
            },
        ),
        "measure (feature_mask)": Call(
            lambda **given: measure(w["net"], x, target=0, **given),
            {"feature_mask": np.arange(3), "baselines": np.zeros(3), "config": None},
            {"feature_mask": "array", "baselines": "array?", "config": "free"},
        ),
        "Tracker": Call(
            _tracker,
            {
                "probe": (torch.from_numpy(x), torch.tensor([0, 1])),
                "sample_ids": None,
                "loggers": (),
                "every": 1,
                "n": 2,
            },
            {"probe": "result", "sample_ids": "free", "loggers": "free", "every": "count", "n": "count"},
        ),
        "Tracker.observe": Call(_observe, {"step": 5, "strict": True}, {"step": "count"}),
        "reading": Call(
            measurement.reading,
            {"found": found, "labels": [0, 1, 1], "group": "train", "step": 0, "sample_ids": [0, 1, 2]},
            {"found": "result", "labels": "free", "group": "free", "step": "count", "sample_ids": "free"},
        ),
        "MeasurementConfig.split_seconds": Call(
            lambda tol, n: MeasurementConfig(tol=tol, threads=1).split_seconds(n, 3),
            {"tol": 1e-3, "n": 5},
            {"tol": "share", "n": "count"},
        ),
        "exports.shapley_values": Call(exports.shapley_values, {"found": found}, {"found": "result"}),
        "exports.to_pandas": Call(exports.to_pandas, {"found": found}, {"found": "result"}),
        "exports.load_interactions": Call(exports.load_interactions, {"path": "no/such"}, {"path": "path"}),
        "exports.save_interactions": Call(
            exports.save_interactions, {"found": found, "path": f"{w['folder'].name}/found"}, {"found": "result"}
        ),
        "exports.read_laboratory": Call(exports.read_laboratory, {"folder": "no/such"}, {"folder": "path"}),
        "exports.export_run": Call(
            exports.export_run, {"run": "no/such", "to": "csv", "out": "no/such/out"}, {"run": "path", "to": "word"}
        ),
        "plot.load_run": Call(plot.load_run, {"path": "no/such"}, {"path": "path"}),
        "plot.as_view": Call(plot.as_view, {"data": "no/such"}, {"data": "path"}),
        "plot.plot_waterfall": Call(
            plot.plot_waterfall,
            {"data": found, "sample": 1, "k": 3},
            {"data": "result", "sample": "count", "k": "count"},
        ),
        "plot.plot_top": Call(
            on_axes(plot.plot_top),
            {"data": found, "k": 5, "by": "share"},
            {"data": "result", "k": "count", "by": "word"},
        ),
        "plot.plot_network": Call(
            on_axes(plot.plot_network), {"data": found, "k": 5}, {"data": "result", "k": "count"}
        ),
        "measurement.History": Call(
            measurement.History, {"groups": ["test"], "salience": 0.03}, {"groups": "free", "salience": "amount"}
        ),
        "measurement.agreement": Call(
            measurement.agreement, {"run": "no/such", "other": "no/such"}, {"run": "path", "other": "path"}
        ),
        "measurement.generalisation": Call(measurement.generalisation, {"run": "no/such"}, {"run": "path"}),
    }
