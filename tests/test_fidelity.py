"""What each open choice changes: the lines of the page are what a run with that choice says."""

import numpy as np
import pytest
import torch

import fidelity
from interdyn import store
from interdyn.recipes import load_recipe, run_recipe
from interdyn.sparsify import split

OPTIONS = {"sgd_steps": 30, "background": True}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same small run with the players that are not drawn kept, and masked."""
    folder = tmp_path_factory.mktemp("fidelity")
    overrides = ["players.n=5", "measure.mislabelled_samples=0", "training.epochs=3", "checkpoints.count=3"]
    for others in ("keep", "mask"):
        recipe = load_recipe("digits-cnn", overrides=[*overrides, f"players.others={others}"], smoke=True)
        run_recipe(recipe, folder / others)
    return folder


@pytest.fixture(scope="module")
def found(runs):
    """Summary by name of the choice."""
    run, recipe = store.open_run(runs / "keep"), load_recipe(runs / "keep" / "recipe.toml")
    return {v.name: fidelity.outcome(run, v) for v in fidelity.variants(run, recipe, **OPTIONS)}


def test_every_choice_is_there_and_changes_something(runs, found):
    assert list(found) == [
        "bound 0.04",
        "bound 0.05",
        "order one not merged",
        "AND only",
        "solver sgd-paper",
        "salience 0.05 of the strongest",
        "players not drawn masked",
    ]
    first = store.read_summary(store.open_run(runs / "keep"))
    moved = {name: fidelity.moved(summary, first) for name, summary in found.items()}
    assert all(distance > 1e-4 for distance in moved.values()), moved
    assert fidelity.moved(first, first) == 0


def test_another_background_is_what_a_run_with_it_says(runs, found):
    other = store.read_summary(store.open_run(runs / "mask"))
    np.testing.assert_allclose(
        found["players not drawn masked"]["order_distribution"], other["order_distribution"], atol=1e-6
    )
    run, recipe = store.open_run(runs / "mask"), load_recipe(runs / "mask" / "recipe.toml")
    *_, back = fidelity.variants(run, recipe, **OPTIONS)
    first = store.read_summary(store.open_run(runs / "keep"))
    assert back.name == "players not drawn kept"
    np.testing.assert_allclose(
        fidelity.outcome(run, back)["order_distribution"], first["order_distribution"], atol=1e-6
    )


def test_splits_are_those_of_the_recipe_but_for_the_choice(runs):
    run, recipe = store.open_run(runs / "keep"), load_recipe(runs / "keep" / "recipe.toml")
    step = run.steps[-1]
    v = torch.from_numpy(store.read_measurement(run, step, group="test").v)
    by_name = {x.name: x for x in fidelity.variants(run, recipe, **OPTIONS)}
    expected = split(v, noise_bound=0.05, tol=recipe.measure.tol)
    torch.testing.assert_close(by_name["bound 0.05"].explain(step, v).i_and, expected.i_and)
    alone = by_name["AND only"].explain(step, v)
    torch.testing.assert_close(alone.i_and.sum(-1), v[:, -1])
    assert not alone.i_or.any()
    laboratory = by_name["solver sgd-paper"].explain(step, v)
    assert "30 steps" in laboratory.status[0]
    halves = by_name["order one not merged"].explain(step, v)
    torch.testing.assert_close(halves.i_and[:, [1, 2, 4]], halves.i_or[:, [1, 2, 4]])


def test_the_page_keeps_one_table_for_each_run(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fidelity, "PAGE", tmp_path / "fidelity.md")
    lines = fidelity.table(runs / "keep", runs / "mask", sgd_steps=5, background=False)
    assert lines[2].count("|") == len(fidelity.COLUMNS) + 1
    assert any(line.startswith("| as the recipe (bound 0.02) |") for line in lines)
    assert any(line.startswith("| players not drawn: mask |") for line in lines)
    fidelity.write(["## other", "", "| a |"])
    fidelity.write(["## digits-cnn", "", "| old |"])
    fidelity.write(lines)
    fidelity.write(lines)
    page = (tmp_path / "fidelity.md").read_text()
    assert page.startswith(fidelity.HEAD)
    assert page.count("\n## digits-cnn\n") == 1
    assert page.count("\n## other\n") == 1
    assert "old" not in page
    assert page.count("| AND only |") == 1
    assert "AND only" in capsys.readouterr().out
