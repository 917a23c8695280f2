"""Saved networks of every layout, and ways to damage them, down to what their pickles say."""

import io
import json
import pickle
import pickletools
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import nn

BOMB = b")" + b"2\x86" * 60  # a pair of itself, 60 times over: no memory, but no time is enough to write it as text
ABSURD = [0, -1, 1, 3, 2**31, 2**40, 2**62, 2**63, 2**64, 2**70, -(2**63), -(2**70)]
NAMES = ["", "..", "../x", "/etc/passwd", "a\0b", "\ud800", "C:\\x", "x" * 9000, "0.weight", "model", "__class__"]
OPENINGS = [bytes([code]) for code in b"N}])(012Q.tRbaesuo\x81\x85\x86\x87\x88\x8f\x90\x91\x92\x93\x94"]
OPENINGS += [b"h\x00", b"q\x00", b"Nq\xff", b"\x82\x01", b"I01\n", b"L" + b"9" * 5000 + b"L\n", b"G\x7f\xf0" + bytes(6)]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))


class Runs:
    """An object whose pickle leaves a mark when it is made."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return open, (self.mark, "w")


def hostile(mark):
    """Return the opcodes that put such an object on the stack, in the words of two protocols."""
    return [pickle.dumps(Runs(mark), 0)[:-1], pickle.dumps(Runs(mark), 2)[2:-1]]


def _torch_saved(tree, *, zipped=True):
    buffer = io.BytesIO()
    torch.save(tree, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _distributed(tree):
    import torch.distributed.checkpoint as distributed

    with TemporaryDirectory() as place:
        distributed.save(tree, checkpoint_id=f"{place}/w", no_dist=True)
        return {f"w/{file.name}": file.read_bytes() for file in Path(place, "w").iterdir()}


@cache
def layouts():
    """Return for each layout what is to be loaded, and its files."""
    weights = network().state_dict()
    tree = {"model": weights, "step": 7, "args": {"rate": 0.1, "seen": {1, 2}}, "ema": network(1).state_dict()}
    names = list(weights)
    halves = [{name: weights[name] for name in part} for part in (names[:3], names[3:])]
    shards = {f"model-0000{i}-of-00002.safetensors": save(half) for i, half in enumerate(halves, 1)}
    where = {name: shard for shard, half in zip(shards, halves, strict=True) for name in half}
    flat = torch.cat([p.detach().reshape(-1) for p in network().parameters()])
    stage_3 = {
        "module": {name: value for name, value in weights.items() if "running" in name or "num" in name},
        "buffer_names": [name for name in names if "running" in name or "num" in name],
        "param_shapes": [{name: p.shape for name, p in network().named_parameters()}],
        "global_steps": 7,
    }
    states = {
        "w/zero_pp_rank_0_mp_rank_00_model_states.pt": _torch_saved(stage_3),
        "w/zero_pp_rank_0_mp_rank_00_optim_states.pt": _torch_saved(
            {"optimizer_state_dict": {"fp32_flat_groups": [flat]}}
        ),
    }
    with TemporaryDirectory() as place:
        save_file(weights, f"{place}/w.safetensors", metadata={"step": "7"})
        plain = Path(place, "w.safetensors").read_bytes()
    return {
        "zip": ("w.pt", {"w.pt": _torch_saved(tree)}),
        "legacy": ("w.pt", {"w.pt": _torch_saved(tree, zipped=False)}),
        "whole": ("w.pt", {"w.pt": _torch_saved(network())}),
        "safetensors": ("w.safetensors", {"w.safetensors": plain}),
        "index": (".", {"model.safetensors.index.json": json.dumps({"weight_map": where}).encode(), **shards}),
        "shards": (".", shards),
        "distributed": ("w", _distributed({"model": weights, "step": 7})),
        "deepspeed": ("w", {"w/mp_rank_00_model_states.pt": _torch_saved({"module": weights, "global_steps": 7})}),
        "stage 3": ("w", states),
    }


def torn(data, content):
    """Return bytes cut short, with some changed, left out or put in, or others."""
    way = data.draw(st.sampled_from(["cut", "flip", "flip", "drop", "put", "other", "zeros"]))
    at = data.draw(st.integers(0, max(0, len(content) - 1)))
    if way == "cut":
        return content[:at]
    if way == "flip":
        return content[:at] + bytes([content[at] ^ 1 << data.draw(st.integers(0, 7))]) + content[at + 1 :]
    if way == "drop":
        return content[:at] + content[at + data.draw(st.integers(1, 99)) :]
    if way == "zeros":
        return content[:at] + bytes(64) + content[at + 64 :]
    more = data.draw(st.binary(min_size=1, max_size=40))
    return content[:at] + more + content[at:] if way == "put" else more


def opcodes(content):
    """Return the opcodes of a pickle with their arguments, and the places of those that are numbers and texts."""
    ops = list(pickletools.genops(content))
    ends = [place for _, _, place in ops[1:]] + [ops[-1][2] + 1]
    parts = [content[place:end] for (_, _, place), end in zip(ops, ends, strict=True)]
    numbers = [i for i, (op, _, _) in enumerate(ops) if "INT" in op.name or "LONG" in op.name]
    texts = [i for i, (op, _, _) in enumerate(ops) if "UNICODE" in op.name]
    return [*parts, content[ends[-1] :]], numbers, texts


def other_pickle(data, content, mark):
    """Return a pickle with opcodes left out, repeated, exchanged, put in, or with other numbers and names."""
    parts, numbers, texts = opcodes(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(parts) - 2))
        way = data.draw(st.sampled_from(["drop", "twice", "swap", "put", "hostile", "number", "number", "name"]))
        if way == "drop":
            parts[at] = b""
        elif way == "twice":
            parts[at] *= data.draw(st.sampled_from([2, 3, 200]))
        elif way == "swap":
            other = data.draw(st.integers(0, len(parts) - 2))
            parts[at], parts[other] = parts[other], parts[at]
        elif way in ("put", "hostile"):
            put = data.draw(st.sampled_from(OPENINGS if way == "put" else hostile(mark)))
            parts[at] = parts[at] + put if data.draw(st.booleans()) else put
        else:
            places, values = (numbers, ABSURD) if way == "number" else (texts, NAMES)
            if places:
                put = [*(pickle.dumps(value, 2)[2:-1] for value in values), BOMB]
                parts[data.draw(st.sampled_from(places))] = data.draw(st.sampled_from(put))
    return b"".join(parts)


def with_pickle(content, other):
    """Return an archive of `torch.save` with another pickle in it, and checksums that hold."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for record in old.infolist():
            raw = old.read(record)
            new.writestr(record.filename, other(raw) if record.filename.endswith("data.pkl") else raw)
    return out.getvalue()


def other_json(data, content):
    """Return an index with one name or file of it replaced."""
    where = json.loads(content)["weight_map"]
    odd = st.sampled_from([*NAMES, *where.values(), None, 3, [], {}, "model-00001-of-00002.safetensors/."])
    name = data.draw(st.sampled_from(sorted(where)))
    if data.draw(st.booleans()):
        where[name] = data.draw(odd)
    else:
        where[data.draw(st.sampled_from(NAMES))] = where.pop(name)
    return json.dumps({"weight_map": where}).encode()


def hurt(data, name, content, mark):
    """Return the bytes of a file damaged, as bytes or in what it says."""
    if data.draw(st.sampled_from([True, True, False])):
        if name.endswith(".metadata"):
            return other_pickle(data, content, mark)
        if name.endswith(".json"):
            return other_json(data, content)
        if content.startswith(b"PK"):
            return with_pickle(content, lambda raw: other_pickle(data, raw, mark))
    return torn(data, content)
