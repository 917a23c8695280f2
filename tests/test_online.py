"""Verdicts while a training goes on: what they say, how seldom they are wrong, and that a run keeps them."""

import numpy as np
import pytest
import torch
from torch import nn

from interdyn import store
from interdyn.dynamics import Stage, online_verdict, online_verdicts
from interdyn.errors import IncompleteRunError, InputError
from interdyn.measurement import History
from interdyn.players import columns
from interdyn.tracking import Tracker, at
from interdyn.values import Trajectory
from planted_trajectories import two_phases, without_two_phases

STEPS = np.array([0.0, *2.0 ** np.arange(14)])


def course(mean_order, *, train_loss=None, test_loss=None, samples=8, noise=0.02, seed=0):
    """Return a trajectory of orders 1 and 3 with a given mean order."""
    rng = np.random.default_rng(seed)
    share = (np.asarray(mean_order) - 1) / 2
    share = np.clip(share[:, None] + noise * rng.standard_normal((len(share), samples)), 0.01, 0.99)
    strength = np.stack([1 - share, np.zeros_like(share), share], axis=-1)
    return Trajectory(STEPS[: len(share)], strength, train_loss, test_loss)


FALL = np.linspace(2.6, 1.4, 8)
RISE = np.concatenate([FALL, np.linspace(1.5, 2.4, 7)])
LEVEL = np.full(15, 0.5)
GROWS = np.concatenate([np.full(7, 0.5), np.linspace(0.55, 1.5, 8)])


def test_a_fall_is_phase_1_and_a_rise_is_established_by_two_looks():
    said = online_verdicts(course(RISE))
    assert [v.stage for v in said[:4]] == [Stage.NO_VERDICT] * 4
    assert said[7].stage is Stage.PHASE_1
    first = next(i for i, v in enumerate(said) if v.since is not None)
    assert said[first - 1].rising
    assert "only the last measurement shows a rise" in said[first - 1].sentence
    assert said[first].interval[0] <= STEPS[7] <= said[first].interval[1]
    assert said[-1].stage is Stage.PHASE_2
    assert "Harm cannot be judged" in said[-1].sentence


def test_a_rise_without_an_earlier_fall_is_reported_as_in_the_report():
    said = online_verdict(course(np.linspace(1.0, 2.6, 15)))
    assert said.stage is Stage.NO_VERDICT
    assert "no first phase is established: the mean order rises by 1." in said.sentence
    assert "an earlier fall of up to" in said.sentence


def test_a_rise_followed_by_a_fall_is_reported_as_in_the_report():
    said = online_verdict(course(np.concatenate([np.linspace(1.2, 2.6, 7), np.linspace(2.5, 1.0, 8)])))
    assert said.stage is Stage.NO_VERDICT
    assert "not the two phases: the mean order first rises and then falls (a rise of up to" in said.sentence


@pytest.mark.parametrize(("test_loss", "grows"), [(LEVEL, False), (GROWS, True)])
def test_the_gap_is_a_statement_of_its_own(test_loss, grows):
    losses = {"train_loss": LEVEL, "test_loss": test_loss}
    said = online_verdict(course(RISE, **losses))
    assert said.stage is Stage.PHASE_2
    assert said.gap.found is grows
    before = online_verdict(course(RISE[:-1], **{name: loss[:-1] for name, loss in losses.items()}))
    assert online_verdict(course(RISE, **losses), before=before) == said
    assert online_verdict(course(LEVEL + 1, **losses)).gap == said.gap


def test_a_gap_at_one_measurement_is_to_be_confirmed():
    said = online_verdicts(course(RISE, train_loss=LEVEL, test_loss=GROWS))
    first = next(i for i, v in enumerate(said) if v.gap.found)
    assert "Only the last measurement shows the loss gap growing" in said[first - 1].gap.sentence


def test_a_look_that_is_not_finite_is_no_verdict_and_the_next_goes_on():
    broken = course(RISE)
    broken.strength[10] = np.nan
    said = online_verdicts(broken)
    assert said[10].stage is Stage.NO_VERDICT
    assert "nothing finite" in said[10].sentence
    assert said[-1].stage is Stage.PHASE_2


def test_what_was_said_does_not_depend_on_what_came_later():
    whole = course(RISE)
    assert online_verdicts(whole)[:9] == online_verdicts(whole.first(9))


def is_found(trajectory):
    """Whether any of `online_verdicts` knows when the second phase began; the later ones are not asked for."""
    said = None
    for count in range(1, len(trajectory.steps) + 1):
        said = online_verdict(trajectory.first(count), before=said)
        if said.since is not None:
            return True
    return False


@pytest.mark.slow
def test_looking_often_raises_few_false_alarms_and_planted_onsets_are_found():
    quiet = [p for p in without_two_phases(20, seed=11) if p.kind in ("falling", "flat", "noise")]
    assert len(quiet) >= 12
    rang = [any(v.since is not None for v in online_verdicts(p.trajectory)) for p in quiet]
    assert np.mean(rang) <= 0.05
    planted = two_phases(6, seed=12)
    found = [is_found(p.trajectory) for p in planted]
    assert np.mean(found) >= 0.8


# -- from the run's directory ------------------------------------------------------------------------


def tracked(folder, **options):
    torch.manual_seed(0)
    x = torch.randn(48, 5, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] * x[:, 1] > 0).long()
    net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    steps = (0, 1, 2, 4, 8, 16, 32, 64, 128)
    said = {}
    with Tracker(
        (x[:12], y[:12]), players=columns(), schedule=at(*steps), out=folder, strict=True, budget=None, **options
    ) as t:
        for step in range(129):
            if t.observe(step, net, train_loss=1 / (step + 1), test_loss=1.0):
                said[step] = t.verdict
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x[:24]), y[:24]).backward()
            optimiser.step()
    return said, t


def test_a_run_says_again_what_the_tracker_said(tmp_path):
    said, tracker = tracked(tmp_path / "run")
    again = {int(v.step): v for v in History.read(tmp_path / "run").verdicts()}
    assert again == said
    read = History.read(store.open_run(tmp_path / "run")).trajectory()
    for name in ("steps", "strength", "train_loss", "test_loss"):
        np.testing.assert_array_equal(getattr(read, name), getattr(tracker.trajectory, name))
    assert read.strength.shape == (9, 12, 5)
    assert read.unit == "log-odds"


def test_looks_at_other_samples_than_the_last_do_not_count(tmp_path):
    tracked(tmp_path / "run")
    run = store.open_run(tmp_path / "run")
    first = store.read_measurement(run, 0, group="test")
    with store.writing(run.path):
        store.write_measurement(run, first.__class__(**{**vars(first), **{k: getattr(first, k)[:4] for k in ROWS}}))
    assert History.read(run).trajectory().steps[0] == 1


ROWS = ("v", "i_and", "i_or", "objective", "gap", "noise_bound", "sample_ids", "targets", "status")


def test_a_run_without_that_group_or_any_look_is_refused(tmp_path):
    tracked(tmp_path / "run")
    with pytest.raises(InputError, match="`group` must be one of"):
        History.read(tmp_path / "run").trajectory(group="nonsense")
    for file in (tmp_path / "run" / "measurements").rglob("*.safetensors"):
        file.unlink()
    with pytest.raises(IncompleteRunError, match="verdicts need a measured step"):
        History.read(tmp_path / "run").verdicts()
