"""Near-by steps of one measurement, and the Walsh transform that judges them without a split."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from interdyn.errors import InputError, ShapeError
from interdyn.measurement import cross_spectrum, mean_degree
from interdyn.sparsify import split
from interdyn.spectra import is_salient, salience_threshold, window_mean
from interdyn.transforms import values_from_and, values_from_or, values_from_walsh, walsh_from_values
from interdyn.values import orders
from oracles import walsh_by_definition
from test_sparsify import networklike


@given(n=st.integers(1, 7), seed=st.integers(0, 2**16))
def test_walsh_coefficients_are_those_of_the_definition_and_go_back(n, seed):
    v = np.random.default_rng(seed).standard_normal((3, 2**n))
    w = walsh_from_values(v)
    np.testing.assert_allclose(w, walsh_by_definition(v), atol=1e-12)
    np.testing.assert_allclose(values_from_walsh(w), v, atol=1e-12)
    np.testing.assert_allclose((w[:, 1:] ** 2).sum(-1), v.var(axis=-1), rtol=1e-9)


def test_the_transform_leaves_what_it_is_given():
    v = torch.rand(2, 8, dtype=torch.float64)
    kept = v.clone()
    walsh_from_values(v)
    values_from_walsh(v)
    assert torch.equal(v, kept)


def steps(generator, count=3, samples=4, n=5):
    base = networklike(samples, n, generator)
    noise = torch.randn(count, samples, 2**n, generator=generator, dtype=torch.float64)
    return base + 0.1 * base.std() * noise


def test_the_mean_of_explanations_explains_the_mean_of_tables(generator):
    v = steps(generator)
    found = [split(table) for table in v]
    both = window_mean(found)
    residual = torch.stack([one.residual for one in found]).mean(0)
    explained = values_from_and(both.mean.i_and) + values_from_or(both.mean.i_or) + residual
    torch.testing.assert_close(explained, v.mean(0))


def test_error_kept_part_and_repeatability_are_those_of_the_definition(generator):
    found = [split(table) for table in steps(generator)]
    both = window_mean(found)
    every = np.stack([np.stack([one.i_and.numpy(), one.i_or.numpy()]) for one in found])
    error = np.stack([both.standard_error.i_and.numpy(), both.standard_error.i_or.numpy()])
    np.testing.assert_allclose(error, every.std(axis=0, ddof=1) / 3**0.5, atol=1e-12)
    kept = np.stack([both.kept.i_and.numpy(), both.kept.i_or.numpy()])
    for place in np.ndindex(kept.shape):
        x = every[(slice(None), *place)]
        same = (x > 0).all() or (x < 0).all()
        assert kept[place] == (np.sign(x[0]) * np.abs(x).min() if same else 0)
    taus = [salience_threshold(one) for one in found]
    salient = [
        [is_salient(part, tau).numpy() for part in (one.i_and, one.i_or)] for one, tau in zip(found, taus, strict=True)
    ]
    shown = every * np.array(salient)
    for k in range(1, 6):
        at = shown[..., orders(5) == k]
        low, high = (sum(f(np.maximum(s * at, 0), axis=0).sum() for s in (1, -1)) for f in (np.min, np.max))
        assert both.repeatability[k - 1] == pytest.approx(low / high, nan_ok=True)


def test_one_step_repeats_itself_and_has_no_error(generator):
    found = split(networklike(2, 4, generator))
    one = window_mean([found])
    assert torch.equal(one.mean.i_and, found.i_and)
    assert torch.equal(one.kept.i_or, found.i_or)
    assert one.standard_error.i_and.isnan().all()
    assert set(one.repeatability[~np.isnan(one.repeatability)]) == {1.0}


def test_what_cannot_be_put_together_is_refused(generator):
    found = split(networklike(2, 4, generator))
    with pytest.raises(InputError, match="one step or more"):
        window_mean([])
    with pytest.raises(ShapeError, match="same samples and players"):
        window_mean([found, found[0]])
    with pytest.raises(ShapeError, match="axis of steps"):
        cross_spectrum(torch.zeros(8))


def test_the_cross_spectrum_is_that_of_the_definition(generator):
    v = steps(generator).numpy()
    w = walsh_by_definition(v)
    expected = np.zeros((4, 6))
    for k, sample in itertools.product(range(6), range(4)):
        at = orders(5) == k
        products = [(w[i, sample] * w[j, sample])[at].sum() for i, j in itertools.combinations(range(3), 2)]
        expected[sample, k] = np.mean(products)
    found = cross_spectrum(torch.from_numpy(v))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    mean = expected.mean(axis=0)[1:]
    assert mean_degree(found) == pytest.approx((np.arange(1, 6) * mean).sum() / mean.sum())


def test_noise_that_differs_from_step_to_step_leaves_the_degree_where_it_is(generator):
    additive = torch.from_numpy(np.array([t.bit_count() for t in range(64)], dtype=float)).expand(3, 20, 64)
    noise = 0.5 * torch.randn(3, 20, 64, generator=generator, dtype=torch.float64)
    together = mean_degree(cross_spectrum(additive + noise))
    alone = mean_degree(cross_spectrum((additive + noise)[:1]))
    assert abs(together - 1) < 0.05 < alone - 1


def test_what_does_not_vary_has_no_degree():
    assert np.isnan(mean_degree(cross_spectrum(torch.ones(3, 2, 8, dtype=torch.float64))))
