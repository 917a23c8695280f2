"""The folder of a run: who may write there, what survives, and what is told of damage."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from interdyn import store
from interdyn.errors import InterdynWarning, StorageError
from interdyn.players import columns
from interdyn.schedules import every
from interdyn.tracking import Tracker, summarise
from stored import summary_of


def probe():
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(7))
    return x, torch.arange(8) % 2


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


HOLDS = """
import sys
from pathlib import Path
from interdyn import store
with store.writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_write_one_run_and_the_lock_names_its_owner(tmp_path):
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(
            StorageError, match=rf"one process at a time.*process {other.pid} on .*since.* writes there"
        ):
            Tracker(probe(), players=columns(), out=tmp_path / "run")
        other.kill()
        other.wait()
        Tracker(probe(), players=columns(), out=tmp_path / "run").close()


def test_a_cell_that_is_run_again_takes_its_folder_over(tmp_path):
    options = {"players": columns(), "schedule": every(5), "out": tmp_path / "run", "budget": None}
    first = Tracker(probe(), **options)
    first.observe(0, network())
    second = Tracker(probe(), **options)
    assert second.steps == (0,)
    with pytest.warns(InterdynWarning, match="another was begun there in this process"):
        first.observe(5, network())
    second.observe(10, network())
    with pytest.warns(InterdynWarning) if not first.problems else nullcontext():
        first.close()
    assert not (tmp_path / "run" / "summary.json").exists()  # it is no business of the first
    second.close()
    assert summary_of(tmp_path / "run")["steps"] == [0, 10]


def test_a_forked_child_lets_the_folder_go_and_writes_nothing(tmp_path):
    options = {"players": columns(), "schedule": every(1), "out": tmp_path / "run", "budget": None}
    tracker = Tracker(probe(), **options)
    tracker.observe(0, network())
    ready, told = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
        if not child:
            tracker.observe(1, network())
            tracker.close()
            os.write(told, str(tracker.problems[0]).encode())
            time.sleep(60)
            os._exit(0)
    assert b"was forked from that of the tracker" in os.read(ready, 4000)
    assert store.open_run(tmp_path / "run").steps == (0,)
    with pytest.raises(StorageError, match="this process, since"):
        summarise(tmp_path / "run")  # it is held by the parent, as before
    tracker.close()
    with store.writing(tmp_path / "run"):  # while the child lives
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_measurement_that_finds_the_disk_full_is_written_when_there_is_room(tmp_path, monkeypatch):
    tracker = Tracker(probe(), players=columns(), schedule=every(1), out=tmp_path / "run", budget=None)
    real, full = os.write, []

    def write(descriptor, data):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    for step in range(6):
        full[:] = [True] * (step in (2, 3))
        with pytest.warns(InterdynWarning, match="No space left") if step == 2 else nullcontext():
            tracker.observe(step, network(), train_loss=step / 8)
        assert store.open_run(tmp_path / "run").steps == tuple(range(2 if step in (2, 3) else step + 1))
    full[:] = [True]
    tracker.observe(6, network(), train_loss=0.75)
    tracker.close()
    assert "close the tracker again" in tracker.problems[-1]
    full.clear()
    tracker.close()
    assert store.open_run(tmp_path / "run").steps == tracker.steps == tuple(range(7))
    assert [entry["train_loss"] for entry in store.read_history(store.open_run(tmp_path / "run"))] == [
        step / 8 for step in range(7)
    ]
    assert summary_of(tmp_path / "run")["steps"] == list(range(7))


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_a_renamed_or_copied_folder_goes_on(tmp_path, move):
    options = {"players": columns(), "schedule": every(1), "strict": True, "budget": None}
    with Tracker(probe(), out=tmp_path / "a", **options) as tracker:
        tracker.observe(0, network())
    move(tmp_path / "a", tmp_path / "b")
    with Tracker(probe(), out=tmp_path / "b", **options) as tracker:
        tracker.observe(5, network())
    assert store.open_run(tmp_path / "b").steps == (0, 5)
    assert store.open_run(tmp_path / "b").recipe_name == "a"  # with which it began


def test_a_folder_moved_away_while_it_is_written_is_not_begun_anew(tmp_path):
    tracker = Tracker(probe(), players=columns(), schedule=every(1), out=tmp_path / "a", budget=None)
    tracker.observe(0, network())
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.warns(InterdynWarning, match="not there any more"):
        tracker.observe(1, network())
    assert not (tmp_path / "a").exists()
    (tmp_path / "b").rename(tmp_path / "a")
    tracker.close()
    assert store.open_run(tmp_path / "a").steps == (0, 1)


def test_losses_of_a_damaged_checkpoint_are_read_from_the_measurement(tmp_path):
    options = {"players": columns(), "schedule": every(1), "out": tmp_path / "run", "budget": None}
    with Tracker(probe(), **options) as tracker:
        for step in range(4):
            tracker.observe(step, network(), train_loss=0.5 - step / 8, test_loss=0.75)
    checkpoint = tmp_path / "run" / "checkpoints" / "step_00000002.safetensors"
    for damage in (lambda b: b[:40], lambda b: b.replace(b"0.75", b"9.75"), lambda _: b""):
        checkpoint.write_bytes(damage(checkpoint.read_bytes()))
        with pytest.warns(InterdynWarning, match="checkpoints/step_00000002"):
            again = Tracker(probe(), **options)
        assert again.trajectory.test_loss.tolist() == [0.75] * 4
        assert again.trajectory.train_loss[2] == 0.25
        again.close()
    assert "is damaged: checkpoints/step_00000002" in " ".join(store.read_result(tmp_path / "run").verdict)
    assert [str(f) for f in store.check_run(tmp_path / "run", repair=True)] == [
        "checkpoints/step_00000002.safetensors: written anew from its measurement"
    ]
    assert store.check_run(tmp_path / "run") == []


def test_ctrl_c_says_how_to_go_on(tmp_path, caplog):
    tracker = Tracker(probe(), players=columns(), schedule=every(1), out=tmp_path / "run", budget=None)
    tracker.observe(0, network())
    caplog.set_level("INFO", logger="interdyn")

    def stopped():
        with tracker:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert "The same tracker goes on there" in caplog.text
