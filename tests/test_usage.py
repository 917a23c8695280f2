"""What a network uses over many samples: matched by name, against the definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from interdyn.errors import InputError, ShapeError
from interdyn.spectra import Matched, Usage, salience_threshold, usage
from oracles import usage_by_definition
from test_spectra import interactions, random_interactions

WORDS = ("a", "b", "c", "d", "e")


@st.composite
def worlds(draw):
    """Tables of a few samples with two or three players each, drawn from five names; some samples have fewer."""
    samples, n = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    names = [tuple(draw(st.permutations(WORDS))[:n]) for _ in range(samples)]
    names = [row if draw(st.booleans()) else (*row[:-1], "") for row in names] if n > 1 else names
    entries = st.lists(st.sampled_from([0.0, 0.5, -0.5, 1.0, -2.0, 3.0]), min_size=2**n, max_size=2**n)
    i_and, i_or = (np.array([draw(entries) for _ in range(samples)]) for _ in range(2))
    others = draw(st.sampled_from([None, "each", "all"]))
    if others is not None:
        others = [WORDS if others == "all" else draw(st.lists(st.sampled_from(WORDS))) for _ in range(samples)]
    return i_and, i_or, names, others


@settings(deadline=None, max_examples=80, derandomize=True)
@given(worlds(), st.integers(1, 3))
def test_usage_is_its_definition(world, least):
    i_and, i_or, names, others = world
    tau = np.full(len(names), 0.75)
    expected = usage_by_definition(i_and, i_or, names, tau, others)
    kept = {}
    for key, row in expected.items():
        told = [value for value in row if value is not None]
        if len(told) >= min(least, len(names)):
            kept[key] = (row, sum(map(abs, told)) / len(told), sum(v != 0 for v in told) / len(told), len(told))
    found = Matched(names, others=others).usage(i_and, i_or, threshold=tau, k=1000, least=least)
    got = dict(zip(zip(found.kinds, map(frozenset, found.players), strict=True), range(len(found)), strict=True))
    assert got.keys() == kept.keys()
    for key, (row, mean, share, seen) in kept.items():
        at = got[key]
        np.testing.assert_array_equal(found.value[:, at], [np.nan if value is None else value for value in row])
        assert found.mean[at] == pytest.approx(mean)
        assert found.share[at] == pytest.approx(share)
        assert found.seen[at] == seen
        assert found.positive[at] - found.negative[at] == pytest.approx(mean)
    assert np.all(np.diff(found.mean) <= 1e-12)
    few = Matched(names, others=others).usage(i_and, i_or, threshold=tau, k=2, least=least)
    np.testing.assert_array_equal(few.value, found.value[:, :2])


def test_of_a_result_the_names_are_its_own_or_those_given():
    found = random_interactions(3, 6)
    names = [tuple("abcdefgh"[i : i + 3]) for i in range(6)]
    tau = salience_threshold(found).numpy()
    by_name, by_number = usage(found, names=names, k=500, least=1), usage(found, k=500, least=1)
    assert len(by_name) == len(usage_by_definition(found.i_and.numpy(), found.i_or.numpy(), names, tau))
    rows = [tuple(f"player {i}" for i in range(3))] * 6
    expected = usage_by_definition(found.i_and.numpy(), found.i_or.numpy(), rows, tau)
    assert {frozenset(who) for who in by_number.players} == {who for _, who in expected}
    assert usage(found, k=3).value.shape == (6, 3)


def test_players_drawn_for_each_sample_need_names():
    from dataclasses import replace

    found = replace(random_interactions(2, 4), settings={"players": "patches(4, 4).choose(2, seed=0, others='keep')"})
    with pytest.raises(InputError, match="Pass `names`, a row for each sample"):
        usage(found)
    assert len(usage(found, names=[("a", "b")] * 4))
    assert len(usage(found[:1], least=1))
    with pytest.raises(InputError, match=r"of one with `found\.top\(\)`"):
        usage(found[0])
    with pytest.raises(ShapeError, match="a row for each sample"):
        Matched([("a", "b"), ("a",)])
    with pytest.raises(ShapeError):
        Matched([])


def test_a_word_that_stands_twice_is_two_players():
    found = Matched([("the", "the")]).usage(
        np.array([[0.0, 1.0, 2.0, 3.0]]), np.zeros((1, 4)), threshold=np.zeros(1), least=1
    )
    assert found.players == (("the", "the (2)"), ("the (2)",), ("the",))


def test_one_class_alone_has_its_own_means():
    value = np.array([[3.0, np.nan], [-1.0, 0.0], [0.0, 2.0], [np.nan, 2.0]])
    found = Usage(("and", "or"), (("a",), ("b", "c")), value, "nat")
    one = found.of(np.array([True, True, False, False]))
    assert one.mean.tolist() == [2.0, 0.0]
    assert one.seen.tolist() == [2, 1]
    assert found.by_share().players == (("a",), ("b", "c"))  # the same share: the stronger first
    assert found.of(np.array([2, 3])).by_share().players[0] == ("b", "c")
    assert [row["kind"] for row in found.rows()] == ["and", "or"]
    assert found.of(np.zeros(4, dtype=bool)).mean.tolist() == [0.0, 0.0]


def test_hundreds_of_classes_names_and_salient_interactions():
    long = ["x" * 300, "שלום עולם", "日本語の単語", *(f"column {i}" for i in range(9))]
    rng = np.random.default_rng(0)
    i_and, i_or = rng.standard_normal((2, 3, 2**12))
    found = Matched([long] * 3).usage(i_and, i_or, threshold=np.zeros(3), k=5000)
    assert len(found) == 5000
    assert {"שלום עולם", "日本語の単語", "x" * 300} <= {name for who in found.players for name in who}
    assert torch.allclose(torch.tensor(found.mean[0]), torch.tensor(np.abs(found.value[:, 0]).mean()))


def test_nothing_salient_is_nothing():
    found = usage(interactions(torch.zeros(2, 4), torch.zeros(2, 4)))
    assert len(found) == 0
    assert found.mean.shape == (0,)
    assert "players" in repr(found)


def test_players_that_are_drawn_are_called_by_their_places():
    from interdyn import measure
    from interdyn.players import columns, patches

    grid = patches(4, 5).central(2, 3).choose(4, seed=3)
    x = torch.rand(5, 1, 8, 10)
    found = measure(lambda x: x.sum(dim=(1, 2, 3)), x, players=grid, output="regression")
    cells, mask = grid.cells((1, 8, 10)), grid.feature_mask((1, 8, 10), range(5))
    for i, row in enumerate(found.names):
        places = [int(cells[0][mask[i, 0] == player].unique()) for player in range(4)]
        assert row == tuple(f"row {p // 5 + 1} column {p % 5 + 1}" for p in places)
    assert all(name.startswith("row ") for who in usage(found, least=1).players for name in who)
    table = torch.rand(3, 6)
    two = measure(lambda x: x.sum(dim=1), table, players=columns().choose(2), output="regression")
    assert {name for row in two.names for name in row} <= {f"column {i}" for i in range(1, 7)}
    assert measure(lambda x: x.sum(dim=1), table, players=columns(), output="regression").names == ()
