"""Strength per order: against its definition, its scales, its intervals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import stats

from interdyn.errors import InputError, NonFiniteError, ShapeError
from interdyn.spectra import bootstrap_distribution, order_spectrum, output_range, salience_threshold, sum_by_order
from interdyn.spectra._bootstrap import interval_edges
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Interactions


def interactions(i_and, i_or, residual=None, unit="nat"):
    i_and, i_or = torch.as_tensor(i_and, dtype=torch.float64), torch.as_tensor(i_or, dtype=torch.float64)
    residual = torch.zeros_like(i_and) if residual is None else torch.as_tensor(residual, dtype=torch.float64)
    one = torch.zeros(i_and.shape[:-1], dtype=torch.float64)
    status = np.full(i_and.shape[:-1], "planted")
    return Interactions(i_and, i_or, unit, residual=residual, objective=one, gap=one, status=status, noise_bound=one)


def random_interactions(n, samples, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    i_and, i_or = rng.standard_cauchy((2, samples, 2**n)) * scale
    i_or[:, 0] = 0.0
    return interactions(i_and, i_or, 0.1 * scale * rng.standard_normal((samples, 2**n)))


def spectrum_by_definition(found, tau):
    """Slow twin: go through every table, kind and subset."""
    n = found.n_players
    positive, negative, count = np.zeros((3, len(found), 2, n))
    for x in range(len(found)):
        for kind, table in enumerate((found.i_and[x].tolist(), found.i_or[x].tolist())):
            for s in range(1, 2**n):
                if table[s] != 0 and abs(table[s]) >= tau[x]:
                    positive[x, kind, s.bit_count() - 1] += max(table[s], 0)
                    negative[x, kind, s.bit_count() - 1] += max(-table[s], 0)
                    count[x, kind, s.bit_count() - 1] += 1
    return positive, negative, count


def effects_by_definition(found):
    """|v(N) - v({})| from value tables rebuilt by the transforms."""
    v = values_from_and(found.i_and) + values_from_or(found.i_or) + found.residual
    return (v[..., -1] - v[..., 0]).abs().numpy()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_spectrum_is_its_definition(n):
    found = random_interactions(n, 4)
    tau = np.full(4, 0.03 * effects_by_definition(found).mean())
    got = order_spectrum(found)
    assert got.positive.shape == (4, 2, n)
    for mine, twin in zip((got.positive, got.negative, got.n_salient), spectrum_by_definition(found, tau), strict=True):
        np.testing.assert_allclose(mine, twin, rtol=1e-12, atol=0)
    np.testing.assert_allclose(got.salience, tau, rtol=1e-12)
    assert got.unit == "nat"


def test_threshold_rules():
    found = random_interactions(4, 3)
    strongest = torch.maximum(found.i_and[:, 1:].abs().amax(1), found.i_or[:, 1:].abs().amax(1)).numpy()
    np.testing.assert_allclose(salience_threshold(found, rule="max"), 0.05 * strongest)
    np.testing.assert_allclose(salience_threshold(found, rule="max", salience=0.5), 0.5 * strongest)
    np.testing.assert_allclose(salience_threshold(found, rule="absolute", salience=0.7), 0.7)
    np.testing.assert_allclose(output_range(found), effects_by_definition(found), rtol=1e-9)
    tau = np.full(3, 0.7)
    got = order_spectrum(found, salience=0.7, salience_rule="absolute")
    np.testing.assert_allclose(got.positive, spectrum_by_definition(found, tau)[0], rtol=1e-12)


def test_the_constant_never_counts():
    i_and = np.zeros((1, 8))
    i_and[0, 0] = 100.0
    i_and[0, 7] = 1.0
    got = order_spectrum(interactions(i_and, np.zeros((1, 8))))
    np.testing.assert_array_equal(got.strength, [[0, 0, 1]])
    np.testing.assert_allclose(got.salience, [0.03])
    assert salience_threshold(interactions(i_and, np.zeros((1, 8))), rule="max") == 0.05


def test_nothing_salient_is_all_zero_and_zeros_are_not_counted():
    for normalize in (None, "sum", "mean"):
        got = order_spectrum(interactions(np.zeros((2, 8)), np.zeros((2, 8))), normalize=normalize)
        assert not got.strength.any()
        assert not got.n_salient.any()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-8, 1.0, 1e8]), n=st.integers(1, 6))
def test_shares_do_not_depend_on_the_unit_and_sum_to_one(seed, scale, n):
    one, other = random_interactions(n, 3, seed), random_interactions(n, 3, seed, scale)
    shares = order_spectrum(one, normalize="sum")
    np.testing.assert_allclose(shares.strength.mean(0).sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(shares.strength, order_spectrum(other, normalize="sum").strength, rtol=1e-9)
    means = order_spectrum(one, normalize="mean")
    np.testing.assert_allclose(means.strength.mean(0).mean(), 1, rtol=1e-12)
    np.testing.assert_allclose(means.strength, n * shares.strength, rtol=1e-12)
    assert (shares.unit, means.unit) == ("share", "multiple of the mean order")


def test_a_single_table_and_a_grid_of_tables():
    found = random_interactions(3, 6)
    single = order_spectrum(found[0])
    assert single.strength.shape == (3,)
    assert single.salience.shape == ()
    grid = interactions(found.i_and.reshape(2, 3, 8), found.i_or.reshape(2, 3, 8), found.residual.reshape(2, 3, 8))
    np.testing.assert_array_equal(
        order_spectrum(grid, normalize="sum").positive.reshape(6, 2, 3), order_spectrum(found, normalize="sum").positive
    )


def test_sum_by_order_of_large_tables():
    table = torch.ones(3, 2**12, dtype=torch.float64)
    np.testing.assert_array_equal(sum_by_order(table)[1, :4], [1, 12, 66, 220])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"salience": -0.1}, "0 or more"),
        ({"salience": float("nan")}, "0 or more"),
        ({"salience_rule": "biggest"}, "mean-effect"),
        ({"salience_rule": "absolute"}, "needs `salience`"),
        ({"normalize": "max"}, "'sum' or 'mean'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        order_spectrum(random_interactions(2, 2), **options)


def test_bad_tables_are_refused():
    found = random_interactions(2, 2)
    with pytest.raises(InputError, match="at least one table"):
        order_spectrum(found[:0])
    found.i_or[1, 3] = float("nan")
    with pytest.raises(NonFiniteError, match="finite"):
        order_spectrum(found)
    with pytest.raises(NonFiniteError, match="finite"):
        order_spectrum(found, salience_rule="max")


def bootstrap_by_loops(strength, level, n_bootstrap, seed):
    """Slow twin: one draw, one step at a time."""
    steps, samples, n = strength.shape
    draws = np.random.default_rng(seed).multinomial(samples, [1 / samples] * samples, size=n_bootstrap)
    shares, means = np.zeros((n_bootstrap, steps, n)), np.zeros((n_bootstrap, steps))
    for b, counts in enumerate(draws):
        for t in range(steps):
            total = sum(c * strength[t, x] for x, c in enumerate(counts))
            shares[b, t] = total / total.sum()
            means[b, t] = sum((k + 1) * shares[b, t, k] for k in range(n))
    edges = interval_edges(level, samples)
    return np.quantile(shares, edges, axis=0), np.quantile(means, edges, axis=0)


def test_bootstrap_is_its_definition():
    strength = np.random.default_rng(1).exponential(size=(3, 7, 4))
    got = bootstrap_distribution(strength, level=0.8, n_bootstrap=150, seed=5)
    (low, high), (mean_low, mean_high) = bootstrap_by_loops(strength, 0.8, 150, 5)
    np.testing.assert_allclose(got.distribution_low, low, rtol=1e-12)
    np.testing.assert_allclose(got.distribution_high, high, rtol=1e-12)
    np.testing.assert_allclose(got.mean_order_low, mean_low, rtol=1e-12)
    np.testing.assert_allclose(got.mean_order_high, mean_high, rtol=1e-12)
    np.testing.assert_allclose(got.distribution.sum(-1), 1)
    # steps share their resamples: one step alone gives the same interval
    alone = bootstrap_distribution(strength[1], level=0.8, n_bootstrap=150, seed=5)
    np.testing.assert_allclose(alone.mean_order_low, got.mean_order_low[1])


@pytest.mark.parametrize(("samples", "tolerance"), [(5, 0.06), (10, 0.01), (50, 1e-4)])
def test_interval_edges_are_students(samples, tolerance):
    tail = stats.norm.cdf(-math.sqrt(samples / (samples - 1)) * stats.t.ppf(0.95, samples - 1))
    np.testing.assert_allclose(interval_edges(0.9, samples), [tail, 1 - tail], rtol=tolerance)


def test_one_sample_is_drawn_alone():
    found = bootstrap_distribution(np.array([[1.0, 3.0]]), n_bootstrap=5)
    assert found.mean_order_low == found.mean_order == found.mean_order_high == 1.75


def test_bootstrap_covers_the_truth():
    rng = np.random.default_rng(0)
    mean = np.array([4.0, 3.0, 2.0, 1.0])
    hits = 0
    for trial in range(200):
        strength = rng.gamma(2.0, mean / 2, size=(40, 4))
        found = bootstrap_distribution(strength, n_bootstrap=200, seed=trial)
        hits += bool(found.mean_order_low <= 2.0 <= found.mean_order_high)
    assert 0.83 <= hits / 200 <= 0.96  # nominal 0.9; three standard errors are 0.064


def test_steps_without_salience_have_no_interval():
    strength = np.zeros((2, 3, 2))
    strength[1, 0] = 1.0
    found = bootstrap_distribution(strength, n_bootstrap=50)
    assert np.isnan(found.mean_order[0])
    assert np.isnan(found.distribution_low[0]).all()
    np.testing.assert_allclose(found.mean_order_low[1], 1.5)  # draws without sample 0 are left out


@pytest.mark.parametrize(
    ("strength", "options", "error"),
    [
        (np.ones(3), {}, ShapeError),
        (np.ones((0, 3)), {}, ShapeError),
        (-np.ones((2, 3)), {}, InputError),
        (np.full((2, 3), np.nan), {}, NonFiniteError),
        (np.ones((2, 3)), {"level": 1.0}, InputError),
        (np.ones((2, 3)), {"n_bootstrap": 0}, InputError),
    ],
)
def test_bootstrap_refuses_bad_input(strength, options, error):
    with pytest.raises(error):
        bootstrap_distribution(strength, **options)
