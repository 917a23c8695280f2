"""What is kept under docs/results belongs to the recipes as they are, and meets what they expect."""

import json
import tomllib
from pathlib import Path

import pytest

from interdyn.recipes import checks, load_recipe
from interdyn.values import RunResult

RESULTS = Path(__file__).parents[1] / "docs" / "results"
KEPT = sorted(path.parent for path in RESULTS.glob("*/summary.json"))


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_a_kept_result_is_of_its_recipe_and_meets_it(folder):
    then = tomllib.loads((folder / "recipe.toml").read_text())
    recipe = load_recipe(then["name"], scale=then.get("scale") or None)
    assert folder.name == "-".join(filter(None, (then["name"], then.get("scale"))))
    now = recipe.plain()
    for tree in (now, then):
        tree.pop("expected", None)
        tree.pop("description")
    then["measure"].pop("calibrate_batch_norm", None)  # a recipe says how many rows only once it is run
    then["training"].pop("device", None)  # and the run, where
    summary = json.loads((folder / "summary.json").read_text())
    assert now == then
    assert not [check for check in checks(RunResult.from_json(summary), recipe.expected) if not check.holds]
    for name in ("orders", "phases", "theory", "and_only"):
        assert (folder / f"{name}.png").is_file()


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_the_table_has_a_line_for_it(folder):
    page = (RESULTS / "README.md").read_text()
    assert f"[{folder.name}]({folder.name}/)" in page
    assert f"- **{folder.name}**: " in page


@pytest.mark.parametrize(
    "path", sorted(RESULTS.glob("*/seed-*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_a_kept_seed_is_of_the_same_recipe_and_in_the_tables(path):
    kept, first = json.loads(path.read_text()), json.loads((path.parent / "summary.json").read_text())
    assert path.stem == f"seed-{kept['seed']}"
    assert (kept["settings"], kept["steps"], kept["recipe"]) == (first["settings"], first["steps"], first["recipe"])
    assert kept["train_loss"] != first["train_loss"]
    page = (RESULTS / "README.md").read_text()
    line = next(line for line in page.splitlines() if line.startswith(f"| [{path.parent.name}]") and "<br>" in line)
    assert str(kept["seed"]) in line.split("|")[2].strip().split("<br>")
