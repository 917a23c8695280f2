"""A tracker's budget without and with the length of the training, and that nothing is missed in silence."""

import copy
import csv
import json
import random
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

from clock import Clock
from interdyn import store
from interdyn.errors import InterdynWarning
from interdyn.players import columns
from interdyn.schedules import all_of, any_of, at, due, due_steps, every, log_spaced
from interdyn.tracking import Tracker, _pricing
from interdyn.tracking._plan import RESERVE, planned
from interdyn.tracking.loggers import CSVLogger
from interdyn.tracking.pytorch import Watch


def probe(samples=12, features=6):
    x = torch.randn(samples, features, generator=torch.Generator().manual_seed(5))
    return x, (x[:, 0] * x[:, 1] > 0).long()


def network(features=6):
    return nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, 2))


class Trained(Clock):
    """A clock of a training that goes on at so many seconds a step."""

    def train(self, tracker, steps, *, seconds=0.01, first=0):
        """Train for so many steps; return the share of measuring after each."""
        net, shares = network(len(tracker._groups[0].inputs[0][0])), []
        for step in range(first, first + steps + 1):
            tracker.observe(step, net)
            shares.append(tracker.share)
            self.now += seconds
        return shares


# -- far steps ---------------------------------------------------------------------------------------


SCHEDULES = [
    every(7, start=3),
    log_spaced(8),
    log_spaced(5, first=3),
    at(2, 5, 9, 300),
    any_of(every(50), at(1, 77)),
    all_of(every(2), every(3)),
    all_of(every(2), lambda step: step % 5 == 0),
    any_of(lambda step: step == 11, log_spaced(1)),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_falls_due_between_two_steps_is_what_asking_at_each_would_find(schedule):
    wanted = [step for step in range(400) if schedule(step)]
    assert due_steps(schedule, 0, 399) == wanted
    draw = random.Random(0)
    for _ in range(200):
        after, step = sorted((draw.randrange(-1, 400), draw.randrange(-1, 400)))
        assert due(schedule, after, step) == any(after < s <= step for s in wanted)


def test_a_far_step_is_reached_at_once():
    far = 20_260_101_120_000
    asked = []

    def own(step):
        asked.append(step)
        return False

    for schedule in (*SCHEDULES[:6], at(1)):
        tracker = Tracker(probe(), players=columns(), schedule=schedule, budget=None)
        tracker.observe(5, network())
        tracker.observe(far, network())
        assert tracker.steps[-1:] == ((far,) if due(schedule, 5, far) else tracker.steps[-1:])
    with pytest.warns(InterdynWarning, match=r"at 1,000,000 steps at most"):
        assert not due(own, 5, far)
    assert len(asked) == 1_000_000
    assert asked[-1] == far


# -- a training of unknown length --------------------------------------------------------------------


def test_without_the_length_measuring_never_takes_more_than_its_share_of_the_time_so_far(monkeypatch, caplog):
    clock = Trained(monkeypatch, per_step=0.02, per_cell=2e-5)
    tracker = Tracker(probe(24, 10), players=columns(), strict=True)
    shares = clock.train(tracker, 6000)  # a minute
    assert tracker.total_steps is None
    assert tracker.plan.n_players >= 8
    assert tracker.plan.n_samples >= 8
    assert max(shares) <= 0.05
    assert len(tracker.steps) >= 10
    assert tracker.steps[0] == 0
    assert len({shape for shape in clock.sizes if shape[0] == tracker.plan.n_samples}) == 1
    tracker.close()
    assert tracker.steps[-1] == 6000
    counts = tracker.counts
    assert counts.taken == len(tracker.steps)
    assert counts.planned == counts.taken + sum(counts.missed.values())
    assert set(counts.missed) <= {"over the budget"}
    assert "takes at most 5 % of the training time" in caplog.messages[0]
    assert "Pass `total_steps` to plan the whole" in caplog.messages[1]


def test_the_least_evidence_is_measured_as_soon_as_it_is_paid_for(monkeypatch):
    clock = Trained(monkeypatch, per_cell=1e-4)  # 0.2 s each, more than a third of what ten seconds pay for
    tracker = Tracker(probe(24, 10), players=columns(), strict=True)
    clock.train(tracker, 1001)
    assert (tracker.plan.n_players, tracker.plan.n_samples) == (8, 8)
    assert tracker.steps == (0,)


@pytest.mark.parametrize("busy", [2, 3])  # of the trials: that of one sample, after which too much looks cheap; of four
def test_a_busy_moment_does_not_change_a_price(monkeypatch, busy):
    clock = Trained(monkeypatch, per_cell=1e-5)
    group, net = Tracker(probe(24, 10), players=columns())._groups[0], network(10)
    quiet = _pricing._price(net, group, allowance=20.0)
    clock.sizes.clear()
    real = _pricing.recorded

    def stalled(model, group, *, step):
        measured = real(model, group, step=step)
        clock.now += 0.3 if len(clock.sizes) == busy else 0.0
        return measured

    monkeypatch.setattr(_pricing, "recorded", stalled)
    price = _pricing._price(net, group, allowance=20.0)
    assert clock.sizes[1:] == [(1, 64), (4, 256)] * 2
    assert price(9, 24) == pytest.approx(quiet(9, 24))


def test_the_least_evidence_may_use_the_reserve_and_more_may_not():
    options = {"share": 0.05, "training_seconds": 60.0, "total_steps": 1000, "most_players": 10, "most_samples": 32}
    steps = every(50)
    assert 0.05 * 60 * (1 - RESERVE) < 10 * 2048 * 1.4e-4
    close = planned(lambda n, k: 2**n * k * 1.4e-4, steps, **options)
    assert (close.n_players, close.n_samples, len(close.measurements)) == (8, 8, 10)
    over = planned(lambda n, k: 2**n * k * 1.5e-4, steps, **options)
    assert over.n_players < 8
    more = planned(lambda n, k: 2**n * k * 0.9e-4, steps, **options)
    assert 0.05 * 60 * (1 - RESERVE) < 10 * 12 * 256 * 0.9e-4 < 0.05 * 60  # of twelve samples
    assert (more.n_players, more.n_samples, len(more.measurements)) == (8, 8, 10)


def test_a_longer_training_goes_on_being_measured_and_a_dearer_network_later(monkeypatch, caplog):
    clock = Trained(monkeypatch, per_step=0.5)
    tracker = Tracker(probe(), players=columns(), strict=True)
    shares = clock.train(tracker, 3000, seconds=0.1)
    assert any("Nothing is measured in the first" in text for text in caplog.messages)
    begun = next(i for i, share in enumerate(shares) if share > 0)
    assert begun in (100, 101)  # the trial, after ten seconds of training
    assert all(share <= 0.05 for share in shares[600:])
    gaps = [b / a for a, b in zip(tracker.steps[-4:-1], tracker.steps[-3:], strict=True)]
    assert max(gaps) < 1.6


def test_measurements_that_wait_for_the_budget_are_taken_when_it_pays_for_them_in_the_order_of_training(monkeypatch):
    kept = []

    class Keeps:
        def log_metrics(self, _, step):
            kept.append(step)

    clock = Trained(monkeypatch, per_step=0.1)
    tracker = Tracker(probe(), players=columns(), schedule=every(1), loggers=[Keeps()], strict=True)
    clock.train(tracker, 4000)
    assert kept == sorted(kept)
    assert len(kept) > 10
    assert kept[0] == 0
    tracker.close()
    assert tracker.counts.planned == 4001


def test_a_short_training_measures_its_last_network_and_what_its_budget_pays_for(monkeypatch):
    clock = Trained(monkeypatch, per_step=0.01)
    tracker = Tracker(probe(), players=columns())
    clock.train(tracker, 100)  # a second, of which 0.05 are for measuring
    assert tracker.steps == ()
    tracker.close()
    assert tracker.steps[0] == 0
    assert tracker.steps[-1] == 100
    assert 3 <= len(tracker.steps) <= 5
    assert tracker.measuring_seconds <= 0.05 * tracker.training_seconds + 0.011
    assert not tracker.problems


def test_a_budget_that_buys_nothing_is_told_at_once_and_a_last_network_that_takes_too_long_is_left_out(monkeypatch):
    clock = Trained(monkeypatch, per_step=100.0)
    tracker = Tracker(probe(), players=columns(), total_steps=2000)
    with pytest.warns(InterdynWarning, match=r"Only the last network is measured: .* or pass `budget=None`"):
        clock.train(tracker, 60)
    tracker.close()
    assert tracker.steps == ()
    assert tracker.counts.missed["over the budget"] > 5


@pytest.mark.parametrize("total", [None, 4000])
def test_the_first_networks_are_copies_of_what_they_were(total):
    torch.manual_seed(0)
    net = network()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
    tracker = Tracker(probe(), players=columns(), schedule=at(0, 3), total_steps=total)
    free = Tracker(probe(), players=columns(), schedule=at(0, 3), budget=None)
    x, y = probe(64)
    for step in range(5):
        tracker.observe(step, net)
        free.observe(step, net)
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    assert [kept[0] for kept in tracker._budget.waiting] == [0, 3]
    for step, kept, _ in tracker._budget.waiting:
        assert not any(a is b for a, b in zip(kept.parameters(), net.parameters(), strict=True)), step
    assert not torch.equal(tracker._budget.waiting[0][1][0].weight, tracker._budget.waiting[1][1][0].weight)


def test_networks_are_kept_aside_evenly_and_their_memory_is_told(monkeypatch):
    tracker = Tracker(probe(), players=columns(), schedule=every(1))
    copied, plain = [], copy.deepcopy
    monkeypatch.setattr("interdyn.tracking._measuring.copy.deepcopy", lambda model: copied.append(1) or plain(model))
    net = network()
    for step in range(1000):
        tracker.observe(step, net)
    steps = [kept[0] for kept in tracker._budget.waiting]
    assert len(steps) == 8
    assert steps[0] == 0
    assert steps[-1] >= 500
    assert len(copied) < 40  # of 1,000: copying takes time, too
    assert tracker.counts.missed == {"over the budget": 992}
    size = sum(p.numel() * 4 for p in net.parameters())
    assert tracker.estimate(net).kept_bytes == 8 * size
    assert Tracker(probe(), players=columns(), budget=None).estimate(net).kept_bytes == 0


def test_a_framework_tells_the_length_and_a_tracker_that_was_told_keeps_its_own():
    for given, wanted in ((None, 40), (12, 12)):
        tracker = Tracker(probe(), players=columns(), total_steps=given)
        Watch(tracker).begin(0, network(), total_steps=40)
        assert tracker.total_steps == wanted
    endless = Tracker(probe(), players=columns())
    Watch(endless).begin(0, network(), total_steps=float("inf"))
    assert endless.total_steps is None


# -- what is said ------------------------------------------------------------------------------------


def test_what_was_missed_is_counted_by_reason_in_the_summary_and_in_the_report(tmp_path, caplog):
    class Fails(nn.Module):
        def forward(self, _x):
            raise RuntimeError("no")

    broken = network()
    nn.init.constant_(broken[0].weight, torch.nan)
    options = {"players": columns(), "schedule": every(1), "budget": None, "out": tmp_path / "run"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InterdynWarning)
        with Tracker(probe(), **options) as tracker:
            for step, net in enumerate((network(), Fails(), broken, network(), broken)):
                tracker.observe(step, net)
        sentence = (
            "5 measurements planned, 2 taken, 3 missed: an error, see `problems` (1), outputs that are not finite (2)."
        )
        assert str(tracker.counts) == sentence
        assert caplog.messages[-1] == sentence
        with Tracker(probe(), **options) as again:  # of the first part, too
            again.observe(5, broken)
            again.observe(6, network())
    assert (again.counts.planned, again.counts.taken) == (7, 3)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["measurements"]["missed"] == {"an error, see `problems`": 1, "outputs that are not finite": 3}
    result = store.read_result(tmp_path / "run")
    assert result.measurements == again.counts
    from interdyn.report._words import trust

    assert ("Measurements", str(again.counts)) in [row[:2] for row in trust(result)]


def test_a_run_without_counts_has_no_line_about_them(tmp_path):
    from interdyn.report._words import trust

    with Tracker(probe(), players=columns(), schedule=at(0), budget=None, out=tmp_path / "run") as tracker:
        tracker.observe(0, network())
    counted = store.read_result(tmp_path / "run")
    assert "Measurements" in [row[0] for row in trust(counted)]
    assert "Measurements" not in [row[0] for row in trust(counted.model_copy(update={"measurements": None}))]


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK"])
def test_a_rank_left_over_in_a_process_alone_is_told_and_the_process_measures(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    tracker = Tracker(probe(), players=columns(), schedule=every(1), budget=None)
    with pytest.warns(InterdynWarning, match=f"{variable}=1.*measured nevertheless.*unset {variable}"):
        tracker.observe(0, network())
    tracker.observe(1, network())
    assert tracker.steps == (0, 1)
    assert len(tracker.problems) == 1


def test_a_process_that_says_it_is_the_second_of_two_and_meets_no_other_is_told_once_training_goes_on(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    tracker = Tracker(probe(), players=columns(), schedule=every(1), budget=None)
    tracker.observe(0, network())  # the processes may meet later
    assert not tracker.problems
    with pytest.warns(InterdynWarning, match=r"Nothing is measured in this process\..*unset RANK and WORLD_SIZE"):
        tracker.observe(1, network())
    tracker.observe(2, network())
    tracker.close()
    assert tracker.steps == ()
    assert len(tracker.problems) == 1


def test_the_last_network_is_the_last_one_seen_and_is_not_measured_twice():
    tracker = Tracker(probe(), players=columns(), schedule=at(0, 4), budget=None, strict=True)
    net = network()
    for step in (0, 4, 7):
        tracker.observe(step, net)
    tracker.close()
    assert tracker.steps == (0, 4, 7)
    tracker.close()
    assert tracker.steps == (0, 4, 7)
    told = Tracker(probe(), players=columns(), schedule=at(0), total_steps=6, budget=None, strict=True)
    for step in range(7):
        told.observe(step, net)
    assert told.steps == (0, 6)  # before it is closed


def test_what_is_said_is_seen_in_a_script_and_can_be_silenced():
    code = """
import logging, sys, torch
from interdyn import Tracker
from interdyn.players import columns
x = torch.randn(8, 3)
for level in (logging.NOTSET, logging.WARNING):
    logging.getLogger("interdyn").setLevel(level)
    Tracker((x, torch.arange(8) % 2), players=columns()).observe(0, torch.nn.Linear(3, 2))
    print("then", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second, _ = done.stderr.split("then\n")
    assert "interdyn: Measuring takes at most 5 % of the training time" in first
    assert (second, done.stdout) == ("", "")


def test_a_table_that_gets_columns_later_keeps_a_row_for_each_measurement(tmp_path):
    path = tmp_path / "table.csv"
    tracker = Tracker(
        probe(), players=columns(), schedule=every(1), budget=None, loggers=[CSVLogger(path)], strict=True
    )
    still = network()
    for part in still.parameters():
        nn.init.zeros_(part)
    tracker.observe(0, still)  # nothing is salient
    tracker.observe(1, network())
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["0", "1"]
    assert rows[0]["interactions/mean_order"] == ""
    assert float(rows[1]["interactions/mean_order"]) >= 1
