"""A tracker in a training loop: it measures, it keeps, it costs what it may, and it does not disturb."""

import subprocess
import sys
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from clock import Clock
from interdyn import store, tracking
from interdyn.cli import main
from interdyn.errors import (
    IncompleteRunError,
    InputError,
    InterdynWarning,
    NonFiniteError,
    PlayersError,
    RecipeError,
    StorageError,
    TargetError,
    TooLargeError,
)
from interdyn.measurement import MeasurementConfig
from interdyn.players import columns, patches
from interdyn.schedules import at, every, log_spaced
from interdyn.spectra import order_spectrum
from interdyn.tracking import load_weights, mean_losses, summarise
from interdyn.tracking._budget import Budget
from interdyn.tracking._plan import Pace, Plan, planned
from interdyn.tracking.pytorch import watching
from stored import analysis_of, summary_of

Tracker = partial(tracking.Tracker, budget=None)  # what falls due is measured, but where a test says otherwise


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def data(samples=64, features=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, features, generator=generator)
    return x, (x[:, 0] * x[:, 1] > 0).long()


def network(features=6):
    return nn.Sequential(nn.Linear(features, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))


def train(steps=30, *, tracker=None, wrap=lambda net: net, seed=1):
    """Train with dropout, batch norm and a data order from the global generator; return the last weights."""
    torch.manual_seed(seed)
    x, y = data()
    net = network()
    model = wrap(net)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for step in range(steps + 1):
        if tracker is not None:
            tracker.observe(step, model, train_loss=1.0 / (step + 1), test_loss=1.0)
        rows = torch.randperm(len(x))[:16]
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimiser.step()
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def probe():
    return data(12, seed=5)


# -- does not disturb --------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda net: net, nn.DataParallel], ids=["plain", "data parallel"])
def test_a_tracked_training_ends_with_the_same_bits(wrap, tmp_path):
    tracker = Tracker(probe(), players=columns(), schedule=every(4), out=tmp_path / "run", strict=True)
    seen, unseen = train(tracker=tracker, wrap=wrap), train(wrap=wrap)
    tracker.close()
    assert tracker.steps == (0, 4, 8, 12, 16, 20, 24, 28, 31)
    for name, weights in unseen.items():
        assert torch.equal(seen[name], weights), name


def test_with_a_budget_too_and_under_autocast_with_accumulated_gradients():
    def run(tracker):
        torch.manual_seed(0)
        x, y = data()
        net = network()
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
        for step in range(1, 41):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(net(x[:32]), y[:32])
                loss.backward()
                if tracker is not None:
                    tracker.observe(step, net)
            if step % 4 == 0:
                optimiser.step()
                optimiser.zero_grad()
        return net.state_dict()

    tracker = Tracker(probe(), players=columns(), budget=0.9, total_steps=1_000_000, schedule=every(2), strict=True)
    tracker._first = None
    seen = run(tracker)
    for name, weights in run(None).items():
        assert torch.equal(seen[name], weights), name


# -- measures ----------------------------------------------------------------------------------------


def test_a_tracker_finds_what_measure_finds():
    import interdyn as ix

    x, y = probe()
    tracker = Tracker((x, y), players=columns().choose(4, seed=3), schedule=at(0), baselines=0.0, strict=True)
    net = network().train()
    tracker.observe(0, net)
    found = ix.measure(net, x, target=y, players=columns().choose(4, seed=3), baselines=0.0, tol="auto")
    np.testing.assert_allclose(tracker.trajectory.strength[0], order_spectrum(found).strength, rtol=1e-9)
    assert net.training


def test_rare_calls_measure_what_fell_due():
    tracker = Tracker(probe(), players=columns(), schedule=at(0, 5, 7, 100), strict=True)
    for step in (0, 10, 20, 30):
        tracker.observe(step, network())
    assert tracker.steps == (0, 10)


def test_a_schedule_is_asked_once_for_each_step_and_may_fail():
    asked = []

    def schedule(step):
        asked.append(step)
        if step == 7:
            raise ValueError("no such step")
        return step in (0, 4, 9)

    tracker = Tracker(probe(), players=columns(), schedule=schedule)
    with pytest.warns(InterdynWarning, match="no such step"):
        train(10, tracker=tracker)
    assert tracker.steps == (0, 4, 9)
    assert [s for s in asked if s != 7] == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert any("no such step" in problem for problem in tracker.problems)


def test_several_groups_and_the_run_on_disk(tmp_path):
    groups = {"test": probe(), "train": data(8)}
    with Tracker(groups, players=columns(), schedule=log_spaced(4), out=tmp_path / "run", strict=True) as tracker:
        train(40, tracker=tracker)
    run = store.open_run(tmp_path / "run")
    assert run.steps == tracker.steps == (0, 1, 2, 3, 6, 10, 18, 32, 41)
    summary = summary_of(run)
    assert summary["steps"] == list(tracker.steps)
    assert summary["train_loss"] == [1.0 / (s + 1) for s in (*tracker.steps[:-1], 40)]  # the newest at the end
    assert set(analysis_of(run)["groups"]) == {"test", "train"}


def test_a_killed_training_goes_on_in_the_same_run(tmp_path):
    code = f"""
import os, sys
sys.path.insert(0, {str(__import__("pathlib").Path(__file__).parent)!r})
from test_tracking import *
torch.set_num_threads(1)
tracker = Tracker(probe(), players=columns(), schedule=every(5), out={str(tmp_path / "run")!r}, strict=True)
observe = tracker.observe
def until(step, model, **losses):
    if step == 12:
        os.kill(os.getpid(), 9)
    return observe(step, model, **losses)
tracker.observe = until
train(tracker=tracker)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -9
    with Tracker(probe(), players=columns(), schedule=every(5), out=tmp_path / "run", strict=True) as tracker:
        assert tracker.steps == (0, 5, 10)
        with pytest.warns(InterdynWarning, match="measurements of steps 0 to 10, from a training that"):
            train(tracker=tracker)
        assert tracker.steps == (0, 5, 10, 15, 20, 25, 30)


@pytest.mark.parametrize("given", [(), ("train_loss",), ("test_loss",)])
def test_a_training_without_losses_has_a_summary(tmp_path, capsys, given):
    with Tracker(probe(), players=columns(), schedule=every(5), out=tmp_path / "run", strict=True) as tracker:
        for step in (0, 5):
            tracker.observe(step, nn.Linear(6, 2), **dict.fromkeys(given, 0.25))
    with pytest.raises(SystemExit) as ended:
        main(["summary", str(tmp_path / "run")])
    assert ended.value.code == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["5"])
    assert row.split()[2:4] == ["0.250" if name in given else "-" for name in ("train_loss", "test_loss")]
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(tmp_path / "run")])
    assert ended.value.code == 2
    assert "got a tracked training" in capsys.readouterr().err


def test_a_training_that_was_killed_has_a_report(tmp_path, capsys):
    tracker = Tracker(probe(), players=columns(), schedule=every(5), out=tmp_path / "run", strict=True)
    train(12, tracker=tracker)
    run = store.open_run(tmp_path / "run")
    with pytest.raises(IncompleteRunError, match="Close its tracker, or call: interdyn report"):
        store.read_result(run)
    with pytest.raises(StorageError, match="one process at a time"):
        summarise(tmp_path / "run")
    tracker._record.close(summary=False)  # as the system does for a process that is gone
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path / "run")])
    assert ended.value.code == 0
    assert summary_of(run)["steps"] == [0, 5, 10]
    assert (tmp_path / "run" / "report.html").is_file()
    capsys.readouterr()


def test_a_training_that_goes_on_takes_its_summary_back(tmp_path):
    with Tracker(probe(), players=columns(), schedule=every(5), out=tmp_path / "run", strict=True) as tracker:
        train(12, tracker=tracker)
    run = store.open_run(tmp_path / "run")
    assert summary_of(run)["steps"] == [0, 5, 10, 13]
    with Tracker(probe(), players=columns(), schedule=every(5), out=tmp_path / "run", strict=True) as tracker:
        assert (tmp_path / "run" / "summary.json").is_file()  # nothing is new yet
        with pytest.warns(InterdynWarning, match="started earlier"):
            train(17, tracker=tracker)
        assert not (tmp_path / "run" / "summary.json").is_file()
    assert summary_of(run)["steps"] == [0, 5, 10, 13, 15, 18]


def test_a_folder_is_not_continued_with_other_samples_and_says_so_to_a_training_from_the_start(tmp_path):
    x, y = probe()
    options = {"players": columns(), "schedule": every(5), "strict": True}
    with Tracker((x, y), out=tmp_path / "run", **options) as first:
        train(12, tracker=first)
    for other in ((x + 1e-3, y), (x, (y + 1) % 2)):
        with pytest.raises(RecipeError):
            Tracker(other, out=tmp_path / "run", **options)
    with Tracker((x, y), out=tmp_path / "run", **options) as goes_on:
        goes_on.observe(15, nn.Linear(x.shape[1], 2))  # from a checkpoint after its last step: as it should be
        assert goes_on.problems == []
    with (
        Tracker((x, y), out=tmp_path / "run", **options) as again,
        pytest.warns(InterdynWarning, match="another folder"),
    ):
        again.observe(0, nn.Linear(x.shape[1], 2))
    assert len(again.problems) == 1


def test_a_summary_of_nothing_is_refused(tmp_path):
    Tracker(probe(), players=columns(), out=tmp_path / "run", strict=True).close()
    with pytest.raises(IncompleteRunError, match="needs a measured step"):
        summarise(tmp_path / "run")


def test_weights_are_kept_and_a_damaged_measurement_is_made_again_from_them(tmp_path):
    options = {
        "players": columns(),
        "schedule": every(5),
        "out": tmp_path / "run",
        "keep_weights": True,
        "strict": True,
    }
    with Tracker(probe(), **options) as tracker:
        end = train(10, tracker=tracker)
    run = store.open_run(tmp_path / "run")
    kept = network()
    load_weights(kept, store.read_checkpoint(run, 10).weights)
    last = network()
    last.load_state_dict(end)  # one step after the last measurement
    assert not torch.equal(kept[0].weight, last[0].weight)
    found, path = (
        store.read_measurement(run, 5, group="test"),
        run.path / "measurements" / "step_00000005.test.safetensors",
    )
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(InterdynWarning, match=r"is damaged: measurements/step_00000005\.test"):
        again = Tracker(probe(), **options)
    with again:
        assert again.steps == (0, 10)
        assert again.measure_saved(5, network())
        assert not again.measure_saved(10, network())  # whole
        assert again.steps == (0, 5, 10)
    np.testing.assert_array_equal(store.read_measurement(run, 5, group="test").v, found.v)
    assert summary_of(run)["steps"] == [0, 5, 10]


def test_the_time_of_a_checkpoint_is_that_since_the_one_before(tmp_path):
    with Tracker(probe(), players=columns(), schedule=every(5), out=tmp_path / "run", strict=True) as tracker:
        train(20, tracker=tracker)
        run = store.open_run(tmp_path / "run")
        trained = [entry["seconds"]["training"] for entry in store.read_history(run)]
        assert trained[0] == 0
        assert 0 < sum(trained) <= tracker.training_seconds


def test_losses_are_found_where_something_is_measured_and_go_before_what_is_passed():
    groups, asked = {"train": data(), "test": data(20, seed=8)}, []

    def losses(net):
        asked.append(net)
        return {**mean_losses(net, {"train": groups["train"]}), "test_loss": None}

    tracker = Tracker(probe(), players=columns(), schedule=at(0, 3), losses=losses, strict=True)
    net = network()
    for step in range(5):
        tracker.observe(step, net, train_loss=9.0, test_loss=0.25, test_accuracy=0.5)
    assert asked == [net, net]
    assert tracker.trajectory.train_loss[0] == mean_losses(net, groups)["train_loss"]
    assert tracker.history.column("train_accuracy")[0] == mean_losses(net, groups)["train_accuracy"]
    assert tracker.trajectory.test_loss.tolist() == [0.25, 0.25], "what is not returned is what was passed"
    assert tracker.trajectory.test_accuracy.tolist() == [0.5, 0.5]


def test_a_training_loss_that_is_noted_does_not_replace_the_one_that_losses_returns():
    found = []

    def losses(net):
        found.append(mean_losses(net, {"train": data()}))
        return found[-1]

    tracker = Tracker(probe(), players=columns(), schedule=every(4), losses=losses, strict=True)
    (x, y), net = data(), network()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
    with watching(tracker, net, optimiser) as watch:
        for _ in range(8):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)  # with dropout
            loss.backward()
            watch.note(train_loss=loss, test_loss=loss)
            optimiser.step()
    assert tracker.trajectory.train_loss.tolist() == [one["train_loss"] for one in found]
    assert np.isfinite(tracker.trajectory.test_loss[1:]).all()


def test_losses_under_names_that_nothing_uses_are_a_problem_once():
    tracker = Tracker(probe(), players=columns(), schedule=every(1), losses=lambda _: {"train": 1.0, "val_loss": 2.0})
    with pytest.warns(InterdynWarning, match=r"train_accuracy or test_accuracy; got train, val_loss, which"):
        tracker.observe(0, network())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tracker.observe(1, network())
    assert len(tracker.problems) == 1
    with pytest.raises(InputError, match=r"`losses` must return losses by name.*got 1.0"):
        Tracker(probe(), players=columns(), losses=lambda _: 1.0, strict=True).observe(0, network())


def test_losses_that_cannot_be_found_are_told_and_the_step_is_measured_all_the_same():
    def losses(_net):
        raise ValueError("no data")

    tracker = Tracker(probe(), players=columns(), schedule=at(0), losses=losses)
    with pytest.warns(InterdynWarning, match="step 0, losses: ValueError: no data"):
        assert tracker.observe(0, network(), test_loss=0.5)
    assert tracker.trajectory.test_loss.tolist() == [0.5]
    with pytest.raises(ValueError, match="no data"):
        Tracker(probe(), players=columns(), losses=losses, strict=True).observe(0, network())


def test_a_group_may_be_measured_in_a_way_of_its_own(tmp_path):
    (x, y), mask = probe(), torch.tensor([0, 0, 1, 1, 2, 2])
    own = MeasurementConfig(feature_mask=mask, baselines=torch.zeros(12, 6), noise_bound=0.1)
    config = MeasurementConfig(players=columns().choose(4), baselines="mean", salience=0.2)
    groups = {"test": (x, y), "pairs": (x, y, own)}
    ids = {"test": range(5, 17)}
    with Tracker(groups, config=config, sample_ids=ids, schedule=at(0), out=tmp_path / "run", strict=True) as tracker:
        tracker.observe(0, network())
    run = store.open_run(tmp_path / "run")
    test, pairs = (store.read_measurement(run, 0, group=group) for group in run.groups)
    assert (test.v.shape, pairs.v.shape) == ((12, 2**4), (12, 2**3))
    assert (test.settings["noise_bound"], pairs.settings["noise_bound"]) == (0.02, 0.1)
    assert (test.sample_ids[0], pairs.sample_ids[0]) == (5, 0)
    assert store.read_salience(run)["salience"] == 0.2
    assert store.read_recipe(run)["tracker"]["groups"]["pairs"]["players"] == "feature_mask"
    from interdyn.measurement import interactions

    wanted = order_spectrum(interactions(test), salience=0.2).strength
    np.testing.assert_array_equal(tracker.trajectory.strength[0], wanted)


def test_fewer_samples_keep_their_own_rows_of_mask_and_baselines():
    x = torch.rand(6, 3)
    masks, baselines = torch.arange(3).repeat(6, 1), torch.rand(6, 3)
    tracker = Tracker((x, torch.arange(6) % 2), feature_mask=masks, baselines=baselines)
    few = tracker._groups[0].first(2)
    assert few.config.feature_mask.shape == (2, 3)
    assert torch.equal(few.config.baselines, baselines[:2])
    shared = Tracker((x, torch.arange(6) % 2), feature_mask=torch.arange(3), baselines=torch.zeros(3))
    assert shared._groups[0].first(2).config.feature_mask.shape == (3,)


# -- what goes wrong ---------------------------------------------------------------------------------


def test_trouble_in_the_tracker_does_not_stop_the_training():
    class Fails(nn.Module):
        def forward(self, _x):
            raise RuntimeError("no")

    tracker = Tracker(probe(), players=columns(), schedule=every(1))
    with pytest.warns(InterdynWarning, match=r"training continues. step 0: RuntimeError: no interdyn: the model must"):
        tracker.observe(0, Fails())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.observe(1, Fails())  # said once, kept twice
    assert len(tracker.problems) == 2
    assert tracker.verdict.sentence.startswith("Nothing is measured: step 0: RuntimeError: no interdyn: the model must")
    with pytest.raises(RuntimeError, match="no"):
        Tracker(probe(), players=columns(), strict=True).observe(0, Fails())


def test_the_verdict_on_nothing_says_why_there_is_nothing():
    tracker = Tracker(probe(), players=columns(), schedule=at(5), stop_when="harm")
    tracker.observe(0, network())
    assert tracker.verdict.sentence == "Nothing is measured yet."
    assert (str(tracker.verdict.stage), tracker.should_stop, tracker.best_step) == ("no verdict", False, None)
    (x, y), net = probe(), network()
    tracker = Tracker((x, y + 1), players=columns(), schedule=at(0))  # class 2 of a network with two
    with pytest.warns(InterdynWarning, match=r"must be in 0\.\.1"):
        tracker.observe(0, net)
    tracker.close()
    assert tracker.verdict.sentence == f"Nothing is measured: {tracker.problems[0]}"
    assert tracker.history.verdict() is None
    tracker = Tracker((x, y), players=columns(), schedule=at(0))
    tracker.observe(0, net)
    assert tracker.verdict == tracker.history.verdict()


def test_a_counter_that_starts_again_at_each_epoch_is_told_once():
    tracker, net = Tracker(probe(), players=columns(), schedule=every(1)), network()
    for step in range(3):
        tracker.observe(step, net)
    tracker.observe(2, net)  # the same step twice is no new epoch
    assert not tracker.problems
    with pytest.warns(
        InterdynWarning, match=r"whole training; got step 0 after step 2\. Calls up to step 2 are ignored\."
    ):
        tracker.observe(0, net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in (1, 2, 0, 1, 2, 3):
            tracker.observe(step, net)
    assert len(tracker.problems) == 1
    assert tracker.steps == (0, 1, 2, 3)
    tracker = Tracker(probe(), players=columns(), schedule=at(0))
    for step in (0, 1, 2):
        tracker.observe(step, net)
    with torch.no_grad():
        net[0].weight += 1
    with pytest.warns(InterdynWarning, match="whole training"):
        tracker.observe(1, net)
    tracker.close()
    assert tracker.steps == (0,), "the last network is not that of step 3"
    assert tracker.counts.missed == {"the last network, whose step is below an earlier one": 1}


@pytest.mark.filterwarnings("error")
def test_a_training_that_is_resumed_from_a_checkpoint_repeats_steps(tmp_path):
    def follow(tracker, *steps):
        for step in steps:
            tracker.observe(step, net)

    net, options = network(), {"players": columns(), "schedule": every(2), "out": tmp_path / "run"}
    first = Tracker(probe(), **options)
    follow(first, 0, 2, 4, 6)
    first.close()
    again = Tracker(probe(), **options)  # as in another process
    follow(again, 4, 6, 8)
    again.close()
    follow(again, 6, 8, 10)  # the same tracker, closed before
    optimiser = torch.optim.SGD(net.parameters(), lr=0.0)
    with watching(again, net, optimiser, steps_done=8):  # or with the beginning stated
        for _ in range(4):
            optimiser.step()
    assert again.problems == []
    assert again.steps == (0, 2, 4, 6, 8, 10, 12)
    follow(again, 12, 14)
    with pytest.warns(InterdynWarning, match="got step 0 after step 14"):
        follow(again, 0)


def test_weights_that_are_not_finite_are_said_and_the_next_measurement_goes_on():
    tracker = Tracker(probe(), players=columns(), schedule=every(1))
    net = network()
    with torch.no_grad():
        net[0].weight[0, 0] = torch.nan
    with pytest.warns(InterdynWarning, match="output must be finite"):
        tracker.observe(0, net)
    tracker.observe(1, network())
    assert tracker.steps == (1,)
    with pytest.raises(NonFiniteError):
        Tracker(probe(), players=columns(), strict=True).observe(0, net)


def test_a_full_disk_does_not_stop_the_training(tmp_path, monkeypatch):
    tracker = Tracker(probe(), players=columns(), schedule=every(5), out=tmp_path / "run")

    def full(*_, **__):
        raise StorageError("no space left")

    monkeypatch.setattr(store, "write_measurement", full)
    with pytest.warns(InterdynWarning, match="no space left"):
        seen = train(tracker=tracker)
    assert tracker.steps == (0, 5, 10, 15, 20, 25, 30)  # still known in memory
    for name, weights in train().items():
        assert torch.equal(seen[name], weights), name


FEW, MANY = (torch.ones(4, 3), torch.arange(4)), (torch.ones(4, 25), torch.arange(4))


def test_more_players_than_can_be_measured_are_drawn_from_within_a_budget():
    assert Tracker(MANY, players=columns(), budget=0.05).plan is None
    assert Tracker(MANY, players=columns().choose(5)).steps == ()


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        ((torch.ones(4, 3), torch.ones(4, dtype=int)), {}, InputError, "at least two classes; got class 1 only"),
        ((torch.ones(4, 3), torch.rand(3)), {}, TargetError, "a value for each of 4 samples"),
        ((torch.ones(4, 3), torch.arange(3)), {}, TargetError, "one for each of 4 samples"),
        (torch.ones(4, 3), {}, InputError, r"a pair \(inputs, targets\); got Tensor"),
        ({}, {}, InputError, "got an empty mapping"),
        ((torch.ones(4, 3), torch.arange(4)), {"players": None}, InputError, "`players` or a `feature_mask`; got"),
        ((torch.ones(4, 3), torch.arange(4)), {"budget": 5}, InputError, "between 0 and 1; got 5"),
        ((torch.ones(4, 3), torch.arange(4)), {"budget": "peek"}, InputError, "between 0 and 1; got 'peek'"),
        ((torch.ones(4, 3), torch.arange(4)), {"stop_when": "phase 2"}, InputError, '"harm" or None'),
        (FEW, {"schedule": [0, 2, 4]}, InputError, r"got \[0, 2, 4\]\. Pass at\(0, 2, 4\) of interdyn"),
        (FEW, {"schedule": range(9)}, InputError, r"a schedule must be a function.*Pass at\(\*steps\) of interdyn"),
        (FEW, {"schedule": 10}, InputError, r"got 10\. Pass every\(10\) of interdyn"),
        (FEW, {"schedule": "log"}, InputError, r"got 'log'\. Pass every\(100\) of interdyn"),
        (FEW, {"total_steps": 0}, InputError, "`total_steps` must be an integer, 1 or more; got 0"),
        (FEW, {"total_steps": 1.5}, InputError, "`total_steps` must be an integer, 1 or more; got 1.5"),
        (MANY, {}, TooLargeError, "at most 24 players; got n = 25"),
        (MANY, {"players": None, "feature_mask": torch.arange(25)}, TooLargeError, "got n = 25"),
        (MANY, {"players": None, "feature_mask": torch.arange(25), "budget": 0.05}, TooLargeError, "got n = 25"),
        (MANY, {"players": columns([[0], [25]])}, PlayersError, "got column 25"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(given, options, error, message):
    with pytest.raises(error, match=message):
        Tracker(given, **{"players": columns(), **options})


# -- what it costs -----------------------------------------------------------------------------------


def price(n, k):
    return 1e-4 * 2**n * k


def test_a_plan_fits_its_budget_and_buys_most_evidence():
    rich = planned(
        price, log_spaced(8), share=0.2, training_seconds=1e6, total_steps=10_000, most_players=10, most_samples=32
    )
    assert (rich.n_players, rich.n_samples, rich.measurements) == (10, 32, None)
    poor = planned(
        price, log_spaced(8), share=0.05, training_seconds=1000, total_steps=10_000, most_players=10, most_samples=32
    )
    assert poor.share <= 0.05
    assert poor.n_players < 10
    assert "% of the training time" in poor.sentence
    whole = partial(
        planned,
        price,
        log_spaced(8),
        training_seconds=1000,
        total_steps=10_000,
        most_players=10,
        most_samples=32,
        fixed_players=True,
    )
    fixed = whole(share=0.005)
    assert isinstance(fixed, str)
    assert "Raise it to 0.010 or more" in fixed
    raised = whole(share=0.010)
    assert isinstance(raised, Plan)


@pytest.mark.parametrize(("budget", "speed"), [(0.05, 1.0), (0.2, 0.5), (0.2, 3.0)])  # of the later training
def test_a_budget_is_kept(monkeypatch, budget, speed):
    clock = Clock(monkeypatch, per_step=0.01, per_cell=1e-5)
    tracker = Tracker(probe(), players=columns(), budget=budget, total_steps=4000, strict=True)
    net = network()
    for step in range(4001):
        tracker.observe(step, net)
        clock.now += 0.01 if step < 100 else 0.01 / speed
    assert tracker.plan is not None
    assert tracker.plan.n_samples == 12
    assert len(tracker.steps) >= 10
    assert tracker.steps[0] == 0
    assert tracker.share <= 1.05 * budget
    assert not tracker.problems


def test_a_training_much_faster_than_it_began_is_measured_to_its_end_and_too_little_evidence_is_said(monkeypatch):
    clock = Clock(monkeypatch, per_step=0.3, per_cell=1e-5)
    tracker = Tracker(probe(), players=columns(), budget=0.2, total_steps=4000, schedule=every(250))
    net = network()

    def train_faster_and_faster():
        for step in range(4001):
            tracker.observe(step, net)
            clock.now += 0.01 if step < 100 else 0.004

    with pytest.warns(
        InterdynWarning, match="7 measurements were within 20 % of this training, and 10 are the minimum evidence"
    ):
        train_faster_and_faster()
    assert tracker.steps == (0, 500, 1000, 1500, 2250, 2750, 3500, 4000)  # what is left reaches to the end
    assert tracker.counts.over_budget == 1  # the last
    assert tracker.share <= 0.2 + 0.32 / tracker.training_seconds
    assert len(tracker.problems) == 1
    needed = float(tracker.problems[0].split("budget of ")[1].split()[0])
    assert 0.2 < needed < 0.3


def test_a_measurement_that_is_not_wholly_paid_for_is_left_out():
    pace = Pace(Plan(6, 8, None, 1.0, 0.1, ""), (10, 20), share=0.1, course=(0, 20), spent=0.0, taken=0)
    assert pace.allows(10, training=7.5, measuring=0.0)[0] is False
    assert pace.allows(20, training=9.0, measuring=0.0)[0] is False


@pytest.mark.parametrize(("per_step", "tried"), [(3.0, 1), (0.3, 2), (0.1, 3)])
def test_a_budget_that_is_too_small_is_not_spent_on_finding_that_out(monkeypatch, per_step, tried):
    clock = Clock(monkeypatch, per_step=per_step, per_cell=1e-9)
    tracker = Tracker(probe(), players=columns(), budget=0.05, total_steps=4000)  # two seconds for all of it
    net = network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InterdynWarning)
        for step in range(4001):
            tracker.observe(step, net)
            clock.now += 0.01
    trials = round((tracker.measuring_seconds - len(tracker.steps) * per_step) / per_step)
    assert trials == tried
    assert (tracker.plan is None) is (tried < 3)
    if tried == 2:
        assert "or more; the budget is 5 %" in tracker.problems[0]


def test_the_price_is_known_before_training(monkeypatch):
    Clock(monkeypatch, per_step=0.01, per_cell=1e-5)
    x, y = probe()
    free = Tracker({"test": (x, y), "train": (x, y)}, players=columns(), total_steps=4000)
    each = 2 * (0.01 + 1e-5 * 12 * 2**6)
    count = sum(log_spaced()(s) for s in range(4001)) + 1  # the last network
    cost = free.estimate(network(), step_seconds=0.01)
    assert (cost.n_players, cost.n_samples, cost.measurements, cost.fits) == (6, 12, count, None)
    assert cost.seconds == pytest.approx(each)
    assert cost.share == pytest.approx(count * each / 40)
    assert "% of the training time" in cost.sentence
    tight = Tracker((x, y), players=columns(), total_steps=4000, budget=0.05)
    unknown = tight.estimate(network())
    assert unknown.share is None
    assert f"5 % of a training of {count * each / 2 / 0.05:.3g} s or more pays for all of them" in unknown.sentence
    known = tight.estimate(network(), step_seconds=0.01)
    assert known.fits
    assert 0 < known.share <= 0.05
    assert known.measurements >= 10
    refused = tight.estimate(network(), step_seconds=1e-6)
    assert refused.fits is False
    assert "Only the last network is measured" in refused.sentence
    assert tight.steps == ()
    unlimited = Tracker((x, y), players=columns()).estimate(network())
    assert (unlimited.measurements, unlimited.share) == (None, None)


def test_what_is_estimated_beforehand_is_what_the_plan_becomes(monkeypatch):
    clock = Clock(monkeypatch, per_step=0.01, per_cell=1e-5)
    tracker = Tracker(probe(), players=columns(), budget=0.01, total_steps=4000, strict=True)
    net = network()
    before = tracker.estimate(net, step_seconds=0.01)
    for step in range(200):
        tracker.observe(step, net)
        clock.now += 0.01
    assert (before.n_players, before.n_samples) == (tracker.plan.n_players, tracker.plan.n_samples)
    assert before.seconds == pytest.approx(tracker.plan.seconds)
    assert before.sentence == tracker.plan.sentence


def test_a_resumed_training_with_another_plan_goes_on(tmp_path, monkeypatch):
    with Tracker(probe(), players=columns(), schedule=at(0, 5), out=tmp_path / "run", strict=True) as tracker:
        train(10, tracker=tracker)
    x, y = data(12, seed=5)
    options = {"schedule": at(0, 5, 15, 20), "budget": 0.5, "out": tmp_path / "run", "strict": True}
    monkeypatch.setattr(Budget, "affords", lambda *_: True)
    with Tracker((x, y), players=columns(), **options) as again:
        again._budget.plan = Plan(5, 12, None, 0.0, 0.0, "")
        with pytest.warns(InterdynWarning, match="started earlier"):
            train(20, tracker=again)
        assert again.steps == (0, 5, 11, 15, 20)
        assert again.trajectory.steps.tolist() == [15, 20]
        assert again.verdict.step == 20


def test_a_budget_that_is_too_small_is_said_and_the_last_network_is_measured_all_the_same(monkeypatch):
    clock = Clock(monkeypatch, per_step=0.01)
    tracker = Tracker(probe(), players=columns(), budget=1e-9, total_steps=100)
    net = network()
    for step in range(101):
        tracker.observe(step, net)
        clock.now += 0.0004  # too short a training to plan for
    with pytest.warns(InterdynWarning, match="the budget paid for no measurement: 0 %"):
        tracker.close()
    assert tracker.steps == (100,)
    assert tracker.counts.missed == {"over the budget": 15}
    assert str(tracker.counts).endswith("1 of them over the budget, for the last network.")


@pytest.mark.parametrize(("name", "share"), [("glance", 0.01), ("look", 0.05), ("study", 0.2)])
def test_names_of_shares_still_work_and_tell_the_share(name, share):
    with pytest.warns(DeprecationWarning, match=f"write `budget={share}`") as warned:
        tracker = Tracker(probe(), players=columns(), budget=name)
    assert warned[0].filename == __file__
    assert tracker._budget.share == share
    plan = Plan(6, 8, (0, 4), 1.0, share, "")
    with pytest.warns(DeprecationWarning, match="write `Plan.measurements`") as warned:
        assert plan.looks == (0, 4)
    with pytest.warns(DeprecationWarning, match="write `Tracker.measuring_seconds`"):
        assert tracker.looking_seconds == 0.0
    assert warned[0].filename == __file__


def test_pictures_are_measured_by_patches():
    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    tracker = Tracker((x, torch.arange(8) % 3), players=patches(4, 4).choose(5), schedule=at(0), layer="1", strict=True)
    tracker.observe(0, net)
    assert tracker.trajectory.strength.shape == (1, 8, 5)
