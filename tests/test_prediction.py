"""Mechanisms that predict value tables, against dense matrices."""

from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from interdyn.errors import InputError, NonFiniteError, ShapeError
from interdyn.theory import MECHANISMS, default_parameters, mechanism_tables, optimal_weights, predict_tables
from interdyn.theory._joint import coupled, kernel_blocks, uncoupled
from interdyn.values import Selection, orders
from oracles import explained, walsh_by_definition


@lru_cache
def triggers(n):
    """Columns: whether an AND of each set is triggered on each mask, then an OR of each set of two or more."""
    masks = range(2**n)
    ands = [[float(s & t == t) for t in masks] for s in masks]
    ors = [[float(s & t != 0) for t in masks if t.bit_count() > 1] for s in masks]
    return np.hstack([np.array(ands), np.array(ors).reshape(2**n, -1)])


@lru_cache
def variances(n):
    masks = range(2**n)
    return np.array([2.0 ** t.bit_count() for t in masks] + [2.0 ** t.bit_count() for t in masks if t.bit_count() > 1])


def planted(n, samples=2, seed=0):
    rng = np.random.default_rng(seed)
    i_and, i_or = rng.standard_normal((2, samples, 2**n))
    i_or[:, 0] = 0
    return Selection(torch.from_numpy(i_and), torch.from_numpy(i_or))


@pytest.mark.parametrize("n", range(1, 8))
def test_the_kernel_is_that_of_the_triggers_block_by_block(n):
    y = np.random.default_rng(n).standard_normal((2**n, 3))
    dense = triggers(n) @ np.diag(1 / variances(n)) @ triggers(n).T
    blocks = zip(kernel_blocks(n), coupled(torch.from_numpy(y)), strict=True)
    found = uncoupled([torch.tensordot(torch.from_numpy(block), part, dims=1) for block, part in blocks])
    np.testing.assert_allclose(found.numpy(), dense @ y, rtol=1e-12, atol=1e-12 * np.abs(dense @ y).max())


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_coupled_players_keep_products_and_are_uncoupled_again(n):
    y = torch.from_numpy(np.random.default_rng(n).standard_normal((2**n, 3)))
    blocks = coupled(y)
    together = torch.cat([block.flatten(0, 1) for block in blocks])
    assert together.shape == y.shape
    torch.testing.assert_close(together.mT @ together, y.mT @ y)
    torch.testing.assert_close(uncoupled(blocks), y)
    even = coupled(torch.from_numpy(2.0 ** orders(n))[:, None])  # the same under any exchange of players
    assert all(float(block.abs().max()) < 1e-9 for block in even[1:])


@pytest.mark.parametrize("n", range(1, 8))
@pytest.mark.parametrize("noise_var", [1e-9, 1e-4, 1e-2, 1.0, 100.0])
def test_one_regression_over_both_kinds_is_that_of_the_dense_solve(n, noise_var):
    w_star = planted(n)
    y = np.stack([explained(a, o) for a, o in zip(w_star.i_and.numpy(), w_star.i_or.numpy(), strict=True)])
    j, c = triggers(n), variances(n)
    a = j.T @ j + 2**n * noise_var * np.diag(c)
    weights = np.linalg.solve(a, j.T @ y.T)
    weights += np.linalg.solve(a, j.T @ y.T - a @ weights)  # refined once
    (found,) = mechanism_tables(w_star, "joint theory", [noise_var])
    np.testing.assert_allclose(found.numpy(), (j @ weights).T, atol=1e-11 * np.abs(y).max())


@given(n=st.integers(1, 6), seed=st.integers(0, 999))
def test_the_other_mechanisms_are_those_of_the_definition(n, seed):
    w_star = planted(n, seed=seed)
    i_and, i_or = w_star.i_and.numpy(), w_star.i_or.numpy()
    k = orders(n)
    y = np.stack([explained(*pair) for pair in zip(i_and, i_or, strict=True)])
    for found in mechanism_tables(w_star, "nothing", [0.0]):
        np.testing.assert_allclose(found.numpy(), y, atol=1e-10)
    (noisy,) = mechanism_tables(w_star, "theory", [0.01])
    weights = [optimal_weights(w, 0.01) for w in (i_and, i_or)]
    np.testing.assert_allclose(noisy, [explained(*pair) for pair in zip(*weights, strict=True)], atol=1e-10)
    (tilted,) = mechanism_tables(w_star, "tilt", [0.7])
    less = np.exp(-0.7 * np.maximum(k - 1, 0))
    np.testing.assert_allclose(tilted, [explained(*pair) for pair in zip(i_and * less, i_or * less, strict=True)])
    (smooth,) = mechanism_tables(w_star, "noise operator", [0.4])
    parity = np.array([[(-1) ** (s & t).bit_count() for s in range(2**n)] for t in range(2**n)])
    np.testing.assert_allclose(smooth, (walsh_by_definition(y) * 0.6**k) @ parity.T, atol=1e-10)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_first_parameter_takes_nothing_away_and_the_others_take_more_and_more(mechanism):
    w_star = planted(5)
    parameters = default_parameters(mechanism, 5)
    tables = list(mechanism_tables(w_star, mechanism, parameters))
    (plain,) = mechanism_tables(w_star, "nothing", [0.0])
    torch.testing.assert_close(tables[0], plain)
    if mechanism in ("joint theory", "noise operator"):  # of these alone the size falls with every step
        sizes = [float(table.var(dim=-1).sum()) for table in tables]
        assert np.all(np.diff(sizes) <= 1e-9)


def test_a_table_of_zeros_stays_one():
    zero = Selection(torch.zeros(1, 8, dtype=torch.float64), torch.zeros(1, 8, dtype=torch.float64))
    for mechanism in MECHANISMS:
        for table in mechanism_tables(zero, mechanism, default_parameters(mechanism, 3)):
            assert not table.any()


def test_what_is_no_mechanism_and_no_parameter_is_refused():
    with pytest.raises(InputError, match="`mechanism` must be"):
        next(mechanism_tables(planted(2), "magic", [0.0]))
    with pytest.raises(InputError, match="0 or more"):
        next(mechanism_tables(planted(2), "tilt", [-1.0]))
    with pytest.raises(InputError, match="at most 1"):
        next(mechanism_tables(planted(2), "noise operator", [1.5]))


# -- which mechanism predicts best -------------------------------------------------------------------

WORLDS = {"theory": 3e-3, "joint theory": 3e-3, "tilt": 1.0, "noise operator": 0.3}


def world(mechanism, *, n=6, samples=12, noise=0.05, seed=0):
    """Return final weights, and tables that a mechanism makes of them, with noise of a part of their spread."""
    w_star = planted(n, samples, seed)
    (made,) = mechanism_tables(w_star, mechanism, [WORLDS[mechanism]])
    generator = torch.Generator().manual_seed(seed)
    spread = noise * made.std(dim=-1, keepdim=True)
    return w_star, made + spread * torch.randn(made.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("mechanism", WORLDS)
def test_tables_are_given_back_to_the_mechanism_that_made_them(mechanism):
    own = 0
    for seed in range(8):
        w_star, tables = world(mechanism, seed=seed)
        best = predict_tables(w_star, tables[None]).best(0)
        assert mechanism in best
        own += best == (mechanism,)
    assert own >= 7


def test_correlation_and_parameter_are_those_of_the_definition():
    w_star, tables = world("tilt", noise=0.5)
    tried = np.array([0.0, 0.5, 1.0, 2.0])
    found = predict_tables(
        w_star, torch.stack([tables, 3 * tables - 1]), mechanisms=["tilt"], parameters={"tilt": tried}
    )
    every = np.array(
        [
            [np.corrcoef(p, v)[0, 1] for p, v in zip(table.numpy(), tables.numpy(), strict=True)]
            for table in mechanism_tables(w_star, "tilt", tried)
        ]
    )
    for x in range(12):
        others = np.delete(every, x, axis=1).mean(axis=1)
        assert found.correlation[0, 0, x] == pytest.approx(every[others.argmax(), x])
    assert found.parameter[0].tolist() == [tried[every.mean(axis=1).argmax()]] * 2
    np.testing.assert_allclose(found.correlation[0, 1], found.correlation[0, 0])  # no unit and no constant matters


def test_the_parameter_of_a_sample_is_that_of_the_others_alone():
    w_star = planted(6, 3)
    strengths = (0.2, 0.6, 2.0)  # each sample has its own
    tables = torch.stack([next(mechanism_tables(w_star, "tilt", [b]))[x] for x, b in enumerate(strengths)])
    tried = np.linspace(0, 3, 31)
    found = predict_tables(w_star, tables[None], mechanisms=["tilt"], parameters={"tilt": tried})
    every = np.array(
        [
            [np.corrcoef(p, v)[0, 1] for p, v in zip(table.numpy(), tables.numpy(), strict=True)]
            for table in mechanism_tables(w_star, "tilt", tried)
        ]
    )
    chosen = [np.delete(every, x, axis=1).mean(axis=1).argmax() for x in range(3)]
    assert len({*chosen, every.mean(axis=1).argmax()}) > 2
    np.testing.assert_allclose(found.correlation[0, 0], every[chosen, range(3)])


def test_a_grid_without_a_best_inside_is_said():
    w_star, tables = world("noise operator")
    short = {"noise operator": np.array([0.0, 0.01, 0.02])}
    found = predict_tables(w_star, tables[None], mechanisms=["noise operator", "nothing"], parameters=short)
    assert found.at_edge[:, 0].tolist() == [True, False]
    assert "is the largest tested" in found.sentence(0)


def test_near_by_tables_are_the_ceiling_and_unrelated_ones_are_predicted_by_nothing():
    w_star, tables = world("theory", noise=0.1)
    found = predict_tables(w_star, tables[None], near=(tables + 0.1 * torch.rand_like(tables))[None])
    assert 0.9 < found.ceiling.mean() < 1
    assert "the correlation of nearby steps" in found.sentence(0)
    unrelated = predict_tables(
        w_star, torch.rand(1, 12, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    )
    assert len(unrelated.best(0)) > 1
    assert unrelated.sentence(0).startswith("No mechanism is shown to predict best: ")


def test_a_gain_over_oneself_is_nothing():
    w_star, tables = world("theory")
    found = predict_tables(w_star, tables[None])
    assert found.gain("tilt", "tilt").ravel().tolist() == [0, 0, 0]
    low, high = found.interval("theory")[:, 0]
    assert low <= found.mean[0, 0] <= high


def test_networks_and_tables_that_do_not_vary_are_said():
    w_star, tables = world("theory")
    constant = Selection(torch.zeros_like(w_star.i_and), torch.zeros_like(w_star.i_or))
    for final, measured in ((constant, tables), (w_star, torch.ones_like(tables))):
        found = predict_tables(final, measured[None])
        assert found.best(0) == ()
        assert "do not vary" in found.sentence(0)


def test_what_cannot_be_compared_is_refused():
    w_star, tables = world("theory")
    with pytest.raises(InputError, match="at least two samples"):
        predict_tables(planted(6, 1), tables[None, :1])
    for wrong in (tables, tables[None, :4], tables[None, :, :32], tables[None][:0]):
        with pytest.raises(ShapeError, match="`measured`"):
            predict_tables(w_star, wrong)
    with pytest.raises(ShapeError, match="`near`"):
        predict_tables(w_star, tables[None], near=tables[None].repeat(2, 1, 1))
    with pytest.raises(NonFiniteError):
        predict_tables(w_star, torch.full_like(tables, torch.nan)[None])
    with pytest.raises(InputError, match="one mechanism or more"):
        predict_tables(w_star, tables[None], mechanisms=[])
    with pytest.raises(InputError, match="must ascend"):
        predict_tables(w_star, tables[None], parameters={"tilt": np.array([1.0, 0.0])})


@pytest.mark.parametrize(
    ("mechanism", "said"),
    [
        ("theory", "The theory predicts the tables better than any rival: "),
        ("joint theory", "The theory in one regression predicts the tables better than any rival: "),
        ("tilt", "The tilt predicts the tables better than the theory: "),
        ("noise operator", "The noise operator predicts the tables better than the theory: "),
    ],
)
def test_the_theory_can_lose(mechanism, said):
    w_star, tables = world(mechanism)
    found = predict_tables(w_star, torch.stack([tables, tables]))
    assert found.for_the_theory(1).startswith(said)
    assert found.over(np.ones(2, dtype=bool)).for_the_theory() == found.for_the_theory(1)


def test_the_mean_over_steps_is_that_of_each_sample():
    w_star, tables = world("theory", noise=0.5)
    both = torch.stack([tables, world("theory", noise=0.5, seed=1)[1], tables.flip(0)])
    found = predict_tables(w_star, both, near=both.flip(-1))
    mean = found.over(np.array([True, False, True]))
    np.testing.assert_allclose(mean.correlation[:, 0], found.correlation[:, [0, 2]].mean(axis=1))
    np.testing.assert_allclose(mean.ceiling[0], found.ceiling[[0, 2]].mean(axis=0))
    with pytest.raises(InputError, match="one step or more"):
        found.over(np.zeros(3, dtype=bool))


def test_where_nothing_is_shown_the_theory_is_not_said_to_be_better():
    w_star, _ = world("theory")
    noise = torch.rand(1, 12, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = predict_tables(w_star, noise)
    assert found.for_the_theory().startswith("The theory is not shown to predict better than ")
    with pytest.raises(InputError, match="one side only"):
        predict_tables(w_star, noise, mechanisms=["theory"]).for_the_theory()
