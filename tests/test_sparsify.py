"""The split: certificate, recovery, invariances, errors."""

import numpy as np
import pytest
import torch

import oracles
from interdyn.errors import InputError, NonFiniteError, PrecisionWarning, ShapeError, TooLargeError
from interdyn.sparsify import split
from interdyn.sparsify._operator import GramSolver, operator
from interdyn.sparsify._problem import Problem
from interdyn.sparsify._sgd_paper import _gradient, _interactions
from interdyn.sparsify._symmetry import metric
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import orders

CPU = torch.device("cpu")


def networklike(batch: int, n: int, generator: torch.Generator) -> torch.Tensor:
    """Tables as networks give them: many weak interactions that fall with order, few strong ones."""
    size = 2**n
    decay = torch.from_numpy(0.4 ** orders(n).astype(float))
    i_and = torch.randn(batch, size, generator=generator, dtype=torch.float64) * decay
    i_or = torch.randn(batch, size, generator=generator, dtype=torch.float64) * decay
    return values_from_and(i_and) + values_from_or(i_or)


@pytest.mark.parametrize("n", range(7))
def test_operator_is_the_dense_matrix(n, generator):
    k = torch.from_numpy(oracles.explanation_matrix(n))
    a, o, y = (torch.randn(3, 2**n, generator=generator, dtype=torch.float64) for _ in range(3))
    o[:, 0] = 0
    op = operator(n, CPU)
    torch.testing.assert_close(op.explain(a, o), torch.cat([a, o], dim=1) @ k.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cat(op.adjoint(y), dim=1), y @ k, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", range(8))
def test_projection_by_two_halves_is_the_dense_inverse(n, generator):
    k = torch.from_numpy(oracles.explanation_matrix(n))
    y = torch.randn(2, 2**n, generator=generator, dtype=torch.float64)
    for s in (0.5, 20.0):
        dense = torch.linalg.solve(
            (k * torch.from_numpy(np.tile(metric(n), 2))) @ k.T + s * torch.eye(2**n, dtype=torch.float64), y.T
        ).T
        torch.testing.assert_close(GramSolver(n, CPU).solve(y, s), dense, rtol=0, atol=1e-11)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 8])
def test_equal_to_the_linear_program(n, generator):
    v = networklike(3, n, generator)
    ours, oracle = split(v), split(v, solver="lp")
    assert (oracle.gap <= 1e-7).all()
    assert (ours.objective >= oracle.objective * (1 - 1e-7)).all()
    assert (ours.objective <= oracle.objective * (1 + 1e-3) + 1e-12).all()
    assert ((ours.objective - oracle.objective) / ours.objective <= ours.gap + 1e-7).all()


@pytest.mark.parametrize("solver", ["admm", "lp", "sgd-paper"])
def test_residual_within_the_bound_and_nothing_missing(solver, generator):
    v = networklike(2, 6, generator)
    found = split(v, solver=solver, max_iter=300 if solver == "sgd-paper" else None)
    rebuilt = values_from_and(found.i_and) + values_from_or(found.i_or) + found.residual
    torch.testing.assert_close(rebuilt, v, rtol=0, atol=1e-10)
    bound = 0.02 * (v[:, -1] - v[:, 0]).abs()
    torch.testing.assert_close(found.noise_bound, bound)
    assert (found.residual.abs().amax(-1) <= bound + 1e-10).all()
    assert (found.i_or[:, 0] == 0).all()
    weights = 1 + 0.02 * (torch.tensor(orders(6).tolist()) - 1).clamp_min(0)
    strength = found.i_and[:, 1:].abs() + found.i_or[:, 1:].abs()  # the constant costs nothing
    torch.testing.assert_close(found.objective, (strength * weights[1:]).sum(-1))


@pytest.mark.parametrize("kind", ["and", "or", "mixed"])
@pytest.mark.parametrize("n", [4, 8])
def test_planted_games_are_recovered(kind, n, generator):
    i_and, i_or = (torch.zeros(2**n, dtype=torch.float64) for _ in range(2))
    several = torch.from_numpy(np.flatnonzero(orders(n) >= 2))
    count = 2 if n == 4 else 5
    pick = several[torch.randperm(len(several), generator=generator)[: 2 * count]]
    values = torch.randn(2 * count, generator=generator, dtype=torch.float64) + 3
    if kind != "or":
        i_and[pick[:count]] = values[:count]
    if kind != "and":
        i_or[pick[count:]] = -values[count:]
    i_and[0] = 0.5
    found = split(values_from_and(i_and) + values_from_or(i_or), noise_bound=0.0, tol=1e-6)
    torch.testing.assert_close(found.i_and, i_and, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.i_or, i_or, rtol=0, atol=1e-5)


def test_planted_xor_is_the_sparsest_known_form():
    v = torch.tensor([0.0, 1.0, 1.0, 0.0])
    found = split(v, noise_bound=0.0, tol=1e-6)
    # a + b - 2 ab as AND, or (a or b) - ab: the second has the smaller norm
    assert float(found.objective) == pytest.approx(2.0 * 1.02, abs=1e-5)
    assert float(found[(0, 1)].i_or) == pytest.approx(1.0, abs=1e-4)
    assert float(found[(0, 1)].i_and) == pytest.approx(-1.0, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-300, 1e-6, -3.0, 1e8, 1e300])
def test_scale_equivariance(scale, generator):
    v = networklike(2, 6, generator)
    once, scaled = split(v), split(v * scale)
    assert (scaled.residual.abs().amax(-1) <= scaled.noise_bound * (1 + 1e-9)).all()
    torch.testing.assert_close(scaled.i_and / scale, once.i_and, rtol=0, atol=1e-9)
    torch.testing.assert_close(scaled.i_or / scale, once.i_or, rtol=0, atol=1e-9)
    torch.testing.assert_close(scaled.gap, once.gap, rtol=0, atol=1e-9)


def test_a_batch_equals_its_samples_one_by_one(generator):
    v = networklike(6, 7, generator).reshape(2, 3, -1)
    whole = split(v)
    assert whole.i_and.shape == v.shape
    assert whole.gap.shape == whole.objective.shape == whole.status.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            alone = split(v[i, j])
            assert (alone.i_and - whole.i_and[i, j]).abs().max() <= 1e-6 * v.abs().max()
            assert (alone.i_or - whole.i_or[i, j]).abs().max() <= 1e-6 * v.abs().max()


def test_a_long_batch_is_cut_without_a_trace(generator, monkeypatch):
    v = networklike(5, 5, generator)
    whole = split(v)
    monkeypatch.setattr("interdyn.sparsify._split.PIECE", 64)
    cut = split(v)
    assert torch.equal(cut.i_and, whole.i_and)
    assert torch.equal(cut.residual, whole.residual)


def test_players_have_no_favourites(generator):
    v = networklike(1, 5, generator)[0].numpy()
    order = [2, 4, 0, 3, 1]
    moved = split(oracles.relabelled(v, order)).i_and.numpy()
    np.testing.assert_allclose(moved, oracles.relabelled(split(v).i_and.numpy(), order), atol=1e-8)


def test_a_constant_table_has_no_interactions():
    found = split(torch.full((2, 16), -3.0))
    assert not found.i_and[:, 1:].any()
    assert not found.i_or.any()
    assert (found.i_and[:, 0] == -3.0).all()
    assert (found.gap == 0).all()
    nothing = split(torch.zeros(8))
    assert float(nothing.objective) == 0.0
    assert float(nothing.gap) == 0.0


def test_a_bound_wider_than_the_table_needs_the_constant_alone(generator):
    v = torch.rand(16, generator=generator, dtype=torch.float64) + 5
    found = split(v, noise_bound=torch.tensor(2.0))
    assert float(found.gap) <= 1e-3
    assert float(found.objective) == 0.0  # the constant costs nothing
    assert float(found.i_and[0]) == pytest.approx(float(v[0].clamp(v.max() - 2, v.min() + 2)))
    assert not found.i_or.any()


def test_absolute_bounds_of_each_table(generator):
    v = networklike(3, 5, generator)
    bounds = torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64)
    found = split(v, noise_bound=bounds)
    assert (found.residual.abs().amax(-1) <= bounds + 1e-10).all()
    assert found.residual[2].abs().max() > 0.5
    assert (split(v.numpy(), noise_bound=bounds.numpy()).i_and - found.i_and).abs().max() == 0


def test_steps_adapt_to_each_table(generator):
    v = networklike(8, 8, generator)
    statuses = split(v, tol=1e-4).status
    steps = [int(sentence.split(" after ")[1].split()[0]) for sentence in statuses]
    assert np.mean(steps) < 1200  # 1,700 with steps that stay as they begin


def test_order_one_is_merged_or_shared(generator):
    v = networklike(2, 5, generator)
    merged, shared = split(v), split(v, merge_order_one=False)
    single = torch.from_numpy(orders(5) == 1)
    assert not merged.i_or[:, single].any()
    torch.testing.assert_close(shared.i_and[:, single], merged.i_and[:, single] / 2)
    torch.testing.assert_close(shared.i_or[:, single], merged.i_and[:, single] / 2)
    torch.testing.assert_close(shared.residual, merged.residual)


def test_a_result_depends_on_nothing_before_it(generator):
    v = networklike(2, 6, generator)
    first = split(v)
    split(networklike(3, 6, generator))
    again = split(v)
    assert torch.equal(first.i_and, again.i_and)


def test_gap_is_certified_even_when_stopped_early(generator):
    v = networklike(2, 7, generator)
    with pytest.warns(PrecisionWarning, match="2 of 2 tables"):
        early = split(v, max_iter=5, tol=1e-6)
    best = split(v, solver="lp").objective
    assert ((early.objective - best) / early.objective <= early.gap + 1e-9).all()
    assert (early.gap > 1e-6).all()
    assert "step limit" in early.status[0]


def test_the_laboratory_recipe_is_sub_gradient_descent(generator):
    v, g, d = (torch.randn(2, 8, generator=generator, dtype=torch.float64) for _ in range(3))
    g.requires_grad_()
    d.requires_grad_()
    i_and, i_or = _interactions_with_graph(v, g, d)
    ours = _interactions(v, g.detach(), d.detach())
    torch.testing.assert_close(ours[0], i_and.detach())
    torch.testing.assert_close(ours[1], i_or.detach())
    (i_and.abs().sum() + i_or.abs().sum()).backward()
    by_and, by_or = _gradient(i_and.detach().sign(), i_or.detach().sign())
    torch.testing.assert_close(g.grad, by_and - by_or)
    torch.testing.assert_close(d.grad, -(by_and + by_or) / 2)


def _interactions_with_graph(v, g, d):
    zeta = torch.from_numpy(oracles.explanation_matrix(3)[:, :8])
    mobius = torch.linalg.inv(zeta)
    v_and, v_or = (v - d) / 2 + g, (v - d) / 2 - g
    i_and, i_or = v_and @ mobius.T, -(v_or.flip(-1) @ mobius.T)
    first = torch.eye(8, dtype=torch.float64)[0]
    return i_and + v_or[:, :1] * first, i_or * (1 - first)


def test_the_laboratory_recipe_comes_down_but_not_to_the_optimum(generator):
    v = networklike(2, 5, generator)
    short, long = (split(v, solver="sgd-paper", max_iter=k, rates=(1e-3,)) for k in (50, 2000))
    assert (long.objective < short.objective).all()
    assert (split(v).objective <= long.objective * (1 + 1e-3)).all()
    assert (long.gap < short.gap).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_tables_are_refused(value):
    v = torch.zeros(3, 8)
    v[1, 5] = value
    with pytest.raises(NonFiniteError, match=r"table 1 .* subset 5, players \[0, 2\] present"):
        split(v)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "simplex"}, "'admm', 'lp' or 'sgd-paper'"),
        ({"tol": 0.0}, "`tol`"),
        ({"max_iter": 0}, "`max_iter`"),
        ({"order_weight": -0.1}, "`order_weight`"),
        ({"order_weight": float("nan")}, "`order_weight`"),
        ({"tol": 0.03}, "order_weight / n or less"),
        ({"tol": 2e-3, "order_weight": 1e-3}, "order_weight / n or less"),
        ({"tol": "fine"}, 'a number or "auto"'),
        ({"noise_bound": -0.1}, "`noise_bound`"),
        ({"noise_bound": float("nan")}, "`noise_bound`"),
        ({"rates": ()}, "`rates`"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        split(torch.rand(8), **options)


def test_shapes_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"2\*\*n"):
        split(torch.zeros(6))
    with pytest.raises(ShapeError, match="noise_bound"):
        split(torch.zeros(3, 8), noise_bound=torch.zeros(2))
    with pytest.raises(TooLargeError, match="at most 11"):
        split(torch.zeros(2**12), solver="lp")


def test_small_and_empty_batches():
    assert split(torch.tensor([4.0])).i_and.tolist() == [4.0]
    assert split(torch.zeros(0, 8)).i_and.shape == (0, 8)


def test_problem_names_its_gap_relative_to_the_objective():
    problem = Problem.weighted(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 1), 0.0)
    assert float(problem.relative_gap(torch.tensor([2.0]), torch.tensor([1.5]))) == 0.25
