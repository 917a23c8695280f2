"""What `./run assumption` says of the noise of interactions, on draws whose noise is known."""

import json
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import assumption
from assumption import disturbed, failed_assumption, failed_at, growth_of, regression_view, together, variances, verdict
from interdyn import store
from interdyn.measurement import MeasurementConfig
from interdyn.measurement._config import Group
from interdyn.players import columns
from interdyn.recipes import load_recipe, run_recipe
from interdyn.transforms import and_from_values
from interdyn.values import orders


def test_tables_with_independent_noise_give_the_variance_of_the_assumption(rng):
    """An AND interaction of k players adds 2^k outputs, each with noise of its own."""
    found = and_from_values(rng.standard_normal((400, 3, 64)))
    by_order = variances(found)
    np.testing.assert_allclose(by_order, 2.0 ** np.arange(1, 7), rtol=0.3)


def test_independent_interactions_go_together_as_much_as_by_chance(rng):
    independent = 5 + rng.standard_normal((40, 3, 32))  # a mean is no correlation
    r, chance = together(independent)
    assert r == pytest.approx(chance, rel=0.1)
    one_source = rng.standard_normal((40, 3, 1)) * np.ones(32) + 0.3 * independent
    assert together(one_source)[0] > 3 * chance


def test_what_fails_is_named():
    assert verdict(failed_assumption([2.0, 1.8, 2.2], [1.0, 1.2])) == "Assumption 1 holds at all disturbances."
    assert failed_assumption([1.41, 2.0], [1.0, 1.0]) == [
        "the variance does not double with each order (it grows by 1.41 to 2.00)"
    ]
    assert "grows by 2.40)" in failed_assumption([2.4], [1.0])[0]
    both = failed_assumption([1.5], [1.0, 2.0])
    assert verdict(both).endswith(") and interactions are correlated (1.0 to 2.0 times as much as by chance).")


FINE = {"step": 60, "turn": {"step": 50.4, "kind": "rise"}, "final": 0.99, "ceiling": 0.9}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"final": 0.8}, ["the final network has not converged (correlation 0.80 with the previous checkpoint)"]),
        (
            {"final": float("nan")},
            ["the final network has not converged (correlation nan with the previous checkpoint)"],
        ),
        ({"final": None}, []),
        ({"step": 49}, ["it is before the start of the rise (step 50)"]),
        (
            {"step": 4, "turn": {"step": 20, "kind": "minimum"}},
            ["it is before the minimum of the mean order (step 20)"],
        ),
        (
            {"step": 4, "turn": {"step": 90, "kind": "no rise"}},
            ["there is no rise: the mean order has its minimum at the last step (90)"],
        ),
        ({"ceiling": 0.4}, ["the ceiling is too low to compare (0.40)"]),
        ({"ceiling": float("nan")}, []),
    ],
)
def test_conditions_of_a_checkpoint_that_fail_are_named(change, words):
    assert failed_at(**FINE | change) == words


def test_the_sentence_says_where_the_theory_predicts_better_and_names_what_fails_elsewhere():
    won, early, unknown = ({"wins": w, "failed": f} for w, f in ((True, ["x"]), (False, ["it is early"]), (False, [])))
    assert regression_view([], []) == "There is no checkpoint before the last to predict."
    assert regression_view([won, won], ["spread"]).endswith("better than its rivals at 2 of 2 checkpoints.")
    mixed = regression_view([won, early, early, unknown], ["spread"])
    assert mixed.endswith("at 1 of 4 checkpoints. At the others these conditions fail: spread; it is early.")
    assert regression_view([won, unknown], []).endswith("At the others no failed condition was found.")


@pytest.mark.parametrize(
    ("mean_order", "rise", "turn"),
    [
        ([3.0, 1.0, 2.0], 12.5, {"step": 12.5, "kind": "rise"}),
        ([3.0, 1.0, 2.0], None, {"step": 10, "kind": "minimum"}),
        ([3.0, np.nan, 2.0], None, {"step": 20, "kind": "no rise"}),
    ],
)
def test_the_point_after_which_the_mean_order_may_rise_is_named_what_it_is(mean_order, rise, turn):
    result = SimpleNamespace(
        steps=[0, 10, 20],
        phases=SimpleNamespace(rise_starts=rise),
        first=SimpleNamespace(mean_order=SimpleNamespace(value=np.array(mean_order))),
    )
    assert assumption.turn_of(result) == turn


KEPT = json.loads(assumption.PAGE.with_suffix(".json").read_text())


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_run_is_of_the_kept_recipe_or_names_what_is_changed(name):
    summary = json.loads((assumption.PAGE.parent / name / "summary.json").read_text())
    same = {look["step"] for look in KEPT[name]["looks"]} <= set(summary["steps"])
    assert same is not bool(KEPT[name]["changed"])
    turn = KEPT[name]["turn"]
    if same:
        lowest = summary["steps"][int(np.argmin(summary["mean_order"]))]
        assert turn["kind"] == ("no rise" if lowest == summary["steps"][-1] else "minimum")
        assert turn["step"] == lowest


def test_the_kept_page_is_written_from_the_numbers_that_are_kept(tmp_path):
    assumption.write(KEPT, tmp_path / "assumption.md")
    for ending in (".md", ".json"):
        assert (tmp_path / "assumption.md").with_suffix(ending).read_text() == assumption.PAGE.with_suffix(
            ending
        ).read_text()


def test_the_answer_names_the_runs_where_the_theory_is_ahead_although_the_assumption_fails():
    sizes = [{"variances": [1.0, 1.0, 1.0], "correlation": 0.1, "chance": 0.1}]
    runs = {"a": {"sizes": sizes, "looks": [{"wins": True}, {"wins": False}]}, "b": {"sizes": sizes, "looks": []}}
    said = assumption.answer(runs)
    assert "holds in 0 of 2 runs" in said
    assert "at 1 of 2 checkpoints (a 1 of 2). It does so although the assumption fails" in said
    runs["a"]["looks"][0]["wins"] = False
    assert assumption.answer(runs).endswith("at 0 of 2 checkpoints.")


def test_growth_is_that_of_powers():
    assert growth_of(3 * 1.7 ** np.arange(8)) == pytest.approx(1.7)


def test_what_a_recipe_has_otherwise_than_the_library_is_told():
    recipe = load_recipe("digits-cnn", overrides=["training.epochs=3", "players.n=5"])
    assert assumption.changed(recipe) == {"training.epochs": 3, "players.n": 5}
    assert assumption.changed(load_recipe("digits-cnn")) == {}
    assert assumption.changed(load_recipe("digits-cnn", overrides=["name=mine"])) == {}


def test_runs_become_one_page_one_figure_and_numbers_that_make_them_again(tmp_path, monkeypatch):
    folders = []
    for seed in (0, 1):
        few = ["training.epochs=6", "checkpoints.count=4", "measure.test_samples=4", f"training.seed={seed}"]
        recipe = load_recipe("game-and-or", overrides=[*few, f"name=game-{seed}"])
        folders.append(str(run_recipe(recipe, tmp_path / f"run{seed}").path))
    page = tmp_path / "docs" / "assumption.md"
    monkeypatch.setattr(assumption, "PAGE", page)
    options = ["--samples", "2", "--draws", "4"]
    for given in ([folders[0], *options], [folders[1], *options]):  # the second goes beside the first
        monkeypatch.setattr("sys.argv", ["assumption", *given])
        assumption.main()
    text, figure = page.read_text(), page.with_suffix(".svg").read_bytes()
    assert text.index("## game-0") < text.index("## game-1")
    assert text.count("| step | ceiling |") == 2
    kept = json.loads(page.with_suffix(".json").read_text())["game-0"]
    assert [look["step"] for look in kept["looks"]] == list(store.open_run(folders[0]).steps[:-1])
    titles = [node.text for node in ET.fromstring(figure).iter("{http://www.w3.org/2000/svg}text")]
    assert {"game-0", "game-1"} <= set(titles)
    monkeypatch.setattr("sys.argv", ["assumption"])
    assumption.main()
    assert (page.read_text(), page.with_suffix(".svg").read_bytes()) == (text, figure)


def test_weights_are_disturbed_by_a_part_of_their_size_and_put_back():
    network = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[3.0, -3.0, 3.0, -3.0]]))
    kept = network.weight.detach().clone()
    x = torch.ones(2, 4)
    group = Group("test", (x,), None, (0, 1), MeasurementConfig(players=columns(), baselines=0.0))
    found = disturbed(group, network, size=0.1, draws=200)
    assert torch.equal(network.weight, kept)
    singles = found[:, 0, orders(4) == 1]
    np.testing.assert_allclose(singles.std(axis=0), 0.3, rtol=0.2)
    np.testing.assert_allclose(found[:, 0, orders(4) > 1], 0, atol=1e-5)
