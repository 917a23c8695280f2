"""Saved networks that are torn, damaged or hostile: read right, or refused in words of ours."""

import contextlib
import io
import json
import pickle
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.torch import save_file
from torch import nn

import fuzz_saved
from interdyn.errors import CheckpointError
from interdyn.tracking import find_checkpoints, load_network
from interdyn.tracking._pickled import Stub, interpreted

CHECKED = ("zip", "distributed")  # layouts with checksums, in which no flipped bit passes for a weight


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))


def content():
    return {"model": network().state_dict(), "step": 7, "args": pathlike(), "ema": network(1).state_dict()}


def pathlike():
    import argparse

    return argparse.Namespace(rate=0.1, seen={1, 2}, names=["a"] * 3)


def saved(folder, layout):
    """Save a network; return what to load, and the files that may be damaged."""
    if layout == "safetensors":
        save_file(network().state_dict(), folder / "w.safetensors", metadata={"step": "7"})
        return folder / "w.safetensors", [folder / "w.safetensors"]
    if layout == "distributed":
        import torch.distributed.checkpoint as distributed

        distributed.save({"model": network().state_dict(), "step": 7}, checkpoint_id=folder / "w", no_dist=True)
        return folder / "w", [folder / "w" / ".metadata", *sorted((folder / "w").glob("*.distcp"))]
    if layout == "index":
        save_file(network().state_dict(), folder / "a.safetensors")
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": dict.fromkeys(network().state_dict(), "a.safetensors")}))
        return folder, [index, folder / "a.safetensors"]
    torch.save(content(), folder / "w.pt", _use_new_zipfile_serialization=layout == "zip")
    return folder / "w.pt", [folder / "w.pt"]


def outcome(path):
    """Return whether the weights were read; words of another library than ours end the test."""
    other = network(5)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    try:
        load_network(path, other)
    except CheckpointError as error:
        said = str(error)
    else:
        return other.state_dict()
    assert said.count("; got ") == 1
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", ["zip", "legacy", "safetensors", "distributed", "index"])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_read_right_or_refused(tmp_path_factory, layout, data):
    folder = tmp_path_factory.mktemp("saved")
    path, files = saved(folder, layout)
    file = data.draw(st.sampled_from(files))
    raw = bytearray(file.read_bytes())
    kind = data.draw(st.sampled_from(["cut", "flip", "flip", "zeros", "noise"]))
    at = data.draw(st.integers(0, len(raw) - 1))
    if kind == "cut":
        raw = raw[:at]
    elif kind == "flip":
        raw[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        size = data.draw(st.integers(1, 64))
        put = bytes(size) if kind == "zeros" else data.draw(st.binary(min_size=size, max_size=size))
        raw[at : at + size] = put[: max(0, len(raw) - at)]
    whole = file.read_bytes() == bytes(raw)
    file.write_bytes(bytes(raw))
    found = outcome(path)
    find_checkpoints(folder, network())
    right = found is not None and all(torch.equal(found[name], value) for name, value in network().state_dict().items())
    assert right or not whole
    if found is not None and (layout in CHECKED or kind == "cut"):
        assert right


def test_every_length_of_every_layout(tmp_path):
    for layout in ("zip", "legacy", "safetensors"):
        path, (file,) = saved(tmp_path, layout)
        raw = file.read_bytes()
        for length in range(0, len(raw), 37):
            file.write_bytes(raw[:length])
            assert outcome(path) is None, (layout, length)


def test_a_checksum_guards_each_weight_unless_there_is_none(tmp_path):
    torch.save(network().state_dict(), tmp_path / "w.pt")
    raw = bytearray((tmp_path / "w.pt").read_bytes())
    at = raw.find(network()[0].weight.detach().numpy().tobytes())
    raw[at + 5] ^= 1
    (tmp_path / "w.pt").write_bytes(raw)
    with pytest.raises(CheckpointError, match="a tensor is damaged: its checksum differs"):
        load_network(tmp_path / "w.pt", network())
    torch.serialization.set_crc32_options(compute_crc32=False)
    try:
        torch.save(network().state_dict(), tmp_path / "w.pt")
    finally:
        torch.serialization.set_crc32_options(compute_crc32=True)
    assert outcome(tmp_path / "w.pt") is not None


@given(st.binary(max_size=300))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_a_pickle_or_refused(raw):
    with contextlib.suppress(ValueError):
        interpreted(io.BytesIO(raw), {}, lambda said: said)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=30,
)


@given(plain, st.integers(0, 5))
@settings(deadline=None)
def test_plain_things_are_what_pickle_makes_of_them(value, protocol):
    makes = {"_codecs.encode": lambda text, coding: text.encode(coding), "builtins.bytes": lambda *_: b""}
    makes["__builtin__.bytes"] = makes["builtins.bytes"]
    raw = pickle.dumps(value, protocol=protocol)
    assert interpreted(io.BytesIO(raw), makes, lambda _: None) == value


class Runs:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (exec, (f"open({str(self.mark)!r}, 'w')",))


def test_nothing_hostile_runs_hangs_or_fills_the_memory(tmp_path):
    mark = tmp_path / "executed"
    torch.save({"model": network().state_dict(), "a": Runs(mark), "b": {Runs(mark)}}, tmp_path / "w.pt")
    assert outcome(tmp_path / "w.pt") is not None
    assert not mark.exists()
    for text in (
        b"\x80\x04\x96" + (2**40).to_bytes(8, "little") + b".",  # a byte array of a terabyte
        b"\x80\x02r\xff\xff\xff\xff.",  # into the last place of the memory
        b"\x80\x04\x8b" + (2**31 - 1).to_bytes(4, "little") + b"\x01.",
        b"(" * 100_000,
        b"]" + b"2" * 50 + b".",
        b"\x82\x01.",
        b"cos\nsystem\n(S'true'\ntR.",
    ):
        try:
            found = interpreted(io.BytesIO(text), {}, lambda _: None)
        except ValueError:
            continue
        assert isinstance(found, Stub | list)
    doubled = b")" + b"2\x86" * 200 + b"."  # a pair of itself: 2**200 leaves, and as many steps to its hash
    assert interpreted(io.BytesIO(b"}" + doubled[:-1] + b"K\x01s."), {}, lambda _: None) == {}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", ["distributed", "stage 3", "zip"])
def test_absurd_numbers_names_without_end_and_code_in_what_says_where_weights_are(tmp_path, layout):
    """Each number of a pickle, each of its texts: sizes of terabytes are no memory, names of 2**60 parts no time."""
    path, files = fuzz_saved.layouts()[layout]
    for file, content in files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content)
    name = min(files)
    archive = None if name.endswith(".metadata") else zipfile.ZipFile(tmp_path / name)
    said = files[name] if archive is None else archive.read(next(n for n in archive.namelist() if "data.pkl" in n))
    parts, numbers, texts = fuzz_saved.opcodes(said)
    assert len(numbers) > 10
    assert len(texts) > 10
    absurd = [pickle.dumps(value, 2)[2:-1] for value in (2**40, -1, 2**70, 2**62)]
    code = fuzz_saved.hostile(tmp_path / "mark")
    put = [(at, absurd[i % len(absurd)]) for i, at in enumerate(numbers)]
    put += [(at, fuzz_saved.BOMB) for at in texts] + [(at, code[i % 2]) for i, at in enumerate(texts[::3])]
    for at, other in put:
        hurt = b"".join([*parts[:at], other, *parts[at + 1 :]])
        raw = hurt if archive is None else fuzz_saved.with_pickle(files[name], lambda _, hurt=hurt: hurt)
        (tmp_path / name).write_bytes(raw)
        net = fuzz_saved.network(5)
        with contextlib.suppress(CheckpointError):
            load_network(tmp_path / path, net)
        find_checkpoints(tmp_path, net)
        assert not (tmp_path / "mark").exists()


def test_what_a_module_keeps_beside_its_weights_is_made_once(tmp_path):
    class Extra(nn.Linear):
        kept = None

        def get_extra_state(self):
            return self.kept

        def set_extra_state(self, state):
            self.kept = state

    layer, other = Extra(2, 2), Extra(2, 2)
    layer.kept, other.kept = {"leaf": torch.ones(2)}, {}
    for _ in range(20):
        layer.kept = dict.fromkeys("abcd", layer.kept)  # a million million leaves
    torch.save(layer.state_dict(), tmp_path / "w.pt")
    load_network(tmp_path / "w.pt", other)
    assert other.kept["a"] is other.kept["d"]


def test_things_that_refer_to_themselves_or_to_one_thing_often_end(tmp_path):
    bomb = {"leaf": 1}
    for _ in range(40):
        bomb = dict.fromkeys("ab", bomb)
    round_about = {"model": network().state_dict()}
    round_about["self"] = round_about
    torch.save(round_about, tmp_path / "w.pt")
    assert outcome(tmp_path / "w.pt") is not None
    torch.save({"model": network().state_dict(), "bomb": bomb}, tmp_path / "w.pt")
    assert outcome(tmp_path / "w.pt") is not None
    turns = {"model": network().state_dict()}
    turns |= dict.fromkeys("abcd", turns)
    torch.save(turns, tmp_path / "w.pt")
    assert outcome(tmp_path / "w.pt") is not None


def test_archives_of_other_things(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match="compressed, or damaged"):
        load_network(tmp_path / "w.pt", network())
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as file:
        file.writestr("notes.txt", "hello")
    with pytest.raises(CheckpointError, match="zip archive of something else"):
        load_network(tmp_path / "w.pt", network())


def test_a_file_that_is_written_to_meanwhile_is_refused(tmp_path, monkeypatch):
    from interdyn.tracking import _checkpoints

    torch.save(network().state_dict(), tmp_path / "w.pt")
    read = _checkpoints.read_network

    def overtaken(path):
        found = read(path)
        torch.save(network(1).state_dict() | {"more": torch.ones(9)}, path)
        return found

    monkeypatch.setattr(_checkpoints, "read_network", overtaken)
    with pytest.raises(CheckpointError, match=r"cannot be read: .*\. If it is still being written"):
        load_network(tmp_path / "w.pt", network())
    other = network(5)
    monkeypatch.setattr(_checkpoints, "read_network", lambda path: (read(path), path.touch())[0])
    with pytest.raises(CheckpointError, match="it was written to meanwhile"):
        load_network(tmp_path / "w.pt", other)
    assert torch.equal(other[0].weight, network(5)[0].weight)


def test_only_the_weights_are_read_into_memory(tmp_path, monkeypatch):
    from interdyn.tracking import _weight_files

    read = []
    inner = _weight_files._Storage.read
    monkeypatch.setattr(_weight_files._Storage, "read", lambda self: read.append(id(self)) or inner(self))
    torch.save(content() | {"exp_avg": torch.zeros(10**6)}, tmp_path / "w.pt")
    load_network(tmp_path / "w.pt", network(5))
    assert len(read) == len(set(read)) == len(network().state_dict())
