"""Which of the sparsest explanations: ties go to the lower order, and the certificate means what it says."""

import pytest
import torch

from interdyn.errors import CertificateError, PrecisionWarning
from interdyn.sparsify import _split, first_tolerance, split
from interdyn.values import orders
from test_sparsify import networklike


def additive(n, coefficients):
    present = (torch.arange(2**n)[:, None] >> torch.arange(n)) & 1
    return present.double() @ coefficients.double()


def above_order_one(found):
    n = found.n_players
    strength = found.i_and.abs() + found.i_or.abs()
    several = torch.tensor((orders(n) > 1).tolist())
    return strength[..., several].sum(-1) / strength[..., 1:].sum(-1)


def coefficients(kind, n, generator):
    if kind == "equal":
        return torch.ones(n)
    drawn = torch.rand(n, generator=generator) + 0.1
    return drawn if kind == "positive" else drawn * (torch.randint(0, 2, (n,), generator=generator) * 2 - 1)


@pytest.mark.parametrize("bound", [0.0, 0.02])
@pytest.mark.parametrize("kind", ["equal", "positive", "mixed"])
@pytest.mark.parametrize("n", [2, 3, 5, 8, 10])
def test_an_additive_function_has_order_one(n, kind, bound, generator):
    v = torch.stack([additive(n, coefficients(kind, n, generator)) for _ in range(4)])
    for tol in (1e-2, 1e-3, 1e-5):
        share = above_order_one(split(v, noise_bound=bound, tol=tol))
        assert (share <= tol / 0.02 + 1e-9).all()
        if tol == 1e-3 and n >= 8:
            assert (share <= 0.01).all()
    if n <= 8:
        assert (above_order_one(split(v[:1], noise_bound=bound, solver="lp")) <= 1e-6).all()


def test_without_a_weight_the_order_is_left_open():
    v = torch.tensor([0.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    for weight, most in ((0.0, 1.0), (0.02, 0.01)):
        found = split(v, noise_bound=0.0, order_weight=weight, tol=1e-4)
        assert float(found.i_and[1:].abs().sum() + found.i_or.abs().sum()) == pytest.approx(2.0, abs=1e-3)
        assert float(above_order_one(found)) <= most


@pytest.mark.parametrize("largest", [True, False])
def test_a_true_minimum_and_maximum_stay_and_plus_or(largest):
    # the least of two inputs is a x0 x1 for levels 0 and a: AND; the largest is OR; both together are not additive
    v = torch.tensor([0.0, 0.0, 0.0, 1.0] if not largest else [0.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    both = v + 0.5 * torch.tensor([0.0, 1.0, 1.0, 1.0], dtype=torch.float64).flip(0).sub(1).neg()
    found = split(v, noise_bound=0.0, tol=1e-5)
    assert float(found[(0, 1)].i_or if largest else found[(0, 1)].i_and) == pytest.approx(1.0, abs=1e-3)
    mixed = split(both, noise_bound=0.0, tol=1e-5)
    assert float(above_order_one(mixed)) > 0.3


def test_weights_change_the_plain_norm_little(generator):
    v = networklike(6, 7, generator)
    plain, weighted = (split(v, order_weight=w, tol=1e-4) for w in (0.0, 0.02))
    norms = [(f.i_and[:, 1:].abs() + f.i_or[:, 1:].abs()).sum(-1) for f in (plain, weighted)]
    assert (norms[1] <= norms[0] * 1.01).all()
    k = torch.tensor(orders(7).tolist(), dtype=torch.float64)
    order = [((f.i_and.abs() + f.i_or.abs()) @ k / n).mean() for f, n in zip((plain, weighted), norms, strict=True)]
    assert order[1] < order[0]


@pytest.mark.parametrize("n", [5, 6])
def test_both_certified_solvers_agree_on_the_orders(n, generator):
    v = networklike(8, n, generator)
    oracle = split(v, solver="lp")
    k = torch.tensor(orders(n).tolist())

    def distribution(found):
        strength = (found.i_and.abs() + found.i_or.abs()).mean(0)
        each = torch.stack([strength[k == order].sum() for order in range(1, n + 1)])
        return each / each.sum()

    for tol, most in ((1e-3, 0.03), (1e-4, 0.015)):
        found = split(v, tol=tol)
        assert (distribution(found) - distribution(oracle)).abs().sum() / 2 <= most
        assert (found.objective <= oracle.objective * (1 + tol)).all()


@pytest.mark.parametrize("weight", [0.0, 0.02])
@pytest.mark.parametrize("constant", [1e6, -1e6])
def test_a_constant_changes_nothing(weight, constant, generator):
    v = networklike(3, 6, generator)
    once, moved = split(v, order_weight=weight), split(v + constant, order_weight=weight)
    spread = (v.amax(-1) - v.amin(-1)).max()
    assert (moved.i_and - once.i_and)[:, 1:].abs().max() <= 1e-5 * spread
    assert (moved.i_or - once.i_or).abs().max() <= 1e-5 * spread
    torch.testing.assert_close(moved.i_and[:, 0], once.i_and[:, 0] + constant)
    torch.testing.assert_close(moved.gap, once.gap, rtol=0, atol=1e-5)
    torch.testing.assert_close(moved.objective, once.objective, rtol=1e-5, atol=0)


def test_the_gap_bounds_the_true_excess_of_the_interactions(generator):
    v = networklike(4, 6, generator) + 1e4
    best = split(v, solver="lp")
    for tol in (1e-2, 1e-3):
        found = split(v, tol=tol)
        assert ((found.objective - best.objective) / found.objective <= found.gap + 1e-7).all()


def test_a_point_outside_its_bound_is_never_certified(generator, monkeypatch):
    v = networklike(2, 5, generator)
    true = _split.solve_admm

    def lying(problem, **options):
        out = true(problem, **options)
        out.x[0, 1, 7] += 0.1
        return out

    monkeypatch.setattr(_split, "solve_admm", lying)
    with pytest.warns(PrecisionWarning):
        found = split(v)
    assert torch.isinf(found.gap[1])
    assert found.status[1].startswith("not an explanation: the residual exceeds its bound")
    assert found.status[0].startswith("certified")


def test_a_bound_above_the_objective_is_an_error(generator, monkeypatch):
    true = _split.solve_admm

    def lying(problem, **options):
        out = true(problem, **options)
        out.dual[1] *= 1.5
        return out

    monkeypatch.setattr(_split, "solve_admm", lying)
    with pytest.raises(CertificateError, match="in table 1"):
        split(networklike(2, 5, generator))


def test_tolerance_follows_the_weight_or_the_interval(generator):
    v = networklike(12, 5, generator)
    found = split(v, tol="auto")
    assert found.settings["tol"] == 0.02 / 5
    assert found.settings["tol_rule"] == "auto"
    settled = split(v, tol="auto", order_weight=0.0)
    assert 1e-4 < settled.settings["tol"] <= 1e-2
    assert (settled.gap <= settled.settings["tol"]).all()
    alone = split(v[0], tol="auto", order_weight=0.0)
    assert alone.settings["tol"] == 1e-3
    assert first_tolerance("auto", 0.02, 10) == pytest.approx(2e-3)


def test_a_tolerance_that_moves_the_spectrum_is_refined(generator):
    # tables that differ hardly have a narrow interval, which a coarse gap would disturb
    v = networklike(1, 8, generator).expand(8, -1) * (1 + 1e-5 * torch.arange(8)[:, None])
    narrow = split(v, tol="auto", order_weight=0.0).settings["tol"]
    wide = split(networklike(8, 8, generator), tol="auto", order_weight=0.0).settings["tol"]
    assert narrow < wide


def test_the_settings_say_which_problem_was_solved(generator):
    v = networklike(1, 4, generator)
    assert split(v).settings["order_weight"] == 0.02
    assert split(v, order_weight=0).settings["order_weight"] == 0.0
    assert bool(torch.isfinite(split(v, order_weight=0.5, tol=1e-3).gap).all())
