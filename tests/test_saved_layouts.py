"""Saved networks beside other objects, under wrappers, averaged, in folders; and what is none."""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from interdyn.errors import CheckpointError, InputError, InputWarning
from interdyn.tracking import load_network
from saved_networks import network, part_of, reads


class Config:
    """A class of the project that trained, which whoever reads its files may not have."""

    def __init__(self):
        self.rate, self.root = 0.1, Path("/data")


class State(dict):
    """A dictionary of a class of its own."""


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_neighbours_of_the_weights_are_never_made(tmp_path, protocol, zipped, monkeypatch):
    made = []
    monkeypatch.setattr(Config, "__setstate__", lambda *_: made.append(1), raising=False)
    content = {
        "state_dict": network().state_dict(),
        "args": argparse.Namespace(lr=0.1),
        "config": Config(),
        "criterion": nn.functional.cross_entropy,
        "best": np.float64(0.5),
        "history": np.arange(3.0),
        "root": Path("/data"),
        "words": {"a", "b"},
        "iteration": np.int64(7),
    }
    torch.save(content, tmp_path / "last.pth.tar", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert reads(tmp_path / "last.pth.tar", network(), step=7)
    assert part_of(tmp_path) == "raw weights `state_dict`"
    assert not made


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("zipped", [True, False])
def test_objects_that_hold_the_weights_are_read_as_what_they_hold(tmp_path, zipped):
    holder = Config()
    holder.model = State(network().state_dict())
    holder.step = torch.tensor(40)
    torch.save(holder, tmp_path / "state.pt", _use_new_zipfile_serialization=zipped)
    assert reads(tmp_path / "state.pt", network(), step=40)
    torch.save(network(), tmp_path / "whole.pt", _use_new_zipfile_serialization=zipped)
    assert reads(tmp_path / "whole.pt", network())
    torch.save({"model": network(), "epoch": 3}, tmp_path / "yolo.pt", _use_new_zipfile_serialization=zipped)
    assert reads(tmp_path / "yolo.pt", network(), step=3)
    scripted = torch.jit.script(network())
    scripted.save(str(tmp_path / "scripted.pt"))
    assert reads(tmp_path / "scripted.pt", network())


def test_types_and_views_of_tensors_are_read_as_torch_reads_them(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    net = nn.Module()
    for number, tensor in enumerate(
        [base.T, base[1:3, ::2], base.half(), base.bfloat16(), base.long(), base > 3, base.to(torch.float8_e4m3fn),
         base.to(torch.complex64), torch.zeros(0, 3), torch.tensor(2.5), base.expand(2, 4, 6), base.to(torch.uint16)]
    ):  # fmt: skip
        net.register_buffer(f"b{number}", tensor)
    net.weight = nn.Parameter(base.clone())
    for zipped in (True, False):
        torch.save(net.state_dict(), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
        other = nn.Module()
        for name, tensor in net.state_dict().items():
            other.register_buffer(name, torch.zeros(tensor.shape, dtype=tensor.dtype))
        load_network(tmp_path / "w.pt", other)
        for name, tensor in net.state_dict().items():
            wide = torch.complex128
            assert torch.equal(other.state_dict()[name].to(wide), tensor.to(wide)), name


WRAPPED = {
    "compiled": lambda net: torch.compile(net, backend="eager"),
    "parallel": nn.DataParallel,
    "both": lambda net: nn.DataParallel(torch.compile(net, backend="eager")),
}


@pytest.mark.parametrize("inside", [*WRAPPED, "part"])
@pytest.mark.parametrize("outside", [*WRAPPED, "part", "plain"])
def test_wrappers_count_on_neither_side(tmp_path, inside, outside):
    def wrapped(net, how):
        if how == "part":
            net[3] = WRAPPED["compiled"](net[3])
            return net
        return net if how == "plain" else WRAPPED[how](net)

    torch.save({"model": wrapped(network(), inside).state_dict()}, tmp_path / "step_1.pt")
    assert reads(tmp_path / "step_1.pt", network(), into=wrapped(network(5), outside))


def test_a_wrapper_of_recomputation_counts_on_neither_side(tmp_path):
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    net = network()
    names = net.state_dict()
    net[0] = checkpoint_wrapper(net[0])
    torch.save({f"net.{name}": value for name, value in net.state_dict().items()}, tmp_path / "step_1.pt")
    assert reads(tmp_path / "step_1.pt", network())
    torch.save(
        {name.replace("3.", "3._checkpoint_wrapped_module."): x for name, x in names.items()}, tmp_path / "a_1.pt"
    )
    assert reads(tmp_path / "a_1.pt", network(), into=net.train(False))


def test_the_network_may_be_wrapped_where_the_file_is_not_and_own_names_like_wrappers_stay(tmp_path):
    class Holder(nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.module, self.model = network(seed), network(seed + 1)

    holder = Holder(0)
    torch.save(holder.state_dict(), tmp_path / "own.pt")
    assert reads(tmp_path / "own.pt", holder, into=Holder(5))
    outer = nn.Module()
    outer.net = network(5)
    torch.save(network().state_dict(), tmp_path / "inner.pt")
    load_network(tmp_path / "inner.pt", outer)
    assert torch.equal(outer.net[0].weight, network()[0].weight)


def test_averages_are_taken_where_there_is_nothing_else_and_told(tmp_path):
    ema = torch.optim.swa_utils.AveragedModel(network(1))
    torch.save(ema.state_dict(), tmp_path / "step_1.pt")
    with pytest.warns(InputWarning, match="averaged weights"):
        assert reads(tmp_path / "step_1.pt", network(1))
    assert part_of(tmp_path) == "averaged weights"
    for raw, average in (("state_dict", "state_dict_ema"), ("model", "ema"), ("online_model", "ema_model")):
        content = {average: network(1).state_dict(), raw: network(0).state_dict(), "step": 5}
        torch.save(content, tmp_path / "step_1.pt")
        assert reads(tmp_path / "step_1.pt", network(0), step=5)
        assert part_of(tmp_path) == f"raw weights `{raw}`"
        del content[raw]
        torch.save(content, tmp_path / "step_1.pt")
        with pytest.warns(InputWarning, match=f"averaged weights `{average}`"):
            assert reads(tmp_path / "step_1.pt", network(1), step=5)


def test_of_two_networks_that_fit_none_is_guessed(tmp_path):
    torch.save({"critic": {"q1": network(0).state_dict(), "q2": network(1).state_dict()}}, tmp_path / "step_1.pt")
    with pytest.raises(CheckpointError, match=r"`critic\.q1` and `critic\.q2` both do"):
        load_network(tmp_path / "step_1.pt", network())
    same = network(0).state_dict()
    torch.save({"critic": {"q1": same, "q2": same}}, tmp_path / "step_1.pt")
    assert reads(tmp_path / "step_1.pt", network(0))
    torch.save(
        {"net": network(0).state_dict(), "optimizer": {"exp_avg": network(1).state_dict()}}, tmp_path / "step_1.pt"
    )
    assert reads(tmp_path / "step_1.pt", network(0))


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "/etc/passwd", "a/../../b.safetensors", "C:\\x", "", 3, None]
)
def test_an_index_names_files_of_its_folder_alone(tmp_path, name):
    save_file(network().state_dict(), tmp_path / "outside.safetensors")
    (tmp_path / "saved").mkdir()
    index = tmp_path / "saved" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(network().state_dict(), name)}))
    with pytest.raises(CheckpointError, match=r"outside its folder|does not say where"):
        load_network(tmp_path / "saved", network())


def test_weights_of_old_files_of_lazy_layers_and_of_tensors_beside_them(tmp_path):
    old = {name: value for name, value in network().state_dict().items() if "num_batches" not in name}
    torch.save(old, tmp_path / "step_1.pt")
    assert reads(tmp_path / "step_1.pt", network())

    class Extra(nn.Linear):
        def get_extra_state(self):
            return {"scale": self.scale}

        def set_extra_state(self, state):
            self.scale = state["scale"]

    layer, other = Extra(2, 2), Extra(2, 2)
    layer.scale, other.scale = 3.0, 1.0
    torch.save({"state_dict": layer.state_dict()}, tmp_path / "step_1.pt")
    load_network(tmp_path / "step_1.pt", other)
    assert other.scale == 3.0
    lazy = nn.Sequential(nn.LazyLinear(7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 2))
    torch.save(network().state_dict(), tmp_path / "step_1.pt")
    assert reads(tmp_path / "step_1.pt", network(), into=lazy)


def test_what_is_no_network_is_refused_in_words(tmp_path):
    (tmp_path / "notes.pt").write_text("no weights")
    with pytest.raises(CheckpointError, match=re.escape("it is not a file of `torch.save`")):
        load_network(tmp_path / "notes.pt", network())
    with pytest.raises(CheckpointError, match="no longer exists"):
        load_network(tmp_path / "absent.pt", network())
    with pytest.raises(InputError, match=r"must be a torch\.nn\.Module"):
        load_network(tmp_path / "notes.pt", lambda x: x)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="it has no tensors"):
        load_network(tmp_path / "list.pt", network())
    torch.save({"config": Config()}, tmp_path / "config.pt")
    with pytest.raises(CheckpointError, match=r"objects that are not read \(.*Config"):
        load_network(tmp_path / "config.pt", network())
    complex_ones = {name: value.to(torch.complex64) for name, value in network().state_dict().items()}
    torch.save(complex_ones, tmp_path / "complex.pt")
    with pytest.raises(CheckpointError, match="has type complex64, not float32"):
        load_network(tmp_path / "complex.pt", network())
