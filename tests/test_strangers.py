"""What a stranger sends, a recipe or a run: nothing in it runs, hangs, or shows what lies elsewhere."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest

from interdyn.cli import main
from interdyn.errors import InputError, NotARunError, RecipeError
from interdyn.recipes import code_of, load_recipe, load_samples, resolve, run_recipe
from interdyn.recipes._registry import find_model
from interdyn.schedules import all_of, any_of, at, due, every, log_spaced

RUN = Path(__file__).parent / "data" / "before" / "recipe"

HOSTILE = """
import pathlib
pathlib.Path({mark!r}).write_text("x")

import numpy as np
from torch import nn
from interdyn.recipes import Dataset

def rows(*, seed):
    inputs = np.random.default_rng(seed).normal(size=(40, 3)).astype(np.float32)
    return Dataset(inputs, (inputs[:, 0] > 0).astype(int), n_classes=2)

def net(shape, n_outputs):
    return nn.Linear(shape[0], n_outputs)
"""
RECIPE = """
name = "guest"
training = {{ learning_rate = 0.1, epochs = 1 }}
players = {{ kind = "columns" }}
[model]
name = "{model}"
[data]
name = "{data}"
"""


@pytest.fixture
def guest(tmp_path, monkeypatch):
    """Return a function that writes a stranger's recipe; the module beside it leaves a mark when it is imported."""
    mark = tmp_path / "mark"
    (tmp_path / "guest_code.py").write_text(HOSTILE.format(mark=str(mark)))
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)

    def recipe(*, model="mlp", data="breast_cancer"):
        path = tmp_path / "guest.toml"
        path.write_text(RECIPE.format(model=model, data=data))
        return path, mark

    yield recipe
    sys.path[:] = before
    sys.modules.pop("guest_code", None)


@pytest.mark.parametrize("section", ["model", "data"])
@pytest.mark.parametrize("code", ["guest_code:rows", "torch.hub:load", "os:system", "guest_code:", ":rows"])
def test_a_recipe_runs_no_code_without_permission(guest, tmp_path, section, code, capsys, monkeypatch):
    path, mark = guest(**{section: code})
    monkeypatch.syspath_prepend(tmp_path)  # even where it could be imported
    recipe = load_recipe(path)
    assert code_of(recipe) == {f"{section}.name": code}
    with pytest.raises(RecipeError, match=rf"`{section}\.name`.*{code}.*allow_code=True"):
        run_recipe(recipe, tmp_path / "out")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(path), "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "--allow-code" in capsys.readouterr().err
    assert not mark.exists()
    assert not (tmp_path / "out").exists()
    if section == "data":
        with pytest.raises(RecipeError, match="allow_code=True"):
            load_samples(resolve(recipe.plain()).data)
        assert not mark.exists()


def test_what_is_allowed_is_named_before_it_runs(guest, tmp_path, capsys):
    path, mark = guest(model="guest_code:net", data="guest_code:rows")
    out = str(tmp_path / "out")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(path), "--smoke", "--out", out, "--allow-code"])
    assert ended.value.code == 0
    assert (
        "the recipe runs this code: guest_code:net (model.name), guest_code:rows (data.name)" in capsys.readouterr().err
    )
    assert mark.exists()
    mark.unlink()
    sys.modules.pop("guest_code")
    with pytest.raises(SystemExit) as ended:  # a run is no permission either: its recipe is a stranger's again
        main(["run", f"{out}/recipe.toml", "--out", out])
    assert ended.value.code == 2
    assert not mark.exists()


def test_what_is_registered_needs_no_permission():
    assert find_model("interdyn_zoo.models.mlp:mlp") is find_model("mlp")
    with pytest.raises(RecipeError, match="allow_code=True"):
        find_model("interdyn_zoo.data._root:own_path")


def test_a_module_in_the_folder_stands_in_for_no_package(guest, tmp_path):
    """A stranger's folder may hold a file named as an optional package that is not installed."""
    path, mark = guest()
    (tmp_path / "a_missing_extra.py").write_text((tmp_path / "guest_code.py").read_text())
    code = f"""
        import interdyn.cli, sys
        sys.path[:] = [place for place in sys.path if place]
        sys.argv[1:] = ["run", {str(path)!r}, "--set", "data.name=nobody"]
        try: interdyn.cli.main()
        except SystemExit: pass
        try: import a_missing_extra
        except ImportError: print("not there")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    assert done.stdout == "not there\n"
    assert not mark.exists()


# runs


def test_links_inside_a_run_are_not_followed(tmp_path):
    from interdyn import store

    for number, where in enumerate(("summary.json", "recipe.toml", "measurements", "measurements/step_0.x")):
        run, secret = tmp_path / f"run{number}", tmp_path / "secret"
        shutil.copytree(RUN, run)
        (run / "measurements").mkdir(exist_ok=True)
        secret.mkdir(exist_ok=True)
        target = run / where
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        target.symlink_to(secret)
        with pytest.raises(NotARunError, match="must contain only files and folders; got a link"):
            store.open_run(run)


def test_what_would_keep_a_reader_waiting_is_refused(tmp_path):
    from interdyn import store

    run = tmp_path / "run"
    shutil.copytree(RUN, run)
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")
    with pytest.raises(NotARunError, match="not a file"):
        store.open_run(run)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a/b", "..", "", "\0", "a\\b", ".hidden"])
def test_names_of_groups_stay_inside_the_run(tmp_path, name):
    from interdyn import store

    run = tmp_path / "run"
    shutil.copytree(RUN, run)
    identity = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**identity, "groups": [name]}))
    with pytest.raises(NotARunError):
        store.open_run(run)


# schedules


@pytest.mark.parametrize(
    "schedule",
    [
        every(7),
        at(0, 100),
        log_spaced(1000),
        log_spaced(1, first=10**15),
        any_of(every(3), at(5)),
        all_of(every(2), every(2, start=1)),
        all_of(all_of(every(2), every(2, start=1)), every(3)),
        all_of(any_of(all_of(every(2), every(2, start=1)), every(7)), every(2, start=1), every(14)),
        all_of(log_spaced(), lambda step: step % 2 == 0),
    ],
)
def test_a_far_step_is_answered_at_once(schedule):
    """In processor time that no machine exceeds: asked step by step, these take hours."""
    begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert due(schedule, 0, 20_260_101_120_000) in (True, False)
    assert time.process_time() - begun < 60


@pytest.mark.parametrize("odd", [float("nan"), -1, "x", None, 10**40, [1]])
def test_odd_steps_are_refused(odd):
    for make in (every, at, log_spaced, lambda step: due(every(1), 0, step)):
        with pytest.raises(InputError):
            make(odd)
