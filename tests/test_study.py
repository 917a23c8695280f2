"""Studies: a question, its runs, its claims."""

import json
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from scipy import stats

from interdyn.cli import main
from interdyn.errors import RecipeError
from interdyn.recipes import load_study, planned, read_study
from interdyn.recipes._over_seeds import LEVEL, mean_over, student
from interdyn.recipes._quantities import QUANTITIES
from interdyn.recipes._schema import ExpectedSection
from test_run import TINY

FAST = {**TINY, "training": {**TINY["training"], "epochs": 2}, "checkpoints": {"count": 3}}
STUDY = {
    "name": "epochs",
    "question": "Do more epochs lower the training loss?",
    "recipe": "tiny.toml",
    "seeds": [0, 1],
    "grid": {"training.epochs": [2, 4]},
    "report": ["train_loss", "end_mean_order", "rise_starts"],
    "claim": [
        {"text": "they do", "quantity": "train_loss", "of": {"training.epochs": 4}, "max": 0.0}
        | {"against": {"training.epochs": 2}},
        {"text": "losses are large", "quantity": "train_loss", "of": {}, "min": 1e6},
    ],
}


def written(folder, **changes):
    """Write a study and its recipe, and return the study's file."""
    (folder / "tiny.toml").write_text(tomli_w.dumps(FAST))
    file = folder / "study.toml"
    file.write_text(tomli_w.dumps({**STUDY, **changes}))
    return file


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    main_of("study", written(folder), "--out", folder / "runs")
    return folder


def main_of(*arguments):
    """Return the exit status of a command."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return ended.code or 0
    return 0


class TestPlan:
    def test_every_variant_with_every_point_and_seed(self, tmp_path):
        variants = [{"name": name, "set": {"training.optimiser": name}} for name in ("sgd", "adam")]
        study = load_study(written(tmp_path, variant=variants, claim=[]))
        plan = planned(study)
        assert len(plan) == 2 * 2 * 2 == len({run.folder for run in plan})
        assert [run.variant for run in plan[::2]] == ["sgd epochs=2", "sgd epochs=4", "adam epochs=2", "adam epochs=4"]
        recipe = plan[-1].recipe(study)
        assert (recipe.training.optimiser, recipe.training.epochs, recipe.training.seed) == ("adam", 4, 1)

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"seeds": []}, "seeds"),
            ({"seeds": [0, 0]}, "seeds must differ"),
            ({"grid": {"training.epochs": []}}, "grid"),
            ({"grid": {"training.epoch": [1]}}, "epoch"),
            ({"recipe": "nowhere"}, "recipe"),
            ({"name": "../up"}, "name"),
            ({"report": ["order"]}, "no quantity 'order'"),
            ({"claim": [{"text": "a", "quantity": "order", "min": 1.0}]}, "no quantity 'order'"),
            ({"claim": [{"text": "a", "quantity": "train_loss"}]}, "needs `min` or `max`"),
            (
                {"claim": [{"text": "a", "quantity": "train_loss", "min": 0.0, "of": {"training.epochs": 3}}]},
                "none has",
            ),
            ({"variant": [{"name": "a", "set": {}}] * 2}, "names of their own"),
            ({"variant": [{"name": "a/", "set": {}}, {"name": "a?", "set": {}}], "claim": []}, "got `a-"),
            ({"unknown": 1}, "unknown"),
        ],
    )
    def test_what_is_wrong_is_said_before_a_run_begins(self, tmp_path, changes, told):
        with pytest.raises(RecipeError, match=told):
            load_study(written(tmp_path, **changes))

    def test_no_toml(self, tmp_path):
        (tmp_path / "a.toml").write_text("name = ")
        for file in (tmp_path / "a.toml", tmp_path / "none.toml", tmp_path):
            with pytest.raises(RecipeError, match="a readable TOML file"):
                load_study(file)

    def test_every_expectation_of_a_recipe_is_a_quantity(self):
        keys = set(ExpectedSection.model_fields) - {"phase_2_distance_max"}
        assert {key.removesuffix("_min").removesuffix("_max") for key in keys} <= set(QUANTITIES)


class TestIntervals:
    def test_quantiles_of_students_t(self):
        for freedom in range(1, 60):
            assert student(freedom) == pytest.approx(stats.t.ppf((1 + LEVEL) / 2, freedom), rel=3e-3)

    def test_means_are_covered(self):
        rng, covered = np.random.default_rng(0), 0
        for _ in range(400):
            found = mean_over(list(rng.normal(3.0, 2.0, 4)))
            covered += found.low < 3.0 < found.high
        assert 366 <= covered <= 394  # 380 of 400, within three standard errors

    def test_without_a_spread_there_is_no_interval(self):
        assert mean_over([2.0, None]).low is None
        assert mean_over([None]).value is None
        assert mean_over([True, False]).value == 0.5


class TestRuns:
    def test_table_claims_and_page(self, done):
        told = json.loads((done / "runs" / "study.json").read_text())
        assert (told["finished"], told["planned"]) == (4, 4)
        study = load_study(done / "study.toml")
        result = read_study(study, done / "runs")
        losses = {run.folder: float(found.train_loss[-1]) for run, found in result.finished}
        mean = np.mean([losses["epochs=2--seed-0"], losses["epochs=2--seed-1"]])
        assert told["variants"]["epochs=2"]["train_loss"]["value"] == pytest.approx(mean)
        claim = told["claims"][0]
        each = [losses[f"epochs=4--seed-{s}"] - losses[f"epochs=2--seed-{s}"] for s in (0, 1)]
        assert claim["got"]["value"] == pytest.approx(np.mean(each))
        assert (claim["got"]["n"], claim["holds"]) == (2, True)
        assert not told["claims"][1]["holds"]
        page = (done / "runs" / "study.html").read_text()
        assert STUDY["question"] in page
        assert "losses are large" in page

    def test_it_goes_on_where_it_was(self, done, capsys):
        before = {file: file.stat().st_mtime_ns for file in (done / "runs").glob("*/measurements/*")}
        assert main_of("study", done / "study.toml", "--out", done / "runs") == 0
        assert before == {file: file.stat().st_mtime_ns for file in (done / "runs").glob("*/measurements/*")}
        assert "4 of 4 runs are finished" in capsys.readouterr().out

    def test_verify_ends_with_1_where_a_claim_does_not_hold(self, done, tmp_path, capsys):
        assert main_of("verify", done / "study.toml", "--out", done / "runs") == 1
        assert "1 of 2 claims do not hold; 0 of 4 runs are not finished." in capsys.readouterr().out
        kept = written(tmp_path, claim=STUDY["claim"][:1])
        assert main_of("verify", kept, "--out", done / "runs") == 0
        more = written(tmp_path, claim=[], seeds=[0, 1, 2])
        assert main_of("verify", more, "--out", done / "runs") == 1
        assert "2 of 6 runs are not finished" in capsys.readouterr().out

    def test_a_run_that_fails_is_named_and_the_others_go_on(self, tmp_path, capsys):
        grid = {"training.learning_rate": [0.01, 1e30]}
        file = written(tmp_path, grid=grid, claim=[], seeds=[0], set={"training.optimiser": "sgd"})
        assert main_of("study", file, "--out", tmp_path / "runs") == 1
        told = capsys.readouterr()
        assert "failed: learning_rate=1e+30--seed-0: " in told.err
        assert "1 of 2 runs are finished" in told.out

    def test_in_shards(self, tmp_path):
        file = written(tmp_path, claim=[], seeds=[0])
        assert main_of("study", file, "--out", tmp_path / "runs", "--shard", "2/2") == 0
        assert [run.folder for run, _ in read_study(load_study(file), tmp_path / "runs").finished] == [
            "epochs=4--seed-0"
        ]

    def test_a_damaged_run_is_named(self, done, tmp_path):
        import shutil

        shutil.copytree(done / "runs", tmp_path / "runs")
        (tmp_path / "runs" / "epochs=2--seed-0" / "summary.json").write_text("{")
        result = read_study(load_study(done / "study.toml"), tmp_path / "runs")
        assert len(result.finished) == 3

    def test_nothing_is_finished(self, tmp_path, capsys):
        assert main_of("study", written(tmp_path), "--report", "--out", tmp_path / "none") == 1
        assert "No run of the study is finished" in capsys.readouterr().out


def test_the_studies_of_the_repository_can_be_read():
    files = sorted((Path(__file__).parents[1] / "benchmarks" / "studies").glob("*.toml"))
    assert files
    for file in files:
        assert load_study(file).claim
    for file in (Path(__file__).parents[1] / "benchmarks" / "studies" / "pairs").glob("*.toml"):
        study = load_study(file)  # trials: no claims, and a seed that no kept run has
        assert (study.recipe, study.seeds) == (file.stem, [100])
