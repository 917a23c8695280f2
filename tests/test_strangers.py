"""What a stranger sends, a recipe or a run: nothing in it runs, hangs, or shows what lies elsewhere."""

import os
import subprocess
import sys
import textwrap

import pytest

from interdyn.cli import main
from interdyn.errors import RecipeError
from interdyn.recipes import code_of, load_recipe, load_samples, resolve, run_recipe
from interdyn.recipes._registry import find_model

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
    assert "the recipe runs code: guest_code:net (model.name), guest_code:rows (data.name)" in capsys.readouterr().err
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
