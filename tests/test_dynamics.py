import itertools
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from interdyn.dynamics import PhaseStatus, _curve, find_gap_onset, find_phases, initial_orders, spindle_law
from interdyn.dynamics._curve import curve_posterior, steps_at, time_axis
from interdyn.dynamics._onset import branch
from interdyn.dynamics._shape import (
    LEVEL_POINTS,
    falling_fit,
    level_bound,
    level_stretch,
    prefix_residuals,
    shape_residuals,
)
from interdyn.dynamics._turn import PhaseEvidence, Turn, verdict
from interdyn.errors import InputError
from interdyn.values import Trajectory
from oracles import branch_by_matrices
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


def _oracle_falling(y):
    """Pool neighbours until nothing rises."""
    blocks = []
    for value in y:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) < np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    return np.concatenate([np.full(len(b), np.mean(b)) for b in blocks])


# -- monotone fits ---------------------------------------------------------------------------------


def test_monotone_fits_equal_pooling_by_hand():
    y = np.random.default_rng(0).standard_normal((30, 9))
    y[0] = 1.0
    y[1] = np.arange(9)
    prefix = prefix_residuals(y)
    for i, series in enumerate(y):
        np.testing.assert_allclose(falling_fit(series), _oracle_falling(series), atol=1e-12)
        for t in range(10):
            expected = ((series[:t] - _oracle_falling(series[:t])) ** 2).sum() if t else 0.0
            assert prefix[i, t] == pytest.approx(expected, abs=1e-12)


def test_falling_then_rising_is_the_best_split():
    y = np.random.default_rng(1).standard_normal((20, 8))
    fit = shape_residuals(y)
    for i, series in enumerate(y):
        splits = [
            np.concatenate([_oracle_falling(series[:t]) if t else [], -_oracle_falling(-series[t:]) if t < 8 else []])
            for t in range(9)
        ]
        rss = [((series - g) ** 2).sum() for g in splits]
        assert fit.falling_then_rising[i] == pytest.approx(min(rss), abs=1e-12)
        assert fit.rising[i] == pytest.approx(rss[0], abs=1e-12)
        assert fit.falling[i] == pytest.approx(rss[-1], abs=1e-12)


# -- the curve -------------------------------------------------------------------------------------


def test_time_axis_round_trip_and_is_free_of_the_unit_of_steps():
    np.testing.assert_allclose(steps_at(time_axis(STEPS), STEPS), STEPS, atol=1e-9)
    np.testing.assert_allclose(time_axis(STEPS / 37.0), time_axis(STEPS), atol=1e-12)


def test_the_posterior_of_a_clean_series_passes_through_it_and_of_a_noisy_one_knows_its_noise():
    x = np.linspace(0, 1, 25)
    rng = np.random.default_rng(0)
    clean = np.cos(4 * x)
    sure = curve_posterior(x, clean, np.tile(clean, (300, 1)), rng=rng)
    at = np.searchsorted(sure.grid, x)
    assert np.abs(sure.draws[:, at] - clean).max() < 0.03
    noisy = clean + 0.1 * rng.standard_normal(25)
    unsure = curve_posterior(x, noisy, np.tile(noisy, (300, 1)), rng=rng)
    assert 0.05 < np.median(unsure.noise_std) < 0.2
    assert np.abs(unsure.draws[:, at].mean(axis=0) - clean).max() < 0.2
    assert np.all(unsure.sampling == 0)


def test_curves_are_weighed_and_predicted_as_by_the_whole_covariance():
    rng = np.random.default_rng(2)
    at, grid = np.array([0, 2, 3, 7, 8, 11]), np.linspace(0, 1, 12)
    kernels = np.array([_curve._matern(np.abs(grid[:, None] - grid) / length) for length in (0.3, 1.2)])
    kinks = np.maximum(grid - np.array([1.0, 0.2, 0.5])[:, None], 0.0)  # the first bends nowhere
    y = rng.standard_normal(6)
    model = _curve._fit(kernels, kinks, at, y)
    shape = (len(kernels), len(_curve.NOISE_RATIOS), len(kinks))
    evidence, one = np.empty(shape), np.ones(6)
    for place in np.ndindex(shape):
        i, j, k = place
        curve = kernels[i] + _curve.KINK_SLOPE**2 * np.outer(kinks[k], kinks[k])
        precision = np.linalg.inv(curve[np.ix_(at, at)] + _curve.NOISE_RATIOS[j] * np.eye(6))
        mass = one @ precision @ one
        mean = one @ precision @ y / mass
        rest = precision @ (y - mean)
        share = 1 - _curve.KINK_SHARE if k == 0 else _curve.KINK_SHARE / 2
        evidence[place] = share * np.sqrt(np.linalg.det(precision) / mass) * (y @ rest) ** -2.5
        predicted = _curve._predict(model, np.array(place)[:, None], y[None])
        np.testing.assert_allclose(predicted[0], mean + curve[:, at] @ rest, rtol=1e-6, atol=1e-6)
        assert model.misfit[place] == pytest.approx(y @ rest, rel=1e-8)
    np.testing.assert_allclose(model.weight, evidence / evidence.sum(), rtol=1e-6, atol=1e-12)
    several = np.array([[0, 1, 0], [3, 2, 3], [1, 2, 0]])
    together = _curve._predict(model, several, np.stack([y, 2 * y, y**2]))
    for cell, data, row in zip(several.T, (y, 2 * y, y**2), together, strict=True):
        np.testing.assert_allclose(row, _curve._predict(model, cell[:, None], data[None])[0], atol=1e-10)


def test_level_ground_is_told_by_the_quantile_it_claims():
    rng = np.random.default_rng(3)
    for points in (6, 12, 25):
        y = rng.standard_normal((4000, points))
        y -= y.mean(axis=1, keepdims=True)
        explained = (y**2).sum(axis=1) - shape_residuals(y).falling_then_rising
        assert (explained <= level_bound(points)).mean() == pytest.approx(0.8, abs=0.025)
    x, flat = np.arange(20.0), 0.5 * rng.standard_normal(20)
    walls = 30 * (np.abs(x - 9.5) > 5)
    assert level_stretch(x, flat + walls, 9.0) == (5.0, 14.0)
    assert level_stretch(x, 3 * np.abs(x - 9.5), 9.0) == (9.0, 9.0)


@pytest.mark.parametrize("seed", range(40))
def test_level_ground_is_what_every_stretch_tried_alone_says(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 30))
    x = np.sort(rng.choice(100, n, replace=False)).astype(float)
    y = 50.0 + np.abs(np.arange(n) - n / 2) * rng.uniform(0, 2) + rng.standard_normal(n)
    place = float(rng.uniform(x[0], x[-1]))
    ends = [place]
    for i, j in itertools.product(np.flatnonzero(x <= place), np.flatnonzero(x >= place)):
        part = y[i : j + 1]
        if len(part) >= LEVEL_POINTS:
            explained = len(part) * part.var() - shape_residuals(part[None]).falling_then_rising[0]
            ends += [x[i], x[j]] if explained <= level_bound(len(part)) else []
    assert level_stretch(x, y, place) == (min(ends), max(ends))


# -- known worlds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0.3, 0.5, 0.7])
def test_a_turn_is_found_where_it_is(at):
    found = find_phases(_trajectory(lambda x: _turning(x, at)))
    truth = steps_at(np.array([at]), STEPS)[0]
    assert found.found
    assert found.status is PhaseStatus.TWO_PHASES
    assert found.interval[0] <= truth <= found.interval[1]
    assert found.interval[0] <= found.boundary_step <= found.interval[1]
    assert found.phase_1 == (0.0, found.boundary_step)
    assert found.phase_2 == (found.boundary_step, STEPS[-1])
    np.testing.assert_array_equal(found.in_phase_2, found.boundary_step <= STEPS)
    assert found.evidence.fall == pytest.approx(1.7, abs=0.25)
    assert found.evidence.rise == pytest.approx(1.0, abs=0.25)
    assert found.evidence.rise_interval[0] < found.evidence.rise < found.evidence.rise_interval[1]


@pytest.mark.parametrize(
    ("course", "status"),
    [
        (lambda x: 1.5 + 2 * np.exp(-4 * x), PhaseStatus.ONLY_FALLS),
        (lambda x: 3.5 - 2 * x, PhaseStatus.ONLY_FALLS),
        (lambda x: 1.5 + 2 * x, PhaseStatus.ONLY_RISES),
        (lambda x: 2.0 + 0 * x, PhaseStatus.FLAT),
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
    assert got.evidence.fall_p == 1.0


def test_a_rise_drowned_in_noise_is_no_verdict():
    got = find_phases(_trajectory(lambda x: np.interp(x, [0, 0.7, 1], [2.8, 2.2, 2.6]), noise=0.35, seed=3))
    assert got.status is PhaseStatus.NO_VERDICT
    assert "neither established nor ruled out" in got.sentence


@pytest.mark.parametrize(("p", "status"), [(0.06, PhaseStatus.NO_VERDICT), (0.5, PhaseStatus.RISES_THEN_FALLS)])
def test_a_second_rise_almost_established_is_no_mere_hump(p, status):
    evidence = PhaseEvidence(
        fall=1.7, fall_interval=(1.3, 2.0), fall_p=0.002, rise=0.6, rise_interval=(0.1, 1.1), rise_p=p,
        hump_p=0.02, noise_std=0.1, interval_share=0.2, n_steps=14, n_samples=20,
    )  # fmt: skip
    assert verdict(Turn(100.0, (50.0, 200.0), evidence), level=0.9, smallest_change=0.1)[0] is status


def test_the_interval_of_a_plateau_spans_it():
    flat = find_phases(_trajectory(lambda x: np.interp(x, [0, 0.3, 0.7, 1], [3.2, 1.5, 1.5, 2.5]), noise=0.05))
    low, high = time_axis(np.array([0.0, 1.0, *flat.interval, STEPS[-1]]))[2:4]
    assert flat.found
    assert 0.3 <= low < 0.35
    assert 0.65 < high <= 0.7


def test_a_wide_interval_is_called_weak():
    course = lambda x: np.interp(x, [0, 0.15, 0.85, 1], [3.2, 1.6, 1.6, 2.8])  # noqa: E731
    got = find_phases(_trajectory(course, noise=0.05, seed=2), level=0.99)
    assert got.status is PhaseStatus.WEAK
    assert got.found
    assert "weak" in got.sentence


def test_an_interval_at_the_edge_says_so():
    steps = STEPS[:9]
    got = find_phases(_trajectory(lambda x: np.interp(x, [0, 0.13, 1], [1.9, 1.5, 2.9]), steps=steps), level=0.9999)
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
    assert find_phases(trajectory, smallest_change=0.9).status is PhaseStatus.ONLY_FALLS


# -- invariances -----------------------------------------------------------------------------------


def _same(a, b):
    assert a.status is b.status
    assert a.boundary_step == pytest.approx(b.boundary_step, rel=1e-6)
    assert a.interval == pytest.approx(b.interval, rel=1e-6)
    assert a.evidence.rise_p == b.evidence.rise_p


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
    [((5, 9, 4), "5 steps"), ((9, 1, 4), "1 sample"), ((9, 9, 1), "single order"), ((1, 1, 1), "1 steps")],
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


@pytest.mark.parametrize("options", [{"level": 1.0}, {"level": 0}, {"n_bootstrap": 10}, {"smallest_change": -1}])
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
    assert together.agreement.startswith("They agree")
    apart = find_phases(_trajectory(lambda x: _turning(x, 0.25), losses=_losses(0.75, growth=4)))
    assert apart.agreement.startswith("They differ")
    assert "later" in apart.agreement


@pytest.mark.parametrize("growth", [0.0, -1.0])
def test_a_gap_that_never_grows_has_no_onset(growth):
    got = find_gap_onset(STEPS, *_losses(0.3, growth=growth))
    assert not got.found
    assert got.step is None
    assert got.interval is None
    assert "no onset" in got.sentence


def test_a_gap_of_zero_or_with_too_few_losses_has_no_onset():
    train, test = _losses(0.5)
    assert "never changes" in find_gap_onset(STEPS, train, train).sentence
    test[5:] = np.nan
    assert "5 steps" in find_gap_onset(STEPS, train, test).sentence
    phases = find_phases(_trajectory(_turning, losses=(train, test)))
    assert phases.gap_onset_step is None
    assert "no onset" in phases.agreement
    assert "No losses" in find_phases(_trajectory(_turning)).agreement
    with pytest.raises(InputError, match="one value for each"):
        find_gap_onset(STEPS, train[:5], test[:5])


def _dipped(onset, seed):
    """Level, then a fall into the onset, as when wrong labels count in the training loss alone; then growth."""
    train, test = _losses(onset, growth=2.0, seed=seed)
    x = time_axis(STEPS)
    return train, test - 0.4 * np.where(x < onset, np.exp(-(((x - onset) / 0.15) ** 2)), 1.0)


@pytest.mark.parametrize("dips", [False, True])
def test_intervals_of_the_onset_cover_it(dips):
    rng = np.random.default_rng(11)
    covered = []
    for seed in range(60):
        onset, growth = rng.uniform(0.25, 0.75), rng.uniform(1, 3)
        losses = _dipped(onset, seed) if dips else _losses(onset, growth=growth, seed=seed)
        got = find_gap_onset(STEPS, *losses, n_bootstrap=200)
        truth = steps_at(np.array([onset]), STEPS)[0]
        covered.append(got.found and got.interval[0] <= truth <= got.interval[1])
    assert 0.8 <= np.mean(covered) <= 1.0


def test_a_level_before_the_dip_is_not_the_onset():
    steps = np.array([0, 4, 6, 8, 11, 16, 23, 32, 46, 64, 91, 129, 183, 259, 367, 519, 735, 1040])
    gap = np.array(
        [0, 0, 0, 0.005, 0.01, 0.01, 0.02, -0.05, -0.17, -0.17, -0.11, -0.04, 0.1, 0.27, 0.39, 0.38, 0.41, 0.43]
    )
    got = find_gap_onset(steps, np.zeros(18), gap)
    assert 32 <= got.interval[0] <= got.step <= got.interval[1] <= 91
    assert got.growth == pytest.approx(0.6, abs=0.02)


def test_a_gap_without_growth_is_rarely_given_an_onset():
    found = [find_gap_onset(STEPS, *_losses(0.3, growth=0.0, seed=seed), n_bootstrap=200).found for seed in range(60)]
    assert np.mean(found) <= 0.05


# -- the demanded rates ----------------------------------------------------------------------------


@pytest.mark.slow
def test_planted_boundaries_are_covered_and_false_ones_are_rare():
    planted = [(p, find_phases(p.trajectory)) for p in two_phases(80, seed=2025)]
    others = [find_phases(p.trajectory) for p in without_two_phases(80, seed=2026)]
    found = [(p, r) for p, r in planted if r.found]
    coverage = np.mean([r.interval[0] <= p.boundary <= r.interval[1] for p, r in found])
    no_verdict = np.mean([r.status is PhaseStatus.NO_VERDICT for _, r in planted])
    assert 0.85 <= coverage <= 0.95
    assert np.mean([r.found for r in others]) <= 0.05
    assert no_verdict <= 0.10
    assert len(found) >= 72
    assert np.mean([r.status is PhaseStatus.NO_VERDICT for r in others]) <= 0.10
    assert np.median([r.evidence.interval_share for _, r in found]) <= 0.15  # an interval that says something


@pytest.mark.parametrize(("slope", "wander"), [(1.0, 8.0), (1.0, 0.0), (0.3, 1.0), (0.0, 0.0)])
def test_a_branch_is_that_of_its_covariance_matrix(slope, wander):
    rng = np.random.default_rng(0)
    x = np.sort(rng.random(12))
    x[5] = x[4]  # two observations at one time
    places, ratios = np.array([0.0, 0.31, x[7], 0.99]), np.array([1e-4, 0.1, 3.0])
    distance = np.maximum(x - places[:, None], 0.0)
    on, columns = distance > 0, np.stack([rng.standard_normal(12), np.ones(12)])
    found = branch(distance, on, columns, slope=slope, wander=wander, ratios=ratios)
    assert found.expected.shape == (2, 12, 4, 3)
    for p in range(len(places)):
        for r, ratio in enumerate(ratios):
            log_det, products, expected = branch_by_matrices(distance[p], on[p], columns, slope, wander, ratio)
            assert found.log_det[p, r] == pytest.approx(log_det, rel=1e-9, abs=1e-9)
            np.testing.assert_allclose(found.products[:, :, p, r], products, rtol=1e-8, atol=1e-9)
            np.testing.assert_allclose(found.expected[:, :, p, r], expected, rtol=1e-7, atol=1e-9)
