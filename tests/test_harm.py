"""Harm: a held-out loss that has risen; what is said without one; and that only harm stops a training."""

import numpy as np
import pytest
import torch
from torch import nn

from interdyn.dynamics import (
    Stage,
    find_gap_onset,
    find_harm,
    find_pattern,
    find_phases,
    least_loss,
    online_verdict,
    online_verdicts,
    pattern_signal,
    when,
    whole_verdict,
)
from interdyn.errors import InputError, InterdynWarning
from interdyn.measurement import History
from interdyn.players import columns
from interdyn.tracking import Tracker, at, mean_losses
from interdyn.values import RunResult, Trajectory

STEPS = np.array([0.0, *2.0 ** np.arange(17)])
X = np.linspace(0, 1, 18)
FALL = 0.1 + 2.2 * np.exp(-6 * X)
RISE = FALL + 0.3 * np.clip(X - 0.6, 0, None)


def noisy(loss, seed, *, size=0.02, rho=0.0):
    """Return a loss with relative noise, correlated from one measurement to the next."""
    rng, out = np.random.default_rng(seed), np.empty(len(loss))
    white = rng.standard_normal(len(loss))
    for t, w in enumerate(white):
        out[t] = w if t == 0 else rho * out[t - 1] + np.sqrt(1 - rho**2) * w
    return loss * np.exp(size * out)


def rings(steps, loss, **options):
    """Return the first number of measurements at which harm is said, None if at none."""
    return next((n for n in range(10, len(loss) + 1) if find_harm(steps[:n], loss[:n], **options).found), None)


# -- when it rings -----------------------------------------------------------------------------------


def test_a_rise_is_dated_with_its_interval_and_its_size():
    harm = find_harm(STEPS, noisy(RISE, 0))
    assert harm.found
    assert harm.interval[0] <= harm.step <= harm.interval[1]
    assert harm.interval[0] <= STEPS[RISE.argmin()] <= harm.interval[1]
    assert harm.growth == pytest.approx(RISE[-1] / RISE.min() - 1, abs=0.15)
    assert harm.sentence.startswith("Training began to harm between steps ")
    assert harm.sentence.endswith(f"the fitted held-out loss is {100 * harm.growth:.0f} % above its minimum.")


@pytest.mark.parametrize("rho", [0.0, 0.8])
@pytest.mark.parametrize(
    "loss",
    [FALL, (1 + STEPS / 30) ** -0.6, np.full(18, 0.7), 2.3 - 2 * X**2, 0.05 + 2.2 / (1 + np.exp((X - 0.5) / 0.04))],
    ids=["to a plateau", "power", "level", "late", "steep"],
)
def test_a_loss_that_falls_never_rings(loss, rho):
    assert rings(STEPS, noisy(loss, 0, rho=rho)) is None


def test_less_than_five_percent_is_no_harm_however_sure():
    small, large = (0.5 * (1 + size * np.clip(X - 0.5, 0, None) / 0.5) for size in (0.04, 0.08))
    assert not find_harm(STEPS, noisy(small, 1, size=1e-4)).found
    assert find_harm(STEPS, noisy(large, 1, size=1e-4)).found


def test_one_measurement_indicates_and_the_next_confirms():
    loss = noisy(RISE, 2)
    first = rings(STEPS, loss)
    before = find_harm(STEPS[: first - 1], loss[: first - 1])
    assert not before.found
    assert "Only the last measurement indicates harm" in before.sentence


# -- inputs that are not a whole course of a loss -----------------------------------------------------


def test_losses_that_are_not_numbers_are_left_out():
    loss = noisy(RISE, 0)
    holes = loss.copy()
    holes[[3, 7, 16]] = np.nan, np.inf, np.nan
    known = np.isfinite(holes)
    assert find_harm(STEPS, holes) == find_harm(STEPS[known], loss[known])
    assert find_harm(STEPS, np.full(18, np.nan)).sentence.startswith("Harm cannot be judged yet: the held-out loss")


def test_a_loss_that_was_not_computed_anew_counts_once():
    """A validation after every fourth measurement leaves the same number at those between."""
    loss = noisy(RISE, 0)
    stale = loss[[0, 0, 0, 3, 3, 5, 6, 6, 8, 9, 10, 11, 11, 13, 14, 15, 16, 17]]
    fresh = np.append(True, np.diff(stale) != 0)
    assert find_harm(STEPS, stale) == find_harm(STEPS[fresh], stale[fresh])
    assert "known at 1 of the 10 steps" in find_harm(STEPS, np.ones(18)).sentence


def test_two_measurements_are_too_few():
    assert find_harm([0, 10], [1.0, 2.0]).sentence == (
        "Harm cannot be judged yet: the held-out loss is known at 2 of the 10 steps needed."
    )
    assert least_loss([0, 10], [1.0, 2.0]) == 0
    assert least_loss([0, 16, 32, 64, 128, 256], [0.9, 0.6, 0.5, 0.4, 0.52, 0.6]) == 64  # equal medians at 32 and 64
    assert least_loss([0, 1, 2, 3, 4, 5], [0.9, 0.40, 0.39, 0.416, 0.38, 0.45]) == 4  # the median is lowest at 3
    assert least_loss([0, 1, 2, 3, 4, 5], [0.1, 0.9, 0.8, 0.5, 0.4, 0.5]) == 4


def test_of_a_metric_larger_is_better():
    accuracy = np.exp(-2 * noisy(RISE, 0, size=0.005))
    harm = find_harm(STEPS, accuracy, larger_is_better=True)
    assert harm.found
    assert harm.growth == pytest.approx(1 - np.exp(-2 * (RISE[-1] - RISE.min())), abs=0.05)
    assert harm.sentence.endswith("% below its best.")
    assert least_loss(STEPS, accuracy, larger_is_better=True) == least_loss(STEPS, 1 - accuracy)


def test_a_loss_below_zero_is_judged_by_its_range():
    rise = FALL + 1.5 * np.clip(X - 0.6, 0, None)
    harm = find_harm(STEPS, noisy(rise, 0) - 0.5)
    assert harm.found
    assert harm.growth == pytest.approx((rise[-1] - rise.min()) / np.ptp(rise), abs=0.05)


def test_the_unit_of_the_loss_does_not_matter():
    loss = noisy(RISE, 0)
    one, other = find_harm(STEPS, loss), find_harm(STEPS, 1000 * loss)
    assert one.growth == pytest.approx(other.growth)
    assert one.interval == pytest.approx(other.interval)


def test_losses_of_another_length_are_refused():
    with pytest.raises(InputError, match="`held_out` must have one value for each of the 18 steps"):
        find_harm(STEPS, FALL[:5])


def test_the_best_step_is_no_lucky_value():
    loss = FALL.copy()
    loss[5] = 0.01
    assert least_loss(STEPS, loss) == STEPS[-1]
    assert least_loss(STEPS, [*[np.nan] * 16, 3.0, 2.0]) == STEPS[-1]
    assert least_loss(STEPS, np.full(18, np.nan)) is None


# -- the pattern ---------------------------------------------------------------------------------------


def test_the_signal_is_its_definition():
    rng = np.random.default_rng(0)
    high, effect = rng.random(12), 1 + rng.random(12)
    level = np.log(high / effect + 0.01)
    by_hand = [level[t] - min(level[s - 2 : s + 1].mean() for s in range(2, t + 1)) for t in range(2, 12)]
    np.testing.assert_allclose(pattern_signal(high, effect)[2:], by_hand)
    assert np.isnan(pattern_signal(high, effect)[:2]).all()


def test_the_pattern_needs_two_in_a_row_up_to_now():
    ones, low = np.ones(8), np.array([0.5, 0.1, 0.1, 0.1, 0.1])
    steps = np.arange(8)
    assert find_pattern(steps, [*low, 0.6, 0.6, 0.6], ones).step == 5
    assert not find_pattern(steps, [*low, 0.6, 0.1, 0.6], ones).found
    assert not find_pattern(steps, [*low, 0.6, 0.6, 0.1], ones).found
    assert not find_pattern(steps, [*low, 0.6, 0.6, 0.6], 0 * ones).found


# -- the verdict ---------------------------------------------------------------------------------------


def trajectory(order, **losses):
    share = np.clip((np.asarray(order) - 1) / 2, 0.01, 0.99)[:, None] + np.zeros((1, 8))
    strength = np.stack([1 - share, np.zeros_like(share), share], axis=-1)
    return Trajectory(STEPS[: len(share)], strength, **losses)


TURN = 1.4 + np.abs(X - 0.5) * 2 + 0.02 * np.random.default_rng(0).standard_normal(18)


def test_interactions_never_say_harm():
    said = whole_verdict(trajectory(TURN))
    assert said.stage is Stage.PHASE_2
    assert (said.harm.found, said.best_step) == (False, None)
    assert "Harm cannot be judged without held-out losses: pass" in said.sentence


def test_one_loss_alone_shows_what_it_can():
    train, test = (whole_verdict(trajectory(TURN, **{name: noisy(RISE, 0)})) for name in ("train_loss", "test_loss"))
    assert (train.harm.found, train.best_step, train.gap.found) == (False, None, False)
    assert "Harm cannot be judged without held-out losses" in train.sentence
    assert test.harm.found
    assert "gap" not in train.sentence + test.sentence


def test_a_gap_that_widens_while_the_test_loss_falls_is_no_harm():
    said = whole_verdict(trajectory(TURN, train_loss=FALL**2 / 2.5, test_loss=noisy(FALL, 0)))
    assert not said.harm.found
    assert said.best_step in STEPS[-3:]
    wide = whole_verdict(trajectory(TURN, train_loss=FALL - 0.1 - 0.5 * np.clip(X - 0.5, 0, None), test_loss=FALL))
    assert wide.gap.found
    assert not wide.harm.found


def test_a_whole_training_is_judged_once(monkeypatch):
    course = trajectory(TURN, train_loss=FALL, test_loss=noisy(RISE, 0))
    phases, alone = find_phases(course), whole_verdict(course)
    for module, name in (("_phases", "judge"), ("_online", "judge"), ("_phases", "find_gap_onset")):
        monkeypatch.delattr(f"interdyn.dynamics.{module}.{name}")
    assert whole_verdict(course, phases=phases) == alone
    with pytest.raises(InputError, match="`phases`"):
        whole_verdict(course, phases="two")


def test_a_verdict_has_two_sentences_and_the_three_statements():
    said = whole_verdict(trajectory(TURN, train_loss=FALL, test_loss=noisy(RISE, 0)))
    assert said.harm.found
    assert said.gap.found
    assert said.phase_2.found
    first, second = said.sentence.split(". ")
    assert first.startswith("At step 65,536: phase 2 began ")
    assert "; the loss gap began to widen " in first
    assert f"{second}" == said.harm.sentence
    assert when(said.harm.interval) in second


def test_an_accuracy_alone_is_enough_to_see_harm():
    accuracy = np.exp(-2 * noisy(RISE, 0, size=0.005))
    said = whole_verdict(trajectory(TURN, test_accuracy=accuracy))
    assert said.harm.found
    assert said.best_step == least_loss(STEPS, accuracy, larger_is_better=True)


def test_the_pattern_is_told_only_where_nothing_is_held_out():
    ones = np.ones(18)
    found = find_pattern(STEPS, np.where(X > 0.6, 0.9, 0.1), ones)
    assert found.found
    assert online_verdict(trajectory(TURN), pattern=found).sentence.endswith(found.sentence)
    known = online_verdict(trajectory(TURN, test_loss=FALL), pattern=found)
    assert known.pattern is None
    assert "pattern" not in known.sentence


def test_the_whole_and_what_was_known_at_the_end_say_the_same_of_harm():
    course = trajectory(TURN, train_loss=FALL, test_loss=noisy(RISE, 0))
    assert online_verdicts(course)[-1].harm == whole_verdict(course).harm


# -- a training ----------------------------------------------------------------------------------------


def trained(test_loss, **options):
    """Return a tracker of ten measurements with the test losses given."""
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    tracker = Tracker((x, torch.arange(8) % 2), players=columns(), schedule=at(*range(18)), budget=None, **options)
    network, stopped = nn.Linear(4, 2), None
    for step, loss in enumerate(test_loss):
        tracker.observe(step, network, test_loss=loss)
        if stopped is None and tracker.should_stop:
            stopped = step
    return tracker, stopped


def test_only_harm_stops_and_names_the_best_step(tmp_path):
    tracker, stopped = trained(noisy(RISE, 0), stop_when="harm", out=tmp_path / "run")
    assert stopped is not None
    assert tracker.best_step == least_loss(tracker.steps, noisy(RISE, 0))
    tracker.close()
    history = History.read(tmp_path / "run")
    assert history.verdict() == tracker.verdict
    result = history.result()
    assert result.harm.sentence == tracker.verdict.harm.sentence
    assert result.harm.best_step == tracker.best_step
    assert result.verdict[0] == tracker.verdict.sentence
    again = RunResult.from_json(*result.to_json().values())
    assert again.harm == result.harm
    assert trained(noisy(FALL, 0), stop_when="harm")[1] is None


def test_losses_at_other_steps_than_measurements_count_where_something_is_measured():
    tracker, stopped = trained(
        [loss if step % 2 else None for step, loss in enumerate(noisy(RISE, 0))], stop_when="harm"
    )
    assert stopped is None
    assert "the held-out loss is known at 9 of the 10 steps needed" in tracker.verdict.sentence
    assert tracker.best_step % 2 == 1


def test_without_held_out_losses_nothing_stops_and_that_is_told():
    tracker, stopped = trained([None] * 8, stop_when="harm")
    with pytest.warns(InterdynWarning, match='`stop_when="harm"` needs held-out losses'):
        tracker.close()
    assert (stopped, tracker.best_step) == (None, None)
    assert "pass `losses=`" in tracker.verdict.harm.sentence


def test_a_history_reads_the_pattern_from_training_samples_alone():
    x, y = torch.randn(8, 5, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 2
    probe = {"test": (x, y), "train_b": (2 * x, y)}
    tracker = Tracker(probe, players=columns(), schedule=at(0, 1, 2, 3, 4), budget=None)
    for step in range(5):  # products of four and five columns come up late
        tracker.observe(step, lambda x, s=step: torch.stack([x[:, 0], (0.01, 0.01, 0.01, 3, 9)[s] * x.prod(1)], dim=1))
    seen = [tracker.history.seen(step, "train_b") for step in range(5)]
    high = [one.spectrum.strength[:, 3:].sum(axis=1).mean() for one in seen]
    assert tracker.verdict.pattern == find_pattern(range(5), high, [one.effect for one in seen])
    assert tracker.verdict.pattern.found
    assert "confirm with held-out data" in tracker.verdict.sentence
    table = tracker.history.seen(4, "test")
    assert table.effect > 0


def test_the_old_name_works_and_says_the_new_one():
    with pytest.warns(DeprecationWarning, match="write `stop_when='harm'`") as warned:
        tracker = trained([], stop_when="over-fitting")[0]
    assert warned[0].filename == __file__
    assert tracker.stop_when == "harm"
    with pytest.raises(InputError, match='`stop_when` must be "harm" or None'):
        trained([], stop_when="phase 2")


@pytest.mark.parametrize("losses", [True, False])
def test_a_logistic_regression_that_separates_its_samples_is_not_stopped(losses):
    """Additive, so that it has no order to rise; its test loss falls on, with the noise of small batches."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(900, 5, generator=rng)
    y = (x @ torch.tensor([1.0, -2.0, 0.5, 0.0, 1.0]) > 0).long()
    torch.manual_seed(0)
    network = nn.Linear(5, 2)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.03)
    held_out = (lambda net: mean_losses(net, {"test": (x[300:], y[300:])})) if losses else None
    tracker = Tracker((x[300:312], y[300:312]), players=columns(), stop_when="harm", budget=None, losses=held_out)
    for step in range(300):
        if tracker.observe(step, network):
            assert not tracker.should_stop
        rows = torch.randint(300, (10,), generator=rng)
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
        optimiser.step()


@pytest.mark.parametrize("count", [3, 12])
def test_a_seed_that_is_none_is_refused_however_short_the_course(count):
    steps = np.arange(count, dtype=float)
    with pytest.raises(InputError, match="`seed`"):
        find_harm(steps, 1 + steps, seed="x")
    with pytest.raises(InputError, match="`seed`"):
        find_gap_onset(steps, steps, 2 * steps, seed=-1)
