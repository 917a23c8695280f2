"""The recipes of the monitor's evidence, and what is kept of their runs."""

import json
import re
from pathlib import Path

import pytest

from interdyn.dynamics import find_pattern
from interdyn.recipes import load_recipe
from interdyn.report._words import _PATTERN
from monitor import truth

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "benchmarks" / "monitor").glob("*.toml"))
KEPT = sorted((ROOT / "docs" / "results" / "monitor").glob("*.json"))


def test_there_is_a_recipe_for_every_kind_of_training():
    assert len(RECIPES) >= 8


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_and_has_the_name_of_its_file(path):
    assert load_recipe(path).name == path.stem


@pytest.mark.skipif(not KEPT, reason="no run of these recipes is kept yet")
def test_every_recipe_has_a_finished_run_and_a_line_of_the_page():
    page = (ROOT / "docs" / "results" / "monitor.md").read_text()
    assert [path.stem for path in KEPT] == [path.stem for path in RECIPES]
    for path in KEPT:
        assert len(re.findall(rf"^\| {re.escape(path.stem)} \|", page, re.MULTILINE)) == 2


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_is_kept_agrees_with_itself(path):
    kept = json.loads(path.read_text())
    assert len(kept["stages"]) == len(kept["looks"]) == len(kept["mean_order"])
    said = kept["phase_2"]
    first = next((s for s, stage in zip(kept["looks"], kept["stages"], strict=True) if stage == "phase 2"), None)
    assert said["said"] == first
    if first is not None:
        assert said["interval"][0] <= said["since"] <= said["interval"][1] <= first
    if kept["pattern"] is not None:
        assert len(kept["pattern"]["signal"]) == len(kept["looks"])
    assert {len(course) for course in kept["fine"].values()} == {len(kept["fine"]["steps"])}


@pytest.mark.skipif(not KEPT, reason="no run of these recipes is kept yet")
def test_users_are_told_how_often_the_pattern_rang_here():
    kept = [json.loads(path.read_text()) for path in KEPT]
    rang = [(truth(k["fine"])["rises"], k["pattern"]["said"] is not None) for k in kept]
    harmed, rest = ([rings for rises, rings in rang if rises is one] for one in (True, False))
    told = f"in {sum(harmed)} of {len(harmed)} harmed trainings, and in {sum(rest)} of {len(rest)} others"
    assert told in _PATTERN
    assert told in " ".join(find_pattern.__doc__.split())
