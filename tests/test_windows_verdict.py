"""A verdict is confirmed by the next measurement, not by another step of the same."""

import numpy as np
import pytest

from interdyn.dynamics import find_pattern, online_verdict, whole_verdict
from interdyn.measurement import History
from interdyn.store import Measurement

STEPS = (0, 1, 2, 4, 8, 16, 20, 21, 22, 40, 42, 44, 80, 84, 88, 160, 168, 176, 320, 336, 352, 640, 672, 704)
WINDOWS = (0, 1, 2, 3, 4, 5, *np.repeat([6, 7, 8, 9, 10, 11], 3))


def measured(step, share, *, group="test", samples=8):
    """A measurement whose interactions are of order 2, or 4, by a share, and of order 1 for the rest."""
    i_and = np.zeros((samples, 16))
    i_and[:, 1], i_and[:, 3], i_and[:, 15] = 1 - share, share, share * (group == "train")
    v = np.array([[i_and[0, [s for s in range(16) if s & t == s]].sum() for t in range(16)]]).repeat(samples, 0)
    one, ids = np.ones(samples), np.arange(samples)
    return Measurement(step, group, v, i_and, np.zeros_like(i_and), one, one, one, ids, ("solved",) * samples)


def course():
    noise = 0.02 * np.random.default_rng(1).standard_normal(len(STEPS))
    x = np.log(np.array(STEPS) + 1.0)
    return np.clip(0.1 + 0.8 * np.clip(1 - x / 2, 0, 1) + 0.5 * np.clip((x - 4.2) / 2, 0, 1) + noise, 0, 1)


@pytest.fixture(scope="module")
def history():
    history = History(["test", "train"], window=3)
    for step, share in zip(STEPS, course(), strict=True):
        both = [measured(step, share), measured(step, share, group="train")]
        history.add(both, {"train_loss": 1 - share, "test_loss": 1 + 0 * share})
        history.verdict()  # as a tracker asks at every step
    return history


def test_the_verdicts_of_a_history_are_those_of_its_trajectory(history):
    trajectory = history.trajectory()
    np.testing.assert_array_equal(trajectory.window, WINDOWS)
    assert history.count == 12
    assert any(verdict.phase_2.found for verdict in history.verdicts())
    ends = [0, 1, 2, 4, 8, 16, *STEPS[8::3]]
    assert [verdict.step for verdict in history.verdicts()] == ends
    for verdict in history.verdicts():
        wanted = online_verdict(trajectory.first(STEPS.index(verdict.step) + 1), pattern=verdict.pattern)
        assert verdict == wanted, verdict.step
    history.over = True
    assert history.verdict() == whole_verdict(trajectory, pattern=history.verdict().pattern)


def test_a_measurement_counts_once_it_has_all_its_steps_or_the_next_has_begun(history):
    assert [history.verdict(step).step for step in (16, 20, 21, 22, 40, 42, 44)] == [8, 16, 16, 22, 22, 22, 44]
    late = History(["test"], window=3)
    for step in (0, 40, 42, 80, 84):
        late.add([measured(step, 0.5)], {})
    assert [late.verdict(step).step for step in (0, 40, 42, 80, 84)] == [0, 0, 0, 42, 42]
    late.over = True
    assert late.verdict().step == 84
    first = History(["test"], window=3)
    first.add([measured(40, 0.5)], {})
    assert first.verdict().step == 40, "something is said of the first step"


def test_the_pattern_counts_measurements(history):
    seen = [history.seen(step, "train") for step in STEPS]
    high = np.array([one.spectrum.strength[:, 3].mean() for one in seen])
    effect = np.array([one.effect for one in seen])
    places = [np.flatnonzero(np.array(WINDOWS) == one) for one in range(12)]
    steps = np.array([float(STEPS[i[0]]) for i in places])
    wanted = find_pattern(
        steps, np.array([high[i].mean() for i in places]), np.array([effect[i].mean() for i in places])
    )
    assert history._pattern(STEPS) == wanted
    assert history._pattern(STEPS) != find_pattern(np.array(STEPS, dtype=float), high, effect)
