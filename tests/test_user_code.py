"""Errors of the user's own code go through as they are, the same object, with what was needed as a note on them."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import interdyn as ix
from interdyn.errors import ModelError, TooLargeError
from interdyn.game import game_function, value_table
from interdyn.game._user_code import Explained, attempted
from interdyn.players import columns, patches

C = columns()


class Odd(Exception):
    """An error that no library knows."""


@dataclass(frozen=True)
class Frozen(Exception):
    """An error that takes no notes."""

    code: int = 3


class Fails(nn.Module):
    """A network that raises an error, as soon as ``when`` holds for its input."""

    def __init__(self, error, when=lambda _: True):
        super().__init__()
        self.error, self.when = error, when

    def forward(self, x):
        if self.when(x):
            raise self.error[0]
        return x.sum(1)

    def __deepcopy__(self, memo):
        return Fails(self.error, self.when)  # the error in the list stays the same object


def notes(error):
    return getattr(error, "__notes__", [])


def by_measure(model):
    return ix.measure(model, torch.ones(3, 4), target=0, players=C)


def by_table(model):
    return value_table(model, torch.ones(3, 4), target=0, players=C)


def by_game(model):
    return game_function(model, torch.ones(1, 4), target=0, players=C)


def by_tracker(model):
    probe = torch.ones(3, 4), torch.tensor([0, 1, 0])
    return ix.Tracker(probe, players=C, budget=None, strict=True).observe(0, model)


WAYS = [by_measure, by_table, by_game, by_tracker]
KINDS = [Odd, RuntimeError, KeyError, StopIteration, ZeroDivisionError, OSError]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", KINDS)
def test_it_is_the_same_object_with_one_note(way, make):
    error = make("mine")
    for _ in range(2):  # the note is not put on it again
        with pytest.raises(make) as told:
            way(Fails([error]))
        assert told.value is error
        assert [entry.name for entry in told.traceback][-1] == "forward"
        (note,) = notes(error)
        assert note.startswith("interdyn: the model must accept inputs of shape (4,) (float32), ")
        assert f"it raised this {make.__name__} itself. Pass samples of the size" in note


@pytest.mark.parametrize("way", WAYS[:3])
@pytest.mark.parametrize("numpy", [False, True])
def test_of_a_function_that_is_called_in_several_ways_it_is_the_first(way, numpy, monkeypatch):
    seen = []

    def model(x):
        seen.append(type(x))
        raise Odd(f"call {len(seen)}")

    if numpy:
        monkeypatch.setattr(torch, "ones", lambda *shape: np.ones(shape))
    with pytest.raises(Odd, match="call 1") as told:
        way(model)
    assert len(set(seen)) == 2
    assert len(notes(told.value)) == 1


def test_one_that_comes_with_some_masks_only_has_the_note():
    error = Odd("mine")
    with pytest.raises(Odd) as told:
        by_measure(Fails([error], when=lambda x: bool((x.sum(1) == 2).any())))
    assert told.value is error
    assert "(4,) (float32), 48 in a batch" in notes(error)[0]


def test_an_error_that_takes_no_notes_goes_through_all_the_same():
    with pytest.raises(Frozen), Explained(lambda _: "words"):
        raise Frozen
    assert notes(Frozen()) == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_has_no_note(kind):
    with pytest.raises(kind) as told:
        by_measure(Fails([kind()]))
    assert notes(told.value) == []
    with pytest.raises(kind):
        attempted(lambda: (_ for _ in ()).throw(kind()))


def test_errors_of_ours_and_of_a_full_memory_have_none():
    for error in (ModelError("ours"), MemoryError(), torch.OutOfMemoryError("full")):
        with pytest.raises(type(error)) as told, Explained(lambda _: "words"):
            raise error
        assert notes(told.value) == []
    with pytest.raises(TooLargeError, match="one row of inputs must fit into memory"):
        by_measure(Fails([MemoryError("full")]))


def test_pictures_of_another_size_and_type():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 6 * 6, 3))
    with pytest.raises(RuntimeError, match="mat1 and mat2") as told:
        value_table(network, torch.ones(2, 1, 9, 9), target=0, players=patches(2, 2))
    assert "inputs of shape (1, 9, 9) (float32), 2 in a batch" in notes(told.value)[0]
    with pytest.raises(RuntimeError) as told:
        value_table(nn.Embedding(5, 3), torch.ones(2, 4), target=0, players=C)
    assert "(4,) (float32)" in notes(told.value)[0]


@pytest.mark.parametrize("options", [{}, {"batch_size": 1}])
def test_a_network_that_fails_in_another_batch_is_told_what_to_do(options):
    class Pairs(nn.Module):
        def forward(self, x):
            if len(x) < 3:
                raise Odd("three")
            return x.sum(1)

    with pytest.raises(Odd, match="three") as told:
        value_table(Pairs(), torch.ones(4, 4), target=0, players=C, **options)
    said = " ".join(notes(told.value))
    assert ("must not depend on the others in its batch; got this error for 2 of 4" in said) is (not options)
    assert "inputs of shape (4,)" in said


def test_functions_of_the_reading_are_named():
    x, network = torch.ones(2, 4), nn.Linear(4, 2)

    def fails(*_):
        raise Odd("mine")

    with pytest.raises(Odd) as told:
        value_table(network, x, players=C, output=fails)
    assert "interdyn: the function `output` must take" in notes(told.value)[0]
    with pytest.raises(Odd) as told:
        value_table(network, x, target=0, players=C, output_key=fails)
    assert "interdyn: the function `output_key` must take" in notes(told.value)[0]
    with pytest.raises(TypeError, match="positional argument") as told:
        value_table(network, x, players=C, output=lambda z: z)
    assert "(outputs, targets)" in notes(told.value)[0]
    for names in (fails, lambda _: 3):
        with pytest.raises((Odd, TypeError)) as told:
            value_table(network, x, target=0, players=C, names=names)
        assert "interdyn: the function `names` must take" in notes(told.value)[0]


def test_an_eval_that_fails_is_named():
    class Trains(nn.Linear):
        def train(self, mode=True):
            if not mode:
                raise Odd("never")
            return super().train(mode)

    network = Trains(4, 2)
    with pytest.raises(Odd, match="never") as told:
        value_table(network, torch.ones(2, 4), target=0, players=C)
    assert "by its own `eval()`" in notes(told.value)[0]
    assert network.training


def test_a_tracker_tells_both():
    probe = torch.ones(3, 4), torch.tensor([0, 1, 0])
    tracker = ix.Tracker(probe, players=C, budget=None)
    with pytest.warns(ix.errors.InterdynWarning, match=r"step 0: Odd: mine interdyn: the model must accept"):
        tracker.observe(0, Fails([Odd("mine")]))
    assert len(tracker.problems) == 1
