"""Whatever is passed: an answer, or an error of ours. No other library's traceback, no hang, no success on nonsense.

An error that the network itself raises is its own, with words of ours as a note.

The default run tries about 2,000 inputs; ``./run test tests/test_fuzz.py --fuzz 100000`` as many as are asked for.
"""

import importlib
import inspect
import io
import json
import resource
import signal
import struct
import sys
import warnings
import zipfile
from collections import Counter
from contextlib import contextmanager
from importlib.metadata import entry_points

import numpy as np
import pytest
import tomli_w
import torch
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

import fuzz_saved
from fuzz_world import calls, replacements, world
from interdyn import store
from interdyn.errors import InterdynError, NotARunError, RecipeError
from interdyn.measurement import History
from interdyn.recipes import _registry, build_model, load_recipe, load_samples
from interdyn.recipes._registry import find_dataset
from interdyn.sparsify._fused import loop
from interdyn.tracking import Tracker, find_checkpoints, load_network

pytestmark = pytest.mark.filterwarnings("ignore")
LONGEST = 20  # seconds of one input, of the processor; ten times as many by the clock
SHARES = {"calls": 0.6, "recipes": 0.1, "files": 0.1, "runs": 0.1, "saved": 0.1}  # of all inputs


class Late(BaseException):
    """An input took too long; nothing catches it by accident."""


@contextmanager
def in_time():
    """Raise `Late` after the longest time that one input may take."""

    def late(*_):
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        raise Late

    before = {kind: signal.signal(kind, late) for kind in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    signal.alarm(10 * LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for kind, handler in before.items():
            signal.signal(kind, handler)


def tried(function, *arguments, **options):
    """Return what a call gives, or the error that it raises, if it is ours or has our words; all else goes through."""
    with in_time(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return function(*arguments, **options)
        except Exception as error:
            if not isinstance(error, InterdynError) and not any("interdyn: " in n for n in _notes(error)):
                raise
            return error


def _notes(error):
    return getattr(error, "__notes__", ())


@pytest.fixture(autouse=True)
def _providers_looked_up_once(monkeypatch):
    """Look for installed providers once: what is installed does not change meanwhile."""
    found = entry_points(group="interdyn.recipes")
    monkeypatch.setattr(_registry, "entry_points", lambda group: found)  # noqa: ARG005


@pytest.fixture
def many(request):
    """Return how many inputs a fuzzer tries, as settings of Hypothesis."""
    asked = request.config.getoption("--fuzz")

    def of(part):
        count = round((asked or 2000) * SHARES[part])
        return settings(
            max_examples=max(1, count),
            deadline=None,
            derandomize=asked is None,
            database=None,
            phases=(Phase.generate,) if asked else (Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )

    return of


def counted(seen, capsys, name):
    """Print how many inputs were answered, and how many refused."""
    with capsys.disabled():
        sys.stdout.write(f" {name}: {sum(seen.values()):,} inputs, {dict(seen)} ")


def test_public_functions(many, capsys):
    seen = Counter()
    names = sorted(calls())
    for layout in ("side by side", "within"):
        loop(layout)  # compiled before anything is timed

    @many("calls")
    @given(st.data())
    def run(data):
        name = data.draw(st.sampled_from(names))
        call = calls()[name]
        put = data.draw(replacements(name))
        found = tried(call.function, **{**call.arguments, **{key: value for key, (value, _) in put.items()}})
        refused = isinstance(found, Exception)
        seen["refused" if refused else "answered"] += 1
        nonsense = [key for key, (_, wrong) in put.items() if wrong]
        assert refused or not nonsense, f"{name} takes {nonsense}: {put}"

    run()
    counted(seen, capsys, "calls")


def test_the_calls_are_right_as_they_stand():
    for name, call in calls().items():
        found = tried(call.function, **call.arguments)
        assert not isinstance(found, Exception) or "no/such" in map(str, call.arguments.values()), (name, found)


ROOMS = ("transforms", "sparsify", "spectra", "theory", "dynamics", "schedules", "players", "monitors")
ELSEWHERE = {"words", "due", "due_steps", "when"}  # a tokeniser's; within `log_spaced` and `at`; of steps we found


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_function_is_called(room):
    module = importlib.import_module(f"interdyn.{room}")
    public = {name for name in module.__all__ if inspect.isfunction(getattr(module, name))}
    called = {name.partition(" ")[0].split(".")[-1] for name in calls() if name.startswith(f"{room}.")}
    assert public - called - ELSEWHERE == set()


# recipes and overrides

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 40),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["digits", "mlp", "columns", "auto", "cpu", "os:system", "../x", "\0", "mean", "admm", "paper"]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
TERM = {"kind": "and", "players": [0, 1], "weight": 1.0}
RECIPE = {
    "name": "small",
    "model": {"name": "mlp", "options": {"hidden": [4]}},
    "data": {
        "name": "game",
        "options": {
            "terms": [{"kind": "and", "players": [0, 1], "weight": 1.0}],
            "n_players": 3,
            "draws": 2,
            "full": 8,
        },
        "test_fraction": 0.3,
        "seed": 0,
    },
    "training": {"learning_rate": 0.1, "epochs": 1, "batch_size": 4, "optimiser": "sgd", "seed": 0},
    "players": {"kind": "columns", "n": 3, "seed": 0},
    "measure": {"test_samples": 2, "train_samples": 2, "baseline": 0.0, "output": "regression", "tol": 1e-2},
    "analysis": {"salience": 0.03},
    "checkpoints": {"count": 2},
}


def places(tree, prefix=()):
    """Return the path of every key of a tree."""
    for key, value in tree.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from places(value, (*prefix, key))


def replaced(tree, path, value):
    """Return a copy of a tree with one key changed; None leaves it out."""
    out = {key: dict(inner) if isinstance(inner, dict) else inner for key, inner in tree.items()}
    if len(path) > 1:
        out[path[0]] = replaced(out.get(path[0], {}), path[1:], value)
    elif value is None:
        out.pop(path[0], None)
    else:
        out[path[0]] = value
    return out


def test_recipes_and_overrides(many, tmp_path, capsys):
    seen = Counter()
    file = tmp_path / "recipe.toml"
    keys = sorted(places(RECIPE))

    def used(**how):
        recipe = load_recipe(file, **how)
        samples = load_samples(recipe.data)
        build_model(recipe.model, shape=samples.shape, n_outputs=samples.n_outputs, seed=0)
        return recipe

    file.write_bytes(tomli_w.dumps(RECIPE).encode())
    assert tried(used).name == "small"

    @many("recipes")
    @given(st.data())
    def run(data):
        way = data.draw(st.sampled_from(["tree", "bytes", "override", "name"]))
        how = {}
        content = tomli_w.dumps(RECIPE).encode()
        if way == "tree":
            value = data.draw(TREES)
            try:
                content = tomli_w.dumps(replaced(RECIPE, data.draw(st.sampled_from(keys)), value)).encode()
            except (TypeError, ValueError, UnicodeError):  # what TOML cannot say
                return
        elif way == "bytes":
            content = damaged(data, content)
        elif way == "override":
            key = ".".join(data.draw(st.sampled_from(keys)))
            odd = st.text(max_size=12)
            text = data.draw(st.one_of(odd, SCALARS.map(lambda v: f"{key}={v}"), odd.map(lambda v: f"{key}={v}")))
            how = {"overrides": [text]}
        file.write_bytes(content)
        name = data.draw(st.text(max_size=10))
        found = tried(load_recipe, name) if way == "name" else tried(used, **how)
        seen["refused" if isinstance(found, Exception) else "answered"] += 1
        assert way != "name" or isinstance(found, RecipeError)

    run()
    counted(seen, capsys, "recipes")


# damaged files of data


def damaged(data, content):
    """Return bytes cut short, with some changed, some left out or some put in."""
    way = data.draw(st.sampled_from(["cut", "flip", "drop", "put", "other"]))
    at = data.draw(st.integers(0, max(0, len(content) - 1)))
    if way == "cut":
        return content[:at]
    if way == "flip":
        bits = data.draw(st.integers(1, 255))
        return content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :] if content else b""
    if way == "drop":
        return content[:at] + content[at + data.draw(st.integers(1, 9)) :]
    more = data.draw(st.binary(min_size=1, max_size=9))
    return content[:at] + more + content[at:] if way == "put" else more


def _npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


IDX = {
    "images-idx3-ubyte": struct.pack(">IIII", 0x803, 4, 4, 4) + bytes(64),
    "labels-idx1-ubyte": struct.pack(">II", 0x801, 4) + bytes([0, 1, 0, 1]),
}
X, Y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 0, 1])
OFF = b"OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n"
CSV = b"age,job,target\n1,a,0\n2,b,1\n3,a,0\n,b,1\n"
LOADERS = {  # files, and options; the name of a data set
    "npz": ({"a.npz": _npz(x=X, y=Y)}, {"path": "a.npz"}),
    "idx": ({f"{part}-{name}": content for part in ("train", "t10k") for name, content in IDX.items()}, {"path": "."}),
    "table": ({"a.csv": CSV}, {"path": "a.csv", "target": "target"}),
    "point-clouds": ({"a/1.npy": _npy(X), "b/1.off": OFF}, {"path": ".", "n_points": 3}),
    "image-folder": (
        {f"{c}/1.ppm": b"P6\n4 4\n255\n" + bytes(range(48)) for c in "ab"} | {"b/2.pgm": b"P5\n4 4\n255\n" + bytes(16)},
        {"path": "."},
    ),
    "cifar-batches": ({"train": b"", "test": b""}, {"path": "."}),
}


def test_files_of_data(many, tmp_path, monkeypatch, capsys):
    import pickle

    batch = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}
    LOADERS["cifar-batches"][0].update(dict.fromkeys(("train", "test"), pickle.dumps(batch, protocol=2)))
    monkeypatch.setenv("INTERDYN_DATA", str(tmp_path))
    seen = Counter()

    def read(name, **options):
        found = find_dataset(name)(seed=0, **options)
        assert np.isfinite(found.inputs).all() or name == "npz", f"{name} gives NaN"
        return found

    def write(files):
        for file, content in files.items():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(content)

    @many("files")
    @given(st.data())
    def run(data):
        name = data.draw(st.sampled_from(sorted(LOADERS)))
        files, options = LOADERS[name]
        folder = tmp_path / name
        hurt = data.draw(st.sampled_from(sorted(files)))
        write({f"{name}/{file}": content for file, content in files.items()})
        (folder / hurt).write_bytes(damaged(data, files[hurt]))
        found = tried(read, name, **{**options, "path": str(folder / options["path"])})
        seen["refused" if isinstance(found, Exception) else "answered"] += 1

    run()
    counted(seen, capsys, "files")


# damaged run folders


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Return the folder of a small tracked run, and what each of its files holds."""
    from interdyn.players import columns

    folder = tmp_path_factory.mktemp("fuzz") / "run"
    w = world()
    with Tracker((w["x"], [0, 1]), players=columns(), budget=None, out=folder) as tracker:
        for step in (0, 1):
            tracker.observe(step, w["net"])
    return folder, {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_damaged_runs(many, run_folder, capsys):
    folder, whole = run_folder
    names = sorted(whole)
    seen = Counter()

    def used():
        run = store.open_run(folder)
        history = History.read(run)
        return len(history.steps), [store.read_checkpoint(run, step) for step in run.steps]

    @many("runs")
    @given(st.data())
    def run(data):
        file = data.draw(st.sampled_from(names))
        file.write_bytes(damaged(data, whole[file]))
        try:
            opened = store.Run(folder, "", "", (), (), "", "")
            found = [tried(used), tried(store.read_result, folder), tried(store.read_recipe, opened)]
        finally:
            file.write_bytes(whole[file])
        seen["refused" if any(isinstance(one, Exception) for one in found) else "answered"] += 1

    run()
    counted(seen, capsys, "runs")


# saved networks


def test_saved_networks(many, tmp_path, capsys):
    """Read right or refused, whatever a stranger has written; nothing runs, and no absurd size fills the memory."""
    seen, mark = Counter(), tmp_path / "mark"
    layouts = fuzz_saved.layouts()
    right, other = fuzz_saved.network().state_dict(), fuzz_saved.network(5)
    before = {name: value.clone() for name, value in other.state_dict().items()}

    for name, (path, files) in layouts.items():
        _written(tmp_path / "whole" / name, files)
        assert tried(load_network, tmp_path / "whole" / name / path, other) in (7, None), name
        assert all(torch.equal(right[key], value) for key, value in other.state_dict().items()), name

    @many("saved")
    @given(st.data())
    def run(data):
        name = data.draw(st.sampled_from(sorted(layouts)))
        path, files = layouts[name]
        file = data.draw(st.sampled_from(sorted(files)))
        folder = tmp_path / "hurt" / name
        _written(folder, {**files, file: fuzz_saved.hurt(data, file, files[file], mark)})
        other.load_state_dict(before)
        told = tried(find_checkpoints, folder, other)
        found = tried(load_network, folder / path, other)
        refused = isinstance(found, Exception)
        assert not isinstance(told, Exception)
        assert not mark.exists(), "it runs code"
        changed = any(not torch.equal(before[key], value) for key, value in other.state_dict().items())
        assert changed is not refused
        seen["refused" if refused else "answered"] += 1

    run()
    counted(seen, capsys, "saved")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2**22  # KiB: 4 GiB, with all libraries


def _written(folder, files):
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)


@pytest.mark.parametrize("content", ["[]", "3", '"x"', "null", "{}", '{"kind": []}', "\ufeff{}", "[" * 100_000])
def test_a_run_json_of_another_kind_is_no_run(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(NotARunError):
        store.open_run(tmp_path)


def test_an_archive_with_an_empty_member_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERDYN_DATA", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for name in "xy":
            file.writestr(f"{name}.npy", json.dumps(name))
    assert isinstance(tried(find_dataset("npz"), seed=0, path="a.npz"), InterdynError)
