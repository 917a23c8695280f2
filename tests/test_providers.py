"""Installed packages that bring models, data and recipes: found by their entry point, whoever wrote them."""

import copy
import inspect
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import interdyn
from interdyn.cli import main
from interdyn.errors import InterdynWarning, RecipeError
from interdyn.recipes import _registry, code_of, load_recipe, recipes, run_recipe
from interdyn.recipes._registry import find_dataset, find_model

CODE = """
    import numpy as np
    from torch import nn

    from interdyn.recipes import Dataset, dataset, model


    @model("{name}-net")
    def net(shape, n_outputs, *, width=8):
        return nn.Sequential(nn.Linear(shape[0], width), nn.ReLU(), nn.Linear(width, n_outputs))


    @dataset("{name}-rows")
    def rows(*, seed):
        inputs = np.random.default_rng(seed).normal(size=(80, 4)).astype(np.float32)
        return Dataset(inputs, (inputs[:, 0] > 0).astype(int), n_classes=2)
"""
RECIPE = """
    name = "{name}"
    description = "Rows of {name}."
    model = {{ name = "{name}-net" }}
    data = {{ name = "{name}-rows" }}
    training = {{ learning_rate = 0.1, epochs = 2 }}
    players = {{ kind = "columns" }}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution with one package, as pip leaves it."""
    packages = []

    def add(distribution, package, code, recipe=None, *, file="rows"):
        packages.append(package)
        site = tmp_path / distribution
        (site / package / "library").mkdir(parents=True)
        (site / package / "__init__.py").write_text(textwrap.dedent(code))
        if recipe:
            (site / package / "library" / f"{file}.toml").write_text(textwrap.dedent(recipe))
        metadata = site / f"{distribution}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[interdyn.recipes]\n{distribution} = {package}\n")
        monkeypatch.syspath_prepend(site)
        return site

    find_model("mlp")  # the zoo is there before and stays; what is registered from here on is forgotten
    for registry in ("_MODELS", "_DATASETS"):
        monkeypatch.setattr(_registry, registry, copy.deepcopy(getattr(_registry, registry)))
    yield add
    for package in packages:
        sys.modules.pop(package, None)


@pytest.mark.usefixtures("without_figures")
def test_a_provider_brings_models_data_and_recipes(install, monkeypatch):
    site = install("acme", "acme_zoo", CODE.format(name="acme"), RECIPE.format(name="acme"), file="acme-rows")
    assert recipes()["acme-rows"] == "Rows of acme."
    assert load_recipe("acme-rows").model.name == "acme-net"
    assert "acme_zoo" not in sys.modules, "recipes are listed and read without importing what they need"
    assert find_model("acme-net").__module__ == find_dataset("acme-rows").__module__ == "acme_zoo"
    monkeypatch.chdir(site)
    with pytest.raises(SystemExit) as ended:
        main(["run", "acme-rows", "--smoke"])
    assert not ended.value.code
    assert (site / "runs" / "acme-smoke" / "report.html").exists()


def test_a_recipe_of_a_provider_may_name_code_of_its_own_package_alone(install, tmp_path):
    code = CODE.format(name="acme").replace('@model("acme-net")', "").replace("acme-rows", "other")
    recipe = RECIPE.format(name="acme").replace('"acme-net"', '"acme_zoo:net"').replace('"acme-rows"', '"wine"')
    site = install("acme", "acme_zoo", code, recipe, file="acme-rows")
    own = load_recipe("acme-rows", smoke=True, overrides=["training.batch_size=60"])
    assert code_of(own) == {}
    assert run_recipe(own, tmp_path / "run").steps[-1] > 0
    other = load_recipe("acme-rows", overrides=["data.name=acme_zoology:rows"])
    assert code_of(other) == {"data.name": "acme_zoology:rows"}
    copied = load_recipe(site / "acme_zoo" / "library" / "acme-rows.toml")  # the file of a stranger, for all we know
    assert code_of(copied) == {"model.name": "acme_zoo:net"}
    for recipe in (other, copied):
        with pytest.raises(RecipeError, match="allow_code=True"):
            run_recipe(recipe, tmp_path / "no")


def test_the_zoo_is_found_as_any_other_provider_is():
    assert find_model("mlp").__module__ == "interdyn_zoo.models.mlp"
    assert find_dataset("digits").__module__.startswith("interdyn_zoo.data.")
    code = "import sys, interdyn.recipes as r; r.recipes(); print({'torch', 'interdyn_zoo'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_wheel_holds_every_package():
    source = Path(inspect.getfile(interdyn)).parents[1]
    project = tomllib.loads((source.parent / "pyproject.toml").read_text())
    packages = {f"src/{path.parent.name}" for path in source.glob("*/__init__.py")}
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == packages


def test_a_provider_that_cannot_be_imported_is_named_and_does_not_stop_the_others(install):
    install("broken", "broken_zoo", "import a_package_that_nobody_has", RECIPE.format(name="broken"), file="broken")
    said = "distribution `broken` are left out: .* broken_zoo .*a_package_that_nobody_has.*pip uninstall broken"
    with pytest.warns(InterdynWarning, match=said):
        assert find_model("mlp")
    assert "broken" in recipes()
    with pytest.warns(InterdynWarning, match=said), pytest.raises(RecipeError, match=r"`model\.name`"):
        find_model("broken-net")


def test_a_provider_whose_package_is_gone_is_named_and_does_not_stop_the_others(install):
    site = install("gone", "gone_zoo", "")
    for file in (site / "gone_zoo" / "__init__.py", site / "gone_zoo" / "library", site / "gone_zoo"):
        file.unlink() if file.is_file() else file.rmdir()
    with pytest.warns(InterdynWarning, match="distribution `gone` are left out: .* gone_zoo"):
        assert "digits-cnn" in recipes()


def test_a_recipe_that_cannot_be_read_is_named_and_does_not_hide_the_others(install):
    install("torn", "torn_zoo", "", "name = ", file="torn")
    with pytest.warns(InterdynWarning, match=r"`torn` is left out: .*torn_zoo/library/torn\.toml"):
        found = recipes()
    assert "torn" not in found
    assert "digits-cnn" in found


def test_one_name_of_two_providers_is_refused_and_both_are_named(install):
    for name in ("one", "two"):
        install(name, f"{name}_zoo", CODE.format(name="same"), RECIPE.format(name="same"), file="same")
    for find, name, section in ((find_model, "same-net", "model"), (find_dataset, "same-rows", "data")):
        with pytest.raises(RecipeError, match=f"{section}.name` must name one factory") as caught:
            find(name)
        assert "one_zoo:" in str(caught.value)
        assert "two_zoo:" in str(caught.value)
    assert find_model("one_zoo:net").__module__ == "one_zoo"
    with pytest.raises(RecipeError, match=r"must be that of one recipe; got `same`") as caught:
        load_recipe("same")
    assert "one_zoo" in str(caught.value)
    assert "two_zoo" in str(caught.value)
    assert load_recipe("digits-cnn").name == "digits-cnn"
    with pytest.warns(InterdynWarning, match="`same` is left out"):
        assert "same" not in recipes()


def test_without_any_provider_the_errors_say_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setattr("interdyn.recipes._registry.entry_points", lambda group: ())  # noqa: ARG005
    for ask in (recipes, lambda: load_recipe("digits-cnn"), lambda: find_model("nothing-of-this-name")):
        with pytest.raises(RecipeError, match=r"group `interdyn\.recipes`\).*pip install -e \."):
            ask()
    path = tmp_path / "mine.toml"
    path.write_text(textwrap.dedent(RECIPE.format(name="mine")))
    assert load_recipe(path).name == "mine"
