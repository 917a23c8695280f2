"""Near-by steps of one measurement: which there are, in trackers and recipes, and what is shown of them."""

import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from clock import Clock
from interdyn import store
from interdyn.errors import InputError, InterdynWarning, RecipeError
from interdyn.measurement import History, recorded
from interdyn.players import columns
from interdyn.schedules import (
    apart,
    at,
    checked_window,
    every,
    last_begin,
    log_spaced,
    near_by,
    shortest,
    too_short,
    windows_of,
    with_near,
)
from interdyn.tracking import Tracker, watch
from interdyn.tracking._budget import Budget
from interdyn.tracking._plan import Pace, Plan


def spread(step, window):
    """By definition: ``window`` steps from ``step`` to 1.1 of it, evenly, rounded down."""
    places = [step * (1 + Fraction(j, 10 * (window - 1))) for j in range(window)] if window > 1 else [step]
    return sorted({int(place) for place in places})


def numbered(steps, window):
    """By definition: each window takes, from the first step left, those within a tenth of it, at most ``window``."""
    left, groups = list(steps), []
    while left:
        taken = [s for s in left if s <= left[0] * Fraction(11, 10)][:window]
        groups.append(taken)
        left = left[len(taken) :]
    return [number for number, group in enumerate(groups) for _ in group]


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5])
def test_a_window_is_spread_over_a_tenth_of_the_training_so_far(window):
    for step in [*range(150), 10**6 + 7, 10**15 + 3]:
        assert list(near_by(step, window)) == spread(step, window)
    draw = random.Random(window)
    for _ in range(200):
        steps = sorted(draw.sample(range(300), draw.randint(1, 40)))
        assert windows_of(steps, window) == numbered(steps, window)
        for known in range(1, len(steps)):  # what comes later does not change a number
            assert windows_of(steps[:known], window) == windows_of(steps, window)[:known]


@pytest.mark.parametrize("window", [2, 3, 5])
def test_windows_do_not_run_into_one_another_and_one_ends_with_the_last_step(window):
    draw = random.Random(window)
    for _ in range(300):
        total = draw.randint(shortest(window), 2000)
        wanted = sorted({0, total, *draw.sample(range(total), draw.randint(1, min(60, total)))})
        begins = apart(wanted, window, total)
        steps = with_near(begins, window, total)
        assert begins[-1] == last_begin(total)
        assert steps[-1] == total
        assert set(begins[:-1]) <= set(wanted)
        by_number = {}
        for step, number in zip(steps, windows_of(steps, window), strict=True):
            by_number.setdefault(number, []).append(step)
        assert [group[0] for group in by_number.values()] == begins
        assert [group[:-1] for group in by_number.values()][-1] == spread(begins[-1], window)[:-1]
        for group in list(by_number.values())[:-1]:
            assert group == spread(group[0], window)
        assert len(by_number[len(begins) - 1]) == window


def test_single_steps_stay_as_they_are():
    assert apart([0, 7, 8, 9], 1, 9) == [0, 7, 8, 9]
    assert with_near([0, 7, 8, 9], 1, 9) == (0, 7, 8, 9)
    assert windows_of([0, 7, 8, 9], 1) == [0, 1, 2, 3]


@pytest.mark.parametrize("window", [0, 6, 2.5, True, "3", None])
def test_a_window_that_is_no_small_number_is_refused(window):
    with pytest.raises(InputError, match=r"`window` must be .* got .* Pass 3, or 1 for single steps\."):
        checked_window(window)


def test_a_window_longer_than_the_training_is_told():
    assert too_short(3, 21) == (
        "a window of 3 steps, spread over a tenth of the training so far, needs a training of 22 steps or more; got "
        "21. Train longer, or measure single steps: window = 1."
    )
    assert not too_short(3, 22)
    assert not too_short(1, 0)


# -- a tracker ---------------------------------------------------------------------------------------


def probe(samples=6, features=4):
    x = torch.randn(samples, features, generator=torch.Generator().manual_seed(5))
    return x, (x[:, 0] * x[:, 1] > 0).long()


def network(features=4):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(features, 8), nn.ReLU(), nn.Linear(8, 2))


def follow(tracker, steps):
    """Train without learning: only which steps are measured is asked."""
    net = network()
    for step in steps:
        tracker.observe(step, net)
    return list(tracker.steps)


def expected(schedule, window, total, *, known):
    """By definition, a step after another: a window that is running goes on, else what falls due begins one."""
    out, base, last = [], -1, -(-10 * total // 11)
    for step in range(total + 1):
        near = spread(base, window)[1:] if base >= 0 else []
        begins = schedule(step) and (not known or step >= last or 11 * step < 10 * last)
        begins = (begins or (known and step == last)) and 10 * step > 11 * base
        base = step if begins else base
        if begins or step in near or (step == total and known):
            out.append(step)
    return out


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("window", [1, 2, 3, 5])
@pytest.mark.parametrize("schedule", [log_spaced(8), every(7, start=3), at(2, 30, 33, 34, 100, 180)])
def test_a_tracker_takes_the_steps_near_by(monkeypatch, schedule, window, known):
    once = {}  # a network that does not change is measured once

    def same(model, group, *, step):
        once.setdefault("m", None) or once.update(m=recorded(model, group, step=0))
        return replace(once["m"], step=step)

    monkeypatch.setattr("interdyn.tracking._record.recorded", same)

    def sparse(step):
        return schedule(step)

    total = 200
    wanted = expected(schedule, window, total, known=known) if window > 1 else [s for s in range(201) if schedule(s)]
    wanted = sorted({*wanted, total}) if known else wanted
    length = total if known else None
    for own in (schedule, sparse):  # one that can name its next step, and one that is only asked
        tracker = Tracker(probe(), players=columns(), schedule=own, budget=None, total_steps=length, window=window)
        assert follow(tracker, range(total + 1)) == wanted
    numbers = tracker.trajectory.window
    assert (numbers is None) if window == 1 else numbers.tolist() == numbered(wanted, window)
    assert tracker.counts.taken == len(set(numbered(wanted, window)))


def test_a_tracker_that_begins_again_takes_the_rest_of_the_window(tmp_path):
    options = {"players": columns(), "schedule": at(0, 100, 130), "budget": None, "out": tmp_path / "run", "window": 3}
    whole = follow(Tracker(probe(), **options | {"out": None}), range(151))
    assert whole == [0, 100, 105, 110, 130, 136, 143]
    for first, last in ((0, 100), (101, 107), (108, 151)):
        tracker = Tracker(probe(), **options)
        follow(tracker, range(first, last + 1))
        tracker._model = None  # killed: the last network is not measured
        tracker.close()
    assert list(History.read(tmp_path / "run").steps) == whole


def test_a_window_with_a_step_more_than_it_planned_is_full():
    tracker = Tracker(probe(), players=columns(), schedule=at(0, 100), budget=None, window=3)
    follow(tracker, range(104))
    tracker.close()
    assert follow(tracker, range(104, 120)) == [0, 100, 103, 105]


def test_a_window_is_paid_for_as_a_whole():
    pace = Pace(Plan(6, 8, None, 1.0, 0.1, "", 3), [10], share=0.1, course=(0, 10), spent=0.0, taken=0)
    assert not pace.allows(10, training=29.0, measuring=0.0)[0]
    assert pace.allows(10, training=31.0, measuring=0.0)[0]
    budget = Budget(0.1)
    budget.plan = Plan(6, 8, None, 1.0, 0.1, "", 3)
    assert not budget.affords(29.0, 0.0)
    assert budget.affords(31.0, 0.0)
    assert budget.affords(11.0, 0.0, steps=1)


def test_without_the_length_a_window_is_begun_once_all_of_it_is_paid_for(monkeypatch):
    clock = Clock(monkeypatch, per_step=0.01, per_cell=1e-5)
    tracker, net = Tracker(probe(), players=columns(), budget=0.004, strict=True, window=3), network()
    for step in range(15_000):
        tracker.observe(step, net)
        clock.now += 0.01
        assert step < 1000 or tracker.share <= 0.00404
    numbers = tracker.trajectory.window
    later = numbers[np.array(tracker.steps) > 5000]  # networks kept aside stand alone
    counts = [int((numbers == number).sum()) for number in dict.fromkeys(later)]
    assert len(counts) >= 3
    assert counts[:-1] == [3] * (len(counts) - 1)  # the last may still be running


def test_rare_calls_measure_near_by_steps_late_but_none_after_a_tenth():
    tracker = Tracker(probe(), players=columns(), schedule=at(100, 200), budget=None, window=3)
    assert follow(tracker, [0, 100, 107, 120, 200, 208, 219, 230]) == [100, 107, 200, 219]
    late = Tracker(probe(), players=columns(), schedule=at(100), budget=None, window=3)
    assert follow(late, [0, 103, 106, 109, 112, 115]) == [103, 109]  # 108 and 113, of a window that began late


@pytest.mark.parametrize("total", [None, 4000])
def test_windows_are_within_the_budget_and_cost_three_steps_each(monkeypatch, total):
    def trained(window, budget):
        clock = Clock(monkeypatch, per_step=0.01, per_cell=1e-5)
        options = {"players": columns(), "budget": budget, "total_steps": total, "strict": True, "window": window}
        tracker, net, most = Tracker(probe(), **options), network(), 0.0
        for step in range(4001):
            tracker.observe(step, net)
            most = max(most, tracker.share) if step > 1000 else 0.0
            clock.now += 0.01
        return tracker, most

    tracker, most = trained(3, 0.1)
    assert tracker.plan.window == 3
    assert most <= 0.105
    assert not tracker.problems
    counts = np.unique(tracker.trajectory.window, return_counts=True)[1]
    assert (counts == 3).sum() >= 5
    if total is not None:
        assert len(counts) >= 10
        assert tracker.steps[-3:] == (3637, 3818, 4000)
        tight = trained(3, 0.012)[0]  # whole windows are left out, three steps are paid for each
        assert len(tight.plan.measurements) * 3 * tight.plan.seconds <= 0.9 * 0.012 * 40 < 24 * 3 * tight.plan.seconds
        assert (np.unique(tight.trajectory.window, return_counts=True)[1][-3:] == 3).all()


def test_the_price_of_a_window_is_that_of_its_steps(monkeypatch):
    Clock(monkeypatch, per_step=0.5)
    options = {"players": columns(), "total_steps": 1000, "schedule": every(100)}
    one, three = (Tracker(probe(), **options, budget=None, window=w).estimate(network()) for w in (1, 3))
    assert one.measurements == 11
    assert three.measurements == len(apart(range(0, 1001, 100), 3, 1000)) == 10  # 900 would run into the last
    assert "of 4 players at 3 nearby steps takes" in three.sentence
    assert f"{10 * 3 * three.seconds:.2g} s" in three.sentence
    paid, unpaid = (Tracker(probe(), **options, budget=b, window=3) for b in (0.2, 0.1))
    assert paid.estimate(network(), step_seconds=0.1).share == pytest.approx(0.2, abs=0.05)
    assert not unpaid.estimate(network(), step_seconds=0.1).fits


def test_a_tracker_refuses_a_window_longer_than_the_training():
    with pytest.raises(InputError, match=r"needs a training of 22 steps or more; got 20\."):
        Tracker(probe(), players=columns(), window=3, total_steps=20)
    with pytest.raises(InputError, match="`window` must be"):
        Tracker(probe(), players=columns(), window=7)
    tracker = Tracker(probe(), players=columns(), window=3, budget=None, schedule=every(5))
    follow(tracker, range(15))
    with pytest.warns(InterdynWarning, match="a training of 22 steps or more; got 14"):
        tracker.close()
    told = Tracker(probe(), players=columns(), window=3, budget=None)
    with pytest.warns(InterdynWarning, match="a training of 22 steps or more; got 9"):
        told.lasts(9)  # as the callbacks of frameworks say


def test_a_watched_folder_has_no_windows(tmp_path):
    with pytest.raises(InputError, match="without windows; got a tracker with window=3"):
        watch(tmp_path, network(), Tracker(probe(), players=columns(), window=3), once=True)


def test_the_folder_of_a_run_says_its_window(tmp_path):
    options = {"players": columns(), "budget": None, "schedule": at(0, 30)}
    for window in (1, 3):
        with Tracker(probe(), **options, window=window, out=tmp_path / str(window)) as tracker:
            follow(tracker, range(40))
        run = store.open_run(tmp_path / str(window))
        assert store.read_window(run) == window
        assert ("window" in store.read_recipe(run)["tracker"]) is (window > 1)
    with pytest.raises(RecipeError, match=r"differs in `tracker\.window`"):
        Tracker(probe(), **options, window=3, out=tmp_path / "1")
