"""The four transforms against their definitions and laws."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from numba import njit

import oracles
from interdyn.compiled._lanes import splat
from interdyn.errors import InputError, ShapeError
from interdyn.transforms import and_from_values, or_from_values, values_from_and, values_from_or
from interdyn.transforms._butterfly import _strips
from interdyn.transforms._mobius import butterfly_, sums
from interdyn.values import orders


@njit
def _take_in_strips(x, out, buffer):
    _strips(x, out, 16, splat(1.0), False, buffer)


whole = st.integers(-1000, 1000).map(float)
tables = st.integers(0, 6).flatmap(lambda n: hnp.arrays(np.float64, (2**n,), elements=whole))


@given(tables)
def test_equal_to_the_definition_exactly(v):
    np.testing.assert_array_equal(and_from_values(v), oracles.and_by_definition(v))
    np.testing.assert_array_equal(or_from_values(v), oracles.or_by_definition(v))


@given(tables)
def test_values_are_what_the_interactions_explain(x):
    zero = np.zeros_like(x)
    np.testing.assert_array_equal(values_from_and(x), oracles.explained(x, zero))
    np.testing.assert_array_equal(values_from_or(x), oracles.explained(zero, x))


@given(tables)
def test_inverse(v):
    np.testing.assert_array_equal(values_from_and(and_from_values(v)), v)
    np.testing.assert_array_equal(values_from_or(or_from_values(v)), v)


@given(tables)
def test_or_is_minus_and_of_the_complement(v):
    np.testing.assert_array_equal(or_from_values(v)[1:], -and_from_values(v[::-1])[1:])


def test_efficiency_dummy_symmetry_linearity(rng):
    n = 5
    v = rng.integers(-9, 9, 2**n).astype(float)
    assert and_from_values(v).sum() == v[-1]
    dummy = np.concatenate([v, v])  # player n changes nothing
    assert not and_from_values(dummy)[2**n :].any()
    assert not or_from_values(dummy)[2**n :].any()
    order = [3, 0, 4, 1, 2]
    np.testing.assert_array_equal(
        and_from_values(oracles.relabelled(v, order)), oracles.relabelled(and_from_values(v), order)
    )
    w = rng.integers(-9, 9, 2**n).astype(float)
    np.testing.assert_array_equal(or_from_values(2 * v - w), 2 * or_from_values(v) - or_from_values(w))


def test_recursion(rng):
    v = rng.integers(-9, 9, 16).astype(float)
    without, with_last = v[:8], v[8:]
    np.testing.assert_array_equal(and_from_values(v)[8:], and_from_values(with_last) - and_from_values(without))


@pytest.mark.parametrize("transform", [and_from_values, or_from_values, values_from_and, values_from_or])
def test_batches_kinds_and_layouts(transform, rng):
    v = rng.standard_normal((2, 3, 16))
    whole = transform(v)
    assert isinstance(whole, np.ndarray)
    assert whole.shape == v.shape
    np.testing.assert_array_equal(whole[1, 2], transform(v[1, 2]))
    tensor = transform(torch.from_numpy(v))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), whole)
    np.testing.assert_array_equal(transform(v[::-1].copy()[::-1]), whole)
    np.testing.assert_array_equal(transform(np.asfortranarray(v)), whole)
    assert transform(torch.zeros(8, dtype=torch.float32)).dtype == torch.float32
    assert transform(np.arange(4)).dtype == np.float64
    assert transform(np.zeros((0, 8))).shape == (0, 8)


def test_input_is_left_alone(rng):
    v = rng.standard_normal(16)
    before = v.copy()
    and_from_values(v)
    np.testing.assert_array_equal(v, before)


def test_rounding_within_the_stated_bound(rng):
    v = rng.uniform(-1, 1, 2**10).astype(np.float32)
    error = np.abs(and_from_values(v) - and_from_values(v.astype(np.float64)))
    k = orders(10)
    assert (error <= k * 2.0**k * np.finfo(np.float32).eps / 2 * np.abs(v).max() + 1e-12).all()


@pytest.mark.parametrize("bad", [np.zeros(6), np.zeros((4, 3)), np.float64(1.0), np.zeros((4, 0))])
def test_wrong_shape(bad):
    with pytest.raises(ShapeError, match=r"2\*\*n"):
        and_from_values(bad)


def test_complex_and_text_are_refused():
    with pytest.raises(InputError, match="real"):
        and_from_values(np.zeros(4, dtype=complex))
    with pytest.raises(InputError, match="real"):
        or_from_values(torch.zeros(4, dtype=torch.complex64))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1,), (2,), (8,), (3, 2, 64), (0, 16), (2, 2**15), (1, 2**16)])
def test_compiled_transforms_equal_the_twin_to_the_last_bit(shape, dtype, generator):
    x = torch.randn(shape, generator=generator).to(dtype)
    for sign in (1, -1):
        for backwards in (False, True):
            for negated in (False, True):
                slow = butterfly_((x.flip(-1) if backwards else x).clone(), sign)
                slow = slow.neg() if negated else slow
                found = sums(x, sign, backwards=backwards, negated=negated)
                assert found.dtype == dtype
                assert torch.equal(found, slow)
    inside = butterfly_(x.clone(), 1)
    assert torch.equal(sums(x, 1, met=True), (inside[..., -1:] + x[..., :1]) - inside.flip(-1))


@pytest.mark.parametrize("transform", [and_from_values, values_from_and, or_from_values, values_from_or])
def test_strided_and_read_only_tables(transform, rng):
    wide = rng.standard_normal((4, 32))
    strided, frozen = wide[::2, ::-1], wide.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(transform(strided), transform(np.ascontiguousarray(strided)))
    np.testing.assert_array_equal(transform(frozen), transform(wide))
    np.testing.assert_array_equal(wide, frozen)  # nothing is changed in place


@pytest.mark.parametrize("columns", [3, 6, 14])
def test_strips_of_any_width_take_in_the_highest_players(columns, generator):
    x = torch.randn(4, 2**14, generator=generator, dtype=torch.float64)
    out = np.empty(2**16)
    _take_in_strips(x.reshape(-1).numpy(), out, np.empty(2 ** (2 + columns)))
    expected = butterfly_(x.T.contiguous(), 1).T
    np.testing.assert_array_equal(out.reshape(4, -1), expected.numpy())
