"""A training watched from another process: what it leaves on disk, in the formats people keep."""

import json
import subprocess
import sys
import threading
import time

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from interdyn import store
from interdyn.cli import main
from interdyn.errors import CheckpointError, InterdynWarning
from interdyn.measurement import History
from interdyn.players import columns
from interdyn.tracking import Tracker, every, find_checkpoints, load_network, watch
from stored import summary_of


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x):
        return self.layers(x)


def network(seed=0):
    torch.manual_seed(seed)
    return Net()


def samples(count=16, seed=3):
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] * x[:, 1] > 0).long()


def tracker(out=None):
    return Tracker(samples(), players=columns(), schedule=every(1), out=out, strict=True, budget=None)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def as_safetensors(net, path):
    save_file(net.state_dict(), path)


def as_state_dict(net, path):
    torch.save(net.state_dict(), path)


def as_training_state(net, path):
    torch.save({"model_state_dict": net.state_dict(), "optimizer_state_dict": {"lr": 0.1}, "step": 7}, path)


def as_compiled_and_parallel(net, path):
    torch.save({f"module._orig_mod.{name}": value for name, value in net.state_dict().items()}, path)


def as_hugging_face(net, path):
    path.mkdir()
    save_file(net.state_dict(), path / "model.safetensors")
    torch.save({"state": {}}, path / "optimizer.pt")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": 7}))


def as_shards(net, path):
    path.mkdir()
    items = list(net.state_dict().items())
    shards = {"a.safetensors": dict(items[:3]), "b.safetensors": dict(items[3:])}
    for name, part in shards.items():
        save_file(part, path / name)
    where = {key: name for name, part in shards.items() for key in part}
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


@pytest.mark.parametrize(
    ("write", "name", "told"),
    [
        (as_safetensors, "step_00000007.safetensors", None),
        (as_state_dict, "epoch=1-step=7.pth", None),
        (as_training_state, "latest.pt", 7),
        (as_compiled_and_parallel, "net_7.bin", None),
        (as_hugging_face, "checkpoint-7", 7),
        (as_shards, "checkpoint-7", None),
    ],
)
def test_every_format_is_read(tmp_path, write, name, told):
    net, other = network(0), network(1)
    write(net, tmp_path / name)
    (found,) = find_checkpoints(tmp_path)
    assert found.step == 7
    assert load_network(found.path, other) == told
    assert same(net, other)


def test_a_checkpoint_of_lightning_with_its_hooks_and_states(tmp_path):
    net, other = network(0), network(1)
    content = {
        "epoch": 1,
        "global_step": 42,
        "pytorch-lightning_version": "2.6.0",
        "state_dict": {f"network.{name}": value for name, value in net.state_dict().items()}
        | {"loss.weight": torch.ones(2)},
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(1.0)}},
    }
    torch.save(content, tmp_path / "last.ckpt")
    assert load_network(tmp_path / "last.ckpt", other) == 42
    assert same(net, other)


def test_weights_that_are_one_in_memory_may_be_one_on_disk(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

    save_file({"a.weight": torch.eye(3)}, tmp_path / "x_1.safetensors")
    net = Tied()
    load_network(tmp_path / "x_1.safetensors", net)
    assert torch.equal(net.b.weight, torch.eye(3))


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Bad:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'executed')!r}, 'w')",))

    torch.save({"state_dict": network().state_dict(), "extra": Bad()}, tmp_path / "step_1.pt")
    other = network(1)
    load_network(tmp_path / "step_1.pt", other)
    assert same(other, network())
    assert not (tmp_path / "executed").exists()


def test_another_network_and_a_half_written_file_are_refused(tmp_path):
    torch.save(nn.Linear(4, 2).state_dict(), tmp_path / "step_1.pt")
    with pytest.raises(CheckpointError, match=r"without `layers.* more; it has `weight`, `bias`"):
        load_network(tmp_path / "step_1.pt", network())
    wide = nn.Sequential(nn.Linear(4, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 2))
    torch.save({f"layers.{name}": value for name, value in wide.state_dict().items()}, tmp_path / "step_2.pt")
    with pytest.raises(CheckpointError, match=r"shape \(9, 4\) instead of \(8, 4\)"):
        load_network(tmp_path / "step_2.pt", network())
    whole = (tmp_path / "step_2.pt").read_bytes()
    (tmp_path / "step_3.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="still being written"):
        load_network(tmp_path / "step_3.pt", network())
    with pytest.raises(CheckpointError, match="which does not exist"):
        find_checkpoints(tmp_path / "absent")


def test_a_watch_sees_what_a_tracker_in_the_training_sees_and_goes_on_where_it_was(tmp_path):
    nets = {step: network(step) for step in (0, 5, 10)}
    inside = tracker()
    for step, net in nets.items():
        inside.observe(step, net)
    for step in (0, 5):
        as_state_dict(nets[step], tmp_path / f"step_{step}.pt")
    (tmp_path / "notes.txt").write_text("no weights")
    said = []
    with tracker(tmp_path / "run") as first:
        assert watch(tmp_path, network(9), first, once=True, say=said.append) == (0, 5)
    mapping = ["step 0: step_0.pt (its name; raw weights)", "step 5: step_5.pt (its name; raw weights)"]
    assert said[0].splitlines() == mapping
    assert len(said) == 3
    as_state_dict(nets[10], tmp_path / "step_10.pt")
    with tracker(tmp_path / "run") as second:
        assert watch(tmp_path, network(9), second, once=True, say=said.append) == (0, 5, 10)
        assert (second.trajectory.strength == inside.trajectory.strength).all()
    assert said[3] == "step 10: step_10.pt (its name; raw weights)"
    assert len(said) == 5
    assert summary_of(tmp_path / "run")["steps"] == [0, 5, 10]


def test_a_watch_follows_a_training_that_goes_on(tmp_path):
    as_state_dict(network(0), tmp_path / "step_0.pt")

    def later():
        time.sleep(0.3)
        half = tmp_path / "step_1.pt"
        half.write_bytes(b"half")
        time.sleep(0.3)
        as_state_dict(network(1), half)

    writer = threading.Thread(target=later)
    writer.start()
    seen = watch(tmp_path, network(9), tracker(), idle=2.0, poll=0.1)
    writer.join()
    assert seen == (0, 1)


def test_a_folder_without_networks_says_what_was_there(tmp_path):
    with pytest.raises(CheckpointError, match="no file of saved weights"):
        watch(tmp_path, network(), tracker(), once=True)
    as_state_dict(network(), tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"must state its step; got last\.pt"):
        watch(tmp_path, network(), tracker(), once=True)


def test_a_network_of_nan_is_said_and_the_watch_goes_on(tmp_path):
    bad = network()
    nn.init.constant_(bad.layers[0].weight, torch.nan)
    as_state_dict(bad, tmp_path / "step_0.pt")
    as_state_dict(network(), tmp_path / "step_1.pt")
    said = []
    loose = Tracker(samples(), players=columns(), schedule=every(1), budget=None)
    with pytest.warns(InterdynWarning, match="output must be finite"):
        assert watch(tmp_path, network(9), loose, once=True, say=said.append) == (1,)
    assert "step 0 was not measured" in said[1]


PROJECT = """
import torch
from torch import nn

def network():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

def data():
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] * x[:, 1] > 0).long()
    return {"test": (x[:20], y[:20]), "train": (x[20:], y[20:])}
"""


def test_the_command_in_another_process_measures_as_it_is_told(tmp_path):
    (tmp_path / "project.py").write_text(PROJECT)
    (tmp_path / "saved").mkdir()
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    for step in (0, 10, 20):
        as_state_dict(net, tmp_path / "saved" / f"step_{step}.pt")
    words = ["watch", "saved", "--model", "project:network", "--data", "project:data", "--once", "--samples", "8"]
    words += [
        "--noise-bound",
        "0.1",
        "--tol",
        "0.001",
        "--order-weight",
        "0.05",
        "--salience",
        "0.2",
        "--output",
        "logit",
    ]
    command = f"from interdyn.cli import main; main({words})"
    done = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "At step 20: no verdict on phases (the mean order is known at 3 of the 6 steps" in done.stdout, done.stdout
    run = store.open_run(tmp_path / "runs" / "watch-saved")
    measured = store.read_measurement(run, 10, group="test")
    told = {"noise_bound": 0.1, "tol": 0.001, "order_weight": 0.05}
    assert {key: measured.settings[key] for key in told} == told
    assert measured.unit == "logit"
    assert store.read_salience(run) == {"salience": 0.2, "salience_rule": "mean-effect"}
    summary = summary_of(run)
    assert summary["steps"] == [0, 10, 20]
    assert summary["n_players"] == 4
    assert None not in summary["test_loss"] + summary["train_accuracy"]


@pytest.mark.parametrize(("name", "loss"), [("train", "train_loss"), ("rare", None)])
def test_the_command_measures_groups_of_any_name_and_finds_losses_of_train_and_test(tmp_path, monkeypatch, name, loss):
    project = PROJECT.replace('"train": ', '"other": ').replace('"test": ', f'"{name}": ')
    (tmp_path / "groups_of.py").write_text(project)
    (tmp_path / "saved").mkdir()
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    as_state_dict(net, tmp_path / "saved" / "step_0.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    command = ["watch", "saved", "--model", "groups_of:network", "--data", "groups_of:data", "--once", "--samples", "8"]
    with pytest.raises(SystemExit) as ended:
        main(command)
    sys.modules.pop("groups_of", None)
    assert not ended.value.code
    found = History.read(store.open_run(tmp_path / "runs" / "watch-saved"))
    known = [key for key in ("train_loss", "test_loss") if found.column(key) is not None]
    assert known == ([] if loss is None else [loss])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "network"], "module:function; got 'network'"),
        (["--data", "project:network"], "pairs (inputs, targets); got Sequential"),
        (
            ["--players", "rows"],
            "patches ROWSxCOLS or steps COUNT",
        ),
        (
            ["--baseline", "grey"],
            "mean or a number; got 'grey'",
        ),
        (["--model", "project:absent"], "must name a factory that can be imported"),
    ],
)
def test_what_the_command_cannot_use_is_one_line(tmp_path, monkeypatch, capsys, options, message):
    (tmp_path / "project.py").write_text(PROJECT)
    (tmp_path / "saved").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("project", None)
    with pytest.raises(SystemExit) as ended:
        main(["watch", "saved", "--model", "project:network", "--data", "project:data", "--once", *options])
    sys.modules.pop("project", None)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
