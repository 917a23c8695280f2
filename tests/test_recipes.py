"""Recipes: reading, refusing, data, training that resumes, and the comparison with what is expected."""

import sys
import tomllib
from dataclasses import replace
from math import prod

import numpy as np
import pytest
import tomli_w
import torch
from torch import nn

from interdyn.errors import DataError, MissingExtraError, ModelError, RecipeError
from interdyn.recipes import (
    NOT_CHECKED,
    Dataset,
    ExpectedSection,
    Trainer,
    build_model,
    checks,
    load_recipe,
    load_samples,
    log_spaced,
    model,
    recipes,
    resolve,
)
from interdyn.recipes._schema import DataSection, ModelSection
from interdyn.store import config_hash
from interdyn.values import RunResult
from small_recipes import game_section, small


@model("dropping")
def dropping(shape, n_outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), 16), nn.Dropout(0.5), nn.Linear(16, n_outputs))


# reading


@pytest.mark.parametrize("name", sorted(recipes()))
def test_every_recipe_of_the_library_resolves_and_keeps_its_identity_on_disk(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    again = resolve(tomllib.loads(tomli_w.dumps(recipe.plain())))
    assert again == recipe
    assert config_hash(again.plain()) == config_hash(recipe.plain())
    assert recipe.expected != ExpectedSection(), "a recipe says what it expects"


def test_a_recipe_is_a_name_or_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(tomli_w.dumps(small().plain()))
    assert load_recipe(path) == load_recipe(str(path)) == small()


def test_overrides_change_one_key_and_the_identity():
    changed = load_recipe("digits-cnn", overrides=["training.epochs=3", "data.name=wine", "measure.baseline=0.5"])
    assert (changed.training.epochs, changed.data.name, changed.measure.baseline) == (3, "wine", 0.5)
    assert config_hash(changed.plain()) != config_hash(load_recipe("digits-cnn").plain())


def test_smoke_is_small_and_expects_nothing():
    full, smoke = load_recipe("digits-cnn"), load_recipe("digits-cnn", smoke=True)
    few = load_recipe("digits-cnn", overrides=["data.label_noise=0.01"], smoke=True)
    assert (smoke.measure.mislabelled_samples, few.measure.mislabelled_samples) == (2, 1)  # 1 % of 120
    assert smoke.training.epochs <= 3 < full.training.epochs
    assert smoke.players.n < full.players.n
    assert smoke.expected == ExpectedSection()
    assert resolve(smoke.plain()) == smoke


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "training.learning_rat=1",
            r"\[training\] has no key `learning_rat`; got 1.*Did you mean `learning_rate`",
        ),
        ("trainig.epochs=3", r"a recipe has no key `trainig`.*Did you mean `training`"),
        ("training.learning_rate=-0.1", r"`training.learning_rate` must be greater than 0; got -0.1.*--set"),
        ("training.learning_rate=nan", "finite"),
        ("training.epochs=0", "greater than or equal to 1"),
        ("training.epochs=2.5", "an integer; got 2.5"),
        ("training.epochs=true", "an integer; got True"),
        ("training.optimiser=lbfgs", "'sgd', 'adam', 'adamw' or 'muon'; got 'lbfgs'"),
        ("measure.baseline=median", "'mean', 'mask', 'part-mean' or 'mean-embedding' or a number; got 'median'"),
        ("measure.batch_size=big", "an integer or 'auto'; got 'big'"),
        ("players.kind=columns", "columns have no `rows`"),
        ("players.central=[1]", "`central` needs two numbers"),
        ("measure.layer=0", "`measure.layer` must be a string"),
        ("measure.layer='0'", "with a `layer`, `baseline` must be a number"),
        ("data=3", "`data` must be a table"),
        ("name=a b", "`name` must be a word"),
        ("epochs", "section.key=value"),
        ("name.x=1", "`name` is a value"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(override, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe("digits-cnn", overrides=[override])
    assert "pydantic" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named():
    tree = small().plain()
    del tree["training"]["learning_rate"]
    with pytest.raises(RecipeError, match=r"needs the key `training\.learning_rate`"):
        resolve(tree)


def test_no_such_recipe_and_no_toml(tmp_path):
    with pytest.raises(RecipeError, match="Did you mean `digits-cnn`"):
        load_recipe("digits-cn")
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(RecipeError, match="readable TOML"):
        load_recipe(tmp_path / "broken.toml")


# data


def test_the_same_section_gives_the_same_samples_and_another_seed_others():
    section = DataSection(name="digits", label_noise=0.1, n_train=100)
    one, two = load_samples(section), load_samples(section)
    assert torch.equal(one.given, two.given)
    np.testing.assert_array_equal(one.train_ids, two.train_ids)
    other = load_samples(section.model_copy(update={"seed": 1}))
    assert not np.array_equal(one.train_ids, other.train_ids)


def test_flipped_labels_are_training_samples_with_another_class_and_only_those():
    samples = load_samples(DataSection(name="digits", label_noise=0.1, n_train=200))
    differ = torch.nonzero(samples.given != samples.targets).flatten().numpy()
    assert sorted(differ) == sorted(samples.flipped_ids)
    assert len(differ) == 20
    assert set(samples.flipped_ids) <= set(samples.train_ids)
    assert not set(samples.train_ids) & set(samples.test_ids)
    assert samples.shape == (1, 8, 8)


def test_standardised_columns_have_mean_zero_on_the_training_samples():
    samples = load_samples(DataSection(name="wine", standardise=True))
    train = samples.inputs[torch.from_numpy(samples.train_ids)]
    assert train.mean(dim=0).abs().max() < 1e-5  # float32 over about 125 rows
    assert (train.std(dim=0) - 1).abs().max() < 1e-5
    assert samples.mean_input.abs().max() < 1e-5


def test_the_game_is_the_sum_of_its_terms():
    samples = load_samples(game_section())
    present = samples.inputs > 0.5
    wanted = 2.0 * (present[:, 0] & present[:, 1]) - 1.0 * (present[:, 1] | present[:, 2])
    wanted = wanted + 0.5 * (present[:, 0] ^ present[:, 3])
    assert torch.equal(samples.targets, wanted.float())
    assert present[torch.from_numpy(samples.measurable)].all()
    assert samples.measurable.sum() == 16
    strengths = {(kind, players): value for kind, players, value in samples.planted}
    assert strengths == {
        ("and", (0, 1)): 2.0,
        ("or", (1, 2)): -1.0,
        ("or", (0, 3)): 0.5,
        ("and", (0, 3)): -0.5,
    }


@pytest.mark.parametrize(
    "term",
    [
        {"kind": "nand", "players": [0, 1], "weight": 1.0},
        {"kind": "and", "players": [0, 4], "weight": 1.0},
        {"kind": "and", "players": [], "weight": 1.0},
        {"kind": "and", "players": [1, 1], "weight": 1.0},
        {"kind": "xor", "players": [0, 1, 2], "weight": 1.0},
        {"kind": "and", "players": [0, 1]},
    ],
)
def test_a_term_that_is_none_is_refused(term):
    with pytest.raises(RecipeError, match="a term of"):
        load_samples(game_section(options={"terms": [term], "n_players": 4}))


def test_bad_data_sections_are_refused():
    with pytest.raises(RecipeError, match=r"`data\.name`.*Did you mean `digits`"):
        load_samples(DataSection(name="digit"))
    with pytest.raises(RecipeError, match=r"\[data\.options\] has no key `size`"):
        load_samples(DataSection(name="digits", options={"size": 3}))
    with pytest.raises(RecipeError, match=r"\[data\.options\].*terms"):
        load_samples(DataSection(name="game"))
    with pytest.raises(RecipeError, match="label_noise"):
        load_samples(game_section(label_noise=0.1))
    with pytest.raises(RecipeError, match="test_fraction"):
        load_samples(DataSection(name="wine", test_fraction=0.001))
    with pytest.raises(RecipeError, match="can be imported"):
        load_samples(DataSection(name="no_such_module:make"), allow_code=True)


def test_missing_data_name_the_line_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for name in ("digits", "wine"):
        with pytest.raises(MissingExtraError, match=r"pip install 'interdyn\[data\]'"):
            load_samples(DataSection(name=name))


OWN = """
import numpy as np
import torch
from interdyn.recipes import Dataset

def ones(*, seed, classes=2):
    return Dataset(np.ones((20, 3), np.float32), np.arange(20) % classes, n_classes=2)

def holes(*, seed):
    return Dataset(np.full((20, 3), np.nan, np.float32), np.zeros(20, int), n_classes=2)

def rows(*, seed):
    return np.ones((20, 3))

def linear(shape, n_outputs):
    return torch.nn.Linear(shape[0], n_outputs)

def no_network(shape, n_outputs):
    return 3
"""


def test_a_users_own_factories_and_what_they_must_return(tmp_path, monkeypatch):
    (tmp_path / "own_factories.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    samples = load_samples(DataSection(name="own_factories:ones"), allow_code=True)
    assert samples.shape == (3,)
    network = build_model(ModelSection(name="own_factories:linear"), shape=(3,), n_outputs=2, seed=0, allow_code=True)
    assert isinstance(network, nn.Linear)
    with pytest.raises(DataError, match="NaN"):
        load_samples(DataSection(name="own_factories:holes"), allow_code=True)
    with pytest.raises(DataError, match="must be a `Dataset`"):
        load_samples(DataSection(name="own_factories:rows"), allow_code=True)
    with pytest.raises(DataError, match=r"0\.\.1"):
        load_samples(DataSection(name="own_factories:ones", options={"classes": 3}), allow_code=True)
    with pytest.raises(ModelError, match=r"torch\.nn\.Module"):
        build_model(ModelSection(name="own_factories:no_network"), shape=(3,), n_outputs=2, seed=0, allow_code=True)


# models


def test_models_build_the_same_from_the_same_seed_and_leave_the_random_numbers_alone():
    before = torch.get_rng_state()
    section = ModelSection(name="cnn", options={"channels": [4], "hidden": 8})
    one, two, other = (build_model(section, shape=(1, 8, 8), n_outputs=10, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b, c in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.ndim == 1 or not torch.equal(a, c)  # biases begin at 0
    assert one(torch.zeros(5, 1, 8, 8)).shape == (5, 10)


def test_bad_models_are_refused():
    with pytest.raises(RecipeError, match=r"`model\.name`.*Choose one of: alexnet, "):
        build_model(ModelSection(name="quantum"), shape=(3,), n_outputs=2, seed=0)
    with pytest.raises(RecipeError, match=r"Did you mean `hidden`"):
        build_model(ModelSection(name="mlp", options={"hiden": [3]}), shape=(3,), n_outputs=2, seed=0)
    with pytest.raises(RecipeError, match="images"):
        build_model(ModelSection(name="cnn"), shape=(30,), n_outputs=2, seed=0)


def test_a_name_is_registered_once():
    def one(shape, n_outputs):
        return nn.Linear(*shape, n_outputs)

    def two(shape, n_outputs):
        return nn.Linear(*shape, n_outputs, bias=False)

    model("twice")(two)
    model("twice")(two)  # the same function again, as when a cell of a notebook is run again
    assert build_model(ModelSection(name="twice"), shape=(3,), n_outputs=2, seed=0).bias is None
    model("twice")(one)
    both = r"<locals>\.two and .*<locals>\.one\. Choose one of these: --set model\.name="
    with pytest.raises(RecipeError, match=r"`model\.name` must name one factory; got 'twice' for .*" + both):
        build_model(ModelSection(name="twice"), shape=(3,), n_outputs=2, seed=0)


# training


@pytest.mark.parametrize(
    ("total", "count", "first"), [(1300, 16, 1), (1300, 16, 10), (20, 16, 1), (5, 2, 1), (7, 8, 3)]
)
def test_log_spaced_steps_begin_at_zero_end_at_the_end_and_are_as_many_as_asked(total, count, first):
    steps = log_spaced(total, count, first=first)
    assert steps[0] == 0
    assert steps[-1] == total
    assert list(steps) == sorted(set(steps))
    assert len(steps) == min(count, total - first + 2)
    assert steps[1] >= min(first, total)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_training_resumes_bit_for_bit(optimiser):
    recipe = small(optimiser=optimiser, weight_decay=1e-3)
    samples = load_samples(recipe.data)
    whole = Trainer(recipe, samples)
    whole.advance(7)
    whole.advance(16)

    first = Trainer(recipe, samples)
    first.advance(6)  # in the middle of an epoch of 4 steps
    weights, state = first.weights(), first.state()
    first.advance(9)  # what was taken is a copy
    second = Trainer(recipe, samples)
    second.restore(6, weights, state=state)
    second.advance(16)
    for name, wanted in whole.weights().items():
        np.testing.assert_array_equal(second.weights()[name], wanted)


def test_random_layers_resume_too_and_disturb_nobody():
    recipe = resolve({**small().plain(), "model": {"name": "dropping"}})
    samples = load_samples(recipe.data)
    before = torch.get_rng_state()
    whole = Trainer(recipe, samples)
    whole.advance(16)
    half = Trainer(recipe, samples)
    half.advance(6)
    other = Trainer(recipe, samples)
    other.restore(6, half.weights(), state=half.state())
    torch.rand(5, generator=torch.Generator().manual_seed(3))
    other.advance(16)
    assert torch.equal(torch.get_rng_state(), before)
    for name, wanted in whole.weights().items():
        np.testing.assert_array_equal(other.weights()[name], wanted)


def test_losses_are_taken_in_eval_mode_on_the_right_labels():
    recipe = resolve({**small().plain(), "model": {"name": "dropping"}})
    samples = load_samples(recipe.data)
    trainer = Trainer(recipe, samples)
    found = trainer.losses()
    assert found == trainer.losses()
    with torch.no_grad():
        output = trainer.network.eval()(samples.inputs[torch.from_numpy(samples.train_ids)])
    given = samples.given[torch.from_numpy(samples.train_ids)]
    assert found["train_loss"] == pytest.approx(float(nn.functional.cross_entropy(output.double(), given)))
    assert found["train_accuracy"] == float((output.argmax(-1) == given).double().mean())
    assert set(found) == {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}


def test_a_regression_learns_and_has_no_accuracy():
    recipe = resolve(
        {
            **small(optimiser="adam", learning_rate=0.01, epochs=40).plain(),
            "data": game_section().model_dump(exclude_none=True),
            "players": {"kind": "columns"},
        }
    )
    trainer = Trainer(recipe, load_samples(recipe.data))
    before = trainer.losses()
    trainer.advance(200)
    assert set(before) == {"train_loss", "test_loss"}
    assert trainer.losses()["train_loss"] < before["train_loss"] / 4


def test_values_that_are_0_and_1_are_a_regression_where_the_data_says_so():
    recipe = resolve({**small().plain(), "data": game_section().model_dump(exclude_none=True)})
    samples = load_samples(recipe.data)
    binary = (samples.targets > samples.targets.median()).float()
    trainer = Trainer(recipe, replace(samples, targets=binary, given=binary))
    found, rows = trainer.losses(), torch.from_numpy(samples.test_ids)
    with torch.no_grad():
        output = trainer.network.eval()(samples.inputs[rows])
    assert set(found) == {"train_loss", "test_loss"}
    assert found["test_loss"] == float(nn.functional.mse_loss(output.double().squeeze(-1), binary[rows].double()))


def test_diverging_training_stops_with_the_way_out():
    recipe = small(learning_rate=1e18)
    trainer = Trainer(recipe, load_samples(recipe.data))
    trainer.advance(16)
    with pytest.raises(ModelError, match=r"finite; got .* at step 16.*--set training\.learning_rate=1e\+17"):
        trainer.losses()


def test_steps_are_counted():
    recipe = small()
    seen = []
    trainer = Trainer(recipe, load_samples(recipe.data))
    trainer.advance(3, on_step=seen.append)
    trainer.advance(6, on_step=seen.append)
    assert seen == [1, 2, 3, 4, 5, 6]


# what is expected

SUMMARY = {
    "steps": [0, 1, 2, 3, 4],
    "theory": [{"step": step} for step in range(5)],
    "mean_order": [3.5, None, 1.5, 2.5, 2.25],
    "phases": {"boundary_step": 100, "spindle": True},
    "train_loss": [2.0, 2.0, 1.0, 0.5, 0.0],
    "test_loss": [2.0, 2.0, 1.0, 0.75, 1.0],
    "train_accuracy": [0.1, 0.1, 0.5, 0.9, 1.0],
    "theory_summary": {"noise_rank_correlation": -0.75},
    "prediction": {
        "phase_2": {"theory": "joint theory", "correlation": {"theory": 0.5, "joint theory": 0.875}, "gain": 0.25}
    },
    "solver": {"max_gap": 0.02},
    "planted": {"max_error": 0.1},
}
WANTED = {
    "start_mean_order_min": 3.5,
    "mean_order_fall_min": 2.0,
    "mean_order_rise_min": 1.0,
    "theory_correlation_min": 0.875,
    "theory_gain_min": 0.25,
    "noise_rank_correlation_max": -0.75,
    "loss_gap_growth_min": 1.0,
    "train_accuracy_min": 1.0,
    "solver_gap_max": 0.02,
    "planted_error_max": 0.1,
}


@pytest.mark.parametrize("key", sorted(WANTED))
def test_each_expectation_holds_up_to_its_limit_and_not_beyond(key):
    exact, sign = WANTED[key], 1 if key.endswith("_min") else -1
    (holds,) = checks(RunResult.from_json(SUMMARY), ExpectedSection(**{key: exact - sign * 1e-6}))
    (fails,) = checks(RunResult.from_json(SUMMARY), ExpectedSection(**{key: exact + sign * 1e-6}))
    assert holds.got == pytest.approx(exact)
    assert (holds.holds, fails.holds) == (True, False)
    (absent,) = checks(RunResult.from_json({"steps": [0]}), ExpectedSection(**{key: exact}))
    assert (absent.got, absent.holds) == (None, False)


def test_every_expectation_is_tested():
    assert set(WANTED) | {"boundary", "spindle", *NOT_CHECKED} == set(ExpectedSection.model_fields)


def test_an_expectation_of_before_is_read_kept_and_not_checked():
    old = ExpectedSection(phase_2_distance_max=0.1)
    assert old.model_dump(exclude_none=True) == {"phase_2_distance_max": 0.1}  # the hash of the recipe stays
    assert checks(RunResult.from_json(SUMMARY), old) == []


@pytest.mark.parametrize(("key", "entry"), [("boundary", "boundary_step"), ("spindle", "spindle")])
def test_a_boundary_or_spindle_is_expected_or_not(key, entry):
    absent = None if key == "boundary" else False
    without = {**SUMMARY, "phases": {**SUMMARY["phases"], entry: absent}}
    for summary, wanted, holds in ((SUMMARY, True, True), (without, True, False), (without, False, True)):
        (check,) = checks(RunResult.from_json(summary), ExpectedSection(**{key: wanted}))
        assert check.holds is holds


def test_a_dataset_is_plain_data():
    data = Dataset(np.zeros((2, 3), np.float32), np.array([0, 1]), n_classes=2)
    with pytest.raises(AttributeError):
        data.n_classes = 3
