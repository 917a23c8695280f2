"""Muon, schedules, label smoothing, augmentation and dropout of a recipe; a training with each resumes exactly."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from interdyn import store
from interdyn.errors import RecipeError
from interdyn.recipes import Trainer, build_model, load_recipe, load_samples, model, resolve, run_recipe
from interdyn.recipes._augmentation import augmented
from interdyn.recipes._optimiser import hidden_matrices, optimisers_of, rate_factor
from interdyn.recipes._schema import AugmentationSection, ModelSection, TrainingSection
from interdyn.store import config_hash
from small_recipes import game_section, small
from test_run import TINY, numbers

SHIFTED = {"augmentation": {"shift": 1, "flip": True}}
OPTIONS = {
    "muon": {"optimiser": "muon", "weight_decay": 1e-2},
    "muon-cosine": {"optimiser": "muon", "schedule": "cosine", "warmup_ratio": 0.2},
    "adam-step": {"optimiser": "adam", "schedule": "step"},
    "sgd-cosine": {"schedule": "cosine", "warmup_ratio": 0.1},
    "warm-up": {"warmup_ratio": 0.5},
    "label-smoothing": {"label_smoothing": 0.1},
    "augmentation": SHIFTED,
}
DROPPING = {"name": "mlp", "options": {"hidden": [8], "dropout": 0.3}}
NETWORKS = {"mlp": {"hidden": [16]}, "cnn": {"channels": [4], "hidden": 16}, "lenet": {}}


@model("rows")
def rows(shape, n_outputs):
    """Return a network with hidden matrices of many kinds."""
    return Rows(math.prod(shape), n_outputs)


class Rows(nn.Module):
    def __init__(self, wide, n_outputs):
        super().__init__()
        self.places = nn.Parameter(torch.zeros(4, 4))
        self.embedding = nn.Embedding(5, 4)
        self.recurrent = nn.LSTM(4, 4)
        self.attention = nn.MultiheadAttention(4, 1)
        self.convolution = nn.Conv1d(1, 1, 1)
        self.inside = nn.Linear(wide, n_outputs)  # as wide as the output, and none
        self.end = nn.Linear(n_outputs, n_outputs)

    def forward(self, x):
        return self.end(self.inside(x.flatten(1)).relu())


def trained(recipe, samples, *, stops=()):
    """Return the weights at the end of a training, which goes on from what it kept at each of the stops."""
    trainer = Trainer(recipe, samples)
    for stop in stops:
        trainer.advance(stop)
        weights, state = trainer.weights(), trainer.state()
        trainer.advance(stop + 1)  # what was taken is a copy
        trainer = Trainer(recipe, samples)
        trainer.restore(stop, weights, state=state)
    trainer.advance(16)
    return trainer.weights()


class TestResuming:
    @pytest.mark.parametrize("name", OPTIONS)
    def test_a_training_stopped_at_any_step_ends_with_the_same_numbers(self, name):
        recipe = small(**OPTIONS[name])
        samples = load_samples(recipe.data)
        whole = trained(recipe, samples)
        assert store.content_hash(whole) != store.content_hash(trained(small(), samples)), "the option does nothing"
        for stop in (0, 1, 6, 8, 13):
            assert store.content_hash(trained(recipe, samples, stops=(stop,))) == store.content_hash(whole)
        assert store.content_hash(trained(recipe, samples, stops=(3, 5, 12))) == store.content_hash(whole)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_dropout_resumes_too(self, name):
        plain = small().plain()
        plain["model"] = {"name": name, "options": {**NETWORKS[name], "dropout": 0.3}}
        recipe = resolve(plain)
        samples = load_samples(recipe.data) if name != "lenet" else larger(load_samples(small().data))
        assert store.content_hash(trained(recipe, samples, stops=(5,))) == store.content_hash(trained(recipe, samples))

    def test_a_run_on_disk_goes_on_with_two_optimisers_and_random_numbers(self, tmp_path):
        training = {**TINY["training"], "optimiser": "muon", "schedule": "cosine", "warmup_ratio": 0.1}
        recipe = resolve({**TINY, "training": training, "model": DROPPING})
        whole = run_recipe(recipe, tmp_path / "whole")
        for step in whole.steps[1:-1]:

            def stop(stage, done, total, step=step):  # noqa: ARG001
                if (stage, done) == ("training", step + 1):
                    raise KeyboardInterrupt

            folder = tmp_path / str(step)
            with pytest.raises(KeyboardInterrupt):
                run_recipe(recipe, folder, progress=stop)
            run_recipe(recipe, folder)
            assert numbers(folder) == numbers(whole.path)


def larger(samples):
    """Return samples whose pictures are twice as large."""
    from dataclasses import replace

    return replace(samples, inputs=nn.functional.interpolate(samples.inputs, scale_factor=2))


class TestIdentity:
    def test_defaults_are_left_out_and_named_values_kept(self):
        plain = small().plain()["training"]
        assert set(plain) == {"optimiser", "learning_rate", "momentum", "weight_decay", "batch_size", "epochs", "seed"}
        told = {"schedule": "constant", "warmup_ratio": 0.0, "label_smoothing": 0.0}
        assert small(**told, augmentation={"shift": 0}).plain() == small().plain()
        hashes = {config_hash(small(**options).plain()) for options in ({}, *OPTIONS.values())}
        assert len(hashes) == len(OPTIONS) + 1
        for options in OPTIONS.values():
            assert resolve(small(**options).plain()) == small(**options)

    def test_a_recipe_of_before_keeps_its_hash(self):
        assert config_hash(load_recipe("digits-mlp").plain())[:12] == "3784a450eec3"


def test_ranges_are_left_out_where_they_are_not_asked_for(tmp_path):
    training = {**TINY["training"], "epochs": 1}
    told = {"bootstrap": 100, "ranges": False}
    without = run_recipe(resolve({**TINY, "training": training, "analysis": told}), tmp_path / "without").path
    whole = run_recipe(resolve({**TINY, "training": training}), tmp_path / "whole").path
    few, many = (store.read_result(store.open_run(folder)) for folder in (without, whole))
    assert few.identified is None
    assert many.identified is not None
    np.testing.assert_array_equal(few.first.mean_order.value, many.first.mean_order.value)
    assert "ranges" not in resolve(TINY).plain()["analysis"]


class TestOptimisers:
    def test_muon_has_hidden_matrices_and_adamw_the_rest(self):
        network = build_model(ModelSection(name="rows", options={}), shape=(1, 8, 8), n_outputs=10, seed=0)
        names = {id(p): name for name, p in network.named_parameters()}
        found = optimisers_of(network, TrainingSection(optimiser="muon", learning_rate=0.1, epochs=1), n_outputs=10)
        assert [type(one) for one in found.values()] == [torch.optim.AdamW, torch.optim.Muon]
        of = {name: {names[id(p)] for p in one.param_groups[0]["params"]} for name, one in found.items()}
        matrices = {"recurrent.weight_ih_l0", "recurrent.weight_hh_l0", "attention.in_proj_weight"}
        assert of["muon"] == matrices | {"attention.out_proj.weight", "inside.weight"}
        assert of["optimiser"] == set(names.values()) - of["muon"]

    def test_an_embedding_that_is_the_output_layer_too_is_no_hidden_matrix(self):
        network = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7))
        network[2].weight = network[0].weight
        assert [id(w) for w in hidden_matrices(network, n_outputs=7)] == [id(network[1].weight)]

    def test_muon_trains_as_torch_does(self):
        recipe = small(optimiser="muon", weight_decay=0.1, learning_rate=0.01)
        samples = load_samples(recipe.data)
        trainer, twin = Trainer(recipe, samples), Trainer(recipe, samples).network
        hidden, *others = twin[1].weight, twin[1].bias, twin[3].weight, twin[3].bias
        muon = torch.optim.Muon([hidden], 0.01, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
        adamw = torch.optim.AdamW(others, 0.01, weight_decay=0.1, betas=(0.9, 0.999))
        ids = np.random.default_rng([0, 0]).permutation(samples.train_ids)[:16]
        nn.functional.cross_entropy(twin(samples.inputs[ids]), samples.given[ids]).backward()
        for optimiser in (muon, adamw):
            optimiser.step()
        trainer.advance(1)
        for name, wanted in twin.state_dict().items():
            np.testing.assert_array_equal(trainer.weights()[name], wanted)

    def test_a_torch_without_muon_is_told(self, monkeypatch):
        monkeypatch.delattr(torch.optim, "Muon")
        recipe = small(optimiser="muon")
        with pytest.raises(RecipeError, match=r"`muon` needs PyTorch 2\.9 or newer; got .*optimiser=adamw"):
            Trainer(recipe, load_samples(recipe.data))

    def test_a_network_without_hidden_matrices_is_told(self):
        recipe = resolve({**small(optimiser="muon").plain(), "model": {"name": "mlp", "options": {"hidden": []}}})
        with pytest.raises(RecipeError, match="weight matrices; got Sequential with none"):
            Trainer(recipe, load_samples(recipe.data))


def by_torch(schedule, total, warm):
    """Return the rates of torch's schedulers in each update."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.3)
    if schedule == "cosine":
        main = lr_scheduler.CosineAnnealingLR(optimiser, total - warm)
    elif schedule == "step":
        main = lr_scheduler.MultiStepLR(optimiser, [total // 2 - warm, 3 * total // 4 - warm], 0.1)
    else:
        main = lr_scheduler.ConstantLR(optimiser, 1.0)
    if warm:
        start = lr_scheduler.LinearLR(optimiser, 1 / (warm + 1), 1.0, warm)
        main = lr_scheduler.SequentialLR(optimiser, [start, main], [warm])
    rates = []
    for _ in range(total):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        main.step()
    return rates


class TestSchedules:
    @pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")  # torch's SequentialLR passes it
    @pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
    @pytest.mark.parametrize(("total", "ratio"), [(40, 0.0), (41, 0.0), (40, 0.1), (37, 0.3), (3, 0.1)])
    def test_rates_are_those_of_torchs_schedulers(self, schedule, total, ratio):
        section = TrainingSection(learning_rate=0.3, epochs=1, schedule=schedule, warmup_ratio=ratio)
        got = [0.3 * rate_factor(section, step, total) for step in range(total)]
        np.testing.assert_allclose(got, by_torch(schedule, total, math.ceil(ratio * total)), rtol=1e-9)

    def test_nothing_but_warm_up(self):
        section = TrainingSection(learning_rate=1.0, epochs=1, schedule="cosine", warmup_ratio=0.99)
        assert [rate_factor(section, step, 3) for step in range(3)] == [0.25, 0.5, 0.75]

    def test_the_optimiser_has_the_rate(self):
        recipe = small(optimiser="muon", schedule="step")  # 16 steps
        trainer = Trainer(recipe, load_samples(recipe.data))
        for upto, rate in ((8, 0.05), (9, 0.005), (12, 0.005), (13, 0.0005)):
            trainer.advance(upto)
            groups = [group for one in trainer._optimisers.values() for group in one.param_groups]
            assert [group["lr"] for group in groups] == pytest.approx([rate] * 2)


class TestLosses:
    def test_label_smoothing_is_of_the_training_alone(self):
        recipe, plain = small(label_smoothing=0.2), small()
        samples = load_samples(recipe.data)
        assert Trainer(recipe, samples).losses() == Trainer(plain, samples).losses()
        twin, trainer = Trainer(recipe, samples).network, Trainer(recipe, samples)
        optimiser = torch.optim.SGD(twin.parameters(), 0.05, momentum=0.9)
        ids = np.random.default_rng([0, 0]).permutation(samples.train_ids)[:16]
        nn.functional.cross_entropy(twin(samples.inputs[ids]), samples.given[ids], label_smoothing=0.2).backward()
        optimiser.step()
        trainer.advance(1)
        for name, wanted in twin.state_dict().items():
            np.testing.assert_array_equal(trainer.weights()[name], wanted)

    def test_a_regression_has_none(self):
        tree = {**small(label_smoothing=0.1).plain(), "data": game_section().model_dump(exclude_none=True)}
        recipe = resolve({**tree, "players": {"kind": "columns"}})
        with pytest.raises(RecipeError, match=r"`training.label_smoothing` needs data with classes; got 0.1"):
            Trainer(recipe, load_samples(recipe.data))


class TestAugmentation:
    def test_every_shift_and_mirror_image_comes_up(self):
        picture = torch.arange(1.0, 13.0).reshape(1, 1, 3, 4)
        wanted = set()
        padded = nn.functional.pad(picture, (1, 1, 1, 1))
        for down in range(3):
            for across in range(3):
                moved = padded[..., down : down + 3, across : across + 4]
                wanted |= {tuple(moved.flatten().tolist()), tuple(moved.flip(-1).flatten().tolist())}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            got = augmented(picture.expand(2000, 2, 3, 4), AugmentationSection(shift=1, flip=True))
        assert torch.equal(got[:, 0], got[:, 1])  # channels go together
        counts = {}
        for one in got[:, 0]:
            counts[tuple(one.flatten().tolist())] = counts.get(tuple(one.flatten().tolist()), 0) + 1
        assert set(counts) == wanted
        assert len(wanted) == 18
        assert max(abs(count - 2000 / 18) for count in counts.values()) < 4 * math.sqrt(2000 / 18)

    def test_nothing_is_drawn_without_it(self):
        before = torch.get_rng_state()
        pictures = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        assert torch.equal(augmented(pictures, AugmentationSection()), pictures)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"data": {"name": "wine"}, "players": {"kind": "columns"}}, r"inputs of shape \(13,\)"),
            ({"training": {"learning_rate": 0.1, "epochs": 1, "augmentation": {"shift": 8}}}, "more than 8 pixels"),
        ],
    )
    def test_what_is_no_picture_is_refused(self, changes, told):
        recipe = resolve({**small(**SHIFTED).plain(), **changes})
        with pytest.raises(RecipeError, match=told):
            Trainer(recipe, load_samples(recipe.data))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.schedule=linear", "`training.schedule` must be 'constant', 'step' or 'cosine'; got 'linear'"),
        ("training.warmup_ratio=1.0", "`training.warmup_ratio` must be less than 1"),
        ("training.label_smoothing=1.0", "`training.label_smoothing` must be less than 1"),
        ("training.augmentation.shift=-1", "`training.augmentation.shift` must be greater than or equal to 0"),
        ("training.augmentation.flop=true", r"\[training.augmentation\] has no key `flop`.*Did you mean `flip`"),
        ("training.augmentation=1", "`training.augmentation` must be a table"),
    ],
)
def test_what_cannot_be_is_told(override, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("digits-mlp", overrides=[override])


class TestDropout:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_without_it_names_and_random_numbers_are_as_before(self, name):
        section = ModelSection(name=name, options={**NETWORKS[name], "dropout": 0.0})
        plain, told = (
            build_model(one, shape=(1, 16, 16), n_outputs=3, seed=0)
            for one in (ModelSection(name=name, options=NETWORKS[name]), section)
        )
        assert not [one for one in plain.modules() if isinstance(one, nn.Dropout)]
        assert store.content_hash({k: v.numpy() for k, v in plain.state_dict().items()}) == store.content_hash(
            {k: v.numpy() for k, v in told.state_dict().items()}
        )

    @pytest.mark.parametrize("name", NETWORKS)
    def test_it_acts_in_training_alone(self, name):
        section = ModelSection(name=name, options={**NETWORKS[name], "dropout": 0.5})
        network, x = build_model(section, shape=(1, 16, 16), n_outputs=3, seed=0), torch.ones(2, 1, 16, 16)
        plain = build_model(ModelSection(name=name, options=NETWORKS[name]), shape=(1, 16, 16), n_outputs=3, seed=0)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            assert not torch.equal(network.train()(x), network(x))
            assert torch.equal(network.eval()(x), plain(x))  # the last layer stays the output

    def test_measured_tables_are_those_of_the_network_without(self, tmp_path):
        recipe = resolve({**TINY, "model": DROPPING, "training": {**TINY["training"], "epochs": 1}})
        run = run_recipe(recipe, tmp_path / "run")
        step = run.steps[-1]
        found = store.read_measurement(run, step, group="test")
        network = build_model(recipe.model, shape=(4,), n_outputs=1, seed=0)
        weights = store.read_checkpoint(run, step).weights
        network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
        inputs = load_samples(recipe.data).inputs[torch.from_numpy(found.sample_ids)]
        with torch.no_grad():
            full = network.eval()(inputs).squeeze(-1).double().numpy()
        np.testing.assert_allclose(found.v[:, -1], full, atol=1e-6)
