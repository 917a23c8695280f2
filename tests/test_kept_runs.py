"""What is made of finished runs: the kept numbers, figures and sentences, and what each open choice changes."""

import json

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import fidelity
import results
from _tables import put
from interdyn import store
from interdyn.recipes import load_recipe, run_recipe
from interdyn.sparsify import split
from stored import summary_of

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
    """Result by name of the choice."""
    run, recipe = store.open_run(runs / "keep"), load_recipe(runs / "keep" / "recipe.toml")
    return {v.name: fidelity.outcome(run, v) for v in fidelity.variants(run, recipe, **OPTIONS)}


def _orders(result):
    return result.first.order_distribution.value


def test_every_choice_is_there_and_changes_something(runs, found):
    assert list(found) == [
        "bound 0.04",
        "bound 0.05",
        "order weight 0",
        "order one not merged",
        "AND only",
        "solver sgd-paper",
        "salience 0.05 of the strongest",
        "players not drawn masked",
    ]
    first = store.read_result(runs / "keep")
    moved = {name: fidelity.moved(result, first) for name, result in found.items()}
    assert all(distance > 1e-4 for distance in moved.values()), moved
    assert fidelity.moved(first, first) == 0


def test_another_background_is_what_a_run_with_it_says(runs, found):
    other = store.read_result(runs / "mask")
    np.testing.assert_allclose(_orders(found["players not drawn masked"]), _orders(other), atol=1e-6)
    run, recipe = store.open_run(runs / "mask"), load_recipe(runs / "mask" / "recipe.toml")
    *_, back = fidelity.variants(run, recipe, **OPTIONS)
    first = store.read_result(runs / "keep")
    assert back.name == "players not drawn kept"
    np.testing.assert_allclose(_orders(fidelity.outcome(run, back)), _orders(first), atol=1e-6)


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


def test_the_page_keeps_one_table_for_each_run(runs, tmp_path, capsys):
    lines = fidelity.table(runs / "keep", runs / "mask", sgd_steps=5, background=False)
    assert lines[2].count("|") == len(fidelity.COLUMNS) + 1
    assert any(line.startswith("| as the recipe (bound 0.02) |") for line in lines)
    assert any(line.startswith("| players not drawn: mask |") for line in lines)
    page = tmp_path / "fidelity.md"
    for section in ("## other\n\n| a |", "## digits-cnn\n\n| old |", "\n".join(lines), "\n".join(lines)):
        put(page, fidelity.HEAD, section)
    page = page.read_text()
    assert page.startswith(fidelity.HEAD)
    assert page.count("\n## digits-cnn\n") == 1
    assert page.count("\n## other\n") == 1
    assert "old" not in page
    assert page.count("| AND only |") == 1
    assert "AND only" in capsys.readouterr().out


def test_a_changed_head_replaces_the_old_one_and_keeps_the_tables(tmp_path, monkeypatch):
    page = tmp_path / "fidelity.md"
    put(page, "# Old\n\nold words\n\n", "## digits\n\n| a |")
    monkeypatch.setattr(fidelity, "PAGE", page)
    monkeypatch.setattr("sys.argv", ["fidelity.py"])
    fidelity.main()
    assert page.read_text() == fidelity.HEAD + "## digits\n\n| a |\n"


# -- kept results ------------------------------------------------------------------------------------


def test_a_kept_run_has_every_figure_and_number_of_its_line(runs, tmp_path, monkeypatch):
    panels = {}
    monkeypatch.setattr(results, "RESULTS", tmp_path / "docs" / "results")
    monkeypatch.setattr(results, "draw", lambda path, height, *drawn: panels.update({path.name: drawn}))  # noqa: ARG005
    results.keep(runs / "keep")
    results.write_page()
    folder = tmp_path / "docs" / "results" / "digits-cnn"
    run, kept = store.open_run(runs / "keep"), json.loads((folder / "summary.json").read_text())
    assert {key: kept[key] for key in summary_of(run)} == summary_of(run)
    assert set(kept["and_only"]) == {"mean_order", "phases", "theory_summary"}
    assert (
        kept["and_only"]["mean_order"] == results.and_only(run).to_json()["summary"]["mean_order"] != kept["mean_order"]
    )
    assert set(kept["share_of_samples"]) == {"falls", "rises", "both"}
    assert (folder / "recipe.toml").read_text() == (runs / "keep" / "recipe.toml").read_text()
    titles = {}
    for name, drawn in panels.items():
        for panel in drawn:
            ax = Figure().subplots()
            panel(ax)
            titles.setdefault(name, []).append(ax.get_title(loc="left").split(",")[0])
            (stamp,) = (text.get_text() for text in ax.texts if "interdyn" in text.get_text())
            assert stamp.endswith(kept["version"])
    assert titles == {
        "orders.png": ["Order distribution over training"],
        "phases.png": ["Mean order of the interactions", "Loss gap"],
        "theory.png": ["Theory and measurement", "Distance between theory and measurement"],
        "and_only.png": ["AND only: Order distribution over training", "AND only: Mean order of the interactions"],
    }
    page = (tmp_path / "docs" / "results" / "README.md").read_text()
    (line,) = (line for line in page.splitlines() if line.startswith("| [digits-cnn](digits-cnn/)"))
    assert line.count("|") == len(results.COLUMNS) + 1
    assert f"{kept['forward_passes']:,}; " in line
    assert kept["phases"]["status"] in page


def test_figures_are_written(tmp_path):
    results.draw(tmp_path / "a.png", 2.0, lambda ax: ax.plot([0, 1]), lambda ax: ax.plot([1, 0]))
    assert (tmp_path / "a.png").stat().st_size > 2000


def summary(*, found=True, share=0.1, said=None, status="Two phases."):
    """The part of a summary that the sentence is made of."""
    return {
        "phases": {
            "found": found,
            "status": status if found else "No first phase.",
            "evidence": {"interval_share": share},
            "agreement": "They agree.",
            "gap_status": "The gap grows.",
        },
        "prediction": {"phase_2": said and {"sentence": said}},
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Two phases. They agree."),
        ({"found": False}, "No first phase. The gap grows."),
        ({"share": 0.6, "status": "The boundary is weak: 60 %."}, "The boundary is weak: 60 %. They agree."),
        (
            {"share": 0.3},
            "Two phases. The interval of the boundary spans 30 % of the log axis: too wide to place it. They agree.",
        ),
        ({"said": "Beyond the tilt, nothing."}, "Two phases. They agree. Over phase 2: Beyond the tilt, nothing."),
    ],
)
def test_what_does_not_appear_is_said_in_plain_words(given, said):
    assert results.sentence(summary(**given)) == said


def test_the_share_of_samples_is_that_of_their_own_courses():
    courses = [
        [4, 4, 4, 1, 1, 1, 3, 3, 3],  # falls and rises
        [4, 4, 4, 1, 1, 1, 3, 3, 3],
        [4, 4, 4, 2, 2, 2, 1, 1, 1],  # falls
        [1, 1, 1, 2, 2, 2, 3, 3, 3],  # rises
        [2, 2, 2, 2, 2, 2, 2, 2, 2],  # neither
        [4, 4, 4, 1, 1, 13, 6, 6, 6],  # rises: at the turn three steps count
        [4, 4, 4, 1, 1, 1, 3, 3, 3],
        [4, 4, 4, 1, 1, 1, 3, 3, 3],
    ]
    own = np.array(courses, dtype=float).T
    assert results.share_of_samples(own, 4) == {"falls": 5 / 8, "rises": 6 / 8, "both": 4 / 8}
    own[3:6, 0] = np.nan  # nothing salient at the turn: neither falls nor rises
    assert results.share_of_samples(own, 4) == {"falls": 4 / 8, "rises": 5 / 8, "both": 3 / 8}
