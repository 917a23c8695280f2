from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from interdyn.dynamics import (
    PhaseEvidence,
    PhaseStatus,
    Place,
    find_gap_onset,
    find_phases,
    initial_orders,
    spindle_law,
)
from interdyn.dynamics._axis import steps_at, time_axis
from interdyn.dynamics._evidence import Judged
from interdyn.dynamics._phases import verdict
from interdyn.errors import InputError
from interdyn.values import Trajectory
from planted_trajectories import two_phases, without_two_phases

STEPS = np.array([0, *(2.0 ** np.arange(14))])


@pytest.fixture(autouse=True)
def _one_core():
    """Keep BLAS to one thread: the matrices are small, and the rates are promised for one core."""
    with threadpool_limits(1):
        yield


def _trajectory(course, *, steps=STEPS, samples=20, noise=0.03, seed=0, losses=None):
    """Strength of orders 1..4 whose mean order follows `course` over the place on the log axis."""
    rng = np.random.default_rng(seed)
    mean = course(time_axis(steps)) + noise * rng.standard_normal(len(steps))
    share = np.stack([(4 - mean) / 3, 0 * mean, 0 * mean, (mean - 1) / 3], axis=-1)
    strength = share[:, None] * rng.gamma(100, 0.01, (len(steps), samples, 4)) * rng.lognormal(size=(samples, 1))
    return Trajectory(steps, strength, *(losses or (None, None)))


def _turning(x, at=0.5):
    return np.interp(x, [0, at, 1], [3.2, 1.5, 2.5])


# -- the axis --------------------------------------------------------------------------------------


def test_time_axis_round_trip_and_is_free_of_the_unit_of_steps():
    np.testing.assert_allclose(steps_at(time_axis(STEPS), STEPS), STEPS, atol=1e-9)
    np.testing.assert_allclose(time_axis(STEPS / 37.0), time_axis(STEPS), atol=1e-12)


# -- known worlds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0.3, 0.5, 0.7])
def test_a_turn_is_found_where_it_is(at):
    found = find_phases(_trajectory(lambda x: _turning(x, at)))
    truth = steps_at(np.array([at]), STEPS)[0]
    assert found.found
    assert found.status is PhaseStatus.TWO_PHASES
    assert found.interval[0] <= truth <= found.interval[1]
    assert found.interval[0] <= found.boundary_step <= found.interval[1]
    assert found.fall_ends.interval[0] == found.interval[0]
    assert found.rise_starts.interval[1] == found.interval[1]
    assert found.phase_1 == (0.0, found.fall_ends.step)
    assert found.phase_2 == (found.rise_starts.step, STEPS[-1])
    np.testing.assert_array_equal(found.in_phase_2, found.rise_starts.step <= STEPS)
    assert found.evidence.fall == pytest.approx(1.7, abs=0.25)
    assert found.evidence.rise == pytest.approx(1.0, abs=0.25)
    assert found.evidence.rise_interval[0] < found.evidence.rise < found.evidence.rise_interval[1]


@pytest.mark.parametrize(
    ("course", "status"),
    [
        (lambda x: 1.5 + 2 * np.exp(-4 * x), PhaseStatus.ONLY_FALLS),
        (lambda x: 3.5 - 2 * x, PhaseStatus.ONLY_FALLS),
        (lambda x: 1.5 + 2 * x, PhaseStatus.ONLY_RISES),
        (lambda x: np.interp(x, [0, 0.5, 1], [1.5, 3.2, 1.8]), PhaseStatus.RISES_THEN_FALLS),
    ],
)
def test_a_course_without_two_phases_is_named(course, status):
    got = find_phases(_trajectory(course))
    assert got.status is status
    assert not got.found
    assert got.boundary_step is None
    assert got.interval is None
    assert got.phase_1 is None
    if status is PhaseStatus.ONLY_RISES:  # all of it is the second phase
        assert got.phase_2 == (0, 8192)
        assert got.in_phase_2.all()
    else:
        assert got.phase_2 is None
        assert not got.in_phase_2.any()


def test_an_exactly_constant_order_has_no_phases():
    strength = np.ones((8, 5, 4))
    got = find_phases(Trajectory(np.arange(8.0), strength))
    assert got.status is PhaseStatus.FLAT
    assert got.evidence.two_phases == got.evidence.possible_rise == 0.0


def test_a_training_of_which_nothing_was_measured_is_no_verdict():
    for more in ({}, {"train_loss": np.zeros(0), "test_loss": np.zeros(0)}):
        found = find_phases(Trajectory(np.zeros(0), np.zeros((0, 3, 2)), **more))
        assert found.status is PhaseStatus.NO_VERDICT
        assert len(found.in_phase_2) == 0


def test_a_rise_drowned_in_noise_is_no_verdict():
    got = find_phases(_trajectory(lambda x: np.interp(x, [0, 0.7, 1], [2.8, 2.2, 2.6]), noise=0.35, seed=3))
    assert got.status is PhaseStatus.NO_VERDICT
    assert f"a rise of up to {got.evidence.possible_rise:.2f} orders" in got.sentence
    assert got.evidence.possible_rise > 0.4


FALLS = PhaseEvidence(only_falls=0.97, fall=1.7, possible_fall=2.0, possible_rise=0.12, n_steps=14, n_samples=20)
TWO = PhaseEvidence(
    two_phases=0.9, fall=1.7, rise=0.5, possible_fall=2.0, possible_rise=0.9, interval_share=0.3, n_steps=14
)


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        (FALLS, PhaseStatus.ONLY_FALLS),
        (replace(FALLS, possible_rise=0.16), PhaseStatus.NO_VERDICT),
        (replace(FALLS, only_falls=0.8), PhaseStatus.NO_VERDICT),
        (replace(FALLS, only_falls=0.0, only_rises=0.97, rise=1.0, possible_fall=0.1), PhaseStatus.ONLY_RISES),
        (replace(FALLS, only_falls=0.0, only_rises=0.97, rise=1.0, possible_fall=0.2), PhaseStatus.NO_VERDICT),
        (replace(FALLS, only_falls=0.0, possible_fall=0.15, possible_rise=0.15), PhaseStatus.FLAT),
        (replace(FALLS, only_falls=0.0, hump=0.7), PhaseStatus.RISES_THEN_FALLS),
        (TWO, PhaseStatus.TWO_PHASES),
        (replace(TWO, interval_share=0.6), PhaseStatus.WEAK),
        (replace(TWO, two_phases=0.6), PhaseStatus.NO_VERDICT),
        (replace(TWO, rise=0.09), PhaseStatus.NO_VERDICT),
    ],
)
def test_absent_is_said_only_where_no_rise_above_the_smallest_is_possible(evidence, status):
    place = Place(100.0, (50.0, 200.0))
    judged = Judged(evidence, place, place, place)
    got, sentence = verdict(judged, STEPS, level=0.9, smallest_change=0.1)
    assert got is status
    if status not in (PhaseStatus.TWO_PHASES, PhaseStatus.WEAK):  # how large a rise may be is always said
        assert "possible" in sentence


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (
            replace(TWO, two_phases=0.5, only_falls=0.4),
            "a fall of 1.70 orders is established above noise of 0.00 orders",
        ),
        (replace(TWO, two_phases=0.5, only_falls=0.4), "a later rise is not; one of up to 0.90 orders is possible."),
        (replace(TWO, two_phases=0.5, only_rises=0.4), "a rise of 0.50 orders is established"),
        (replace(TWO, two_phases=0.5, only_rises=0.4), "an earlier fall is not; one of up to 2.00 orders is possible."),
        (replace(TWO, two_phases=0.5, only_falls=0.3), "neither a fall nor a later rise is established"),
        (replace(TWO, two_phases=0.5, only_falls=0.4, fall=0.05), "neither a fall nor a later rise is established"),
    ],
)
def test_a_fall_is_established_whether_or_not_a_rise_follows(evidence, said):
    status, sentence = verdict(Judged(evidence), STEPS, level=0.9, smallest_change=0.1)
    assert status is PhaseStatus.NO_VERDICT
    assert said in sentence


def test_the_interval_of_a_plateau_spans_it():
    flat = find_phases(_trajectory(lambda x: np.interp(x, [0, 0.3, 0.7, 1], [3.2, 1.5, 1.5, 2.5]), noise=0.05))
    low, high = time_axis(np.array([0.0, 1.0, *flat.interval, STEPS[-1]]))[2:4]
    assert flat.found
    assert 0.15 <= low <= 0.3
    assert 0.7 <= high <= 0.85
    assert flat.fall_ends.step < flat.rise_starts.step


def test_a_wide_interval_is_called_weak():
    course = lambda x: np.interp(x, [0, 0.15, 0.85, 1], [3.2, 1.6, 1.6, 2.8])  # noqa: E731
    got = find_phases(_trajectory(course, noise=0.05, seed=2), level=0.99)
    assert got.status is PhaseStatus.WEAK
    assert got.found
    assert "weak" in got.sentence


def test_an_interval_at_the_edge_says_so():
    got = find_phases(_trajectory(lambda x: np.interp(x, [0, 0.13, 1], [2.9, 1.5, 2.9])), level=0.9999)
    assert got.found
    assert got.interval[0] < 0.01
    assert "touches the first checkpoint" in got.sentence


def test_more_noise_and_a_higher_level_widen_the_interval():
    width = [
        find_phases(_trajectory(_turning, noise=noise, seed=5), level=level).evidence.interval_share
        for noise, level in ((0.02, 0.9), (0.2, 0.9), (0.2, 0.99))
    ]
    assert width[0] < width[1] < width[2]


def test_a_change_below_the_smallest_is_no_phase():
    trajectory = _trajectory(lambda x: np.interp(x, [0, 0.5, 1], [3.2, 1.5, 2.0]))
    assert find_phases(trajectory).found
    assert not find_phases(trajectory, smallest_change=0.9).found


# -- invariances -----------------------------------------------------------------------------------


def _same(a, b):
    assert a.status is b.status
    assert a.boundary_step == pytest.approx(b.boundary_step, rel=1e-6)
    assert a.interval == pytest.approx(b.interval, rel=1e-6)
    assert a.evidence.two_phases == b.evidence.two_phases


def test_neither_unit_nor_sample_order_nor_a_second_call_changes_the_result():
    t = _trajectory(_turning)
    base = find_phases(t)
    _same(find_phases(t), base)
    _same(find_phases(replace(t, strength=t.strength * 1234.5)), base)
    _same(find_phases(replace(t, strength=t.strength[:, np.random.default_rng(1).permutation(20)])), base)
    assert find_phases(t, seed=1).evidence.rise != base.evidence.rise


def test_the_unit_of_steps_scales_the_boundary():
    t = _trajectory(_turning)
    a, b = find_phases(t), find_phases(replace(t, steps=t.steps / 468.0))
    assert b.boundary_step == pytest.approx(a.boundary_step / 468.0, rel=1e-6)


# -- gaps in the data ------------------------------------------------------------------------------


def test_a_step_with_nothing_salient_is_left_out_and_named():
    t = _trajectory(_turning)
    strength = t.strength.copy()
    strength[[0, 7]] = 0.0
    got = find_phases(replace(t, strength=strength))
    assert got.found
    assert got.initial is None
    assert got.evidence.n_steps == len(STEPS) - 2
    assert "step 0, 64" in got.sentence
    assert len(got.in_phase_2) == len(STEPS)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((5, 9, 4), "5 of the 6 steps"),
        ((9, 1, 4), "1 of the 2 samples"),
        ((9, 9, 1), "single order"),
        ((1, 1, 1), "1 of the 6 steps"),
    ],
)
def test_too_few_data_is_no_verdict(shape, reason):
    got = find_phases(Trajectory(np.arange(float(shape[0])), np.ones(shape)))
    assert got.status is PhaseStatus.NO_VERDICT
    assert reason in got.sentence
    assert got.evidence is None


def test_nothing_salient_anywhere_is_no_verdict():
    got = find_phases(Trajectory(np.arange(8.0), np.zeros((8, 3, 4))))
    assert got.status is PhaseStatus.NO_VERDICT
    assert got.initial is None


@pytest.mark.parametrize("steps", [[0, 2, 1], [0, 1, 1], [-1, 0, 1], [0, 1, np.nan]])
def test_bad_steps_are_refused(steps):
    with pytest.raises(InputError, match=r"`steps` must be .*; got"):
        find_phases(Trajectory(np.array(steps, float), np.ones((3, 2, 2))))
    with pytest.raises(InputError, match="`steps`"):
        find_gap_onset(np.array(steps, float), np.zeros(3), np.zeros(3))


@pytest.mark.parametrize("value", [-0.5, np.nan, np.inf])
def test_bad_strength_is_refused_and_named(value):
    strength = np.ones((6, 3, 2))
    strength[4, 2, 1] = value
    with pytest.raises(InputError, match="step index 4, sample 2, order 2"):
        find_phases(Trajectory(np.arange(6.0), strength))


@pytest.mark.parametrize("options", [{"level": 1.0}, {"level": 0}, {"smallest_change": -1}])
def test_bad_settings_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        find_phases(_trajectory(_turning), **options)


# -- the spindle -----------------------------------------------------------------------------------


def test_the_spindle_law_peaks_where_the_paper_says_and_noise_follows_it():
    law = spindle_law(10)
    assert law.argmax() + 1 == 6
    # the definition: dividends of independent outputs, by inclusion and exclusion
    n, rng = 6, np.random.default_rng(0)
    v = rng.standard_normal((4000, 2**n))
    for i in range(n):
        w = v.reshape(4000, -1, 2, 2**i)
        w[:, :, 1] -= w[:, :, 0]
    size = np.array([bin(s).count("1") for s in range(2**n)])
    strength = np.array([np.abs(v[:, size == k]).mean(axis=0).sum() for k in range(1, n + 1)])
    np.testing.assert_allclose(strength / strength.sum(), spindle_law(n), atol=0.01)


def test_a_spindle_is_told_from_low_and_high_orders():
    assert initial_orders(spindle_law(10), step=0).distance == pytest.approx(0, abs=1e-12)
    low = 0.5 ** np.arange(1, 11)
    assert not initial_orders(low / low.sum(), step=0).is_spindle
    assert not initial_orders(low[::-1] / low.sum(), step=0).is_spindle
    assert "step 3" in initial_orders(low / low.sum(), step=3).sentence
    with pytest.raises(InputError, match="n_players"):
        spindle_law(0)


def test_the_first_checkpoint_is_judged():
    t = _trajectory(_turning)
    strength = t.strength.copy()
    strength[0] = spindle_law(4)
    assert find_phases(replace(t, strength=strength)).initial.is_spindle
    strength[0] = [1, 0.2, 0, 0]
    assert not find_phases(replace(t, strength=strength)).initial.is_spindle


# -- the loss gap ----------------------------------------------------------------------------------


def _losses(onset, *, growth=1.0, noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    x = time_axis(STEPS)
    train = 2 * np.exp(-3 * x)
    return train, train + growth * np.maximum(x - onset, 0) + noise * rng.standard_normal(len(x))


def test_the_onset_of_the_gap_is_found_and_compared():
    together = find_phases(_trajectory(_turning, losses=_losses(0.5)))
    truth = steps_at(np.array([0.5]), STEPS)[0]
    assert together.gap.found
    assert together.gap_interval[0] <= truth <= together.gap_interval[1]
    assert together.gap_onset_step == together.gap.step
    assert together.gap.growth == pytest.approx(0.5, abs=0.1)
    assert together.agreement.startswith("Boundary and loss gap agree")
    apart = find_phases(_trajectory(lambda x: _turning(x, 0.25), losses=_losses(0.75, growth=4)))
    assert apart.agreement.startswith("Boundary and loss gap differ")
    assert "later" in apart.agreement


@pytest.mark.parametrize("growth", [0.0, -1.0])
def test_a_gap_that_never_grows_has_no_onset(growth):
    got = find_gap_onset(STEPS, *_losses(0.3, growth=growth))
    assert not got.found
    assert got.step is None
    assert got.interval is None
    assert "not established" in got.sentence
    assert "is possible" in got.sentence


@pytest.mark.parametrize(("end", "least"), [(0.2, 11), (0.18, 9)])
def test_the_onset_of_a_gap_that_stops_growing_is_where_it_began(end, least):
    steps = np.array([0, 1, 2, 3, 4, 6, 7, 10, 13, 18, 24, 32, 42, 56, 75, 100, 133, 178, 237, 316])
    course = np.interp(np.log1p(steps), np.log1p([0, 10, 24, 316]), [0, 0, 0.2, end])
    found = [
        find_gap_onset(steps, np.zeros(20), course + np.random.default_rng(seed).normal(scale=0.004, size=20))
        for seed in range(12)
    ]
    found = [got for got in found if got.found]
    assert len(found) >= least
    assert sum(got.interval[0] <= 10 <= got.interval[1] for got in found) >= len(found) - 1
    assert np.median([got.step for got in found]) == pytest.approx(10, abs=4)
    assert np.median([got.growth for got in found]) == pytest.approx(0.2, abs=0.02)


def test_a_gap_of_zero_or_with_too_few_losses_has_no_onset():
    train, test = _losses(0.5)
    assert find_gap_onset(STEPS, train, train).probability == 0.0
    test[5:] = np.nan
    assert "5 of the 6 measurements" in find_gap_onset(STEPS, train, test).sentence
    phases = find_phases(_trajectory(_turning, losses=(train, test)))
    assert phases.gap_onset_step is None
    assert "No onset" in phases.agreement
    assert "No losses" in find_phases(_trajectory(_turning)).agreement
    with pytest.raises(InputError, match="one value for each"):
        find_gap_onset(STEPS, train[:5], test[:5])


def _dipped(onset, seed):
    """Level, then a fall into the onset, as when wrong labels count in the training loss alone; then growth."""
    train, test = _losses(onset, growth=2.0, seed=seed)
    x = time_axis(STEPS)
    return train, test - 0.4 * np.where(x < onset, np.exp(-(((x - onset) / 0.15) ** 2)), 1.0)


@pytest.mark.parametrize(("dips", "least"), [(False, 0.9), (True, 0.7)])
def test_intervals_of_the_onset_cover_it(dips, least):
    rng = np.random.default_rng(11)
    found, covered = [], []
    for seed in range(40):
        onset, growth = rng.uniform(0.25, 0.75), rng.uniform(1, 3)
        losses = _dipped(onset, seed) if dips else _losses(onset, growth=growth, seed=seed)
        got = find_gap_onset(STEPS, *losses)
        truth = steps_at(np.array([onset]), STEPS)[0]
        found.append(got.found)
        if got.found:
            covered.append(got.interval[0] <= truth <= got.interval[1])
    assert np.mean(found) >= least
    assert np.mean(covered) >= 0.85


def test_a_level_before_the_dip_is_not_the_onset():
    steps = np.array([0, 4, 6, 8, 11, 16, 23, 32, 46, 64, 91, 129, 183, 259, 367, 519, 735, 1040])
    gap = np.array(
        [0, 0, 0, 0.005, 0.01, 0.01, 0.02, -0.05, -0.17, -0.17, -0.11, -0.04, 0.1, 0.27, 0.39, 0.38, 0.41, 0.43]
    )
    got = find_gap_onset(steps, np.zeros(18), gap)
    assert got.interval[0] <= 64 <= got.step <= got.interval[1] <= 259
    assert got.growth == pytest.approx(0.5, abs=0.15)


def test_a_gap_without_growth_is_rarely_given_an_onset():
    found = [find_gap_onset(STEPS, *_losses(0.3, growth=0.0, seed=seed)).found for seed in range(60)]
    assert np.mean(found) <= 0.05


# -- the demanded rates ----------------------------------------------------------------------------


@pytest.mark.slow
def test_planted_boundaries_are_covered_and_false_ones_are_rare():
    planted = [(p, find_phases(p.trajectory)) for p in two_phases(40, seed=2025)]
    others = [find_phases(p.trajectory) for p in without_two_phases(40, seed=2026)]
    found = [(p, r) for p, r in planted if r.found]
    assert np.mean([r.interval[0] <= p.boundary <= r.interval[1] for p, r in found]) >= 0.9
    assert np.mean([r.found for r in others]) <= 0.05
    assert len(found) >= 32
