"""How much the findings of a run move with each choice: `interdyn trust`."""

import numpy as np
import pytest
import torch

from interdyn import store
from interdyn.cli import main
from interdyn.errors import IncompleteRunError, InputError
from interdyn.players import columns
from interdyn.recipes import resolve, run_recipe, trust, trust_rows
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
    assert ways["players not drawn"] == ["masked"]
    assert ways["noise bound"] == ["0.01", "0.04"]
    assert ways["order weight"] == ["0", "0.04"]
    assert ways["salience"] == ["0.015", "0.06"]
    assert ways["samples"] == ["seed 1", "seed 2"]
    assert "mean" in ways["baseline"]
    assert "0.0" not in ways["baseline"]  # the run's own


def test_what_cannot_be_done_is_told_with_its_reason(found):
    refused = {(one.what, one.way): one.why for one in found.others if one.result is None}
    assert "5 players were to be drawn of 4" in refused["number of players", "5"]
    assert "part-mean" in refused["baseline", "part-mean"]
    told = {row[:2]: row[2] for row in trust_rows(found)}
    assert told["number of players", "5"] == refused["number of players", "5"]


def test_a_choice_moves_what_it_should(found):
    by = {(one.what, one.way): one.result for one in found.others}
    one_player = by["number of players", "1"].first.mean_order.value
    assert np.nanmax(one_player) == 1.0
    assert by["players not drawn", "masked"].game != found.own.game


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
