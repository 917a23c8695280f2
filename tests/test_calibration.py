"""Statistics of batch norm that are computed anew before a measurement: the right ones, and on a copy."""

import copy
import shutil
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

import interdyn as ix
from interdyn import store
from interdyn.errors import InputError, InputWarning, RecipeError, ShapeError
from interdyn.game import value_table
from interdyn.measurement import MeasurementConfig
from interdyn.players import columns, patches
from interdyn.recipes import build_model, load_recipe, load_samples, run_recipe
from interdyn.recipes._measuring import choose_groups
from interdyn.report import write_comparison
from interdyn.tracking import Tracker
from interdyn.values import GameRule, different_games

ROWS = 300  # in three batches of 100


@pytest.fixture
def rows(generator):
    return 2 + 3 * torch.randn(ROWS, 1, 6, 6, generator=generator)


def network(dropout=0.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout), nn.Conv2d(4, 3, 3)),
            *(nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)),
        )


def updated(net, rows):
    """The slow twin: what PyTorch's own function makes of a copy."""
    out = copy.deepcopy(net)
    update_bn(rows.split(100), out)
    return out.eval()


def table(net, x, **options):
    return value_table(net, x, target=0, players=patches(2, 2), **options)


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_statistics_are_those_of_torch(rows):
    net, x = network(), rows[:3]
    found = table(net, x, calibrate_batch_norm=rows)
    torch.testing.assert_close(found.values, table(updated(net, rows), x).values, rtol=1e-4, atol=1e-5)
    assert float((found.values - table(net, x).values).abs().max()) > 0.1
    assert found.provenance["calibrated_rows"] == ROWS
    assert table(net, x).provenance["calibrated_rows"] == 0


SIZES: list[int] = []


class Sized(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        SIZES.clear()

    def forward(self, x):
        SIZES.append(len(x))
        return self.net(x)


def test_batches_are_as_even_as_can_be(rows):
    table(Sized(network()), rows[:3], calibrate_batch_norm=rows[:257])
    assert SIZES[:3] == [86, 86, 85]  # never one row alone, of which there is no variance


def test_only_batch_norm_acts_as_in_training(rows):
    x = rows[:3]
    still, drops = (table(network(p), x, calibrate_batch_norm=rows) for p in (0.0, 0.5))
    torch.testing.assert_close(drops.values, still.values, rtol=0, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_stays_what_it_was(rows, training):
    net = network().train(training)
    before, drawn = state(net), torch.get_rng_state()
    table(net, rows[:2], calibrate_batch_norm=rows)
    assert same(state(net), before)
    assert net.training is training
    assert not any(m._forward_pre_hooks for m in net.modules())
    assert torch.equal(torch.get_rng_state(), drawn)


def test_nor_where_it_cannot_be_copied(rows):
    class Stubborn(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.lock = network(), threading.Lock()

        def forward(self, x):
            return self.net(x)

        def __deepcopy__(self, memo):
            raise TypeError("no copies")

    net, x = Stubborn(), rows[:2]
    before = state(net)
    found = table(net, x, calibrate_batch_norm=rows)
    assert same(state(net), before)
    assert not any(m._forward_pre_hooks for m in net.modules())
    torch.testing.assert_close(
        found.values, table(network(), x, calibrate_batch_norm=rows).values, rtol=1e-4, atol=1e-5
    )


def test_a_network_without_batch_norm_costs_nothing_and_stays(rows):
    net = Sized(nn.Sequential(nn.Flatten(), nn.Linear(36, 2)))
    plain = table(net, rows[:3])
    sizes = SIZES.copy()
    SIZES.clear()
    found = table(net, rows[:3], calibrate_batch_norm=rows)
    assert torch.equal(found.values, plain.values)
    assert sizes == SIZES
    assert "calibrated_rows" not in plain.provenance.keys() | found.provenance.keys()
    without = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), net)  # has none that could be set
    assert "calibrated_rows" not in table(without, rows[:3], calibrate_batch_norm=rows, batch_size=1).provenance


def test_the_same_rows_give_the_same_bits(rows):
    data = TensorDataset(rows, torch.zeros(ROWS))
    shuffled = DataLoader(data, batch_size=7, shuffle=True)
    found = [table(network(), rows[:2], calibrate_batch_norm=given).values for given in (rows, rows, data, shuffled)]
    assert all(torch.equal(values, found[0]) for values in found)


def test_of_a_data_set_the_first_512_rows_count(generator):
    x = torch.randn(700, 4, generator=generator)
    net = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    options = {"target": 0, "players": columns()}
    found = value_table(net, x[:2], calibrate_batch_norm=TensorDataset(x, torch.zeros(700)), **options)
    assert torch.equal(found.values, value_table(net, x[:2], calibrate_batch_norm=x[:512], **options).values)


@pytest.mark.parametrize("kind", ["lazy", "synchronised", "by name", "at a layer", "double"])
def test_networks_of_other_kinds(rows, kind):
    net, x, options = network(), rows[:2], {}
    given, calibration = x, rows
    expected = updated(net, rows)
    if kind == "lazy":
        net[1] = nn.LazyBatchNorm2d()
    elif kind == "synchronised":
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    elif kind == "by name":

        class Named(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = network()

            def forward(self, pixel_values, scale):
                return self.net(pixel_values * scale[:, None, None, None])

        net = Named()
        given = {"pixel_values": x, "scale": torch.ones(2)}
        calibration = {"scale": torch.full((ROWS,), 2.0), "pixel_values": rows / 2}
    elif kind == "at a layer":
        options = {"layer": "0", "baselines": 0.0}
    else:
        net, expected, given = net.double(), expected.double(), x.double()
    found = table(net, given, calibrate_batch_norm=calibration, **options)
    torch.testing.assert_close(found.values, table(expected, x, **options).values, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_calibrated_is_told(rows):
    net, x = network(), rows[:2]
    with pytest.raises(InputError, match=r"at least two rows of inputs; got 1\. Pass a few hundred"):
        table(net, x, calibrate_batch_norm=rows[:1])
    with pytest.raises(InputError, match=r"1 inputs; got 2\. Pass inputs without labels"):
        table(net, x, calibrate_batch_norm=(rows, torch.zeros(ROWS)))
    with pytest.raises(InputError, match=r"needs the network itself.*got function"):
        table(lambda z: net(z), x, calibrate_batch_norm=rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(net)
    with pytest.raises(InputError, match="got a scripted network"):
        table(scripted, x, calibrate_batch_norm=rows)
    with pytest.raises(ShapeError, match="got list"):
        table(net, x, calibrate_batch_norm=[None])
    with pytest.raises(RuntimeError) as told:
        table(net, x, calibrate_batch_norm=torch.zeros(9, 2, 6, 6))
    assert "(2, 6, 6) (float32), 9 in a batch" in told.value.__notes__[0]

    class Further(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x, scale):
            return self.net(x) * (scale if isinstance(scale, float) else scale[:, None])

    table(Further(), x, additional_forward_args=1.0, calibrate_batch_norm=rows)
    with pytest.raises(InputError, match="a row for each sample"):
        table(Further(), x, additional_forward_args=torch.ones(2), calibrate_batch_norm=rows)


class TestTracker:
    def probe(self, rows):
        return rows[:4], torch.arange(4) % 2

    def tracker(self, probe, out=None, calibration=None):
        options = {"schedule": ix.schedules.at(0), "budget": None, "strict": True, "out": out}
        return Tracker(probe, players=patches(2, 2), calibrate_batch_norm=calibration, **options)

    def test_it_measures_as_measure_does_and_keeps_rows_of_its_own(self, rows, tmp_path):
        calibration = rows.clone()
        own = rows[:4], torch.arange(4) % 2, MeasurementConfig(players=patches(2, 2), calibrate_batch_norm=calibration)
        tracker = self.tracker({"test": self.probe(rows), "own": own}, tmp_path / "run", calibration)
        calibration.zero_()
        tracker.observe(0, network())
        tracker.close()
        expected = value_table(
            network(), rows[:4], target=torch.arange(4) % 2, players=patches(2, 2), calibrate_batch_norm=rows
        )
        for group in ("test", "own"):
            found = store.read_measurement(store.open_run(tmp_path / "run"), 0, group=group)
            np.testing.assert_array_equal(found.v, expected.values)
            assert found.settings["calibrated_rows"] == ROWS

    def test_a_run_goes_on_with_the_same_rows_only(self, rows, tmp_path):
        self.tracker(self.probe(rows), tmp_path / "run", rows).close()
        tracker = self.tracker(self.probe(rows), tmp_path / "run", rows)
        tracker.observe(0, network())
        tracker.close()
        for other in (rows[:200], None):
            with pytest.raises(RecipeError, match="calibrate_batch_norm"):
                self.tracker(self.probe(rows), tmp_path / "run", other)

    def test_too_few_rows_are_told_when_it_is_made(self, rows):
        with pytest.raises(InputError, match="two rows"):
            self.tracker(self.probe(rows), calibration=rows[:1])


SMALL = (
    *("model.name=resnet", "model.options={depth=8, width=4}", "training.epochs=2", "data.n_train=60"),
    *("checkpoints.count=3", "players.n=4", "measure.mislabelled_samples=0", "measure.test_samples=4"),
)


def with_batch_norm(*more):
    return load_recipe("digits-cnn", overrides=[*SMALL, *more])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_recipe(with_batch_norm(), tmp_path_factory.mktemp("calibrated") / "run")


class TestRecipes:
    def test_batch_norm_is_calibrated_unless_a_recipe_says_no(self, run, tmp_path):
        assert store.read_recipe(run)["measure"]["calibrate_batch_norm"] == 512
        first = store.read_measurement(run, 0, group="test")
        assert first.settings["calibrated_rows"] == 60  # as many as there are
        off = run_recipe(with_batch_norm("measure.calibrate_batch_norm=0"), tmp_path / "off")
        assert store.read_recipe(off)["measure"]["calibrate_batch_norm"] == 0
        without = store.read_measurement(off, 0, group="test")
        assert without.settings["calibrated_rows"] == 0
        assert np.abs(first.v - without.v).max() > 1e-3
        for step in run.steps:  # training does not know of it
            trained = [store.read_checkpoint(one, step).weights for one in (run, off)]
            assert all(np.array_equal(trained[0][name], trained[1][name]) for name in trained[1])

    def test_it_is_measured_on_the_first_training_samples(self, run):
        recipe = load_recipe(run.path / "recipe.toml")
        samples = load_samples(recipe.data)
        net = build_model(recipe.model, shape=samples.shape, n_outputs=samples.n_outputs, seed=0)
        group = choose_groups(recipe, samples)[0]
        update_bn([samples.inputs[torch.from_numpy(samples.train_ids[:60])]], net)
        expected = value_table(
            net, group.inputs[0], target=group.target, sample_ids=group.sample_ids, baselines=samples.mean_input,
            players=group.config.players,
        )  # fmt: skip
        found = store.read_measurement(run, 0, group="test").v
        np.testing.assert_allclose(found, expected.values, rtol=1e-3, atol=1e-4)

    def test_a_comparison_says_that_one_run_calibrated_and_the_other_did_not(self, run, tmp_path):
        off = run_recipe(with_batch_norm("measure.calibrate_batch_norm=0"), tmp_path / "off")
        with pytest.warns(InputWarning, match="within one game.*differ in batch-norm statistics"):
            page = write_comparison([run.path, off.path], tmp_path / "page.html").read_text(encoding="utf-8")
        assert "calibrated" in page
        assert "as trained" in page
        none = GameRule.of([{}], n_players=4, unit="log-odds")  # of a network without any, or an older run
        rules = [store.read_result(run).game, none]
        assert "batch-norm statistics" not in different_games(rules)

    def test_a_run_goes_on_bit_for_bit(self, run, tmp_path):
        again = tmp_path / "run"
        shutil.copytree(run.path, again)
        (again / "summary.json").unlink()
        for file in (again / "measurements").rglob("*.safetensors"):
            file.unlink()
        gone_on = run_recipe(with_batch_norm(), again)
        for step in run.steps:
            found, kept = (store.read_measurement(one, step, group="test") for one in (gone_on, run))
            np.testing.assert_array_equal(found.v, kept.v)

    def test_a_run_that_began_without_goes_on_without(self, monkeypatch, tmp_path):
        with monkeypatch.context() as before:
            before.setattr("interdyn.recipes._units.batch_norms", lambda _: [])  # as there was no such option
            old = run_recipe(with_batch_norm(), tmp_path / "run")
        assert "calibrate_batch_norm" not in store.read_recipe(old)["measure"]
        kept = store.read_measurement(old, 0, group="test")
        for recipe in (with_batch_norm(), load_recipe(old.path / "recipe.toml")):
            (old.path / "summary.json").unlink()
            next((old.path / "measurements").rglob("*00000000*")).unlink()
            found = store.read_measurement(run_recipe(recipe, old.path), 0, group="test")
            np.testing.assert_array_equal(found.v, kept.v)
            assert found.settings["calibrated_rows"] == 0

    def test_a_recipe_without_batch_norm_does_not_speak_of_it(self, tmp_path):
        few = ["training.epochs=1", "checkpoints.count=2", "measure.test_samples=2"]
        run = run_recipe(load_recipe("game-and-or", overrides=few), tmp_path / "run")
        assert "calibrate_batch_norm" not in store.read_recipe(run)["measure"]

    def test_one_row_is_refused(self):
        with pytest.raises(RecipeError, match=r"`measure.calibrate_batch_norm` must be .*got 1"):
            with_batch_norm("measure.calibrate_batch_norm=1")
