"""Measuring in other processes: the same bits as in one, whatever becomes of workers, executors and drivers."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from interdyn import store
from interdyn.cli import main
from interdyn.errors import CheckpointError, EngineError, InputError
from interdyn.players import columns
from interdyn.recipes import load_recipe, resolve, run_recipe
from interdyn.schedules import every
from interdyn.store._records import TABLES, file_of
from interdyn.tracking import Engine, Pool, Shard, Tracker, Work, _units as units, watch
from interdyn.tracking._pool import WorkerDiedError
from test_run import TINY

COMMAND = Path(sys.executable).with_name("interdyn")
IN_UNITS = {**TINY, "units": {"samples": 2, "batch_size": 7, "threads": 1}}
"""Two units of each group: three samples."""


def recipe(**changes):
    return resolve({**IN_UNITS, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run of one process that works through the same units."""
    return run_recipe(recipe(), tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def pool():
    with Pool(2) as found:
        yield found


def assert_same(run, other):
    """Every number of every measurement is the same, and nothing is there besides."""
    for step in run.steps:
        for group in run.groups:
            a, b = (store.read_measurement(one, step, group=group) for one in (run, other))
            for name in TABLES:
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
            assert a.settings == b.settings
            assert a.forward_passes == b.forward_passes
    names = [sorted(f.name for f in (one.path / "measurements").iterdir()) for one in (run, other)]
    assert names[0] == names[1]
    assert not (other.path / "units").exists()
    assert store.check_run(other.path) == []


class TestSameNumbers:
    def test_two_processes(self, whole, pool, tmp_path):
        seen = []
        run = run_recipe(recipe(), tmp_path / "run", executor=pool, progress=lambda *told: seen.append(told))
        assert_same(whole, run)
        measured = [told[1:] for told in seen if told[0] == "measuring"]
        total = 2 * len(run.steps)
        assert measured[-1] == (total, total)
        assert [done for done, _ in measured] == sorted(done for done, _ in measured)

    @pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
    def test_executors_of_the_standard_library(self, whole, tmp_path, kind):
        options = {"mp_context": get_context("fork")} if kind is ProcessPoolExecutor else {}
        with kind(2, **options) as executor:
            assert_same(whole, run_recipe(recipe(), tmp_path / "run", executor=executor))

    def test_units_alone_do_not_change_a_run_of_whole_groups(self, tmp_path):
        plain = run_recipe(resolve(TINY), tmp_path / "plain")
        groups = run_recipe(recipe(units={"threads": 1}), tmp_path / "units")
        for step in plain.steps:
            a, b = (store.read_measurement(run, step, group="test") for run in (plain, groups))
            np.testing.assert_array_equal(a.i_and, b.i_and)

    def test_what_is_left_open_is_in_the_recipe_of_the_run(self, pool, tmp_path):
        run = run_recipe(resolve(TINY), tmp_path / "run", executor=pool)
        assert store.read_recipe(run)["units"] == {"batch_size": 2048, "threads": 1, "dtype": "float32"}

    def test_a_run_goes_on_as_it_began(self, whole, pool, tmp_path):
        begun = run_recipe(recipe(), tmp_path / "begun")
        for file in sorted((begun.path / "measurements").iterdir())[::2]:
            file.unlink()
        (begun.path / "summary.json").unlink()
        assert_same(whole, run_recipe(recipe(units=None), begun.path, executor=pool))  # its units are the run's
        plain = run_recipe(resolve(TINY), tmp_path / "plain")
        (plain.path / "measurements" / "step_00000000.test.safetensors").unlink()
        (plain.path / "summary.json").unlink()
        again = run_recipe(resolve(TINY), plain.path, executor=pool)
        assert "units" not in store.read_recipe(again)

    def test_numbers_in_double_precision(self, whole, tmp_path):
        run = run_recipe(recipe(units={**IN_UNITS["units"], "dtype": "float64"}), tmp_path / "run")
        single, double = (store.read_measurement(one, run.steps[-1], group="test").v for one in (whole, run))
        assert 0 < abs(single - double).max() < 1e-5 * abs(double).max()


class TestShards:
    def test_three_processes_share_a_run(self, whole, tmp_path):
        file = tmp_path / "tiny.toml"
        file.write_bytes((whole.path / "recipe.toml").read_bytes())
        command = [str(COMMAND), "run", str(file), "--out", str(tmp_path / "run"), "--shard"]
        shards = [subprocess.Popen([*command, f"{i}/3"], stdout=subprocess.PIPE, text=True) for i in (3, 2, 1)]
        told = [shard.communicate(timeout=200)[0] for shard in shards]
        assert [shard.returncode for shard in shards] == [0, 0, 0]
        run = store.open_run(tmp_path / "run")
        assert store.has_result(run)
        assert sum("This shard is measured" in text for text in told) < 3
        assert_same(whole, run)

    def test_each_unit_is_of_one_shard(self):
        for count in (1, 2, 3, 7):
            shards = [Shard.of(f"{i}/{count}") for i in range(1, count + 1)]
            assert all(sum(shard.has(number) for shard in shards) == 1 for number in range(30))

    @pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/3/5", ""])
    def test_bad_ones(self, text, tmp_path):
        with pytest.raises(InputError, match="a shard must be I/N"):
            run_recipe(recipe(), tmp_path / "run", shard=text)

    def test_the_first_never_comes(self, tmp_path):
        with pytest.raises(EngineError, match="Start it: --shard 1/N"):
            run_recipe(recipe(), tmp_path / "run", shard="2/2", patience=0.2)

    def test_a_part_is_left_to_the_others(self, whole, tmp_path):
        run = run_recipe(recipe(), tmp_path / "run", shard="1/2")
        assert not store.has_result(run)
        assert_same(whole, run_recipe(recipe(), tmp_path / "run", shard="2/2"))
        assert store.has_result(run)


class Wayward(Executor):
    """An executor that treats its first calls ill, and does the others."""

    def __init__(self, how, count):
        self.how, self.left = how, count

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        if self.left:
            self.left -= 1
            if self.how == "cancels":
                future.cancel()
                future.set_running_or_notify_cancel()
            elif self.how == "forgets the answer":
                fn(*args, **kwargs)
            elif self.how == "dies":
                future.set_exception(WorkerDiedError("it was killed"))
            return future
        try:
            future.set_result(fn(*args, **kwargs))
        except (RuntimeError, ValueError) as error:
            future.set_exception(error)
        return future


class TestLoss:
    @pytest.mark.parametrize("how", ["drops", "cancels", "forgets the answer", "dies"])
    def test_what_an_executor_loses_is_handed_out_again(self, whole, tmp_path, how):
        run = run_recipe(recipe(), tmp_path / "run", executor=Wayward(how, 2), patience=0.1)
        assert_same(whole, run)

    def test_what_is_always_lost_is_named(self, tmp_path):
        with pytest.raises(
            EngineError, match=r"12 that could not be.*step 0, group test, samples 0 to 1: lost 3 times"
        ):
            run_recipe(recipe(), tmp_path / "run", executor=Wayward("cancels", 10**6))

    def test_a_broken_one(self, tmp_path):
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        with pytest.raises(EngineError, match="the executor must accept work; got RuntimeError"):
            run_recipe(recipe(), tmp_path / "run", executor=executor)

    @pytest.mark.parametrize("executor", [3, "local", object()])
    def test_none(self, tmp_path, executor):
        with pytest.raises(InputError, match=r"must be a concurrent.futures.Executor"):
            run_recipe(recipe(), tmp_path / "run", executor=executor)

    @pytest.mark.parametrize("workers", [0, -1, 1.5, "two", True])
    def test_no_workers(self, workers):
        with pytest.raises(InputError, match="workers"):
            Pool(workers)

    def test_a_killed_worker(self, whole, tmp_path):
        with Pool(1) as pool:
            killed = []

            def kill(stage, done, total):
                if stage == "measuring" and 2 <= done < total and not killed:
                    killed.append(pool.processes[-1])
                    os.kill(killed[0], signal.SIGKILL)

            run = run_recipe(recipe(), tmp_path / "run", executor=pool, progress=kill)
            assert len(pool.processes) == 2
        assert_same(whole, run)

    def test_a_call_that_kills_its_worker_fails_alone(self):
        with Pool(1) as pool:
            lost, kept = pool.submit(os._exit, 3), pool.submit(divmod, 7, 2)
            with pytest.raises(WorkerDiedError):
                lost.result()
            assert kept.result() == (3, 1)

    def test_a_killed_driver_leaves_no_worker_and_goes_on(self, whole, tmp_path):
        file, out = tmp_path / "tiny.toml", tmp_path / "run"
        file.write_bytes((whole.path / "recipe.toml").read_bytes())
        command = [str(COMMAND), "run", str(file), "--out", str(out), "--workers", "1"]
        driver = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        while not list((out / "measurements").glob("step*")) and driver.poll() is None:
            time.sleep(0.02)
        driver.kill()
        driver.wait()
        until = time.monotonic() + 20
        while members(driver.pid) and time.monotonic() < until:
            time.sleep(0.1)
        assert not members(driver.pid)
        subprocess.run(command, check=True, capture_output=True)
        assert_same(whole, store.open_run(out))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--engine", "dask"], "must be local or ray"),
        (["--address", "10.0.0.1:6379"], "Add --engine ray"),
        (["--engine", "ray", "--address", "auto", "--workers", "2"], "its own workers"),
        (["--workers", "0"], "`workers`"),
        (["--shard", "3/2"], "--shard 1/4"),
        (["--workers", "1", "--patience", "-1"], "`patience`"),
    ],
)
def test_options_that_do_not_go_together(options, told, whole, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", str(whole.path / "recipe.toml"), "--out", str(tmp_path / "run"), *options])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def members(session):
    """Return the processes of a session that are there, as Linux lists them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(process.name))
    return found


class TestFailures:
    def test_one_sample_fails_and_the_others_go_on(self, tmp_path, monkeypatch):
        true = units.recorded

        def failing(network, group, *, step):
            if step == 2 and len(group) == 1:
                raise ZeroDivisionError("of this sample")
            return true(network, group, step=step)

        monkeypatch.setattr(units, "recorded", failing)
        told = r"1 that could not be.*step 2, group test, samples 2 to 2: ZeroDivisionError: of this sample"
        with pytest.raises(EngineError, match=told):
            run_recipe(recipe(), tmp_path / "run")
        run = store.open_run(tmp_path / "run")
        there = [step for step in run.steps if store.read_measurement(run, step, group="test") is not None]
        assert there == [step for step in run.steps if step != 2]
        assert store.Reader(run).unit(2, "test", (0, 2)) is not None
        assert not store.has_result(run)
        monkeypatch.undo()
        calls = []
        monkeypatch.setattr(units, "recorded", lambda *a, **k: calls.append(k["step"]) or true(*a, **k))
        run_recipe(recipe(), tmp_path / "run")
        assert calls == [2]

    def test_the_command_ends_with_another_status_than_zero(self, whole, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(units, "recorded", lambda *_, **__: 1 // 0)
        with pytest.raises(SystemExit) as ended:
            main(["run", str(whole.path / "recipe.toml"), "--out", str(tmp_path / "run")])
        told = capsys.readouterr().err
        assert ended.value.code == 2
        assert "interdyn: all units must be measured; got 12 that could not be" in told
        assert "ZeroDivisionError" in told
        assert "and 7 more" in told

    def test_a_missing_checkpoint_is_named(self, whole, tmp_path):
        engine = Engine(*engine_of(whole, tmp_path))
        step = engine_run(tmp_path).steps[3]
        (tmp_path / "run" / file_of("checkpoints", step)).unlink()
        engine.submit(step)
        finish(engine)
        with pytest.raises(
            EngineError, match=rf"step {step}, .*CheckpointError: the checkpoint of step {step} must be"
        ):
            engine.check()
        engine.close()

    def test_other_versions(self, whole, tmp_path, monkeypatch):
        engine = Engine(*engine_of(whole, tmp_path), ThreadPoolExecutor(1))
        monkeypatch.setattr(units, "VERSIONS", {**units.VERSIONS, "torch": "2.6.0"})
        engine.submit(0)
        with pytest.raises(
            EngineError, match=rf"torch {torch.__version__.split('+')[0]}.*; got .*torch 2.6.0 in process"
        ):
            finish(engine)

    def test_a_folder_that_is_not_shared(self, whole, tmp_path):
        run, work = engine_of(whole, tmp_path)
        engine = Engine(replace(run, path=tmp_path / "elsewhere"), work)
        engine.submit(0)
        with pytest.raises(EngineError, match="on a file system that all of them share; got no run there"):
            finish(engine)
        engine = Engine(replace(run, id="another"), work)
        engine.submit(1)
        with pytest.raises(EngineError, match="got another run there"):
            finish(engine)

    def test_bytes_that_nobody_sent_are_not_unpickled(self, whole, tmp_path):
        run, work = engine_of(whole, tmp_path)
        engine = Engine(run, work, Wayward("drops", 1))
        engine.submit(0)
        file = next((run.path / "units").glob("work-*"))
        file.write_bytes(file.read_bytes() + b" ")
        order = units.Order(units.Unit(0, "test", (0, 3)), str(run.path), run.id, engine._name, file.name)
        with pytest.raises(EngineError, match="its bytes differ"):
            units.measure_unit(order)

    def test_a_network_that_cannot_be_pickled(self, whole, tmp_path):
        run, work = engine_of(whole, tmp_path)
        work.network.extra = lambda x: x
        with pytest.raises(InputError, match="must be picklable"):
            Engine(run, work, ThreadPoolExecutor(1))
        Engine(run, work).close()  # in this process it need not


def engine_run(tmp_path):
    return store.open_run(tmp_path / "run")


def engine_of(whole, tmp_path):
    """Return a copy of a run without its measurements, and the work of its units."""
    import shutil

    from interdyn.recipes import load_samples
    from interdyn.recipes._measuring import choose_groups
    from interdyn.recipes._units import work_of

    shutil.copytree(whole.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "measurements")
    kept = recipe()
    samples = load_samples(kept.data)
    return engine_run(tmp_path), work_of(kept, samples, choose_groups(kept, samples), allow_code=False)


def finish(engine):
    while engine.waiting:
        engine.collect(wait_for=1.0)


class TestWatch:
    @pytest.fixture
    def saved(self, tmp_path):
        torch.manual_seed(0)
        (tmp_path / "saved").mkdir()
        for step in range(0, 50, 10):
            torch.save(nn.Linear(4, 2).state_dict(), tmp_path / "saved" / f"step_{step}.pt")
        return tmp_path / "saved"

    def tracked(self, out, **options):
        probe = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
        return Tracker(probe, players=columns(), schedule=every(1), budget=None, out=out, **options)

    def test_by_a_pool_as_in_one_process(self, saved, pool, tmp_path):
        runs = []
        for name, executor in (("one", None), ("two", pool)):
            said = []
            with self.tracked(tmp_path / name) as tracker:
                steps = watch(saved, nn.Linear(4, 2), tracker, once=True, executor=executor, block=4, say=said.append)
            assert steps == (0, 10, 20, 30, 40)
            runs.append(store.open_run(tmp_path / name))
        assert_same(*runs)
        assert "step 40: submitted." in said
        assert tuple(store.read_result(runs[1]).steps) == steps

    def test_in_shards(self, saved, tmp_path):
        for name, shards in (("one", ["1/1"]), ("three", ["1/3", "2/3", "3/3"])):
            for shard in shards:
                # the first may have no whole step
                with suppress(CheckpointError), self.tracked(tmp_path / name, shard=shard) as tracker:
                    watch(saved, nn.Linear(4, 2), tracker, once=True, block=4)
        assert_same(store.open_run(tmp_path / "one"), store.open_run(tmp_path / "three"))

    def test_a_checkpoint_that_is_gone_is_named_and_the_others_are_kept(self, saved, tmp_path):
        class Late(Wayward):
            def submit(self, fn, order):
                if order.unit.step == 20:
                    (saved / "step_20.pt").unlink(missing_ok=True)
                return super().submit(fn, order)

        with pytest.raises(EngineError, match=r"step 20, .*step_20.pt"), self.tracked(tmp_path / "run") as tracker:
            watch(saved, nn.Linear(4, 2), tracker, once=True, executor=Late("", 0))
        assert store.open_run(tmp_path / "run").steps == (0, 10, 30, 40)

    def test_a_budget_is_for_trainings(self, saved):
        probe = torch.randn(6, 4), torch.arange(6) % 2
        with pytest.raises(InputError, match="budget=None"):
            watch(saved, nn.Linear(4, 2), Tracker(probe, players=columns()), once=True, block=4)


def test_a_work_leaves_names_out_that_no_file_keeps():
    from interdyn.measurement import MeasurementConfig, checked_groups

    config = MeasurementConfig(players=columns(), names=lambda tokens: ["a"] * len(tokens))
    groups = checked_groups((torch.randn(4, 3), torch.arange(4) % 2), config)
    assert len(Work(nn.Linear(3, 2), groups).packed()) > 100


def test_recipes_tell_what_is_wrong_with_units():
    with pytest.raises(Exception, match="units"):
        load_recipe("digits-mlp", overrides=["units.samples=0"])
