"""How much the findings of a run move with each choice: `interdyn trust`."""

import json

import numpy as np
import pytest
import torch

from interdyn import store
from interdyn.cli import main
from interdyn.errors import IncompleteRunError, InputError
from interdyn.players import columns
from interdyn.recipes import load_recipe, load_samples, resolve, run_recipe, trust, trust_json, trust_rows
from interdyn.recipes._measuring import choose_groups
from interdyn.recipes._otherwise import otherwise
from interdyn.recipes._training import network_of
from interdyn.recipes._trust import trust_numbers
from interdyn.schedules import at
from interdyn.store._records import file_of
from interdyn.tracking import Tracker
from test_run import TINY

DRAWN = {
    **TINY,
    "players": {"kind": "columns", "n": 3},
    "checkpoints": {"count": 12},
    "data": {**TINY["data"], "test_fraction": 0.5},
    "measure": {**TINY["measure"], "test_samples": 7},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_recipe(resolve(DRAWN), tmp_path_factory.mktemp("trust") / "run")


@pytest.fixture(scope="module")
def found(run):
    return trust(run)


def test_its_own_choices_give_what_the_run_measured_of_these_samples_and_steps(run, found):
    assert len(found.steps) == 10
    assert found.samples == 5
    assert {found.steps[0], found.steps[-1]} == {run.steps[0], run.steps[-1]}
    again = resolve({**DRAWN, "measure": {**DRAWN["measure"], "test_samples": 5}})
    whole = run_recipe(again, run.path.parent / "again")
    places = [whole.steps.index(step) for step in found.steps]
    measured = store.read_result(whole).first.mean_order.value[places]
    np.testing.assert_array_equal(found.own.first.mean_order.value, measured)


def test_one_choice_at_a_time_twice_where_there_are_two_ways(found):
    ways = {}
    for choice in found.others:
        ways.setdefault(choice.what, []).append(choice.way)
    assert ways["players drawn"] == ["seed 1", "seed 2"]
    assert ways["number of players"] == ["1", "5"]
    assert ways["background"] == ["players not drawn masked"]
    assert ways["noise bound"] == ["0.01", "0.04"]
    assert ways["order weight"] == ["0", "0.04"]
    assert ways["salience"] == ["0.015", "0.06"]
    assert ways["samples drawn"] == ["seed 1", "seed 2"]
    assert ways["checkpoints"] == ["the next ones", "the last ones"]
    assert ways["window"] == ["2 nearby steps", "3 nearby steps"]
    assert len(ways["baseline"]) == 2
    assert ways["baseline"][0] == "mean"  # the run's own is 0


def test_what_cannot_be_done_is_told_with_its_reason(found):
    refused = {(one.what, one.way): one.why for one in found.others if one.result is None}
    assert "cannot draw 5 players from 4" in refused["number of players", "5"]
    assert "checkpoints.window=3" in refused["window", "3 nearby steps"]
    told = {row[:2]: row[2:] for row in trust_rows(found)}
    assert told["number of players", "5"] == ("", "", "", "", "", "", refused["number of players", "5"])


def test_what_a_choice_moves_stands_beside_what_other_samples_move(found):
    rows = trust_rows(found)
    moves = {row[:2]: row[7] for row in rows if row[7]}
    sizes = [abs(float(text.split()[0])) for text in moves.values() if not text.startswith("nan")]
    assert sizes == sorted(sizes, reverse=True)
    drawn = max(abs(float(text)) for (what, _), text in moves.items() if what == "samples drawn")
    assert moves["number of players", "1"].endswith(f" (other samples: up to {drawn:.2f})")
    own, one = (next(row for row in rows if row[0] == what) for what in ("as in the run", "number of players"))
    changes = [float(b.split()[0]) - float(a.split()[0]) for a, b in zip(own[2:5], one[2:5], strict=True)]
    assert float(moves[one[:2]].split()[0]) == pytest.approx(max(changes, key=abs), abs=0.011)


def test_a_choice_moves_what_it_should(found):
    by = {(one.what, one.way): one.result for one in found.others}
    one_player = by["number of players", "1"].first.mean_order.value
    assert np.nanmax(one_player) == 1.0
    assert by["background", "players not drawn masked"].game != found.own.game


def test_what_sparsity_leaves_open_is_not_searched_for(run, found):
    """It takes most of the time of a small run, and no choice is compared by it."""
    assert store.read_result(run).identified is not None
    assert all(one is None or one.identified is None for one in (found.own, *(other.result for other in found.others)))


def test_the_command_prints_every_choice(run, found, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["trust", str(run.path)])
    assert not ended.value.code
    told = capsys.readouterr().out
    assert "tiny: 10 checkpoints, 5 samples" in told
    for choice in found.others:
        assert f"\n{choice.what}: {choice.way}\n" in told


def test_runs_that_cannot_be_measured_again(run, tmp_path):
    import shutil

    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / file_of("checkpoints", run.steps[-1])).unlink()
    with pytest.raises(IncompleteRunError, match=rf"the network of step {run.steps[-1]}"):
        trust(store.open_run(tmp_path / "run"))
    probe = torch.randn(6, 4), torch.arange(6) % 2
    with Tracker(probe, players=columns(), schedule=at(0), budget=None, out=tmp_path / "tracked") as tracker:
        tracker.observe(0, torch.nn.Linear(4, 2))
    with pytest.raises(InputError, match="a run of a recipe"):
        trust(store.open_run(tmp_path / "tracked"))


class TestWindows:
    """Of a run whose measurements take nearby steps: each by itself, and two and three of them."""

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, tmp_path_factory):
        recipe = {**DRAWN, "training": {**DRAWN["training"], "epochs": 40}}
        recipe["checkpoints"] = {"count": 14, "window": 3, "first": 4}
        return trust(run_recipe(resolve(recipe), tmp_path_factory.mktemp("windows") / "run"))

    def test_single_steps_are_the_first_of_each_window(self, found):
        assert len(found.steps) == 10
        assert found.own.windows is None
        assert list(found.own.steps) == list(found.steps)

    def test_more_steps_of_the_same_windows(self, found):
        by = {one.way: one.result for one in found.others if one.what == "window"}
        for size in (2, 3):
            windows = by[f"{size} nearby steps"].windows
            assert list(windows.steps) == list(found.steps)
            assert max(windows.counts) == size

    def test_the_numbers_are_those_of_the_windows(self, found):
        result = next(one.result for one in found.others if one.way == "3 nearby steps")
        shown = result.windows.mean_order["test"].value
        assert trust_numbers(result)["end"][0] == shown[-1]
        assert trust_numbers(result)["least"][0] == np.nanmin(shown)
        assert trust_numbers(result)["start"][0] == shown[0]


class TestBaselines:
    """Two that are not the recipe's own, by what the network takes in."""

    def ways(self, name, **settings):
        recipe = load_recipe(name, changes=settings, smoke=True)
        samples = load_samples(recipe.data)
        network = network_of(recipe, samples, allow_code=False)
        return recipe, [one for one in otherwise(recipe, (0, 5), samples, network, 6) if one.what == "baseline"]

    def test_levels_of_pictures(self):
        recipe, (low, high) = self.ways("digits-mlp")
        assert low.sections["measure"]["baseline"] == 0.0
        assert 0.5 < high.sections["measure"]["baseline"] <= 1.0
        assert high.applied(recipe).measure.baseline == high.sections["measure"]["baseline"]

    def test_levels_of_the_output_of_a_layer(self):
        recipe, ways = self.ways("digits-cnn", **{"measure.layer": "1", "measure.baseline": 0.0})
        assert len({one.sections["measure"]["baseline"] for one in ways} | {0.0}) == 3
        choose_groups(ways[1].applied(recipe), load_samples(recipe.data))

    def test_each_can_be_measured(self, found):
        assert all(one.result is not None for one in found.others if one.what == "baseline")


def test_json_has_the_numbers_of_every_choice(run, found, tmp_path):
    with pytest.raises(SystemExit):
        main(["trust", str(run.path), "--out", str(tmp_path / "new" / "numbers.json"), "--device", "cpu"])
    told = json.loads((tmp_path / "new" / "numbers.json").read_text())
    assert {key: told[key] for key in trust_json(found)} == json.loads(json.dumps(trust_json(found)))
    assert (told["recipe"], told["samples"], len(told["steps"])) == ("tiny", 5, 10)
    order = found.own.first.mean_order
    assert told["own"]["end"] == [order.value[-1], order.low[-1], order.high[-1]]
    assert told["own"]["two_phases"] is found.own.phases.found
    assert [(one["what"], one["way"]) for one in told["others"]] == [(one.what, one.way) for one in found.others]
    assert ["why" in one for one in told["others"]] == [one.result is None for one in found.others]


def test_a_device_that_is_not_there(run):
    with pytest.raises(InputError, match="device"):
        trust(run, device="nowhere")
