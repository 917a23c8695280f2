"""What is kept under docs/results belongs to the recipes as they are, and meets what they expect."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import _calibration
import bench_harm
import bench_mislabelled
import bench_online
import results
from _seeds import shown_order
from _tables import course, share_interval
from interdyn._numbers import percent
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


def test_the_kept_page_is_written_from_the_numbers_that_are_kept():
    kept = (RESULTS / "README.md").read_text()
    assert results.page() == kept


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_all_tables_show_the_same_mean_order_of_a_run(folder):
    """Of windows, where a measurement takes several steps."""
    summary = json.loads((folder / "summary.json").read_text())
    rows = [line for line in (RESULTS / "README.md").read_text().splitlines() if line.startswith(f"| [{folder.name}](")]
    first = {cell.strip().split("<br>")[0] for row in rows for cell in row.split("|") if "→" in cell}
    assert first == {course(shown_order(summary))}


REMARKS = sorted(path.parent for path in RESULTS.glob("*/remark.md"))
_AT = re.compile(r"(\d+\.\d+),? at step (\d+)")


def seeds_of(name):
    return [json.loads(path.read_text()) for path in sorted((RESULTS / name).glob("*.json"))]


def curves_of(kept):
    """Return the curves that a remark may quote, as pairs of step and value."""
    shown = kept["windows"]["steps"] if kept.get("windows") else kept["steps"]
    names = ("mean_order", "train_loss", "test_loss", "train_accuracy", "test_accuracy")
    curves = [(kept["steps"], kept[name]) for name in names if kept.get(name)]
    return [
        [(at, x) for at, x in zip(*curve, strict=True) if x is not None]
        for curve in [*curves, (shown, shown_order(kept))]
    ]


def quotable(name):
    """Return the numbers that a remark on a recipe may quote: of curves, of the verdict and of its evidence."""
    found = []
    for kept in seeds_of(name):
        course = [x for x in shown_order(kept) if x is not None]
        found += [course[0] - min(course), course[-1] - min(course)]
        found += [x for x in kept["phases"]["evidence"].values() if isinstance(x, float)]
        found += [x for curve in curves_of(kept) for _, x in curve]
    return found


def same(text, value):
    return abs(float(text) - value) <= 0.5000001 * 10 ** -len(text.partition(".")[2])


class TestRemarks:
    """Remarks are written by hand: what they quote is in the kept numbers of the recipes that they name."""

    @pytest.mark.parametrize("folder", REMARKS, ids=lambda folder: folder.name)
    def test_each_number_is_kept(self, folder):
        text = " ".join((folder / "remark.md").read_text().split())
        names = [folder.name, *re.findall(r"`([^`]+)`", text)]
        numbers = [x for name in names for x in quotable(name)]
        loose = [n for n in re.findall(r"(?<![\d.])\d+\.\d+", text) if not any(same(n, x) for x in numbers)]
        assert not loose
        for value, step in _AT.findall(text):
            curves = [curve for kept in seeds_of(folder.name) for curve in curves_of(kept)]
            there = [x for curve in curves for at, x in curve if round(at) == int(step)]
            assert any(same(value, x) for x in there), f"{value} at step {step}: {there}"

    @pytest.mark.parametrize("folder", REMARKS, ids=lambda folder: folder.name)
    def test_each_step_is_measured_or_a_place_of_the_verdict(self, folder):
        text = " ".join((folder / "remark.md").read_text().split())
        known = set()
        for kept in seeds_of(folder.name):
            phases = kept["phases"]
            places = [phases.get(key) for key in ("boundary_step", "fall_ends", "rise_starts", "gap_onset_step")]
            spans = [phases.get(key) or [] for key in ("interval", "gap_interval")]
            known |= {round(x) for x in [*kept["steps"], *filter(None, places), *spans[0], *spans[1]]}
        steps = [int(n) for found in re.findall(r"\bstep (\d+)|\bsteps (\d+) to (\d+)", text) for n in found if n]
        assert set(steps) <= known

    def test_a_number_that_is_not_kept_is_noticed(self):
        assert not any(same("3.37", x) for x in quotable("game-and-or"))
        assert same("2.78", 2.784)
        assert not same("2.78", 2.7851)


class TestRates:
    """The pages of the finder and of harm."""

    def test_the_page_of_wrong_labels_is_written_from_the_numbers_that_are_kept(self, tmp_path, monkeypatch):
        kept = bench_mislabelled.PAGE.read_text(encoding="utf-8")
        monkeypatch.setattr(bench_mislabelled, "PAGE", tmp_path / "page.md")
        monkeypatch.setattr("sys.argv", ["bench", "--page"])
        bench_mislabelled.main()
        assert (tmp_path / "page.md").read_text(encoding="utf-8") == kept

    @pytest.mark.parametrize("bench", [_calibration, bench_harm])
    def test_a_page_is_written_also_where_every_cell_is_kept(self, bench, tmp_path, monkeypatch):
        kept = bench.PAGE.read_text(encoding="utf-8")
        monkeypatch.setattr(bench, "PAGE", tmp_path / "page.md")
        monkeypatch.setattr("sys.argv", ["bench"])
        if bench is bench_harm:
            bench_harm.main()
        else:
            _calibration.main("online", _calibration.ONLINE, bench_online.measure, "")
        assert (tmp_path / "page.md").read_text(encoding="utf-8") == kept

    def test_the_head_of_the_finder_has_intervals_and_the_worst_single_places(self):
        head = " ".join(_calibration.PAGE.read_text(encoding="utf-8").split("\nEach cell")[0].split())
        covered = _calibration.places_covered(_calibration.kept_rates())
        worst = {
            key: min((share, cell) for (cell, k), share in covered.items() if k == key) for key in _calibration.ENDS
        }
        for key, (share, cell) in worst.items():
            assert f"the {_calibration.ENDS[key]} in {percent(share)} (`{cell}`)" in head
        assert "341 of 400 reported boundaries" in head
        assert "95 % interval 0.81 to 0.88; 0.85 is required" in head
        assert "it is not established that both requirements are met" in head
        shares = f"in {percent(min(covered.values()))} to {percent(max(covered.values()))} of the verdicts"
        assert shares in " ".join((RESULTS / "README.md").read_text().split())

    def test_an_interval_of_a_share_is_that_of_wilson(self):
        low, high = share_interval(0.85, 400)
        for end in (low, high):  # where the score test of the share is just at its limit
            assert abs(0.85 - end) == pytest.approx(1.96 * (end * (1 - end) / 400) ** 0.5, rel=1e-6)
