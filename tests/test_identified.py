"""What sparsity leaves open, against linear programs."""

import numpy as np
import pytest
import torch

import interdyn
import oracles
from interdyn.errors import InputError, TooLargeError
from interdyn.sparsify import identified, split
from interdyn.values import orders
from test_order_weight import additive
from test_sparsify import networklike


def ends_by_lp(v, bound, own, ranges):
    """Range of mean order, of each order and of the interactions by linear programs, and the budget."""
    from scipy.optimize import linprog

    n = ranges.strength.low.shape[-1]
    size = 2**n
    k = np.delete(oracles.explanation_matrix(n), size, axis=1)
    order = np.concatenate([orders(n), orders(n)[1:]]).astype(float)
    counts = np.tile(order > 0, 2).astype(float)
    box, limit = np.block([[k, -k], [-k, k]]), np.concatenate([v + bound, bound - v])
    least = linprog(counts, A_ub=box, b_ub=limit, bounds=(0, None), method="highs").fun
    budget = max(1.001 * least, own)
    box, limit = np.vstack([box, counts]), np.append(limit, budget)

    def ends(cost):
        return [s * linprog(s * cost, A_ub=box, b_ub=limit, bounds=(0, None), method="highs").fun for s in (1, -1)]

    ratio = np.hstack([box, -limit[:, None]])  # Charnes and Cooper: all over the norm
    norm = np.append(counts, 0.0)[None]
    mean = [
        s * linprog(np.append(s * np.tile(order, 2), 0.0), A_ub=ratio, b_ub=np.zeros(len(limit)), A_eq=norm, b_eq=[1],
                    bounds=(0, None), method="highs").fun
        for s in (1, -1)
    ]  # fmt: skip
    strength = [ends(np.tile(order == each, 2).astype(float)) for each in range(1, n + 1)]
    one = []
    for kind, subset in zip(ranges.kinds.tolist(), ranges.subsets.tolist(), strict=True):
        cost = np.zeros(k.shape[1])
        places = [subset, size + subset - 1] if subset.bit_count() == 1 else [subset + kind * (size - 1)]
        cost[places] = 1.0
        one.append(ends(np.concatenate([cost, -cost])))
    return np.array([mean]), np.array(strength), np.array(one), budget


def assert_around(found, expected, *, scale, loose):
    low, high, inner_low, inner_high = (
        np.atleast_1d(x.numpy()) for x in (found.low, found.high, found.low_reached, found.high_reached)
    )
    rounding = 1e-6 * scale
    assert (low <= expected[:, 0] + rounding).all()
    assert (expected[:, 0] <= inner_low + rounding).all()
    assert (inner_high <= expected[:, 1] + rounding).all()
    assert (expected[:, 1] <= high + rounding).all()
    width = expected[:, 1] - expected[:, 0]
    assert (expected[:, 0] - low <= loose * scale + 0.05 * width).all()
    assert (high - expected[:, 1] <= loose * scale + 0.05 * width).all()


@pytest.mark.parametrize(("n", "weight"), [(2, 0.02), (3, 0.02), (4, 0.0), (5, 0.02), (6, 0.02)])
def test_ranges_are_those_of_the_linear_programs(n, weight, generator):
    v = networklike(2, n, generator) + 7.0
    found = split(v, order_weight=weight)
    ranges = identified(found, strongest=4)
    for i in range(2):
        one, table = found[i], v[i].numpy()
        own = float((one.i_and[1:].abs() + one.i_or[1:].abs()).sum())
        mean, strength, single, budget = ends_by_lp(table, float(one.noise_bound), own, ranges[i])
        assert float(ranges.factor[i]) == pytest.approx(1.001, abs=2e-3)
        assert_around(ranges.mean_order[i], mean, scale=1.0, loose=0.01)
        assert_around(ranges.strength[i], strength, scale=budget, loose=1e-2)
        assert_around(ranges.interactions[i], single, scale=budget, loose=5e-3)


def test_what_is_open_and_what_is_not():
    v = torch.stack([additive(4, torch.ones(4)), torch.eye(16, dtype=torch.float64)[15]])
    ranges = identified(split(v, noise_bound=0.0), strongest=1)
    assert float(ranges.mean_order.low[0]) == pytest.approx(1.0, abs=0.01)
    assert float(ranges.mean_order.high[0]) > 1.9  # sums of two are minimum plus maximum
    assert float(ranges.mean_order.low[1]) > 3.9  # one AND of four players and nothing else
    assert float(ranges.interactions.low[1, 0]) == pytest.approx(1.0, abs=0.01)
    assert (ranges.kinds[1, 0], ranges.subsets[1, 0]) == (0, 15)
    assert "AND  0 1 2 3" in repr(ranges[1])


def test_the_reported_explanation_is_always_among_them(generator):
    v = networklike(3, 6, generator)
    found = split(v, order_weight=0.5, tol=1e-3)  # far from the least plain norm
    ranges = identified(found, strongest=3)
    assert (ranges.factor > 1.002).all()
    strength = found.i_and.abs() + found.i_or.abs()
    k = torch.tensor(orders(6).tolist())
    for order in range(1, 7):
        own = strength[:, k == order].sum(-1)
        assert (ranges.strength.low[:, order - 1] <= own + 1e-9).all()
        assert (own <= ranges.strength.high[:, order - 1] + 1e-9).all()
    mean = (strength @ k.double()) / strength[:, 1:].sum(-1)
    assert ((ranges.mean_order.low <= mean + 1e-9) & (mean <= ranges.mean_order.high + 1e-9)).all()


def test_units_and_shapes(generator):
    v = networklike(4, 4, generator).reshape(2, 2, 16)
    once, scaled = (identified(split(v * s), strongest=2) for s in (1.0, 2.0**40))
    assert once.mean_order.low.shape == once.factor.shape == (2, 2)
    assert once.strength.low.shape == (2, 2, 4)
    assert once.interactions.low.shape == once.kinds.shape == (2, 2, 2)
    torch.testing.assert_close(scaled.strength.high, once.strength.high * 2.0**40)
    torch.testing.assert_close(scaled.mean_order.high, once.mean_order.high)
    alone = identified(split(v[0, 0]), strongest=2)
    torch.testing.assert_close(alone.strength.low, once.strength.low[0, 0])


def test_a_constant_table_is_refused(generator):
    v = networklike(3, 4, generator)
    v[1] = 5.0
    with pytest.raises(InputError, match="got table 1"):
        identified(split(v))


@pytest.mark.parametrize("options", [{"slack": 0.0}, {"slack": 1.0}, {"strongest": -1}])
def test_options_out_of_range(options, generator):
    with pytest.raises(InputError, match=f"`{next(iter(options))}`"):
        identified(split(networklike(1, 3, generator)), **options)


def test_too_much_work_is_refused(generator, monkeypatch):
    monkeypatch.setattr("interdyn.sparsify._effort.LONGEST", 1e-6)
    with pytest.raises(TooLargeError, match="allow_large"):
        identified(split(networklike(1, 4, generator), allow_large=True))


def test_measure_leaves_out_what_is_constant():
    found = interdyn.measure(
        lambda x: x[:, 0] * x[:, 1] * x[:, 2], torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), output="regression",
        feature_mask=torch.arange(3), identified=True,
    )  # fmt: skip
    assert float(found.identified.mean_order.low[0]) > 2.9
    assert torch.isnan(found.identified.mean_order.low[1])
    with pytest.raises(InputError, match="got none"):
        interdyn.measure(
            lambda x: 0 * x[:, 0], torch.ones(1, 2), output="regression", feature_mask=torch.arange(2), identified=True
        )
