"""A run on disk: atomic, checked, readable while it grows."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from interdyn import store
from interdyn.errors import (
    IncompleteRunError,
    NotARunError,
    RecipeError,
    SchemaError,
    StorageError,
)
from stored import summary_of, write_results

RECIPE = {"name": "tiny", "model": {"name": "mlp"}, "training": {"learning_rate": 0.1, "epochs": 2}}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    return store.begin_run(folder, RECIPE, steps=(0, 5, 10), groups=("test",), environment={"threads": 1})


def checkpoint(step, value=1.0):
    weights = {"0.weight": np.full((2, 3), value, np.float32), "0.count": np.array(7)}
    return store.Checkpoint(step, weights, losses={"train_loss": 0.5}, seconds={"training": 1.0})


def measurement(step, group="test"):
    rng = np.random.default_rng(step)
    tables = {name: rng.normal(size=(3, 8)) for name in ("v", "i_and", "i_or")}
    numbers = {name: rng.normal(size=3) for name in ("objective", "gap", "noise_bound")}
    return store.Measurement(
        step,
        group,
        **tables,
        **numbers,
        sample_ids=np.array([4, 9, 2]),
        targets=np.array([1, 0, 3]),
        status=("solved", "solved", "not solved"),
        unit="log-odds",
        settings={"tol": 1e-3},
        forward_passes=24,
        seconds={"forward": 0.25, "split": 0.5},
    )


def test_what_is_written_is_read_back_equal(run):
    store.write_checkpoint(run, checkpoint(5))
    store.write_measurement(run, measurement(5))
    store.write_trainer(run, 5, {"random": np.arange(9, dtype=np.uint8)})

    back = store.read_checkpoint(run, 5)
    assert back.weights["0.weight"].dtype == np.float32
    assert back.weights["0.count"].shape == ()
    np.testing.assert_array_equal(back.weights["0.weight"], checkpoint(5).weights["0.weight"])
    assert back.losses == {"train_loss": 0.5}

    found, wanted = store.read_measurement(run, 5, group="test"), measurement(5)
    for name in ("v", "i_and", "i_or", "objective", "gap", "noise_bound", "sample_ids", "targets"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    rest = ("status", "unit", "settings", "forward_passes", "seconds", "step", "group")
    assert [getattr(found, name) for name in rest] == [getattr(wanted, name) for name in rest]
    np.testing.assert_array_equal(store.read_trainer(run, 5)["random"], np.arange(9))


def test_identity_and_recipe_survive(run):
    again = store.open_run(run.path)
    assert again == run
    assert again.steps == (0, 5, 10)
    assert store.read_recipe(again) == RECIPE
    assert again.config_hash == store.config_hash(RECIPE)
    header = json.loads((run.path / "run.json").read_text())
    assert (header["kind"], header["schema"]) == ("interdyn-run", 1)


def test_every_file_says_what_it_belongs_to(run):
    store.write_measurement(run, measurement(5))
    header = store.read_header(run.path / "measurements" / "step_00000005.test.safetensors")
    assert {"schema", "step", "group", "config_hash", "version", "forward_passes", "seconds"} <= set(header)
    assert header["config_hash"] == run.config_hash


def test_a_file_of_another_run_is_not_this_run(run, tmp_path):
    other = store.begin_run(
        tmp_path / "other", {**RECIPE, "name": "other"}, steps=(0, 5), groups=("test",), environment={}
    )
    store.write_checkpoint(other, checkpoint(5))
    (run.path / "checkpoints").mkdir()
    name = "step_00000005.safetensors"
    (run.path / "checkpoints" / name).write_bytes((other.path / "checkpoints" / name).read_bytes())
    assert store.read_checkpoint(run, 5) is None


def test_beginning_again_continues_the_same_recipe_and_refuses_another(run):
    same = store.begin_run(run.path, RECIPE, steps=(0,), groups=(), environment={})
    assert same == run
    other = {**RECIPE, "training": {"learning_rate": 0.2, "epochs": 2}}
    with pytest.raises(RecipeError, match=r"differs in `training\.learning_rate`.*`out` in Python, --out"):
        store.begin_run(run.path, other, steps=(0,), groups=(), environment={})


def test_plan_is_kept(run):
    with pytest.raises(StorageError, match="step"):
        store.write_checkpoint(run, checkpoint(7))
    with pytest.raises(StorageError, match="group"):
        store.write_measurement(run, measurement(5, group="train"))


@pytest.mark.parametrize("keep", [0, 4, 9, 60, -1])
def test_a_truncated_file_counts_as_absent(run, keep):
    store.write_measurement(run, measurement(5))
    path = run.path / "measurements" / "step_00000005.test.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert store.read_measurement(run, 5, group="test") is None
    assert store.read_header(path) is None


def test_a_damaged_file_counts_as_absent(run):
    store.write_measurement(run, measurement(5))
    path = run.path / "measurements" / "step_00000005.test.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert store.read_measurement(run, 5, group="test") is None


def test_a_missing_file_is_none_and_temporary_files_are_ignored(run):
    assert store.read_checkpoint(run, 5) is None
    assert store.read_measurement(run, 5, group="test") is None
    (run.path / "trainer").mkdir()
    (run.path / "trainer" / ".tmp-1-step_00000005.safetensors").write_bytes(b"half")
    assert store.trainer_steps(run) == []


def test_history_grows_with_the_checkpoints(run):
    assert store.read_history(run) == []
    store.write_checkpoint(run, checkpoint(5))
    store.write_checkpoint(run, checkpoint(0))
    assert [entry["step"] for entry in store.read_history(run)] == [0, 5]
    assert store.read_history(run)[0]["train_loss"] == 0.5


def test_only_newer_states_of_training_stay(run):
    for step in (0, 5, 10):
        store.write_trainer(run, step, {"random": np.zeros(1)})
    store.drop_trainers(run, before=10)
    assert store.trainer_steps(run) == [10]


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_loses_nothing(run, monkeypatch, call):
    store.write_measurement(run, measurement(0))

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(StorageError, match=r"No space left.*intact.*run the same command again"):
            store.write_measurement(run, measurement(5))
    assert [f.name for f in (run.path / "measurements").iterdir()] == ["step_00000000.test.safetensors"]
    assert store.read_measurement(run, 0, group="test") is not None
    store.write_measurement(run, measurement(5))
    assert store.read_measurement(run, 5, group="test") is not None


def test_a_disk_that_fills_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    store.write_atomic(path, b"old")
    real = os.write
    sizes = []

    def some(descriptor, data):
        if sizes:
            raise OSError(errno.ENOSPC, "No space left on device")
        sizes.append(len(data))
        return real(descriptor, data[:3])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", some)
        with pytest.raises(StorageError, match="No space left"):
            store.write_atomic(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == ["summary.json"]


def test_not_a_run(tmp_path):
    with pytest.raises(NotARunError, match="no such folder"):
        store.open_run(tmp_path / "absent")
    with pytest.raises(NotARunError, match=r"run\.json"):
        store.open_run(tmp_path)
    for content in ("", "[]", '{"kind": "other"}', '{"kind": "interdyn-run"'):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(NotARunError):
            store.open_run(tmp_path)


def test_a_newer_schema_is_refused_with_the_way_out(run):
    content = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(content | {"schema": 99}))
    with pytest.raises(SchemaError, match=r"schema 1; got schema 99.*pip install --upgrade"):
        store.open_run(run.path)
    write_results(run, summary={"schema": 2}, analysis={"schema": 1})
    with pytest.raises(SchemaError):
        store.read_result(run)


def test_a_newer_schema_in_a_file_of_arrays_is_refused(run, monkeypatch):
    monkeypatch.setattr("interdyn.store._files.SCHEMA", 2)
    store.write_checkpoint(run, checkpoint(5))
    monkeypatch.undo()
    with pytest.raises(SchemaError):
        store.read_checkpoint(run, 5)


def test_an_unfinished_run_says_how_far_it_is_and_how_to_finish(run):
    store.write_measurement(run, measurement(0))
    with pytest.raises(IncompleteRunError, match=r"summary\.json.*1 of 3 checkpoints.*interdyn run .*recipe\.toml"):
        store.read_result(run)
    (run.path / "summary.json").write_text('{"schema": 1, "ste')
    with pytest.raises(IncompleteRunError):
        store.read_result(run)
    for name in ("run.json", "recipe.toml"):  # each of which holds it
        (run.path / name).unlink()
        again = store.open_run(run.path)
    assert again == run
    with pytest.raises(IncompleteRunError, match=r"recipe\.toml"):
        store.read_recipe(run)


def test_one_writer_at_a_time(tmp_path):
    with (
        store.writing(tmp_path / "run"),
        pytest.raises(StorageError, match="one process at a time"),
        store.writing(tmp_path / "run"),
    ):
        pass
    with store.writing(tmp_path / "run"):  # given back
        pass


WITHOUT_FCNTL = """
import sys, warnings
sys.modules["fcntl"] = None
warnings.simplefilter("ignore")
from pathlib import Path
from interdyn import store
from interdyn.errors import StorageError
folder = Path(sys.argv[1])
with store.writing(folder):
    store.begin_run(folder, {"name": "a"}, steps=(0,), groups=("test",), environment={})
    try:
        with store.writing(folder):
            print("two writers")
    except StorageError as error:
        print(str(error)[:36])
with store.writing(folder):
    print(store.open_run(folder).recipe_name)
"""


def test_without_locks_of_the_system_there_is_one_writer_all_the_same(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FCNTL, str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["one process at a time writes to a ru", "a"], done.stderr


def test_a_writer_removes_what_a_killed_one_left(run):
    (run.path / "checkpoints").mkdir()
    leftover = run.path / "checkpoints" / ".tmp-1-step_00000005.safetensors"
    leftover.write_bytes(b"half")
    with store.writing(run.path):
        assert not leftover.exists()


def test_a_foreign_folder_is_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    (tmp_path / ".tmp-mine").write_text("")
    with pytest.raises(NotARunError, match=r"contains `thesis\.tex`"), store.writing(tmp_path):
        pass
    assert sorted(f.name for f in tmp_path.iterdir()) == [".tmp-mine", "thesis.tex"]


APPEND = """
import sys
from pathlib import Path
import numpy as np
from interdyn import store

run = store.open_run(Path(sys.argv[1]))
table, numbers = np.ones((8, 1024)), np.ones(8)
for step in run.steps:
    one = store.Measurement(step, "test", table, table, table, numbers, numbers, numbers, np.arange(8))
    store.write_measurement(run, one)
"""


def test_a_reader_sees_whole_files_or_none_while_a_writer_is_killed(tmp_path):
    """Every file there is when the writer dies is whole, and none that was written before is lost."""
    steps = tuple(range(5000))
    run = store.begin_run(tmp_path / "run", RECIPE, steps=steps, groups=("test",), environment={})
    process = subprocess.Popen([sys.executable, "-c", APPEND, str(run.path)])
    folder, seen = run.path / "measurements", 0
    while seen < 40:
        assert process.poll() is None
        names = sorted(folder.glob("step_*")) if folder.exists() else []
        assert all(store.read_arrays(name) is not None for name in names[seen:])
        seen = len(names)
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    names = sorted(folder.glob("step_*"))
    assert seen <= len(names) < len(steps)
    assert [store.read_arrays(name)[1]["step"] for name in names] == list(range(len(names)))


def test_checkpoints_open_in_the_users_own_tools(run):
    store.write_checkpoint(run, checkpoint(5, value=3.0))
    weights = load_file(run.path / "checkpoints" / "step_00000005.safetensors")
    np.testing.assert_array_equal(weights["0.weight"], np.full((2, 3), 3.0, np.float32))


def test_not_finite_numbers_become_null(run):
    store.write_json(run.path / "summary.json", {"a": [1.0, float("nan"), {"b": float("inf")}]})
    assert summary_of(run) == {"a": [1.0, None, {"b": None}]}


def test_measurement_is_frozen():
    with pytest.raises(AttributeError):
        measurement(5).step = 3
    assert replace(measurement(5), step=10).step == 10


def test_reading_a_run_loads_no_torch(run):
    store.write_checkpoint(run, checkpoint(5))
    code = (
        "import sys; from pathlib import Path; from interdyn import store;"
        f"run = store.open_run(Path({str(run.path)!r})); assert store.read_checkpoint(run, 5);"
        "store.read_history(run); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_open_ended_run_takes_any_step(tmp_path):
    folder = tmp_path / "run"
    run = store.begin_run(folder, RECIPE, steps=None, groups=("test",), environment={})
    assert run.open_ended
    for step in (0, 17, 3):
        store.write_measurement(run, measurement(step))
        store.write_checkpoint(run, replace(checkpoint(step), weights={}))  # losses alone, without a network
    store.write_measurement(run, measurement(90))  # its checkpoint is not there yet
    again = store.open_run(folder)
    assert again.steps == (0, 3, 17)
    assert [entry["step"] for entry in store.read_history(again)] == [0, 3, 17]
    assert store.begin_run(folder, RECIPE, steps=None, groups=("test",), environment={}).steps == (0, 3, 17)


def test_few_entries_are_read_from_the_file_alone(run):
    written = measurement(5)
    with store.writing(run.path):
        store.write_measurement(run, written)
    i_and, i_or = store.map_interactions(run, 5, group="test")
    np.testing.assert_array_equal(i_and, written.i_and)
    np.testing.assert_array_equal(i_or, written.i_or)
    assert isinstance(i_and, np.memmap)
    assert store.map_interactions(run, 10, group="test") is None
    path = run.path / "measurements" / "step_00000005.test.safetensors"
    for broken in (b"", b"\x08\0\0\0\0\0\0\0{}      ", path.read_bytes()[:-3000], b"\xff" * 20):
        path.write_bytes(broken)
        assert store.map_interactions(run, 5, group="test") is None
