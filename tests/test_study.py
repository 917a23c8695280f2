"""Studies: a question, its runs, its claims."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from scipy import stats

from interdyn import store
from interdyn.cli import main
from interdyn.errors import RecipeError
from interdyn.measurement import interactions
from interdyn.plot import load_run
from interdyn.recipes import CLAIM_LEGEND, StudyResult, load_study, planned, read_study, tally
from interdyn.recipes._over_seeds import LEVEL, Estimate, chi_square, mean_over, share_of, spread_of, student
from interdyn.recipes._quantities import QUANTITIES, SHARES
from interdyn.recipes._schema import ExpectedSection
from interdyn.recipes._study import ClaimSection
from interdyn.recipes._study_claims import judged
from interdyn.recipes._study_result import run_of_study
from interdyn.spectra import order_spectrum
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Band, GroupResult, RunResult
from interdyn.values._run_parts import KINDS
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
        {"text": "seeds differ", "quantity": "train_loss", "of": {"training.epochs": 4}, "min": 1e-12}
        | {"statistic": "spread"},
    ],
}


def written(folder, **changes):
    """Write a study and its recipe, and return the study's file."""
    (folder / "tiny.toml").write_text(tomli_w.dumps(FAST))
    file = folder / "study.toml"
    file.write_text(tomli_w.dumps({**STUDY, **changes}))
    return file


def killed(*_):
    """Be killed, as where memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once(file, index, out, smoke, allow_code):
    """Be killed at the first call for a run, and make it at the second."""
    mark = Path(out) / f"killed-{index}"
    if not mark.exists():
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
        killed()
    return run_of_study(file, index, out, smoke, allow_code)


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
            ({"variant": [{"name": "a", "set": {}}] * 2}, "distinct names"),
            ({"variant": [{"name": "a/", "set": {}}, {"name": "a?", "set": {}}], "claim": []}, "got `a-"),
            ({"unknown": 1}, "unknown"),
        ],
    )
    def test_what_is_wrong_is_said_before_a_run_begins(self, tmp_path, changes, told):
        with pytest.raises(RecipeError, match=told):
            load_study(written(tmp_path, **changes))

    def test_no_toml(self, tmp_path):
        (tmp_path / "a.toml").write_text("name = ")
        with pytest.raises(RecipeError, match="a readable TOML file"):
            load_study(tmp_path / "a.toml")
        for file in (tmp_path / "none.toml", tmp_path):
            with pytest.raises(RecipeError, match="which is no file"):
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
        assert mean_over([2.0, None]).spread is None
        assert mean_over([None]).seeds_needed is None

    def test_how_many_seeds_a_mean_within_ten_percent_needs(self):
        rng = np.random.default_rng(0)
        for spread in (0.01, 0.3, 1.0, 4.0):
            values = 10 * (1 + 0.1 * spread * rng.normal(size=10))
            found = mean_over(list(values))
            assert found.spread == pytest.approx(values.std(ddof=1))

            def half(n, found=found):
                return stats.t.ppf((1 + LEVEL) / 2, n - 1) * found.spread / np.sqrt(n)

            n = found.seeds_needed
            assert half(n) <= 0.1 * found.value * 1.003  # to which `student` is exact
            assert n == 2 or half(n - 1) > 0.1 * found.value * 0.997
        assert mean_over([-1.0, 1.0]).seeds_needed is None
        assert mean_over([-1.0, 2.0, 3.0]).seeds_needed is None  # the interval contains 0
        assert mean_over([-9.9, -10.1]).seeds_needed == 3

    @pytest.mark.parametrize(("count", "n"), [(0, 10), (2, 3), (5, 10), (10, 10), (1, 1)])
    def test_a_share_has_wilsons_interval(self, count, n):
        found = share_of([1.0] * count + [0.0] * (n - count) + [None])
        wanted = stats.binomtest(count, n).proportion_ci(LEVEL, method="wilson")
        assert (found.low, found.high) == pytest.approx(tuple(wanted), abs=1e-12)
        assert (found.value, found.count, found.n) == (count / n, count, n)
        assert 0 <= found.low <= found.high <= 1
        assert found.seeds_needed is None

    def test_quantiles_of_chi_square(self):
        for freedom in (1, 2, 5, 9, 40):
            for p in (0.025, 0.5, 0.975):
                assert chi_square(freedom, p) == pytest.approx(stats.chi2.ppf(p, freedom), rel=1e-9)

    def test_spreads_are_covered(self):
        rng, covered = np.random.default_rng(1), 0
        for _ in range(400):
            found = spread_of(list(rng.normal(3.0, 2.0, 5)))
            covered += found.low < 2.0 < found.high
        assert 366 <= covered <= 394
        assert spread_of([1.0, None]).value is None
        assert (spread_of([1.0, 1.0]).low, spread_of([1.0, 1.0]).high) == (0.0, 0.0)


class TestOutcome:
    @pytest.mark.parametrize(
        ("got", "outcome", "holds"),
        [
            ((0.5, 0.2, 0.8), "holds", True),
            ((0.5, 0.0, 1.0), "holds", True),
            ((0.5, -0.1, 0.8), "open (value inside)", True),
            ((0.5, 0.2, 1.1), "open (value inside)", True),
            ((0.5, None, None), "open (value inside)", True),
            ((1.5, 0.9, 2.1), "open (value outside)", False),
            ((1.5, None, None), "open (value outside)", False),
            ((1.5, 1.1, 1.9), "refuted", False),
            ((-1.5, -1.9, -0.1), "refuted", False),
            ((None, None, None), "no number", False),
        ],
    )
    def test_what_the_complete_interval_establishes(self, got, outcome, holds):
        claim = ClaimSection(text="a", quantity="train_loss", min=0.0, max=1.0)
        found = judged(claim, Estimate(*got, 3))
        assert (found.outcome, found.holds) == (outcome, holds)

    def test_one_sided(self):
        claim = ClaimSection(text="a", quantity="train_loss", min=0.25)
        assert judged(claim, Estimate(0.4, 0.3, 9.0, 3)).outcome == "holds"
        assert judged(claim, Estimate(0.1, -9.0, 0.2, 3)).outcome == "refuted"


def result_of(values, *claims, **changes):
    """Return the result of a study of one setting, seed after seed, from the values of its runs."""
    told = {"name": "a", "question": "b", "recipe": "r", "seeds": list(range(len(values))), "claim": list(claims)}
    runs = {f"r--seed-{i}": {"values": one, "course": {}} for i, one in enumerate(values)}
    return StudyResult.from_json({"study": told | changes, "runs": runs})


class TestCells:
    RUNS = ({"harm": 1.0, "rise_starts": 4.0}, {"harm": 0.0, "rise_starts": None}, {"harm": 0.0, "rise_starts": 6.0})

    def test_shares_are_counted_and_fewer_runs_are_said(self):
        found = result_of(self.RUNS, report=["harm", "rise_starts", "gap_onset"], spread=True)
        (_, _, (means,)), (_, _, (spreads,)) = found.tables()
        assert means == ("r", "3", "1 of 3 (0.0615 to 0.792)", "5 (-7.71 to 17.7); n = 2", "-")
        assert spreads == ("r", "3", "-", "1.41 (n = 2)", "-")

    def test_how_many_seeds_are_needed_is_beside_the_spread(self):
        runs = [{"harm": 1.0, "rise_starts": 9.0 + i} for i in range(3)]
        (_, _, (spreads,)) = result_of(runs, report=["rise_starts", "harm"], spread=True).tables()[1]
        assert spreads == ("r", "3", f"1 ({mean_over([9.0, 10.0, 11.0]).seeds_needed} seeds)", "-")

    def test_a_claim_on_a_share_is_judged_by_its_interval(self):
        claim = {"text": "c", "quantity": "harm", "of": {}, "max": 0.8}
        (found,) = result_of(self.RUNS, claim).claims()
        assert (str(found.got), found.outcome) == ("1 of 3 (0.0615 to 0.792)", "holds")

    def test_differences_and_means_of_shares_have_no_interval(self):
        claim = {"text": "c", "quantity": "harm", "of": {}, "min": -1.0}
        told = [{"name": name, "set": {}} for name in "xy"]
        runs = {f"{name}--seed-{i}": {"values": {"harm": float(i)}, "course": {}} for name in "xy" for i in (0, 1)}
        study = {"name": "a", "question": "b", "recipe": "r", "seeds": [0, 1], "variant": told}
        study["claim"] = [claim, claim | {"of": {"variant": "x"}, "against": {"variant": "y"}}]
        both, difference = StudyResult.from_json({"study": study, "runs": runs}).claims()
        assert (both.got.value, both.got.low, both.outcome) == (0.5, None, "open (value inside)")
        assert (difference.got.value, difference.got.low) == (0.0, None)


RUN = {
    "steps": [0, 1, 3, 7, 15],
    "mean_order": [3.0, 2.5, 1.0, 1.5, 2.5],
    "train_loss": [2.0, 1.5, 1.0, 0.5, 0.0],
    "test_accuracy": [0.1, 0.5, 0.84, 0.85, 0.95],
    "phases": {"fall_ends": 3, "rise_starts": 1 + 2 * 2**0.5},
}


def of_run(name, **changes):
    """Return a quantity of a run, of which some things are otherwise."""
    return QUANTITIES[name](RunResult.from_json({**RUN, **changes}))


class TestQuantities:
    """On the axis log2(1 + step) the steps of `RUN` lie at 0, 1, 2, 3, 4."""

    def test_training_loss_at_the_places(self):
        assert of_run("fall_ends_loss") == 1.0
        at = np.log2(2 + 2 * 2**0.5)
        assert of_run("rise_starts_loss") == pytest.approx(np.interp(at, [2, 3], [1.0, 0.5]))
        assert of_run("rise_starts_loss", phases={}) is None
        assert of_run("rise_starts_loss", train_loss=None) is None

    def test_share_of_training_in_low_orders(self):
        assert of_run("low_share") == pytest.approx((1 / 3 + 1.0) / 4)  # a third from step 1 to 3, all to step 7
        assert of_run("low_share", mean_order=[1.0] * 5) == 1.0
        assert of_run("low_share", mean_order=[None, 2.0, 1.0, 1.0, 1.0]) == pytest.approx(2.5 / 3)
        assert of_run("low_share", mean_order=[None] * 5) is None

    def test_at_equal_accuracy(self):
        assert (of_run("order_at_85"), of_run("step_at_85")) == (1.5, 7.0)
        assert of_run("order_at_85", test_accuracy=[0.1] * 5) is None
        assert of_run("order_at_85", test_accuracy=None) is None

    def test_whether_the_theory_is_ahead(self):
        def predicted(low):
            return {"phase_2": {"theory": "theory", "gain": 0.2, "gain_low": low}}

        assert [of_run("theory_ahead", prediction=predicted(low)) for low in (0.1, -0.1, None)] == [True, False, None]

    def test_what_is_yes_or_no_in_a_run_is_a_share(self, done):
        made = store.read_result(store.open_run(done / "runs" / "epochs=4--seed-0"))
        kinds = {name: type(quantity(made)) for name, quantity in QUANTITIES.items()}
        kinds["theory_ahead"] = type(of_run("theory_ahead", prediction={"phase_2": {"theory": "a", "gain_low": 0.1}}))
        assert {name for name, kind in kinds.items() if kind in (bool, np.bool_)} == SHARES

    def test_strength_of_high_orders_over_the_effect(self, done):
        folder = done / "runs" / "epochs=4--seed-0"
        run = store.open_run(folder)
        kept = interactions(store.read_measurement(run, run.steps[-1], group="test"))
        v = values_from_and(kept.i_and) + values_from_or(kept.i_or) + kept.residual
        effect = (v[..., -1] - v[..., 0]).abs().mean()
        high = order_spectrum(kept, salience=0.03, salience_rule="mean-effect").strength[..., 3:].sum(-1).mean()
        assert QUANTITIES["high_ratio"](store.read_result(run)) == pytest.approx(float(high / effect))
        group = GroupResult(
            strength={kind: np.arange(12.0).reshape(2, 6) for kind in KINDS},
            effect=np.array([1.0, 8.0]),
            order_distribution=Band(np.full((2, 6), 1 / 6)),
        )
        planted = RunResult(steps=np.arange(2.0), groups={"test": group})
        assert QUANTITIES["high_ratio"](planted) == 4 * (9 + 10 + 11) / 8
        before = RunResult.from_json({**RUN, "strength": None})
        assert QUANTITIES["high_ratio"](before) is None


class TestRuns:
    def test_table_claims_and_page(self, done):
        told = json.loads((done / "runs" / "study.json").read_text())
        assert len(told["runs"]) == 4
        assert told["study"]["recipe"] == "tiny.toml"
        study = load_study(done / "study.toml")
        result = read_study(study, done / "runs")
        losses = {run.planned.folder: run.values["train_loss"] for run in result.finished}
        for run in result.finished:
            own = load_run(done / "runs" / run.planned.folder)
            assert run.course["steps"] == own.steps.tolist()
            assert run.course["mean_order"] == pytest.approx(own.first.mean_order.value, rel=1e-5)
            assert (
                run.values["train_loss"] == pytest.approx(own.train_loss[-1], rel=1e-5) == run.course["train_loss"][-1]
            )
        mean = np.mean([losses["epochs=2--seed-0"], losses["epochs=2--seed-1"]])
        assert told["variants"]["epochs=2"]["train_loss"]["value"] == pytest.approx(mean)
        claim = told["claims"][0]
        each = [losses[f"epochs=4--seed-{s}"] - losses[f"epochs=2--seed-{s}"] for s in (0, 1)]
        assert claim["got"]["value"] == pytest.approx(np.mean(each))
        assert (claim["got"]["n"], claim["holds"]) == (2, True)
        assert not told["claims"][1]["holds"]
        spread = told["claims"][2]
        each = [losses[f"epochs=4--seed-{s}"] for s in (0, 1)]
        assert spread["got"]["value"] == pytest.approx(np.std(each, ddof=1))
        assert spread["needed"] == "standard deviation of train_loss at least 1e-12"
        assert spread["holds"]
        page = (done / "runs" / "study.html").read_text()
        assert STUDY["question"] in page
        assert "losses are large" in page
        assert CLAIM_LEGEND in page
        assert [one["outcome"] for one in told["claims"]][1:] == ["refuted", "holds"]

    def test_the_spread_is_shown_where_it_is_asked_for(self, done, tmp_path, capsys):
        told = json.loads((done / "runs" / "study.json").read_text())["variants"]["epochs=2"]["train_loss"]
        assert told["spread"] > 0
        main_of("study", done / "study.toml", "--report", "--out", done / "runs")
        assert "Standard deviation between seeds" not in capsys.readouterr().out
        main_of("study", written(tmp_path, spread=True), "--report", "--out", done / "runs")
        shown = f"{told['spread']:.3g}"
        assert shown in capsys.readouterr().out
        assert shown in (done / "runs" / "study.html").read_text()

    def test_it_goes_on_where_it_was(self, done, capsys):
        before = {file: file.stat().st_mtime_ns for file in (done / "runs").glob("*/measurements/*")}
        assert main_of("study", done / "study.toml", "--out", done / "runs") == 0
        assert before == {file: file.stat().st_mtime_ns for file in (done / "runs").glob("*/measurements/*")}
        assert "4 of 4 runs are finished" in capsys.readouterr().out

    def test_verify_ends_with_1_where_a_claim_does_not_hold(self, done, tmp_path, capsys):
        assert main_of("verify", done / "study.toml", "--out", done / "runs") == 1
        shown = capsys.readouterr().out
        assert "By values, 1 of 3 claims are not within what they need; 0 of 4 runs are not finished." in shown
        live = read_study(load_study(done / "study.toml"), done / "runs")
        assert f"By complete intervals, of 3 claims {tally(live.claims())}." in shown
        kept = written(tmp_path, claim=STUDY["claim"][:1])
        assert main_of("verify", kept, "--out", done / "runs") == 0
        more = written(tmp_path, claim=[], seeds=[0, 1, 2])
        assert main_of("verify", more, "--out", done / "runs") == 1
        assert "2 of 6 runs are not finished" in capsys.readouterr().out

    def test_what_is_kept_says_the_same_without_the_runs(self, done, tmp_path, capsys):
        kept = tmp_path / "kept.json"
        kept.write_text((done / "runs" / "study.json").read_text())
        result = StudyResult.from_json(json.loads(kept.read_text()))
        live = read_study(load_study(done / "study.toml"), done / "runs")
        assert result.to_json() | {"study": None} == live.to_json() | {"study": None}
        assert main_of("verify", kept) == 1
        assert "By values, 1 of 3 claims are not within what they need; 0 of 4 runs" in capsys.readouterr().out

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"study": {"name": 1}, "runs": {}}'])
    def test_what_is_no_result_of_a_study_is_refused(self, tmp_path, capsys, text):
        (tmp_path / "kept.json").write_text(text)
        assert main_of("verify", tmp_path / "kept.json") == 2
        assert "study" in capsys.readouterr().err

    def test_a_run_whose_worker_is_killed_goes_on_in_another(self, tmp_path, monkeypatch, capsys):
        file = written(tmp_path, claim=[], seeds=[0])
        monkeypatch.setattr("interdyn.recipes._study_result.run_of_study", killed_once)
        assert main_of("study", file, "--out", tmp_path / "runs", "--workers", "1") == 0
        assert capsys.readouterr().err.count("its worker ended unexpectedly; the run resumes") == 2

    def test_a_run_whose_workers_are_killed_each_time_is_named(self, tmp_path, monkeypatch, capsys):
        file = written(tmp_path, claim=[], seeds=[0], grid={"training.epochs": [2]})
        monkeypatch.setattr("interdyn.recipes._study_result.run_of_study", killed)
        assert main_of("study", file, "--out", tmp_path / "runs", "--workers", "1") == 1
        assert "failed: epochs=2--seed-0: its worker ended unexpectedly 3 times" in capsys.readouterr().err

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
        found = read_study(load_study(file), tmp_path / "runs").finished
        assert [run.planned.folder for run in found] == ["epochs=4--seed-0"]

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
