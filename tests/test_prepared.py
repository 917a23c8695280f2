"""What measurements call compiled is loaded before anything is timed, so no budget pays for it."""

import time
from concurrent.futures import ThreadPoolExecutor

import numba
import pytest
import torch
from torch import nn

from clock import Clock
from interdyn.players import columns, patches
from interdyn.schedules import at
from interdyn.sparsify._fused import loop
from interdyn.tracking import Tracker, _pricing, watch
from interdyn.transforms._butterfly import transform


class Loaded:
    """A process that has loaded nothing, and the names of the functions that it loads in `prepare` and elsewhere."""

    def __init__(self, monkeypatch):
        self.before, self.late, self._preparing = [], [], False
        for known in (loop, transform, _pricing._load_solver, _pricing._load_transforms):
            known.cache_clear()
        njit, prepare = numba.njit, _pricing.Pricing.prepare

        def loading(*options, **more):
            compile_ = njit(*options, **more)

            def wrapped(function):
                (self.before if self._preparing else self.late).append(function.__name__)
                return compile_(function)

            return wrapped

        def preparing(pricing, **options):
            self._preparing = True
            try:
                return prepare(pricing, **options)
            finally:
                self._preparing = False

        monkeypatch.setattr(numba, "njit", loading)
        monkeypatch.setattr(_pricing.Pricing, "prepare", preparing)


def tracked(*, features=6, players=None, shape=None, **options):
    x = torch.randn(12, features, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] * x[:, 1] > 0).long()
    if shape is not None:
        x = x.view(12, *shape)
    if players is None and "feature_mask" not in options:
        players = columns()
    return Tracker((x, y), players=players, strict=True, **options)


def network(features=6, dtype=torch.float32):
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 8), nn.ReLU(), nn.Linear(8, 2)).to(dtype)


FEW = {"total_steps": 40, "schedule": at(0), "noise_bound": 0.2}
SMALL, LARGE = ["solve", "transform"], ["solve", "solve", "transform"]
TRAININGS = [
    pytest.param({"total_steps": 40}, torch.float32, SMALL, id="planned"),
    pytest.param({}, torch.float64, SMALL, id="float64, without a length"),
    pytest.param({"total_steps": 40, "window": 3}, torch.float32, SMALL, id="windows"),
    pytest.param({**FEW, "features": 12}, torch.float32, LARGE, id="players that a plan may leave out"),
    pytest.param({**FEW, "features": 12, "feature_mask": torch.arange(12)}, torch.float64, SMALL, id="fixed players"),
    pytest.param(
        {"total_steps": 40, "features": 16, "shape": (1, 4, 4), "players": patches(2, 2)}, torch.float32, SMALL,
        id="patches",
    ),
    pytest.param({"budget": None, "schedule": at(0, 4)}, torch.float32, SMALL, id="no budget"),
    pytest.param(
        {"total_steps": 40, "solver": "sgd-paper", "max_iter": 20}, torch.float32, SMALL, id="the paper's solver"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "dtype", "expected"), TRAININGS)
def test_what_measurements_call_is_loaded_before_the_first_of_them(monkeypatch, options, dtype, expected):
    loaded, clock, tracker = Loaded(monkeypatch), Clock(monkeypatch), tracked(**options)
    net = network(options.get("features", 6), dtype)
    for step in range(41):
        tracker.observe(step, net, train_loss=0.7, test_loss=0.7)
        clock.now += 0.5
    assert tracker.steps
    assert sorted(loaded.before) == expected
    assert loaded.late == []


def test_linear_programs_load_no_solver(monkeypatch):
    pytest.importorskip("scipy.optimize")
    loaded, tracker = Loaded(monkeypatch), tracked(solver="lp", budget=None, schedule=at(0))
    tracker.observe(0, network())
    assert (loaded.before, loaded.late) == (["transform"], [])


@pytest.mark.parametrize("budget", [0.05, None])
def test_an_estimate_loads_it_before_its_trials(monkeypatch, budget):
    loaded, tracker = Loaded(monkeypatch), tracked(budget=budget, total_steps=100)
    tracker.estimate(network(), step_seconds=0.01)
    assert (sorted(loaded.before), loaded.late) == (SMALL, [])


def test_loading_is_neither_training_nor_measuring_time(monkeypatch):
    clock = Clock(monkeypatch)

    def slow(_pricing, **_options):
        clock.now += 100.0
        return 100.0

    monkeypatch.setattr(_pricing.Pricing, "prepare", slow)
    for budget in (0.05, None):
        tracker = tracked(budget=budget, total_steps=40)
        tracker.observe(0, network())
        assert tracker.preparing_seconds == 100.0
        assert tracker.measuring_seconds < 50.0
        assert tracker.training_seconds == 0.0


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_process_in_which_nothing_is_measured_loads_nothing(monkeypatch, tmp_path, elsewhere):
    asked = []
    monkeypatch.setattr(_pricing.Pricing, "prepare", lambda _pricing, **options: asked.append(options) or 0.0)
    torch.save(network().state_dict(), tmp_path / "step_0.pt")
    tracker = tracked(budget=None, schedule=at(0), out=tmp_path / "run")
    with ThreadPoolExecutor(1) as pool:
        watch(tmp_path, network(), tracker, once=True, block=12, executor=pool if elsewhere else None)
    assert tracker.steps == (0,)
    assert asked == ([] if elsewhere else [{"fewer": False}])


def test_loading_that_takes_long_is_reported_once(monkeypatch, caplog):
    monkeypatch.setattr(_pricing, "SLOW", 0.05)
    monkeypatch.setattr(_pricing, "_load_transforms", lambda: time.sleep(0.3))
    with caplog.at_level("INFO", logger="interdyn"):
        tracked(total_steps=100).estimate(network())
        assert [m for m in caplog.messages if m.startswith("Compiling the solver.")] == [_pricing._COMPILES]
        caplog.clear()
        monkeypatch.setattr(_pricing, "_load_transforms", lambda: None)
        tracked(total_steps=100).estimate(network())
        assert not [m for m in caplog.messages if m.startswith("Compiling the solver.")]
