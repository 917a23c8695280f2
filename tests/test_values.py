"""The nouns: verbs of the result, shapes, conversion at the door."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch

from interdyn.errors import InputError, ShapeError
from interdyn.sparsify import identified, split
from interdyn.values import (
    Selection,
    Term,
    Trajectory,
    ValueTable,
    as_tensor,
    like,
    members,
    orders,
    subset_from_members,
    subset_masks,
    tensors_of,
)


@pytest.fixture
def found(generator):
    return split(torch.randn(3, 16, generator=generator, dtype=torch.float64), unit="log-odds")


def test_lattice_agrees_with_itself():
    masks = subset_masks(5)
    assert masks.shape == (32, 5)
    for subset in range(32):
        assert members(subset) == tuple(np.flatnonzero(masks[subset]))
        assert subset_from_members(members(subset), 5) == subset
        assert orders(5)[subset] == masks[subset].sum()
    assert not masks.flags.writeable
    assert not orders(5).flags.writeable


def test_lattice_refuses_players_that_are_not_there():
    with pytest.raises(InputError, match=r"0\.\.3; got 4"):
        subset_from_members((0, 4), 4)
    with pytest.raises(InputError, match="once"):
        subset_from_members((1, 1), 4)


def test_pairs_and_samples(found):
    pair = found[(3, 0)]
    torch.testing.assert_close(pair.i_and, found.i_and[:, 0b1001])
    torch.testing.assert_close(pair.i_or, found.i_or[:, 0b1001])
    assert torch.equal(found[0, 3].i_and, pair.i_and)  # Python hands both spellings over alike
    one = found[1]
    assert one.i_and.shape == (16,)
    assert one.gap.shape == ()
    assert one.status == found.status[1]
    torch.testing.assert_close(one.residual, found.residual[1])
    assert len(found) == len(list(found)) == 3
    assert found[1:].i_or.shape == (2, 16)
    assert one.unit == "log-odds"
    with pytest.raises(InputError, match="a single table"):
        one[0]
    with pytest.raises(TypeError):
        len(one)


def test_get_n_order(found):
    two = found.get_n_order(2)
    k = torch.from_numpy(orders(4).copy())
    assert torch.equal(two.i_and, torch.where(k == 2, found.i_and, 0))
    assert torch.equal(two.i_or, torch.where(k == 2, found.i_or, 0))
    with pytest.raises(InputError, match=r"0\.\.4; got 5"):
        found.get_n_order(5)


def test_get_top_k(found):
    top = found.get_top_k(5)
    for i in range(3):
        both = torch.cat([found.i_and[i, 1:], found.i_or[i, 1:]]).abs()
        kept = torch.cat([top.i_and[i, 1:], top.i_or[i, 1:]])
        strongest = both.topk(5).values
        torch.testing.assert_close(kept.abs()[kept != 0].sort(descending=True).values, strongest[strongest > 0])
        assert top.i_and[i, 0] == 0
    assert torch.equal(found.get_top_k(10**6).i_and[:, 1:], found.i_and[:, 1:])
    with pytest.raises(InputError, match="`k`"):
        found.get_top_k(-1)


def test_terms_by_falling_strength(found):
    terms = found[0].terms(4)
    assert [abs(t.value) for t in terms] == sorted((abs(t.value) for t in terms), reverse=True)
    for kind, players, value in terms:
        pair = found[0][players]
        assert value == float(pair.i_and if kind == "and" else pair.i_or)
    assert isinstance(terms[0], Term)
    assert "players" in repr(found[0].top(2))
    with pytest.raises(InputError, match="one sample"):
        found.terms()


def test_sparsify_keeps_the_constant(found):
    kept = found.sparsify(0.5)
    assert isinstance(kept, Selection)
    assert torch.equal(kept.i_and[:, 0], found.i_and[:, 0])
    assert ((kept.i_and[:, 1:].abs() >= 0.5) | (kept.i_and[:, 1:] == 0)).all()


def test_records_are_frozen_and_say_what_they_hold(found):
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.unit = "nats"
    assert "n=4" in repr(found)
    assert "log-odds" in repr(found)
    table = ValueTable(torch.zeros(2, 8), unit="nats")
    assert table.n_players == 3
    assert "n=3" in repr(table)
    with pytest.raises(ShapeError):
        _ = ValueTable(torch.zeros(2, 7)).n_players


# -- names of players --------------------------------------------------------------------------------


def test_names_follow_samples_and_are_what_is_printed(found):
    rows = [["a", "b", "c", "d"], ["e", "f"], ["i", "j", "k", "l"]]
    each, shared = dataclasses.replace(found, names=rows), dataclasses.replace(found, names=rows[0])
    assert each[1].names == ("e", "f", "", "")
    assert each[1:].names == (("e", "f", "", ""), ("i", "j", "k", "l"))
    assert each[torch.tensor([2, 0])].names == (("i", "j", "k", "l"), ("a", "b", "c", "d"))
    assert each[torch.tensor([False, True, True])][-1].names == ("i", "j", "k", "l")
    assert [one.names[0] for one in each] == ["a", "e", "i"]
    assert shared[2].names == shared[:2].names == ("a", "b", "c", "d")
    assert each.get_top_k(2).names == each.sparsify(0.1).names == each.names
    first = each[2].top(1)
    assert ", ".join("ijkl"[p] for p in first[0].players) in repr(first)
    assert copy.copy(first).names == pickle.loads(pickle.dumps(first)).names == first.names
    assert first[0].players == found[2].top(1)[0].players
    second = each[1].top(3)
    assert [who for _, who, _ in second.labelled()] == [[("e", "f", "2", "3")[p] for p in t.players] for t in second]


@pytest.mark.parametrize("names", [["a"], [["a"]], [["a"] * 5] * 3, [["a", "b", "c", "d"]] * 4])
def test_names_that_do_not_fit_are_refused(found, names):
    with pytest.raises(ShapeError, match="`names`"):
        dataclasses.replace(found, names=names)
    with pytest.raises(ShapeError, match="`names`"):
        ValueTable(torch.zeros(3, 16), names=names)


def test_a_single_table_takes_one_row_of_names(found):
    with pytest.raises(ShapeError, match="one row of them for each sample"):
        dataclasses.replace(found[0], names=[["a", "b", "c", "d"]])


# -- devices -----------------------------------------------------------------------------------------


def test_all_tensors_of_a_record_move_together(found):
    ranges = identified(found[:2], strongest=2)
    whole = dataclasses.replace(found[:2], identified=ranges, names=("a", "b", "c", "d"))
    there = whole.to("meta")
    assert {x.device.type for x in tensors_of(there).values()} == {"meta"}
    assert tensors_of(there).keys() == tensors_of(whole).keys()
    assert len(tensors_of(there)) == 6 + 12 + 3
    assert (there.names, there.unit, there.settings) == (whole.names, whole.unit, whole.settings)
    assert whole.i_and.device.type == "cpu"
    assert ValueTable(torch.zeros(2, 8), "nats").to("meta").values.is_meta


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_results_go_to_a_graphics_card_and_back(found):
    back = found.to("cuda").to("cpu")
    assert torch.equal(back.i_and, found.i_and)
    assert found.to("cuda")[0].top(2) == found[0].top(2)


def test_trajectory_means_and_shapes():
    strength = np.array([[[1.0, 3.0], [1.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]])
    path = Trajectory(np.array([0.0, 1.0]), strength)
    np.testing.assert_allclose(path.distribution, [[0.25, 0.75], [0, 0]])
    np.testing.assert_allclose(path.mean_order, [1.75, np.nan])
    with pytest.raises(ShapeError, match="strength"):
        Trajectory(np.array([0.0]), strength)
    with pytest.raises(ShapeError, match="train_loss"):
        Trajectory(np.array([0.0, 1.0]), strength, train_loss=np.zeros(3))


def test_conversion_at_the_door():
    array = np.arange(4.0)
    tensor = as_tensor(array)
    assert tensor.data_ptr() == array.ctypes.data  # shared, not copied
    assert as_tensor(array[::-1]).tolist() == [3, 2, 1, 0]
    frozen = np.arange(4.0)
    frozen.setflags(write=False)
    assert as_tensor(frozen).tolist() == [0, 1, 2, 3]
    assert as_tensor([1, 2]).dtype == torch.float64
    assert as_tensor(np.array([True])).dtype == torch.float64
    assert isinstance(like(tensor, array), np.ndarray)
    assert like(tensor, torch.zeros(1)) is tensor
    with pytest.raises(InputError, match="numeric"):
        as_tensor(np.array(["a"]))
