"""By which rule tables were split stands in every run, and runs of different rules are never mixed without a word."""

import json
import shutil

import pytest
import torch

import interdyn as ix
from interdyn import store
from interdyn.cli import main
from interdyn.errors import RecipeError
from interdyn.measurement import History
from interdyn.measurement._result import split_rule as rule_of
from interdyn.recipes import load_recipe, run_recipe
from interdyn.report import split_rule, write_comparison
from interdyn.values import SplitRule
from stored import summary_of

SMALL = (
    "data.n_train=60",
    "data.n_test=60",
    "training.epochs=2",
    "checkpoints.count=3",
    "players.n=5",
    "measure.test_samples=4",
    "measure.mislabelled_samples=0",
    "analysis.bootstrap=100",
)


def run(folder, *overrides):
    return run_recipe(load_recipe("digits-mlp", overrides=[*SMALL, *overrides]), out=folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(tmp_path_factory.mktemp("rule") / "weighted").path


@pytest.fixture
def of_version_01(finished, tmp_path):
    """The run as version 0.1 would have left it: no order weight in any of its files."""
    old = tmp_path / "old"
    shutil.copytree(finished, old)
    summary = summary_of(old)
    for key in ("split", "identified"):
        del summary[key]
    (old / "summary.json").write_text(json.dumps(summary))
    recipe = (old / "recipe.toml").read_text()
    (old / "recipe.toml").write_text("".join(x for x in recipe.splitlines(True) if not x.startswith("order_weight")))
    return old


def test_a_run_says_how_it_was_split_and_what_is_open(finished):
    summary = summary_of(finished)
    assert summary["split"]["order_weight"] == 0.02
    assert summary["split"]["tol"] == 0.02 / 5
    assert summary["split"]["tol_rule"] == "auto"
    low, high = summary["identified"]["mean_order"]
    assert 1 <= low <= summary["identified"]["reported_mean_order"] <= high <= 5
    assert summary["identified"]["n_samples"] == 4
    assert len(summary["identified"]["share_low"]) == 5
    measured = store.read_measurement(store.open_run(finished), 0, group="test")
    assert measured.settings["order_weight"] == 0.02


def test_the_report_and_verify_say_so(finished, capsys):
    page = ix.report.write_report(finished).read_text()
    assert "ties go to the lower order (order weight 0.02)" in page
    assert "could be" in page
    with pytest.raises(SystemExit):
        main(["verify", str(finished)])
    out = capsys.readouterr().out
    assert "Split: ties go to the lower order (order weight 0.02)." in out
    assert "At the last checkpoint: mean order" in out


def test_a_run_of_version_01_is_read_and_says_so(of_version_01, capsys):
    page = ix.report.write_report(of_version_01).read_text()
    assert "split of version 0.1" in page
    with pytest.raises(SystemExit):
        main(["verify", str(of_version_01)])
    assert "Split: split of version 0.1" in capsys.readouterr().out


def test_compare_names_a_mixture(finished, of_version_01, tmp_path):
    mixed = write_comparison([finished, of_version_01], tmp_path / "mixed.html").read_text()
    assert "split by different rules" in mixed
    assert "split of version 0.1" in mixed
    same = tmp_path / "same"
    shutil.copytree(finished, same)
    alike = write_comparison([finished, same], tmp_path / "alike.html").read_text()
    assert "split by different rules" not in alike


def test_a_run_is_not_continued_with_another_weight(finished):
    with pytest.raises(RecipeError, match=r"differs in `measure.order_weight`"):
        run(finished, "measure.order_weight=0")


def test_a_tracker_does_not_continue_with_another_weight(tmp_path):
    network, probe = torch.nn.Linear(4, 3), (torch.randn(6, 4), torch.arange(6) % 3)
    options = {"players": ix.players.columns(), "schedule": lambda _: True, "out": tmp_path / "run", "baselines": 0.0}
    with ix.Tracker(probe, budget=None, **options) as tracker:
        tracker.observe(0, network)
    measured = store.read_measurement(store.open_run(tmp_path / "run"), 0, group="test")
    assert measured.settings["order_weight"] == 0.02
    assert measured.settings["tol"] == 0.02 / 4
    with pytest.raises(RecipeError, match=r"differs in `tracker.order_weight`"):
        ix.Tracker(probe, order_weight=0.1, budget=None, **options)


def test_mixed_weights_within_a_run_are_named(finished, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(finished, mixed)
    opened = store.open_run(mixed)
    measured = store.read_measurement(opened, 0, group="test")
    settings = {k: v for k, v in measured.settings.items() if k != "order_weight"}
    store.write_measurement(opened, type(measured)(**{**vars(measured), "settings": settings}))
    analysed = History.read(opened).result()
    assert analysed.split.order_weight == (None, 0.02)
    assert split_rule(analysed.split) == "a mixture of order weights: none (version 0.1), 0.02"
    assert any("split with different options" in said for said in analysed.verdict)


def test_the_protocol_of_the_paper_has_no_weight():
    recipe = load_recipe("vgg11-mnist", overrides=["protocol=paper"])
    assert recipe.measure.order_weight == 0.0
    assert load_recipe("vgg11-mnist").measure.order_weight == 0.02


@pytest.mark.parametrize("override", ["measure.order_weight=-1", "measure.tol=0.5"])
def test_a_recipe_that_cannot_be_split_is_refused_before_work(override):
    with pytest.raises(RecipeError, match="order_weight"):
        load_recipe("digits-mlp", overrides=[override])


def test_records_of_settings():
    assert rule_of([]).order_weight is None
    assert rule_of([{"solver": "admm", "tol": 1e-3, "ridge": 1e-5}]).order_weight is None
    assert rule_of([{"order_weight": 0.0, "tol": 1e-3}, {"order_weight": 0.0, "tol": 3e-3}]).tol == 3e-3
    assert split_rule(SplitRule(order_weight=0.0)).startswith("the paper's problem")
    assert "authors' code" in split_rule(SplitRule(order_weight=0.0, solver="sgd-paper"))
