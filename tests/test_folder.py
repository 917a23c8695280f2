"""The folder of a run: who may write there, what survives, and what is told of damage."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

import stress_folder
from interdyn import store
from interdyn.cli import main
from interdyn.errors import IncompleteRunError, InterdynWarning, StorageError
from interdyn.measurement import History, measurements
from interdyn.players import columns
from interdyn.recipes import resolve, run_recipe
from interdyn.report._runs import Followed
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
    with pytest.warns(InterdynWarning, match="this process started another tracker there"):
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
    assert b"was forked from the tracker" in os.read(ready, 4000)
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
    with pytest.warns(InterdynWarning, match="no longer exists"):
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
        "checkpoints/step_00000002.safetensors: restored from its measurement"
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
    assert "The same tracker resumes there" in caplog.text


# -- one damaged file -------------------------------------------------------------------------------


@pytest.fixture
def closed(tmp_path):
    with Tracker(probe(), players=columns(), schedule=every(1), out=tmp_path / "run", budget=None) as tracker:
        for step in range(4):
            tracker.observe(step, network(), train_loss=0.5, test_loss=0.75)
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["run.json", "recipe.toml"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:50],
        lambda b: b[::-1].replace(b"e", b"f", 3)[::-1],  # not in the digest alone, with whose name it would be lost
        lambda b: b.replace(b"digest", b"digfst").replace(b"interdyn-run", b"intfrdyn-run"),
        None,
    ],
)
def test_run_json_and_the_recipe_are_written_anew_from_other_files(closed, capsys, name, damage):
    run, recipe, before = (
        store.open_run(closed),
        store.read_recipe(store.open_run(closed)),
        (closed / name).read_bytes(),
    )
    (closed / ".tmp-7-summary.json").write_bytes(b"half")
    if damage is None:
        (closed / name).unlink()
    else:
        (closed / name).write_bytes(damage(before))
    assert store.open_run(closed) == run
    assert store.read_recipe(run) == recipe
    assert History.read(closed).steps == (0, 1, 2, 3)
    for status, arguments in ((1, []), (0, ["--repair"]), (0, [])):
        with pytest.raises(SystemExit) as ended:
            main(["check", str(closed), *arguments])
        assert ended.value.code == status
        out = capsys.readouterr().out
        assert (name in out, ".tmp-7" in out) == ((True, True) if (status or arguments) else (False, False))
    assert (closed / name).read_bytes() == before
    assert store.open_run(closed) == run


def test_a_file_under_the_name_of_another_is_damaged(closed):
    files = {f: f.read_bytes() for f in closed.rglob("*") if f.is_file() and f.suffix in (".json", ".safetensors")}
    reader = store.Reader(store.open_run(closed))
    for file, content in files.items():
        for other in files.values():
            if other == content:
                continue
            file.write_bytes(other)
            found = [finding.file for finding in store.check_run(closed)]
            assert found == [file.relative_to(closed).as_posix()]
        file.write_bytes(content)
    assert (list(reader.steps()) != [], reader.damaged) == (True, {})


def test_a_changed_digit_is_told(closed):
    summary = closed / "summary.json"
    summary.write_bytes(summary.read_bytes().replace(b'"n_players": 4', b'"n_players": 5'))
    with pytest.raises(IncompleteRunError, match=r"has no intact `summary\.json`"):
        store.read_result(closed)
    assert "its digest does not match" in str(store.check_run(closed)[0])
    followed = Followed(closed)
    assert "phase" in followed.page(bare=True)  # of what is measured
    main_status(["report", str(closed)])
    assert store.read_result(closed).n_players == 4


def main_status(arguments, status=0):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == status


@pytest.mark.filterwarnings("default::interdyn.errors.InterdynWarning")
def test_a_damaged_measurement_is_left_out_and_told_everywhere(closed, capsys):
    file = closed / "measurements" / "step_00000002.test.safetensors"
    content = bytearray(file.read_bytes())
    content[-9] ^= 4
    file.write_bytes(content)
    history = History.read(closed)
    assert history.steps == (0, 1, 3)
    assert "step_00000002.test.safetensors (its numbers differ from those written)" in history.damage
    with pytest.warns(InterdynWarning, match="step_00000002"):
        entries, _ = measurements(store.open_run(closed))
    assert [entry["step"] for entry in entries] == [0, 1, 3]
    main_status(["report", str(closed)])
    assert "step_00000002" in capsys.readouterr().err
    with pytest.warns(InterdynWarning, match="step_00000002"):
        again = Tracker(probe(), players=columns(), schedule=every(1), out=closed, budget=None)
    again.observe(2, network(), train_loss=0.5, test_loss=0.75)  # a training that comes by makes it again
    again.close()
    assert store.read_result(closed).steps.tolist() == [0, 1, 2, 3]
    assert store.check_run(closed) == []


@pytest.mark.parametrize("name", ["run.json", "step_00000002.safetensors"])
def test_what_the_system_cannot_read_is_not_absent(closed, monkeypatch, name):
    run, real = store.open_run(closed), io.open

    def refuse(file, *args, **options):
        if Path(str(file)).name == name:
            raise OSError(errno.EIO, "Input/output error")
        return real(file, *args, **options)

    monkeypatch.setattr(io, "open", refuse)
    for read in (
        lambda: History.read(closed),
        lambda: store.check_run(closed),
        lambda: store.check_run(closed, repair=True),
    ):
        with pytest.raises(StorageError, match="Input/output error"):
            read()
    with pytest.raises(StorageError, match="Input/output error"):
        Tracker(probe(), players=columns(), schedule=every(1), out=closed, budget=None)
    monkeypatch.undo()
    assert store.open_run(closed) == run


def test_files_of_earlier_versions_are_read_and_go_on(tmp_path):
    shutil.copytree(Path(__file__).parent / "data" / "before" / "tracked", tmp_path / "old")
    before = store.open_run(tmp_path / "old")
    assert store.check_run(tmp_path / "old") == []
    (tmp_path / "old" / "run.json").write_text("{")
    assert [str(f) for f in store.check_run(tmp_path / "old", repair=True)] == [
        "run.json: restored from the other files"
    ]
    now = store.open_run(tmp_path / "old")
    assert (now.config_hash, now.steps, now.groups) == (before.config_hash, before.steps, before.groups)


STOPPED = """
import sys, threading, time, os, signal
from interdyn.cli import main
from interdyn.recipes import _run
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets those in the background ignore it
real = _run.Trainer.advance
for sent in (signal.SIGTERM, signal.SIGINT):
    def advance(self, to, **options):
        if to > 0:
            os.kill(os.getpid(), sent)
            time.sleep(5)
        return real(self, to, **options)
    _run.Trainer.advance = advance
    try:
        main(["run", "wine-mlp", "--smoke", "--out", os.path.join(sys.argv[1], sent.name)])
    except SystemExit as end:
        print(end.code)
    print("then", file=sys.stderr)
"""


def test_a_command_that_is_stopped_says_how_to_go_on(tmp_path):
    done = subprocess.run([sys.executable, "-c", STOPPED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["143", "130"], done.stderr
    for name, said in zip(("SIGTERM", "SIGINT"), done.stderr.split("then\n"), strict=False):
        assert "To continue, repeat the command" in said
        assert "Traceback" not in said
        assert store.read_history(store.open_run(tmp_path / name))


TRACKED = """
import os, signal, sys, torch
from interdyn import Tracker
from interdyn.players import columns
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.default_int_handler)  # as docs/reference/run-directory.md says
probe, network = (torch.ones(2, 3), [0, 1]), torch.nn.Linear(3, 2)
with Tracker(probe, players=columns(), budget=None, out=sys.argv[1]) as tracker:
    tracker.observe(0, network)
    os.kill(os.getpid(), int(sys.argv[2]))
    tracker.observe(1, network)
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_script_that_is_stopped_says_how_to_go_on(tmp_path, sent):
    done = subprocess.run(
        [sys.executable, "-c", TRACKED, str(tmp_path / "run"), str(int(sent))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "stopped; all measurements so far are saved in" in done.stderr
    assert "KeyboardInterrupt" in done.stderr.splitlines()[-1]
    assert store.open_run(tmp_path / "run").steps == (0,)
    assert (tmp_path / "run" / "summary.json").is_file()


def test_a_finished_run_makes_what_it_lacks(tmp_path):
    run = run_recipe(resolve(stress_folder.RECIPE), tmp_path / "run")
    whole = stress_folder.numbers(run.path)
    for lost in ("measurements/step_00000001.test.safetensors", "checkpoints/step_00000001.safetensors"):
        (run.path / lost).unlink()
        run_recipe(resolve(stress_folder.RECIPE), run.path)
        assert stress_folder.numbers(run.path) == whole
