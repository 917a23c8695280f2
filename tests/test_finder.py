"""The finder: every cell by its covariance matrix, draws by the posterior, and what must not change an answer."""

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from interdyn.dynamics import _finder
from interdyn.dynamics._axis import time_axis
from interdyn.dynamics._evidence import judge
from interdyn.dynamics._finder import PLACES, VARIANCES, Draws, place_range, posterior

STEPS = np.array([0.0, 1, 3, 8, 20, 60, 150, 400, 900])
SINGLE = np.arange(9)
WINDOWS = np.array([0, 1, 1, 1, 2, 3, 4, 5, 6])


def covariances(x, window):
    """Return every covariance matrix of the noise with its prior probability and correlation, entry by entry."""
    changes = [(1.0, 1.0, 0.5)] + [(f, at, 0.5 / 12) for f in _finder.FACTORS for at in _finder.CHANGES]
    windows = len(set(window)) < len(window)
    total = sum(_finder.CORRELATIONS.values())
    place = [w + 0.1 * sum(v == w for v in window[:i]) for i, w in enumerate(window)]
    for rho, weight in _finder.CORRELATIONS.items():
        whites = _finder.WHITE if windows and rho else (0.0,)
        for white, (factor, at, share) in itertools.product(whites, changes):
            size = np.array([factor if v > at else 1.0 for v in x])
            size = size / np.prod(size) ** (1 / len(window))
            matrix = np.array(
                [
                    [
                        size[i] * size[j] * (white * (i == j) + (1 - white) * float(rho) ** abs(place[i] - place[j]))
                        for j in range(len(window))
                    ]
                    for i in range(len(window))
                ]
            )
            yield matrix, weight / total / len(whites) * share, rho


def columns(x):
    """Return falls and rises by column: linear, square, the square turned round; then rises that end, after a zero."""
    shapes = (lambda u: u, lambda u: u * u, lambda u: 1 - (1 - u) ** 2)
    falls = [np.array([f(max(c - v, 0) / c) for v in x]) for f in shapes for c in PLACES]
    rises = [np.array([f(max(v - c, 0) / (1 - c)) for v in x]) for f in shapes for c in PLACES]
    ends = [(c, d) for c in PLACES for d in PLACES[1::2] if d > c + 1.5 / 16]
    ended = [np.array([0 if v < c else 1 if v > d else (v - c) / (d - c) for v in x]) for c, d in ends]
    return falls, [*rises, np.zeros(len(x)), *ended]


NONE, FIRST_RISE = 91, 46  # columns after the course: 45 falls, 45 rises, zeros


def cell_by_matrix(y, z, g, sigma):
    """Log evidence and residual of one cell: mean integrated with a flat prior, amplitudes with N(0, g), size with 1/s.

    The marginal covariance of ``y`` over the noise variance is ``sigma + g z z'``; the flat mean takes one dimension.
    """
    n = len(y)
    whole = sigma + g * sum(np.outer(column, column) for column in z) if z else sigma
    inverse, one = np.linalg.inv(whole), np.ones(n)
    mass = one @ inverse @ one
    rest = y - one * (one @ inverse @ y) / mass
    misfit = rest @ inverse @ rest
    return -0.5 * np.linalg.slogdet(whole)[1] - 0.5 * np.log(mass) - (n - 1) / 2 * np.log(misfit), misfit


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("window", [SINGLE, WINDOWS], ids=["single", "window"])
def test_every_cell_is_that_of_its_covariance_matrix(window, ended):
    rng = np.random.default_rng(0)
    x = time_axis(STEPS)
    y = np.array([3.0, 2.6, 2.2, 1.9, 1.6, 1.5, 1.7, 2.0, 2.2]) + 0.1 * rng.standard_normal(9)
    found = posterior(x, y, window, ended=ended)
    scaled = (y - y.mean()) / np.ptp(y)
    falls, rises = columns(x)
    assert found.weight.sum() == pytest.approx(1)
    expected, got = [], []
    noises = list(covariances(x, window))
    assert len(noises) == len(found.weight)
    assert (found.pairs[1] > NONE).any() == ended
    classes = np.array([(left != NONE) + 2 * (right != NONE) for left, right in found.pairs.T])
    prior = np.array([_finder.CLASSES[c] / np.sum(classes == c) for c in classes])
    for _ in range(400):
        k, g, pair = (int(rng.integers(n)) for n in found.weight.shape)
        left, right = found.pairs[:, pair]
        z = ([falls[left - 1]] if left < NONE else []) + ([rises[right - FIRST_RISE]] if right != NONE else [])
        sigma, share, rho = noises[k]
        value, misfit = cell_by_matrix(scaled, z, VARIANCES[g], sigma)
        assert found.misfit[k, g, pair] == pytest.approx(misfit, rel=1e-7)
        assert found.correlation[k] == rho
        expected.append(value + np.log(share * prior[pair]))
        got.append(np.log(found.weight[k, g, pair]))
    np.testing.assert_allclose(np.diff(got), np.diff(expected), rtol=0, atol=1e-7)


@pytest.mark.parametrize("window", [SINGLE, WINDOWS], ids=["single", "window"])
def test_pairs_are_all_that_the_measurements_allow(window):
    x = time_axis(STEPS)
    first = [x[list(window).index(w)] for w in sorted(set(window))]
    found = posterior(x, np.arange(9.0) ** 2, window)
    ends = [c for c in PLACES if sum(v < c for v in first) >= 2]
    starts = [c for c in PLACES if sum(v > c for v in first) >= 3]
    both = sum(a <= b for a in ends for b in starts)
    assert found.pairs.shape[1] == 1 + 3 * len(ends) + 3 * len(starts) + 9 * both
    assert place_range(x, window) == (first[1], first[-3])
    more = [c for c in starts for d in PLACES[1::2] if d > c + 1.5 / 16 and sum(v > d for v in first) >= 2]
    after = sum(a <= b for a in ends for b in more)
    found = posterior(x, np.arange(9.0) ** 2, window, ended=True)
    assert found.pairs.shape[1] == 1 + 3 * len(ends) + 3 * len(starts) + 9 * both + len(more) + 3 * after


def test_draws_are_those_of_the_cells():
    rng = np.random.default_rng(1)
    x = time_axis(STEPS)
    y = np.array([3.0, 2.6, 2.2, 1.9, 1.6, 1.5, 1.7, 2.0, 2.2]) + 0.2 * rng.standard_normal(9)
    found = posterior(x, y, SINGLE)
    many = [found.draws(rng) for _ in range(20)]
    fall, rise, ends, starts = (
        np.concatenate([getattr(d, n) for d in many]) for n in ("fall", "rise", "fall_ends", "rise_starts")
    )
    mass = found.weight.sum(axis=(0, 1))
    has_fall, has_rise = found.pairs < NONE
    assert np.mean(fall != 0) == pytest.approx(mass[has_fall].sum(), abs=0.015)
    assert np.mean(rise != 0) == pytest.approx(mass[has_rise].sum(), abs=0.015)
    np.testing.assert_array_equal(np.isnan(ends), fall == 0)
    both = ~np.isnan(ends) & ~np.isnan(starts)
    assert (ends[both] <= starts[both]).all()
    # the mean of A over all cells: each is a ridge regression on the whitened columns
    expected = 0.0
    for k, (sigma, _, _) in enumerate(covariances(x, SINGLE)):
        precision = np.linalg.inv(sigma)
        mass_k = np.ones(9) @ precision @ np.ones(9)
        projected = precision - np.outer(precision.sum(1), precision.sum(1)) / mass_k
        falls, rises = columns(x)
        for pair in np.flatnonzero(has_fall):
            left, right = found.pairs[:, pair]
            z = np.stack([falls[left - 1]] + ([rises[right - FIRST_RISE]] if right < NONE else []), axis=1)
            for g in range(4):
                if (weight := found.weight[k, g, pair]) > 1e-6:
                    gram = z.T @ projected @ z + np.eye(z.shape[1]) / VARIANCES[g]
                    expected += weight * np.linalg.solve(gram, z.T @ projected @ y)[0]
    assert fall.mean() == pytest.approx(expected, abs=0.04)


def test_what_is_possible_is_the_quantile_of_the_draws_that_change():
    rng = np.random.default_rng(2)
    x = np.linspace(0, 1, 20)
    course = np.interp(x, [0, 0.4, 1], [2.2, 1.0, 1.1])
    found = posterior(x, course + 0.1 * rng.standard_normal(20), np.arange(20))
    drawn = [found.draws(rng) for _ in range(100)]
    every, strong = (
        np.concatenate([d.rise[(d.rise != 0) & (d.correlation >= least)] for d in drawn]) for least in (0, 0.7)
    )
    expected = max(np.quantile(every, 0.9875), np.quantile(strong, 0.9875))
    assert np.mean([found.possible(1, rng) for _ in range(20)]) == pytest.approx(expected, rel=0.1)


def test_a_rise_that_is_far_from_possible_has_a_small_bound():
    x = np.linspace(0, 1, 30)
    found = posterior(x, 3 - 2 * x + 0.01 * np.random.default_rng(3).standard_normal(30), np.arange(30))
    assert 0 <= found.possible(1, np.random.default_rng(0)) < 0.1


@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3), st.integers(0, 5))
def test_neither_scale_nor_shift_changes_an_answer(scale, shift, seed):
    y = np.array([3.0, 2.6, 2.2, 1.9, 1.6, 1.5, 1.7, 2.0, 2.2]) + 0.1 * np.random.default_rng(seed).standard_normal(9)
    one = judge(STEPS, y, None, level=0.9, seed=0)
    other = judge(STEPS, scale * (y + shift), None, level=0.9, seed=0)
    assert other.evidence.two_phases == pytest.approx(one.evidence.two_phases, abs=0.01)
    assert other.evidence.fall == pytest.approx(scale * one.evidence.fall, rel=0.02)
    assert other.evidence.possible_rise == pytest.approx(scale * one.evidence.possible_rise, rel=0.05)
    if one.boundary:
        assert other.boundary.step == pytest.approx(one.boundary.step, rel=0.02)


def test_a_course_turned_upside_down_is_the_mirror_image():
    y = np.array([3.0, 2.6, 2.2, 1.9, 1.6, 1.5, 1.7, 2.0, 2.2])
    a, b = (judge(STEPS, one, None, level=0.9, seed=0).evidence for one in (y, -y))
    assert a.two_phases == pytest.approx(b.hump, abs=0.05)
    assert a.two_phases > 0.9


def test_windows_tell_more_than_single_steps():
    rng, x = np.random.default_rng(4), np.linspace(0, 1, 15)
    steps = np.repeat(np.expm1(5 * x), 3) * np.tile([1, 1.02, 1.04], 15)
    window, keep = np.repeat(np.arange(15), 3), np.r_[0, 3:45]
    course = np.interp(np.repeat(x, 3), [0, 0.5, 1], [2.5, 1.5, 1.9])
    more = []
    for _ in range(8):
        y = course + 0.12 * rng.standard_normal(45)
        three = judge(steps[keep], y[keep], window[keep], level=0.9, seed=0).evidence
        one = judge(steps[keep][::3], y[keep][::3], None, level=0.9, seed=0).evidence
        more.append(three.two_phases - one.two_phases)
    assert np.mean(more) > 0.05


def correlated(rng, count, rho=0.8):
    """Return noise of size 1 whose neighbours are correlated."""
    out = rng.standard_normal(count)
    for t in range(1, count):
        out[t] = rho * out[t - 1] + np.sqrt(1 - rho**2) * out[t]
    return out


def claims(noise, *, courses=30, count=24, least=0.6):
    """Return in how many courses, fallen to a plateau, two phases have a probability above ``least``."""
    x, found = np.linspace(0, 1, count), 0
    for rng in map(np.random.default_rng, range(courses)):
        said = posterior(x, np.interp(x, [0, 0.4, 1], [3.0, 1.6, 1.6]) + noise(rng, x), np.arange(count)).draws(rng)
        found += np.mean((said.fall > 0) & (said.rise > 0)) > least
    return int(found)


def test_noise_that_grows_near_the_end_is_no_rise():
    """As it is while training: a model whose noise cannot change after two thirds claims phases in one of ten."""
    assert claims(lambda rng, x: np.where(x > 0.85, 0.24, 0.03) * correlated(rng, len(x)), least=0.8) <= 1


@pytest.mark.parametrize(
    "noise",
    [
        lambda rng, x: 0.12 * np.sin(2 * np.pi * (np.arange(len(x)) / rng.uniform(5, 8) + rng.random())),
        lambda rng, x: 0.08 * np.convolve(rng.standard_normal(len(x) + 3), np.ones(4) / 2, "valid"),
        lambda rng, x: np.where(rng.random(len(x)) < 0.05, 0.4, 0.08) * rng.standard_normal(len(x)),
        lambda rng, x: 0.3 * np.exp(-4 * x) * rng.standard_normal(len(x)),
    ],
    ids=["oscillation", "moving average", "outliers", "dies away"],
)
def test_noise_of_kinds_that_are_not_in_the_model_is_no_rise(noise):
    assert claims(noise, courses=15) <= 1


def test_draws_repeat():
    x = np.linspace(0, 1, 12)
    found = posterior(x, np.cos(6 * x), np.arange(12))
    a, b = (found.draws(np.random.default_rng(7)) for _ in range(2))
    for name in Draws.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
