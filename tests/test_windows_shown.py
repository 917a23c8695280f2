"""What is shown of near-by steps: courses, the second witness, means with errors, repeatability."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

from interdyn import store
from interdyn.cli import main
from interdyn.dynamics import online_verdict, whole_verdict
from interdyn.errors import RecipeError
from interdyn.exports import run_to_pandas, run_to_xarray
from interdyn.measurement import History, cross_spectrum, interactions, mean_degree
from interdyn.measurement._windows import NOISE, Recent
from interdyn.plot import panels, plot_dynamics, plot_mean_order, plot_repeatability, plot_sample
from interdyn.recipes import load_recipe, run_recipe
from interdyn.report import write_report
from interdyn.report._first import state
from interdyn.report._uses import Uses, means
from interdyn.schedules import windows_of
from interdyn.sparsify import split
from interdyn.spectra import window_mean
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import RunResult, Trajectory
from pages import HEAD, browser, needs_browser
from test_report_uses import payload, unpacked

pytestmark = pytest.mark.usefixtures("without_figures")

CHANGES = [
    *("checkpoints.count=9", "training.epochs=15", "measure.test_samples=4", "measure.train_samples=3"),
    *("players.n=5", "data.n_train=128", "data.n_test=40", "analysis.bootstrap=100"),
]


def recipe(window, *more):
    return load_recipe("game-and-or", overrides=[*CHANGES, f"checkpoints.window={window}", *more])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_recipe(recipe(3), tmp_path_factory.mktemp("windows") / "run")


@pytest.fixture(scope="module")
def result(run):
    return store.read_result(run)


def tables(run, steps, group="test"):
    return [store.read_measurement(run, step, group=group) for step in steps]


def windows(run):
    out = {}
    for step, number in zip(run.steps, windows_of(run.steps, 3), strict=True):
        out.setdefault(number, []).append(step)
    return list(out.values())


# -- the run -----------------------------------------------------------------------------------------


def test_a_recipe_measures_windows(run):
    assert run.steps == (0, 1, 2, 3, 4, 7, 11, 12, 18, 19, 28, 29, 30)
    assert windows(run)[-1][-1] == run.steps[-1]
    assert len(windows(run)[-1]) == 3
    assert store.read_recipe(run)["checkpoints"]["window"] == store.read_window(run) == 3
    history = History.read(run)
    assert history.count == len(windows(run))
    np.testing.assert_array_equal(history.trajectory().window, windows_of(run.steps, 3))
    assert History.read(run.path).trajectory(group="train").window is not None
    plain = recipe(1).plain()
    assert "window" not in plain["checkpoints"], "the recipe, and the hash, of a run without windows stays as it was"


def test_a_recipe_refuses_a_window_longer_than_its_training(tmp_path):
    with pytest.raises(RecipeError, match=r"a training of 22 steps or more; got 4\. .* --set checkpoints\.window=1"):
        run_recipe(recipe(3, "training.epochs=2"), tmp_path / "run")
    with pytest.raises(RecipeError, match=r"`checkpoints\.window` must be less than or equal to 5; got 9"):
        recipe(9)
    assert load_recipe("game-and-or", overrides=["checkpoints.window=3"], smoke=True).checkpoints.window == 1


def test_a_run_that_was_stopped_has_the_same_windows(run, tmp_path):
    stop = run.steps[len(run.steps) - 2]

    def interrupted(stage, done, _):
        if stage == "training" and done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe(3), tmp_path / "run", progress=interrupted)
    again = run_recipe(recipe(3), tmp_path / "run")
    one, other = (json.loads((each.path / "summary.json").read_text())["windows"] for each in (run, again))
    assert one == other


def test_the_verdict_takes_the_single_values(run, result):
    history = History.read(run)
    trajectory = history.trajectory()
    assert len(trajectory.steps) == len(run.steps) > len(result.windows.steps)
    assert history.verdict() == whole_verdict(trajectory, pattern=history._pattern(history.together))
    assert (
        history.verdict(run.steps[-1]).sentence
        == online_verdict(
            trajectory, before=history.verdicts()[-2], pattern=history._pattern(history.together)
        ).sentence
    )
    assert result.verdict[0] == history.verdict().sentence


def test_the_first_screen_counts_checkpoints_and_windows(run, result):
    assert f", {len(run.steps)} checkpoints in {len(result.windows.steps)} windows, " in state(result)
    assert " windows" not in state(result.model_copy(update={"windows": None}))


def test_courses_of_windows_are_means_of_single_spectra_and_a_cross_spectrum(run, result):
    found = result.windows
    groups = windows(run)
    np.testing.assert_array_equal(found.steps, [group[0] for group in groups])
    np.testing.assert_array_equal(found.counts, [len(group) for group in groups])
    np.testing.assert_array_equal(found.number, windows_of(run.steps, 3))
    for name in ("test", "train"):
        whole = History.read(run).trajectory(group=name)
        places = [[run.steps.index(step) for step in group] for group in groups]
        strength = np.stack([whole.strength[i].mean(axis=0) for i in places])
        by_definition = Trajectory(found.steps, strength).mean_order
        np.testing.assert_allclose(found.mean_order[name].value, by_definition)
        np.testing.assert_allclose(found.order_distribution[name], Trajectory(found.steps, strength).distribution)
        low, high = found.mean_order[name].interval()
        assert (low <= by_definition + 1e-9).all()
        assert (by_definition <= high + 1e-9).all()
    for group, degree in zip(groups, found.degree, strict=True):
        v = torch.stack([torch.from_numpy(m.v) for m in tables(run, group)])
        if len(group) == 1:
            assert np.isnan(degree)
        else:
            assert degree == pytest.approx(mean_degree(cross_spectrum(v)))


def test_a_result_with_windows_is_read_back(result):
    json_ = result.to_json()
    again = RunResult.from_json(json.loads(json.dumps(json_["summary"])), json.loads(json.dumps(json_["analysis"])))
    assert again.windows.sentences == result.windows.sentences
    np.testing.assert_array_equal(again.windows.degree, result.windows.degree)
    assert RunResult.from_json({"steps": [0, 1]}).windows is None


def test_a_result_so_far_has_windows(run, result):
    growing = History.read(run).result_so_far()
    np.testing.assert_array_equal(growing.windows.degree, result.windows.degree)
    assert growing.windows.repeatability is None
    assert panels.repeatability(growing).missing == "Available when the run has ended."
    single = History(["test"])
    single.add(tables(run, [0]))
    assert single.result_so_far().windows is None


def test_repeatability_stands_beside_its_conditioning(run, result):
    last = windows(run)[-1]
    found = [interactions(m) for m in tables(run, last)]
    rule = store.read_salience(run)
    shown = result.windows.repeatability
    assert (shown.step, shown.n_steps, shown.n_samples, shown.noise) == (last[-1], 3, 4, 0.005)
    np.testing.assert_array_equal(shown.value, window_mean(found, **rule).repeatability)
    v, draw = torch.from_numpy(tables(run, last)[-1].v), torch.Generator().manual_seed(0)
    options = {name: found[-1].settings[name] for name in ("tol", "order_weight")}
    noisy = [
        v + NOISE * v.std(dim=-1, keepdim=True) * torch.randn(v.shape, generator=draw, dtype=v.dtype) for _ in "ab"
    ]
    again = [split(one, noise_bound=found[-1].noise_bound, **options) for one in noisy]
    by_definition = window_mean([found[-1], *again], **rule).repeatability
    np.testing.assert_allclose(shown.conditioning, by_definition, atol=1e-6)
    assert shown.conditioning[0] > 0.5


def test_what_came_before_a_step_that_is_near_is_not_needed_for_the_witness():
    recent = Recent(3)
    draw = torch.Generator().manual_seed(1)
    found = {s: split(torch.randn(2, 8, generator=draw, dtype=torch.float64)) for s in (100, 105, 110, 120, 126)}
    for step, one in found.items():
        recent.add(step, one)
    assert recent.last is found[126]
    assert [one is found[s] for one, s in zip(recent.found([110, 120, 126]), (110, 120, 126), strict=True)] == [
        True
    ] * 3
    assert recent.found([100, 126]) == [found[126]]
    near = [100, 105, 110]
    assert np.isnan(recent.degree([100]))
    assert np.isnan(recent.degree([100, 120]))  # not within a tenth: never held against one another
    v = torch.stack([found[s].residual + values_from_and(found[s].i_and) + values_from_or(found[s].i_or) for s in near])
    np.testing.assert_equal(recent.degree(near), mean_degree(cross_spectrum(v)))


# -- figures and exports -----------------------------------------------------------------------------


def test_the_figure_of_the_mean_order_shows_both_courses(result):
    panel = panels.mean_order(result)
    by_name = {series.name: series for series in panel.series}
    assert list(by_name)[-1] == "second measure, without a split: Walsh degree"
    np.testing.assert_array_equal(by_name["test samples"].band.value, result.windows.mean_order["test"].value)
    np.testing.assert_array_equal(by_name["test samples"].steps, result.windows.steps)
    points = by_name["test samples, single steps"]
    np.testing.assert_array_equal(points.band.value, result.groups["test"].mean_order.value)
    assert (points.dash, points.faint) == ("", True)
    assert "The verdict uses the single steps (pale)" in panel.caption
    cells = panels.heat_map(result, "train")
    np.testing.assert_array_equal(cells.steps, result.windows.steps)
    np.testing.assert_array_equal(cells.cells.band.value, result.windows.order_distribution["train"])
    assert plot_dynamics(result).collections[0].get_array().shape == (5, len(result.windows.steps))
    ax = plot_mean_order(result)
    assert "None" in {line.get_linestyle() for line in ax.lines}
    bars = plot_repeatability(result).patches
    shown = np.nan_to_num(result.windows.repeatability.value)
    np.testing.assert_allclose([bar.get_height() for bar in bars], shown)
    without = result.model_copy(update={"windows": None})
    np.testing.assert_array_equal(panels.heat_map(without).steps, result.steps)
    assert [series.name for series in panels.mean_order(without).series] == ["test samples", "training samples"]
    assert "Pass `window=3`" in panels.repeatability(without).missing


def test_a_sample_is_drawn_with_its_standard_errors(run):
    steps = windows(run)[-1]
    found = window_mean([interactions(m)[0] for m in tables(run, steps)])
    ax = plot_sample(found, names=list("abcde"), k=1)
    both = np.stack([found.mean.i_and, found.mean.i_or])
    both[:, 0] = 0
    place = np.unravel_index(np.abs(both).argmax(), both.shape)
    error = np.stack([found.standard_error.i_and, found.standard_error.i_or])[place]
    assert f"{both[place]:+.3f} ± {error:.3f}" in ax.texts[0].get_text()
    single = window_mean([interactions(m)[0] for m in tables(run, steps[:1])])
    assert "±" not in plot_sample(single, names=list("abcde"), k=1).texts[0].get_text()


def test_exports_have_error_and_kept_part(run, tmp_path):
    sets, frames = run_to_xarray(run), run_to_pandas(run)
    assert set(frames) == {"interactions", "interactions_of_steps", "strength", "tables", "steps"}
    groups = windows(run)
    for name in ("test", "train"):
        data = sets[name]
        assert data["first_step"].values.tolist() == [group[0] for group in groups]
        assert data["n_steps"].values.tolist() == [len(group) for group in groups]
        assert data["measurement_of_step"].values.tolist() == windows_of(run.steps, 3)
        for i, group in enumerate(groups):
            found = window_mean([interactions(m) for m in tables(run, group, name)])
            parts = {"mean": found.mean, "se": found.standard_error, "kept": found.kept}
            for short, part in parts.items():
                for kind in ("and", "or"):
                    np.testing.assert_array_equal(data[f"{short}_{kind}"].values[i], getattr(part, f"i_{kind}"))
    table = frames["interactions"]
    row = table.query("group == 'train' and kind == 'or' and n_steps == 3").iloc[-1]
    at = int(np.flatnonzero(sets["train"]["first_step"].values == row.step)[0])
    sample = sets["train"]["sample"].values.tolist().index(row["sample"])
    subset = sets["train"]["players"].values.tolist().index(row.players)
    for column, short in (("value", "mean"), ("se", "se"), ("kept", "kept")):
        assert row[column] == sets["train"][f"{short}_or"].values[at, sample, subset]
    assert table.query("n_steps == 1")["se"].isna().all()
    assert table.query("n_steps == 3")["se"].notna().all()
    steps = frames["interactions_of_steps"]
    assert sorted(set(steps["step"])) == list(run.steps)
    assert list(steps.columns) == ["group", "step", "sample", "kind", "players", "order", "value"]
    with pytest.raises(SystemExit):
        main(["export", str(run.path), "--to", "csv", "--out", str(tmp_path / "out")])
    head = (tmp_path / "out" / "interactions.csv").read_text().splitlines()[0]
    assert head == "group,step,sample,kind,players,order,value,se,kept,n_steps"


def test_the_summary_says_what_is_judged(run, capsys):
    with pytest.raises(SystemExit):
        main(["summary", str(run.path)])
    told = " ".join(capsys.readouterr().out.split())
    assert "measurements of up to 3 nearby steps each. The verdict uses the values of the single steps" in told
    assert re.search(r"Second measure of order, .* goes from \d\.\d\d over a minimum of \d\.\d\d to \d\.\d\d\.", told)
    assert re.search(r"Repeatability over the 3 nearby steps .* 0\.5 % of noise: order 1 0\.\d\d \(\d\.\d\d\)", told)


# -- pages -------------------------------------------------------------------------------------------


def test_means_are_those_of_window_mean(run):
    found = [interactions(m) for m in tables(run, windows(run)[-1])]
    mean, error, kept = means(np.stack([one.i_or.numpy() for one in found]))
    whole = window_mean(found)
    np.testing.assert_allclose(mean, whole.mean.i_or)
    np.testing.assert_allclose(error, whole.standard_error.i_or, atol=1e-15)
    np.testing.assert_allclose(kept, whole.kept.i_or)


def test_the_page_has_both_courses_and_means_with_errors(run, result):
    page = payload(write_report(run.path))
    charts = {chart["id"]: chart for chart in page["charts"]}
    names = {trace.get("name"): trace for trace in charts["mean-order"]["data"]}
    assert names["test samples, single steps"]["mode"] == "markers"
    assert not names["test samples, single steps"]["showlegend"]
    assert len(names["test samples"]["y"]) == len(result.windows.steps)
    np.testing.assert_allclose(
        np.array(names["second measure, without a split: Walsh degree"]["y"], dtype=float),
        result.windows.degree,
        rtol=1e-6,
    )
    assert charts["repeatability"]["frames"][0] == charts["repeatability"]["frames"][-1]
    text = (run.path / "report.html").read_text()
    assert "The verdict uses the values of the single steps" in text
    assert "“kept” is the part that all steps share, 0 where signs differ" in text
    groups = windows(run)
    for name, group in zip(("test", "train"), page["uses"]["groups"], strict=True):
        assert group["steps"] == [steps[0] for steps in groups]
        assert group["ends"] == [steps[-1] for steps in groups]
        assert group["counts"] == [len(steps) for steps in groups]
        for at, steps in enumerate(groups):
            found = window_mean([interactions(m) for m in tables(run, steps, name)])
            tables_of = {"values": found.mean, "errors": found.standard_error, "kept": found.kept}
            place = unpacked(group["subsets"])[at].astype(int)
            for key, part in tables_of.items():
                both = np.nan_to_num(np.concatenate([part.i_and, part.i_or], axis=1))
                wanted = np.take_along_axis(both, place, axis=1)
                if key == "values":  # what is not salient is not listed
                    effect = [0.03 * np.abs(m.v[:, -1] - m.v[:, 0]).mean() for m in tables(run, steps, name)]
                    wanted[np.abs(wanted) < np.mean(effect)] = 0.0
                np.testing.assert_allclose(unpacked(group[key])[at], wanted, atol=group[key]["scale"])
        last = unpacked(group["subsets"])[-1].astype(int)
        errors = unpacked(group["course_errors"])
        np.testing.assert_allclose(errors[-1], unpacked(group["errors"])[-1], atol=2 * group["errors"]["scale"])
        assert errors.shape == (len(groups), *last.shape)


def test_a_page_of_a_run_that_grows_has_the_windows_as_they_are(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    steps = windows(run)[-1]
    for step in steps[1:]:
        for group in ("test", "train"):
            (tmp_path / "run" / store._records.file_of("measurements", step, group)).unlink()
    growing = Uses(tmp_path / "run")
    assert growing.record()["groups"][0]["counts"][-1] == 1
    for done, step in enumerate(steps[1:], 2):
        for group in ("test", "train"):
            name = store._records.file_of("measurements", step, group)
            shutil.copy(run.path / name, tmp_path / "run" / name)
        assert growing.record()["groups"][0]["counts"][-1] == done
    assert growing.record() == Uses(run.path).record()


@needs_browser
def test_a_reader_sees_errors_and_kept_parts(run, chromium, tmp_path):
    seen = """<script>
    (async () => {
      await until(() => document.querySelector("#falls tr") && drawn());
      const slider = document.getElementById("checkpoint");
      slider.value = slider.max;
      slider.dispatchEvent(new Event("input"));
      await new Promise((next) => setTimeout(next, 500));
      const out = document.createElement("pre");
      out.id = "seen";
      const bars = document.querySelectorAll("#chart-courses .errorbar").length;
      const heads = [...document.querySelectorAll("#falls tr:has(button) td.number")].map((e) => e.textContent);
      out.textContent = JSON.stringify({ trouble, heads, bars, said: document.getElementById("said").textContent });
      document.body.append(out);
    })();
    </script>"""
    text = (
        write_report(run.path).read_text().replace("<head>", f"<head>{HEAD}", 1).replace("</body>", f"{seen}</body>", 1)
    )
    page = tmp_path / "page.html"
    page.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text))
    found = browser(chromium, page, 1000)
    assert not found["trouble"]
    assert re.search(r"At steps \d+ to \d+ the mean output for its class is", found["said"])
    assert found["heads"]
    assert all(
        re.search(r"^[+\u2212]\d+\.\d\d+ ± \d\.\d\d, kept ([+\u2212]\d+\.\d\d|0\.00)$", head) for head in found["heads"]
    )
    assert found["bars"] > 0
