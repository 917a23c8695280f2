"""Similarity of interactions by order: against its definition, its laws, its intervals."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from interdyn.errors import InputError, NonFiniteError, ShapeError
from interdyn.spectra import jaccard_by_order
from interdyn.values import Interactions
from oracles import jaccard_by_definition


def interactions(i_and, i_or):
    i_and, i_or = torch.as_tensor(i_and, dtype=torch.float64), torch.as_tensor(i_or, dtype=torch.float64)
    one = torch.zeros(i_and.shape[:-1], dtype=torch.float64)
    return Interactions(
        i_and, i_or, "", residual=torch.zeros_like(i_and), objective=one, gap=one, status="", noise_bound=one
    )


def drawn(samples, n=3, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    i_and, i_or = scale * rng.standard_cauchy((2, samples, 2**n))
    i_or[:, 0] = 0
    return interactions(i_and, i_or)


def as_dicts(found):
    return [
        {(kind, s): float(table[x, s]) for kind, table in (("and", found.i_and), ("or", found.i_or))
         for s in range(table.shape[1])}
        for x in range(len(found))
    ]  # fmt: skip


@given(n=st.integers(1, 4), samples=st.tuples(st.integers(1, 4), st.integers(1, 4)), seed=st.integers(0, 99))
def test_it_is_its_definition(n, samples, seed):
    a, b = drawn(samples[0], n, seed), drawn(samples[1], n, seed + 1000)
    got = jaccard_by_order(a, b, n_draws=3)
    np.testing.assert_allclose(got.similarity, jaccard_by_definition(as_dicts(a), as_dicts(b), n), rtol=1e-12)


@given(seed=st.integers(0, 99), scale=st.floats(0.01, 100))
def test_laws(seed, scale):
    a, b = drawn(3, seed=seed), drawn(4, seed=seed + 1000)
    there, back = jaccard_by_order(a, b, n_draws=3), jaccard_by_order(b, a, n_draws=3)
    np.testing.assert_allclose(there.similarity, back.similarity, rtol=1e-12)
    assert ((there.similarity >= 0) & (there.similarity <= 1)).all()
    np.testing.assert_allclose(jaccard_by_order(a, a, n_draws=3).similarity, 1, rtol=1e-12)
    scaled = [interactions(scale * x.i_and, scale * x.i_or) for x in (a, b)]
    np.testing.assert_allclose(jaccard_by_order(*scaled, n_draws=3).similarity, there.similarity, rtol=1e-9)
    twice = jaccard_by_order(a, interactions(2 * a.i_and, 2 * a.i_or), n_draws=3)
    np.testing.assert_allclose(twice.similarity, 0.5, rtol=1e-12)
    against = jaccard_by_order(a, interactions(-a.i_and, -a.i_or), n_draws=3)
    np.testing.assert_allclose(against.similarity, 0, atol=0)


def test_classes_are_compared_by_themselves_and_others_left_out():
    a, b = drawn(6, seed=1), drawn(5, seed=2)
    of_a, of_b = np.array([2, 0, 2, 0, 5, 2]), np.array([0, 0, 2, 2, 7])
    got = jaccard_by_order(a, b, a_classes=of_a, b_classes=of_b, n_draws=3)
    each = [
        jaccard_by_definition(
            [x for x, c in zip(as_dicts(a), of_a, strict=True) if c == label],
            [x for x, c in zip(as_dicts(b), of_b, strict=True) if c == label],
            3,
        )
        for label in (0, 2)
    ]
    np.testing.assert_allclose(got.per_vector, each, rtol=1e-12)
    np.testing.assert_allclose(got.similarity, np.mean(each, axis=0), rtol=1e-12)


def test_paired_compares_sample_by_sample():
    a, b = drawn(4, seed=1), drawn(4, seed=2)
    got = jaccard_by_order(a, b, paired=True, n_draws=50)
    each = [jaccard_by_definition([x], [y], 3) for x, y in zip(as_dicts(a), as_dicts(b), strict=True)]
    np.testing.assert_allclose(got.per_vector, each, rtol=1e-12)
    np.testing.assert_allclose(got.similarity, np.mean(each, axis=0), rtol=1e-12)
    assert ((got.low <= got.similarity) & (got.similarity <= got.high)).all()
    assert np.isnan(got.alike).all()


def test_an_order_that_neither_side_has_is_not_a_number_and_says_why():
    a, b = np.zeros((2, 8)), np.zeros((2, 8))
    a[0, 1], b[1, 7] = 2.0, 3.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for paired in (False, True):
            got = jaccard_by_order(
                interactions(a, np.zeros((2, 8))), interactions(b, np.zeros((2, 8))), paired=paired, n_draws=50
            )
            assert got.similarity.tolist()[::2] == [0.0, 0.0]
            for part in (got.similarity, got.low, got.high, got.alike):
                assert np.isnan(part[1])
            assert got.reason == ("", "Neither side has an interaction of order 2.", "")


def test_one_sample_a_side_tells_nothing_of_the_spread():
    for options in ({}, {"paired": True}, {"a_classes": np.array([0]), "b_classes": np.array([0])}):
        got = jaccard_by_order(drawn(1, seed=1), drawn(1, seed=2), n_draws=10, **options)
        np.testing.assert_array_equal([got.low, got.high], [[0] * 3, [1] * 3])


def test_what_cannot_be_compared_is_refused():
    a = drawn(3)
    with pytest.raises(ShapeError, match="same players; got 3 and 4"):
        jaccard_by_order(a, drawn(3, n=4))
    with pytest.raises(ShapeError, match="one table for each"):
        jaccard_by_order(a[0], a)
    with pytest.raises(ShapeError, match="the same samples in the same order"):
        jaccard_by_order(a, drawn(4), paired=True)
    with pytest.raises(InputError, match="without classes"):
        jaccard_by_order(a, a, paired=True, a_classes=np.zeros(3), b_classes=np.zeros(3))
    with pytest.raises(InputError, match="for both sides"):
        jaccard_by_order(a, a, a_classes=np.zeros(3))
    with pytest.raises(ShapeError, match="`b_classes` must have one label for each of 3"):
        jaccard_by_order(a, a, a_classes=np.zeros(3), b_classes=np.zeros(2))
    with pytest.raises(InputError, match="at least one class must occur on both sides"):
        jaccard_by_order(a, a, a_classes=np.zeros(3), b_classes=np.ones(3))
    with pytest.raises(InputError, match="level"):
        jaccard_by_order(a, a, level=1.0)
    with pytest.raises(InputError, match="n_draws"):
        jaccard_by_order(a, a, n_draws=0)
    with pytest.raises(NonFiniteError, match="`b` must be finite"):
        jaccard_by_order(a, interactions(a.i_and * torch.nan, a.i_or))


def populations(apart, seed, n=3):
    """Two class means of which a part is shared, as functions of the number of samples around them."""
    rng = np.random.default_rng(seed)
    mean = rng.exponential(size=(2, 2, 2**n)) * rng.choice([-1, 1], size=(2, 2, 2**n))
    mean[1] = (1 - apart) * mean[0] + apart * mean[1]

    def sample(side, samples):
        g = mean[side][:, None] + 0.7 * rng.standard_normal((2, samples, 2**n))
        g[1, :, 0] = 0
        return interactions(*g)

    return sample


def test_intervals_hold_what_groups_of_that_size_give_on_average():
    held = []
    for seed in range(12):
        sample = populations(0.5, seed)
        found = [jaccard_by_order(sample(0, 12), sample(1, 12), n_draws=100) for _ in range(30)]
        truth = np.mean([got.similarity for got in found], axis=0)
        held += [(got.low <= truth) & (truth <= got.high) for got in found]
    assert 0.84 <= np.mean(held) <= 0.96  # nominal 0.9; 360 groups of three orders, standard error 0.015


def test_groups_of_one_population_are_within_what_mixing_gives_and_others_below():
    same, other = [], []
    for seed in range(40):
        sample, apart = populations(0.0, seed), populations(1.0, seed)
        got = jaccard_by_order(sample(0, 12), sample(1, 12), n_draws=100)
        same.append(got.similarity >= got.alike_low)
        got = jaccard_by_order(apart(0, 12), apart(1, 12), n_draws=100)
        other.append(got.similarity < got.alike_low)
    assert 0.8 <= np.mean(same) <= 1.0  # nominal 0.9; 40 groups, orders depend on each other, standard error 0.04
    assert np.mean(other) > 0.9
