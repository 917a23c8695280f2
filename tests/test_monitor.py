"""The evidence of the monitor: its recipes, what is kept of their trainings, and the page that is computed from it."""

import json
import re
import tomllib

import numpy as np
import pytest
import torch

import _monitor_judged as judged
import _monitor_page as page
from _monitor_series import cancelling, evaluations, salient
from interdyn import monitors
from interdyn.dynamics import find_pattern
from interdyn.measurement import measure
from interdyn.players import columns
from interdyn.recipes import load_recipe, load_samples
from interdyn.recipes._schema import DataSection, TrainingSection
from interdyn.report._words import _PATTERN
from interdyn.values import Interactions
from monitor import KEPT as FOLDER, RECIPES as RECIPE_FOLDER, TOLD, TWINS

RECIPES = sorted(RECIPE_FOLDER.glob("*.toml"))
KEPT = sorted(FOLDER.glob("*.json"))
# rate schedules are an option of recipes that other work adds
READABLE = [p for p in RECIPES if "schedule" in TrainingSection.model_fields or "\nschedule = " not in p.read_text()]


# -- recipes and what is kept ------------------------------------------------------------------------


def test_there_are_old_trainings_and_twice_as_many_new_ones_on_other_tasks():
    data = {path.stem: tomllib.loads(path.read_text())["data"]["name"] for path in RECIPES}
    new = {name: task for name, task in data.items() if name not in page.ORDER}
    assert set(page.ORDER) <= set(data)
    assert len(new) >= 22
    assert len(set(new.values()) - {data[name] for name in page.ORDER}) >= 6
    assert set(TWINS) <= set(data)
    assert len(TWINS) == 6


@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.stem)
def test_every_recipe_loads_has_the_name_of_its_file_and_measures_training_samples(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.measure.train_samples == 8


@pytest.mark.parametrize("name", ["shifted_digits", "shortcut_digits"])
def test_data_of_the_shift_and_the_shortcut_differ_in_the_test_part_alone(name):
    section = {"options": {}, "n_train": 600, "seed": 0}
    own = load_samples(DataSection(name=f"monitor_data:{name}", **section), allow_code=True)
    plain = load_samples(DataSection(name="digits", options={}, seed=0))
    corner = own.inputs[:, 0, -1, 0] * 9
    for ids, is_train in ((own.train_ids, True), (own.test_ids, False)):
        moved = (own.inputs[ids] != plain.inputs[ids]).flatten(1).any(1).double().mean()
        told = (corner[ids].round() == own.targets[ids]).double().mean()
        if name == "shifted_digits":
            assert moved == 0 if is_train else 0.45 < moved < 0.55
        else:
            assert told > 0.85 if is_train else told < 0.2


@pytest.mark.skipif(not KEPT, reason="no training of these recipes is kept yet")
def test_the_page_has_every_training_that_is_kept_and_names_those_that_are_not():
    text = FOLDER.with_suffix(".md").read_text()
    for path in RECIPES:
        lines = len(re.findall(rf"^\| {re.escape(path.stem)} \|", text, re.MULTILINE))
        assert lines == (path.stem in [kept.stem for kept in KEPT])
        assert lines or path.stem in text.partition("missing: ")[2].partition(".\n")[0]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_is_kept_agrees_with_itself(path):
    kept = json.loads(path.read_text())
    series = [kept[name] for name in ("pattern", "mean_order", "cancelling", "degree", "alpha", "twin") if kept[name]]
    assert {len(course) for course in (kept["looks"], *series)} == {len(kept["looks"])}
    assert {len(course) for course in kept["fine"].values()} == {len(kept["fine"]["steps"])}
    assert tuple(kept["rivals"]) == monitors.NAMES
    for said in kept["rivals"].values():
        assert len(said["signal"]) == len(kept["fine"]["steps"])
    assert (kept["twin"] is not None) == (path.stem in TWINS)
    patience = monitors.Patience().over(kept["fine"]["steps"], kept["fine"]["validation"])
    assert (patience.stops_at, patience.best_step) == tuple(kept["rivals"]["patience"][k] for k in ("stops_at", "best"))


@pytest.mark.skipif(len(KEPT) < len(RECIPES), reason="not all trainings are kept yet")
def test_users_are_told_who_wins_and_how_often_the_pattern_rang_here():
    kept = [json.loads(path.read_text()) for path in KEPT]
    for one in kept:
        judged.judge(one)
    assert page.conclusion(kept, []) in TOLD.read_text()
    new = FOLDER.with_suffix(".md").read_text().partition("## All trainings")[0]
    assert "*R* (" in new.partition("Established to detect it less well: ")[2].partition("Balanced")[0]
    assert "detects harm less well than the" in _PATTERN
    told = page.pattern_told(kept)
    assert told in _PATTERN
    assert told in " ".join(find_pattern.__doc__.split())


# -- the series --------------------------------------------------------------------------------------


def test_cancelling_is_that_of_the_salient_interactions_by_hand():
    i_and = torch.tensor([[7.0, 3.0, -1.0, 0.01], [0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
    zero, one = torch.zeros_like(i_and), torch.zeros(2, dtype=torch.float64)
    found = Interactions(i_and, zero, "", residual=zero, objective=one, gap=one, status="", noise_bound=one)
    assert cancelling(found) == pytest.approx(((1 - 2 / 4) + 0) / 2)  # 0.01 is not salient, 7 is the constant
    assert salient(found).i_and.tolist() == [[0, 3, -1, 0], [0, 1, 1, 0]]


def test_a_measurement_gives_a_share():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    found = measure(model, torch.randn(3, 4), target=torch.zeros(3, dtype=torch.long), players=columns())
    assert 0 <= cancelling(found) <= 1


def test_a_short_training_is_looked_at_forty_times():
    recipe = load_recipe(RECIPE_FOLDER / "one-pass.toml")
    at = evaluations(recipe, 20000)
    assert at[0] == 0
    assert at[-1] == 313
    assert 40 <= len(at) <= 46


# -- planted trainings, whose answers are known ------------------------------------------------------

STEPS = list(range(0, 410, 10))
LOOKS = [0, 5, 10, 20, 40, 60, 80, 120, 160, 200, 240, 280, 320, 360, 400]


def planted(name, task, *, harmed, seen_by="R"):
    """Return a training that harms from step 200 on, if at all; one signal sees it, and no other sees anything."""
    steps, looks = np.array(STEPS, float), np.array(LOOKS, float)
    test = np.exp(-steps / 60) + 0.5 + (np.maximum(steps - 200, 0) / 100 if harmed else 0)
    flat = [1.0] * len(LOOKS)
    rises = np.where(looks > 200, 2.0, 0.0) * harmed
    wave = np.where(steps > 200, 50.0, 10.0) if harmed else np.full(len(steps), 10.0)
    quiet = {"signal": [1.0] * len(STEPS), "stops_at": None, "best": STEPS[-1]}
    rivals = {other: dict(quiet) for other in monitors.NAMES}
    if seen_by == "Label Wave" and harmed:
        rivals["label-wave"] = {"signal": wave.tolist(), "stops_at": 210, "best": 200}
    fine = {"steps": STEPS, "train": test.tolist(), "test": test.tolist(), "validation": test.tolist()}
    kept = {
        "name": name,
        "task": task,
        "looks": LOOKS,
        "mean_order": flat,
        "cancelling": flat,
        "degree": flat,
        "pattern": rises.tolist() if seen_by == "R" else [0.0] * len(LOOKS),
        "twin": None,
        "alpha": None,
        "rivals": rivals,
        "fine": fine | {"error": [0.001] * len(STEPS)},
        "phase_2": {"said": None},
        "harm": {"said": 260.0 if harmed else None, "since": None, "interval": None},
    }
    judged.judge(kept)
    return kept


def world(seen_by):
    return [
        planted(f"{task}-{harmed}-{i}", task, harmed=harmed, seen_by=seen_by)
        for task in ("a", "b", "c")
        for harmed in (True, False)
        for i in range(2)
    ]


def test_the_truth_of_a_planted_training():
    harmed, harmless = planted("x", "a", harmed=True), planted("y", "a", harmed=False)
    assert harmed["truth"]["least_at"] in (180.0, 190.0, 200.0)
    assert 200 < harmed["truth"]["since"] <= 240
    assert harmed["now"].tolist() == [look >= harmed["truth"]["since"] for look in LOOKS]
    assert harmless["truth"]["since"] is None
    noisy = harmed["fine"] | {"error": [10.0] * len(STEPS)}
    assert judged.truth(noisy)["since"] is None  # no more than two standard errors


@pytest.mark.parametrize("winner", ["R", "Label Wave"])
def test_the_signal_that_sees_harm_wins_the_first_question_and_the_sentence_says_so(winner):
    kept = world(winner)
    fares = {
        name: judged.fare(name, kept) for name in judged.SIGNALS if name not in ("seed twin, order 1", "weightwatcher")
    }
    assert fares[winner].auc > 0.97
    assert fares[winner].balanced > 0.95
    assert fares[winner].false_alarms == (0, 6)
    assert fares[winner].alarms == (6, 6)
    blind = "Label Wave" if winner == "R" else "R"
    assert fares[blind].auc == pytest.approx(0.5)
    assert fares[blind].alarms == (0, 6)
    said = " ".join(page.harm_sentences(fares))
    assert "`find_harm` raises false alarms in 0 of 6 harmless trainings and alarms in 6 of 6 harmed trainings" in said
    assert "these signals are established to detect harm better than the number of steps alone" in said
    assert f"on tasks left out (*{winner}*: " in said
    assert (
        f"The fixed rule of *R* raises false alarms in 0 of 6 harmless trainings and alarms in {fares['R'].alarms[0]}"
        in said
    )
    assert ("`interdyn.monitors.named('label-wave')`" in said) == (winner == "Label Wave")


def test_a_signal_that_sees_no_more_than_the_clock_is_not_called_best():
    kept = world("R")
    for k in kept:
        k["pattern"] = [float(look) for look in LOOKS]
    fares = {name: judged.fare(name, kept) for name in ("R", "Label Wave", "patience", judged.HARM, judged.STEP)}
    assert fares["R"].balanced == pytest.approx(fares[judged.STEP].balanced)
    assert fares["R"].early == 6  # exceeds 1.3 long before step 200
    said = " ".join(page.harm_sentences(fares))
    assert "no signal is established to detect harm better" in said
    assert "alarms in 6 of 6 harmed trainings, 6 of them before harm began" in said


def test_the_control_of_the_best_step_is_the_share_of_the_steps_that_is_best_on_other_tasks():
    kept = world("R")
    shares = [judged.share_of_steps([k for k in kept if k["task"] != task])[0] / STEPS[-1] for task in "abc"]
    mean = np.log([[judged.cost(k, x * STEPS[-1]) for x in judged.SHARES] for k in kept]).mean(axis=0)
    assert shares == [judged.SHARES[mean.argmin()]] * 3  # the tasks are alike here
    first = [planted(name, "a", harmed=True) for name in ("x", "y")]
    other = [planted("z", "b", harmed=False)]
    assert judged.share_of_steps([*first, *other])[:2] == [STEPS[-1]] * 2  # the other task is best at its end
    assert 150 <= judged.share_of_steps([*first, *other])[2] <= 250


def test_auc_is_the_share_of_pairs_that_are_in_order():
    rng = np.random.default_rng(0)
    values, true, weight = rng.integers(5, size=30).astype(float), rng.random(30) < 0.4, rng.random(30)
    pairs = [
        (weight[i] * weight[j], (values[i] > values[j]) + 0.5 * (values[i] == values[j]))
        for i in np.flatnonzero(true)
        for j in np.flatnonzero(~true)
    ]
    auc, _ = judged.figures([(values, true, weight)], [values > 2])
    assert auc == pytest.approx(sum(w * x for w, x in pairs) / sum(w for w, _ in pairs))


def test_a_task_is_judged_by_the_threshold_of_the_others():
    true = np.array([False, False, True, True])
    low, high = np.array([0.0, 1.0, 2.0, 3.0]), np.array([10.0, 11.0, 12.0, 13.0])
    parts = [(low, true, np.ones(4)), (high, true, np.ones(4))]
    assert judged.left_out(parts, ["a", "b"]) == {"a": 11.5, "b": 1.5}


def test_the_best_step_is_that_of_who_names_it():
    kept = world("Label Wave")
    names = (*judged.NAMING, judged.END, judged.BLIND)
    named = {name: judged.name_step(name, kept) for name in names if name != "weightwatcher"}
    wave = named["Label Wave"]
    assert wave.named == 6
    assert wave.loss < 1.02
    assert named["end"].loss == pytest.approx(named["R"].loss)  # names none: goes on to the end
    assert named["end"].harmed == pytest.approx(judged.cost(kept[0], None))
    assert named["end"].harmed > 2
    said = " ".join(page.step_sentences(named))
    assert "one signal is established to name a better step" in said
    assert "the best signal, *Label Wave*, has 1.0" in said
    assert "names a step in 6 of 12 trainings" in said


def test_draws_are_of_tasks_first_and_then_of_their_trainings():
    kept, seen = world("R"), set()
    for seed in range(20):
        tasks = [kept[i]["task"] for i in judged.resampled(kept, np.random.default_rng(seed))]
        assert len(tasks) == 12
        assert {tasks.count(task) % 4 for task in "abc"} == {0}  # whole tasks
        seen.add(tuple(sorted(tasks)))
    assert len(seen) > 3


def test_the_page_of_planted_trainings_has_both_questions_for_new_and_all(tmp_path):
    kept = world("R")
    kept[0]["name"] = page.ORDER[0]
    text = page.text(kept, ["digits-noise"])
    assert text.count("Is this training being harmed?**") == text.count("Where was the best step?**") == 2
    assert "missing: digits-noise." in text
    assert "nan" not in text
    assert page.conclusion(kept, ["digits-noise"]) == "Not known yet: 12 of 13 trainings are kept."
    said = page.conclusion(kept, [])
    assert said.startswith("**Is this training being harmed?** Use held-out labels: `find_harm` raises")
    assert "established to detect harm better than the number of steps alone" in said
    page.picture(kept, tmp_path / "courses.svg")
    assert (tmp_path / "courses.svg").stat().st_size > 10_000


def test_the_kept_page_explains_itself_as_its_generator_does():
    kept = FOLDER.with_suffix(".md").read_text()
    assert page.HOW in kept
    assert page.COLUMNS in kept
