"""Ray: workers, nodes and drivers are really killed on a cluster of two nodes; the numbers are those of one process."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch

from interdyn import store
from interdyn.errors import EngineError, MissingExtraError
from interdyn.recipes import resolve, run_recipe
from interdyn.store import Measurement
from interdyn.tracking import Engine, _engine
from interdyn.tracking._units import VERSIONS, Order
from interdyn.tracking.ray import RayExecutor
from ray_world import (
    COMMAND,
    ENVIRONMENT,
    PATIENCE,
    cluster_in,
    driver,
    family,
    is_alive,
    measuring,
    node_of,
    refused,
    send,
    soon,
)
from test_run import TINY

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def recipe_in(folder):
    """Return a recipe whose network waits for a file in a folder to go away, in units of two samples."""
    folder.mkdir(exist_ok=True)
    model = {"name": "ray_world:held", "options": {"folder": str(folder)}}
    return resolve({**TINY, "model": model, "units": {"samples": 2}})


def tables(folder):
    """Return all that was measured in a run, but not how long it took; nothing of its units is left."""
    run = store.open_run(folder)
    planned = {f"step_{step:08d}.{group}.safetensors" for step in run.steps for group in run.groups}
    assert {path.name for path in (run.path / "measurements").iterdir()} == planned
    assert not (run.path / "units").exists()
    found = [store.read_measurement(run, step, group=group) for step in run.steps for group in run.groups]
    return [{name: getattr(one, name) for name in NAMES} for one in found]


NAMES = [field.name for field in fields(Measurement) if field.name != "seconds"]


def same(one, other):
    """Return whether measurements are the same to the last bit."""
    np.testing.assert_equal(one, other)
    return store.content_hash(flat(one)) == store.content_hash(flat(other))


def flat(found):
    return {f"{i}{k}": v for i, part in enumerate(found) for k, v in part.items() if isinstance(v, np.ndarray)}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process measures that works through the same units."""
    folder = tmp_path_factory.mktemp("alone")
    torch.set_num_threads(1)
    return tables(run_recipe(recipe_in(folder / "state"), folder / "run", allow_code=True).path)


@pytest.fixture(autouse=True, scope="module")
def ray():
    """Ray, which keeps the token that it finds when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield pytest.importorskip("ray")


@pytest.fixture(scope="module")
def short():
    """A folder of which the path is short: sockets lie there."""
    folder = tempfile.mkdtemp(prefix="ray-")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def cluster(short):
    with cluster_in(short) as cluster:
        yield cluster


@pytest.fixture
def second(cluster):
    """The second node of the cluster, for one test."""
    node = cluster.join()
    yield node
    node.kill()


@pytest.fixture
def executor(cluster):
    with RayExecutor(address=cluster.address) as executor:
        yield executor


@pytest.fixture
def state(tmp_path):
    """The folder in which networks wait."""
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "hold").touch()
    yield folder
    (folder / "hold").unlink(missing_ok=True)


@pytest.fixture
def begun(state, tmp_path, executor):
    """A run in another thread, all of whose units are handed out; it waits for the file ``hold`` to go."""
    with ThreadPoolExecutor(1) as thread:

        def begin(**options):
            recipe, out = recipe_in(state), tmp_path / "run"
            return thread.submit(run_recipe, recipe, out, executor=executor, allow_code=True, **options)

        yield begin
        (state / "hold").unlink(missing_ok=True)


def trained(folder):
    """Return whether the whole training of a run is on disk."""
    run = store.open_run(folder)
    return all(store.read_checkpoint(run, step) is not None for step in run.steps)


# what is lost


def test_a_killed_worker_costs_its_unit_alone(begun, state, tmp_path, alone):
    run = begun()
    victim = next(iter(soon(lambda: measuring(state))))
    os.kill(victim, signal.SIGKILL)
    soon(lambda: set(measuring(state)) - {victim})  # another has its unit, or the next
    (state / "hold").unlink()
    run.result(PATIENCE)
    assert same(tables(tmp_path / "run"), alone)


def test_a_killed_node_costs_its_units_alone(begun, state, tmp_path, second, alone):
    run = begun()
    there = soon(lambda: set(measuring(state)) & set(second.processes))
    second.kill()
    assert not any(map(is_alive, there))
    (state / "hold").unlink()
    run.result(PATIENCE)
    assert same(tables(tmp_path / "run"), alone)


def test_a_node_that_never_answers_is_not_waited_for(begun, state, tmp_path, second, alone, monkeypatch):
    why, lose = [], Engine._lose
    monkeypatch.setattr(Engine, "_lose", lambda self, job, reason: why.append(reason) or lose(self, job, reason))
    run = begun(patience=8.0)
    soon(lambda: set(measuring(state)) & set(second.processes))
    silent = set(second.processes)
    send(signal.SIGSTOP, silent)
    (state / "hold").unlink()
    try:
        run.result(PATIENCE)
    finally:
        send(signal.SIGCONT, silent)
    assert "no worker answered" in why  # Ray itself notices much later
    assert same(tables(tmp_path / "run"), alone)


@pytest.mark.usefixtures("second")
def test_what_is_handed_out_a_third_time_stays_on_the_node_of_the_driver(cluster, executor):
    turns = [[executor.submit(node_of, call) for call in range(6)] for _ in range(3)]
    assert {one.result(PATIENCE) for one in turns[-1]} == {cluster.head.address}  # others go to both


def test_a_full_object_store_stops_nothing(ray, cluster, begun, state, tmp_path, second, alone):
    @ray.remote(num_cpus=0)
    class Full:
        def __init__(self):
            self.kept = []

        def fill(self):
            try:
                while True:
                    self.kept.append(ray.put(np.ones(500_000)))
            except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError):
                return len(self.kept)

    both = {cluster.head.address, second.address}  # Ray does not know yet that those of other tests are dead
    nodes = [node["NodeID"] for node in ray.nodes() if node["NodeManagerAddress"] in both]
    by_node = [ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    full = [Full.options(scheduling_strategy=at).remote() for at in by_node]
    assert len(full) == 2
    assert all(count > 10 for count in ray.get([one.fill.remote() for one in full]))
    (state / "hold").unlink()
    begun().result(PATIENCE)
    assert same(tables(tmp_path / "run"), alone)


def test_a_missing_checkpoint_is_named_at_the_end_and_made_again(begun, state, tmp_path, alone):
    run, out = begun(), tmp_path / "run"
    soon(lambda: measuring(state))
    soon(lambda: trained(out))
    (out / "checkpoints" / "step_00000013.safetensors").unlink()
    (state / "hold").unlink()
    with pytest.raises(EngineError, match=r"got 2 that .* step 13, .*samples 0 to 1: CheckpointError: the checkpoint"):
        run.result(PATIENCE)
    assert len(list((out / "measurements").iterdir())) == len(alone) - 1
    begun().result(PATIENCE)
    assert same(tables(out), alone)


def test_a_driver_that_was_killed_goes_on(cluster, state, tmp_path, alone):
    command = ["--allow-code", "--engine", "ray", "--address", cluster.address]
    with driver("run", written(recipe_in(state), tmp_path), "--out", tmp_path / "run", *command) as first:
        left = soon(lambda: measuring(state))
        first.kill()
    soon(lambda: not any(map(is_alive, left)))
    (state / "hold").unlink()
    with driver("run", tmp_path / "recipe.toml", "--out", tmp_path / "run", *command) as again:
        _, told = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, told
    assert same(tables(tmp_path / "run"), alone)


def test_a_killed_head_ends_the_driver_which_goes_on_without_it(state, tmp_path, alone, monkeypatch):
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "5")  # a minute by default
    with tempfile.TemporaryDirectory(prefix="ray-") as folder, cluster_in(folder) as cluster:
        command = ["--allow-code", "--engine", "ray", "--address", cluster.address]
        with driver("run", written(recipe_in(state), tmp_path), "--out", tmp_path / "run", *command) as first:
            soon(lambda: measuring(state))
            cluster.head.kill()
            _, told = first.communicate(timeout=PATIENCE)
    assert first.returncode == 1
    assert "Failed to connect to GCS within 5 seconds" in told  # Ray ends the process, no more can be said
    run_recipe(recipe_in(state), tmp_path / "run", allow_code=True)
    assert same(tables(tmp_path / "run"), alone)


# what is wrong


def test_other_versions_are_named(begun, state, monkeypatch):
    other = (("interdyn", "0.0.9"), ("torch", VERSIONS["torch"]))
    monkeypatch.setattr(_engine, "Order", partial(Order, versions=other))
    (state / "hold").unlink()
    wanted = rf"interdyn 0\.0\.9, torch .*; got interdyn {VERSIONS['interdyn']}, torch .* in process \d+ on "
    with pytest.raises(EngineError, match=wanted):
        begun().result(PATIENCE)


@pytest.mark.parametrize("what", ["no run", "another run"])
def test_a_folder_that_nodes_do_not_share_is_told(begun, state, tmp_path, monkeypatch, what):
    elsewhere = tmp_path / "elsewhere"
    if what == "another run":
        run_recipe(resolve(TINY), elsewhere)
    monkeypatch.setattr(_engine, "Order", lambda unit, _, *rest: Order(unit, str(elsewhere), *rest))
    (state / "hold").unlink()
    wanted = rf"the folder of the run, {elsewhere}, on a file system that all of them share; got {what} there"
    with pytest.raises(EngineError, match=wanted):
        begun().result(PATIENCE)


def test_a_closed_port_is_refused():
    with socket.socket() as free:  # bound, so that nobody else takes it, and not listening
        free.bind(("127.0.0.1", 0))
        said, seconds = refused(f"127.0.0.1:{free.getsockname()[1]}")
    assert said.startswith(" within 10 s; got Connection refused. Check")
    assert seconds < 30


def test_an_address_where_nobody_is_is_refused():
    assert refused("10.255.255.1:6379")[1] < 30  # how depends on the network: no way there, silence, or a proxy


def test_a_port_that_never_answers_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        said, seconds = refused(f"127.0.0.1:{deaf.getsockname()[1]}")
    assert said.startswith(" within 10 s; got timed out. Check")
    assert seconds < 30


def test_another_token_is_told(cluster, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    said, _ = refused(cluster.address)
    assert said.endswith("If it asks for a token, set RAY_AUTH_TOKEN to the cluster's token.")


@pytest.mark.parametrize("address", ["6379", "host:", "ray://10.0.0.1:10001", ":1"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(EngineError, match="host:port"):
        RayExecutor(address=address)


@pytest.mark.usefixtures("executor")
def test_a_second_cluster_is_refused(cluster):
    with pytest.raises(EngineError, match=rf"got 10\.0\.0\.1:6379 besides {cluster.address}\."):
        RayExecutor(address="10.0.0.1:6379")


def test_nothing_is_handed_to_a_cluster_that_was_left(cluster):
    with RayExecutor(address=cluster.address) as executor:
        pass
    with pytest.raises(RuntimeError, match="left"):
        executor.submit(divmod, 7, 2)


def test_without_ray_the_line_to_install_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError) as caught:
        RayExecutor()
    assert str(caught.value).endswith("Install it: pip install 'interdyn[ray]'")


@pytest.mark.parametrize("code", ["import interdyn.tracking.ray", "from interdyn.cli import main; main(['--help'])"])
def test_ray_is_imported_only_where_it_is_used(code):
    code = f"import sys, atexit; atexit.register(lambda: print('ray' in sys.modules)); {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


# the command line


def written(recipe, folder):
    """Return a file of a recipe."""
    (folder / "recipe.toml").write_text(tomli_w.dumps(recipe.plain()))
    return folder / "recipe.toml"


def test_ray_is_started_for_a_command_and_ends_with_it(state, tmp_path, alone, short, monkeypatch):
    for name in ENVIRONMENT:  # tokens are as Ray has them by default, in a home that is empty
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_TMPDIR", short)
    command = ["--allow-code", "--engine", "ray", "--workers", 2]
    with driver("run", written(recipe_in(state), tmp_path), "--out", tmp_path / "run", *command) as first:
        soon(lambda: len(measuring(state)) == 2)
        begun = family(first.pid)
        started = [Path(f"/proc/{process}/environ").read_bytes() for process in measuring(state).values()]
        assert all(b"RAY_USAGE_STATS_ENABLED=0" in environment for environment in started)
        os.killpg(first.pid, signal.SIGINT)  # as Ctrl-C does
        _, told = first.communicate(timeout=PATIENCE)
    assert first.returncode == 130, told
    soon(lambda: not any(map(is_alive, begun)))
    (state / "hold").unlink()
    with driver("run", tmp_path / "recipe.toml", "--out", tmp_path / "run", *command) as again:
        out, told = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, told
    assert "Report:  " in out
    assert [line for line in told.splitlines() if not re.match(SAID, line)] == []
    assert same(tables(tmp_path / "run"), alone)


SAID = r"(training|measuring|analysing|writing|the recipe runs this code)\b"


def test_a_folder_of_networks_is_watched_by_a_cluster(cluster, tmp_path):
    (tmp_path / "watched.py").write_text(
        "import torch\n"
        "def network():\n"
        "    torch.manual_seed(0)\n"
        "    return torch.nn.Linear(4, 1)\n"
        "def data():\n"
        "    return torch.rand(6, 4, generator=torch.Generator().manual_seed(0)), None\n"
    )
    (tmp_path / "saved").mkdir()
    for step in (10, 20):
        torch.manual_seed(step)
        torch.save(torch.nn.Linear(4, 1).state_dict(), tmp_path / "saved" / f"step_{step}.pt")
    options = ["--model", "watched:network", "--data", "watched:data", "--once", "--output", "regression", "--block", 2]
    for name, more in {"one": (), "ray": ("--engine", "ray", "--address", cluster.address)}.items():
        command = [sys.executable, "-c", COMMAND, "watch", "saved", *map(str, options), "--out", name, *more]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
    assert same(tables(tmp_path / "ray"), tables(tmp_path / "one"))
