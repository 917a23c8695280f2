"""Data on which networks are known to generalise late or not at all: modular addition, shortcuts; their studies."""

import os
from pathlib import Path

import numpy as np
import pytest

from interdyn.errors import RecipeError
from interdyn.game import n_parts
from interdyn.recipes import find_dataset, load_recipe, load_samples, load_study, planned, run_recipe
from interdyn.recipes._measuring import choose_groups
from interdyn.recipes._quantities import QUANTITIES
from interdyn.recipes._schema import DataSection
from interdyn.store import read_result

there = pytest.mark.skipif("INTERDYN_DATA" not in os.environ, reason="needs the folder named by INTERDYN_DATA")


def addition(seed=0, **options):
    return find_dataset("modular-addition")(seed=seed, **options)


def shortcut(of, seed=0, **options):
    return find_dataset("shortcut")(seed=seed, of=of, **options)


class TestModularAddition:
    def test_the_class_is_the_sum_of_those_that_count(self):
        data = addition(modulus=5, summands=6, counted=3, rows=500)
        assert (data.inputs.shape, data.inputs.dtype, data.n_classes) == ((500, 30), np.float32, 5)
        codes = data.inputs.reshape(500, 6, 5)
        assert (codes.sum(axis=2) == 1).all()
        numbers = codes.argmax(axis=2)
        assert np.array_equal(data.targets, numbers[:, :3].sum(axis=1) % 5)
        assert (np.bincount(data.targets, minlength=5) > 60).all()  # 100 each but for chance
        assert len(np.unique(numbers, axis=0)) == 500
        assert n_parts(data.parts).tolist() == [6] * 500
        assert data.parts[0, [0, 4, 5, 29]].tolist() == [0, 0, 1, 5]

    def test_all_rows_there_are_each_once(self):
        data = addition(modulus=3, summands=3, counted=3, rows=27)
        assert len(np.unique(data.inputs, axis=0)) == 27

    def test_the_seed_is_the_data(self):
        one, two, other = addition(rows=50), addition(rows=50), addition(seed=1, rows=50)
        assert np.array_equal(one.inputs, two.inputs)
        assert not np.array_equal(one.inputs, other.inputs)

    @pytest.mark.parametrize(
        "options",
        [
            *({"modulus": 1}, {"summands": 0}, {"counted": 11}, {"counted": 0}, {"rows": 0}, {"summands": 23}),
            *({"modulus": 2, "summands": 3, "rows": 9}, {"modulus": 1 << 20, "summands": 2}),
        ],
    )
    def test_what_there_is_not(self, options):
        with pytest.raises(RecipeError, match=r"`data\.options` of `modular-addition`"):
            addition(**options)

    def test_summands_are_players(self):
        recipe = load_recipe("modular-addition-mlp")
        samples = load_samples(recipe.data)
        test, train = choose_groups(recipe, samples)
        for group in (test, train):
            assert n_parts(group.config.feature_mask.numpy()).tolist() == [10] * len(group.sample_ids)
        assert test.config.names["summand 1"] == list(range(7))


class TestShortcut:
    def test_it_tells_the_class_in_training_and_nothing_at_test(self):
        plain, data = find_dataset("digits")(seed=0), shortcut("digits", size=1)
        corner, test = data.inputs[:, 0, :3, :4], data.test
        assert (corner.sum(axis=(1, 2)) == 1).all()
        named = corner.reshape(len(corner), 12).argmax(axis=1)
        assert set(named.tolist()) == set(range(10))
        right = named == plain.targets
        assert right[~test].mean() == pytest.approx(0.9, abs=0.03)
        assert right[test].mean() == pytest.approx(0.1, abs=0.05)
        assert test.mean() == pytest.approx(0.3, abs=0.001)
        assert np.array_equal(data.targets, plain.targets), "labels stay right"
        assert data.given is None
        rest = np.ones((8, 8), dtype=bool)
        rest[:3, :4] = False
        assert np.array_equal(data.inputs[:, 0, rest], plain.inputs[:, 0, rest])

    @pytest.mark.parametrize(("rate", "test_rate"), [(1.0, 0.0), (0.5, 1.0)])
    def test_rates(self, rate, test_rate):
        data = shortcut("wine", rate=rate, test_rate=test_rate)
        right = data.inputs[:, -1] == data.targets
        assert right[~data.test].mean() == pytest.approx(rate, abs=0.15)
        assert right[data.test].mean() == test_rate
        assert set(data.inputs[:, -1].tolist()) == {0.0, 1.0, 2.0}

    def test_a_column_has_a_name_and_the_rest_stays(self):
        plain, data = find_dataset("wine")(seed=0), shortcut("wine")
        assert data.names == (*plain.names, "shortcut")
        assert np.array_equal(data.inputs[:, :-1], plain.inputs)

    @there
    @pytest.mark.data
    def test_a_column_of_a_table_with_parts_is_a_part(self):
        plain, data = find_dataset("german")(seed=0), shortcut("german")
        assert np.array_equal(data.parts[:, :-1], plain.parts)
        assert (data.parts[:, -1] == plain.parts.max() + 1).all()
        assert data.names == (*plain.names, "shortcut")

    @there
    @pytest.mark.data
    def test_the_test_part_of_pictures_stays(self):
        plain = find_dataset("cifar10")(seed=0, labels="worse")
        data = shortcut("cifar10", options={"labels": "worse"}, size=4)
        assert np.array_equal(data.test, plain.test)
        assert np.array_equal(data.given, plain.given)
        named = data.inputs[:, :, 2:12:4, 2:16:4].mean(axis=1).reshape(-1, 12).argmax(axis=1)
        assert (named == data.targets)[~data.test].mean() == pytest.approx(0.9, abs=0.01)

    def test_the_seed_is_the_data_and_its_division(self):
        one, two, other = shortcut("wine"), shortcut("wine"), shortcut("wine", seed=1)
        assert np.array_equal(one.inputs, two.inputs)
        assert np.array_equal(one.test, two.test)
        assert not np.array_equal(one.test, other.test)
        samples = load_samples(DataSection(name="shortcut", options={"of": "wine"}))
        assert set(samples.test_ids.tolist()) == set(np.flatnonzero(one.test).tolist())

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"of": "game", "options": {"terms": []}}, "at least two classes; got 'game'"),
            ({"of": "wine", "options": {"labels": "worse"}}, "must be those of 'wine'"),
            ({"of": "wine", "rate": 1.5}, "`rate` and `test_rate` from 0 to 1"),
            ({"of": "wine", "test_rate": -0.1}, "`rate` and `test_rate` from 0 to 1"),
            ({"of": "wine", "test_fraction": 0.0}, "`test_fraction` between"),
            ({"of": "digits"} | {"size": 3}, "3 x 4 squares in images of 8 x 8 pixels; got 3"),
            ({"of": "digits", "size": 0}, "got 0"),
            ({"of": "digitz"}, "Did you mean `digits`"),
            ({"of": "os:getcwd"}, "allow"),
        ],
    )
    def test_what_there_is_not(self, options, told):
        with pytest.raises(RecipeError, match=told):
            shortcut(**options)


STUDIES = Path(__file__).parents[1] / "benchmarks" / "studies"
LATE = ("late_", "memorised", "generalis", "order_lead")  # of long runs
PLACES = {"harm_start", "fall_ends", "rise_starts", "gap_onset"}


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["label-noise-mnist", "label-noise-people", "sizes", "double-descent", "grokking", "shortcut"]
)
def test_a_run_of_each_study_gives_what_its_claims_need(name, tmp_path):
    study = load_study(STUDIES / f"{name}.toml")
    run = planned(study)[-1]
    recipe = run.recipe(study, smoke=True)
    recipe = recipe.model_copy(update={"checkpoints": recipe.checkpoints.model_copy(update={"count": 3})})
    if "INTERDYN_DATA" not in os.environ and name != "grokking":
        pytest.skip("needs the folder named by INTERDYN_DATA")
    result = read_result(run_recipe(recipe, tmp_path))
    wanted = {*study.report, *(claim.quantity for claim in study.claim)}
    told = {name: QUANTITIES[name](result) for name in wanted if not name.startswith(LATE)}
    absent = {name for name, value in told.items() if value is None}
    assert absent <= {*PLACES, "mislabelled_end_mean_order"}
    groups = {"train_end_mean_order": "train", "mislabelled_end_mean_order": "mislabelled"}
    assert all((told[name] is None) == (result.group(group) is None) for name, group in groups.items() if name in told)


def test_sizes_are_trained_for_as_many_steps():
    study = load_study(STUDIES / "sizes.toml")
    recipes = [run.recipe(study) for run in planned(study)]
    steps = {r.training.epochs * -(-r.data.n_train // r.training.batch_size) for r in recipes}
    assert steps == {2400}
    assert {r.data.n_train for r in recipes} == {100, 300, 1000, 3000, 6000}
