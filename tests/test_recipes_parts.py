"""Recipes at several sizes, data with a division, human labels and parts of their own."""

import sys
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import tomli_w
import torch

from interdyn.errors import DataError, RecipeError
from interdyn.game import clusters, part_means, steps
from interdyn.measurement import measure
from interdyn.recipes import Dataset, load_recipe, load_samples, recipes, resolve, run_recipe
from interdyn.recipes._measuring import choose_groups
from interdyn.recipes._schema import DataSection
from interdyn.store import read_checkpoint, read_measurement
from stored import summary_of

BASE = """
name = "tiny"
model = { name = "mlp", options = { hidden = [4] } }
data = { name = "wine" }
training = { learning_rate = 0.1, epochs = 2 }
players = { kind = "columns", n = 4 }
[scale.paper]
"training.epochs" = 256
"model.options.hidden" = [64, 64]
[scale.smoke]
"players.n" = 3
[scale.wrong]
"training.epochs.more" = 1
"""


@pytest.fixture
def module(monkeypatch):
    """A module of the user's whose attributes recipes can name."""
    out = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "mine", out)
    return out


def _points(samples=12):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 20, 3)).astype(np.float32)


def _tree(**sections):
    return {
        "name": "mine",
        "model": {"name": "mine:net"},
        "data": {"name": "mine:data"},
        "training": {"learning_rate": 0.01, "epochs": 1, "batch_size": 4},
        "checkpoints": {"count": 2},
        "analysis": {"bootstrap": 100},
        "players": {"kind": "parts", "n": 2},
        "measure": {"test_samples": 2, "baseline": "mask"},
        **sections,
    }


# -- sizes -----------------------------------------------------------------------------------------


def test_a_recipe_at_another_size(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(BASE)
    small, paper = load_recipe(path), load_recipe(path, scale="paper")
    assert (small.training.epochs, small.scale) == (2, "")
    assert (paper.training.epochs, paper.model.options["hidden"], paper.scale) == (256, [64, 64], "paper")
    assert load_recipe(path, scale="paper", overrides=["training.epochs=7"]).training.epochs == 7
    assert load_recipe(path, smoke=True).players.n == 3
    assert resolve(paper.plain()) == paper
    with pytest.raises(RecipeError, match=r"one of the recipe's own; got 'papper'. Did you mean `paper`"):
        load_recipe(path, scale="papper")
    with pytest.raises(RecipeError, match="It has none"):
        load_recipe("wine-mlp", scale="paper")
    with pytest.raises(RecipeError, match="`epochs` is a value"):
        load_recipe(path, scale="wrong")


def test_the_published_training_has_the_published_settings():
    scaled = []
    for name in recipes():
        with suppress(RecipeError):  # without a published size
            scaled.append(load_recipe(name, scale="paper"))
    assert len(scaled) > 9
    for paper in scaled:
        of = paper.training
        found = (of.optimiser, of.learning_rate, of.momentum, of.weight_decay, of.schedule)
        assert found == ("sgd", 0.01, 0.9, 0.0, "constant"), paper.name
        assert (of.epochs, of.batch_size) == ((512, of.batch_size) if paper.model.name == "dgcnn" else (256, 128))


def test_the_papers_protocol_sets_what_the_paper_states(tmp_path):
    path = tmp_path / "mine.toml"
    tree = _tree(players={"kind": "clusters", "count": 5, "n": 3}, measure={"baseline": 1.0, "noise_bound": 0.1})
    path.write_text(tomli_w.dumps({**tree, "protocol": "paper"}))
    paper = load_recipe(path)
    assert (paper.players.count, paper.players.n, paper.measure.baseline) == (30, 10, "part-mean")
    assert (paper.measure.noise_bound, paper.analysis.salience, paper.players.others) == (0.02, 0.03, "keep")
    mine = load_recipe(path, overrides=["players.n=4"])
    assert mine.players.n == 4
    path.with_name("run.toml").write_text(tomli_w.dumps(mine.plain()))
    assert load_recipe(path.with_name("run.toml")) == mine
    own = load_recipe(path, overrides=["protocol=own"])
    assert (own.players.count, own.measure.noise_bound) == (5, 0.1)
    cut = ["protocol=paper", 'measure.layer="0"', "measure.baseline=0.0"]
    assert load_recipe("digits-cnn", overrides=cut).players.central == [6, 6]
    with pytest.raises(RecipeError, match="needs its layer"):
        load_recipe("digits-cnn", overrides=["protocol=paper"])
    with pytest.raises(RecipeError, match="players that the paper uses: patches, parts, clusters; got 'columns'"):
        load_recipe("wine-mlp", overrides=["protocol=paper"])


PAIRS = {  # of network and data in the paper: kind of players, layer
    **dict.fromkeys(("vgg11-mnist", "vgg11-cifar10", "vgg16-cifar10"), ("patches", "features.relu2")),
    **dict.fromkeys(("vgg16-cub", "vgg16-tiny-imagenet"), ("patches", "features.relu2")),
    **dict.fromkeys(("alexnet-cub", "alexnet-tiny-imagenet"), ("patches", "features.relu1")),
    **dict.fromkeys(("bert-tiny-sst2", "bert-medium-sst2"), ("parts", None)),
    **dict.fromkeys(("dgcnn-shapenet", "dgcnn-modelnet"), ("clusters", None)),
}


WRONG = [  # the protocol sets all of it right
    *("players.n=7", 'players.others="mask"', 'measure.output="logit"', "measure.noise_bound=0.05"),
    *("measure.test_samples=3", "measure.mislabelled_samples=2"),
    *("analysis.salience=0.05", 'analysis.salience_rule="max"'),
]
WRONG_OF_KIND = {
    "patches": ['measure.layer="x"', "players.rows=4", "measure.baseline=1.0"],
    "parts": ['players.fewer="measure"', "measure.baseline=100"],
    "clusters": ["players.count=12", "measure.baseline=0.0"],
}


@pytest.mark.parametrize("protocol", ["own", "paper"])
@pytest.mark.parametrize("name", PAIRS)
def test_the_papers_pairs_are_masked_as_in_the_paper_and_its_protocol_makes_any_recipe_so(name, protocol, tmp_path):
    kind, layer = PAIRS[name]
    recipe = load_recipe(name)
    if protocol == "paper":
        path = tmp_path / "mine.toml"
        path.write_text(tomli_w.dumps(load_recipe(name, overrides=[*WRONG, *WRONG_OF_KIND[kind]]).plain()))
        recipe = load_recipe(path, overrides=["protocol=paper"])
        assert (recipe.measure.test_samples, recipe.measure.mislabelled_samples) == (50, 0)
        assert load_recipe(path, overrides=["protocol=paper", "measure.test_samples=20"]).measure.test_samples == 20
    players, measured, analysis = recipe.players, recipe.measure, recipe.analysis
    assert (players.kind, players.others, players.fewer) == (kind, "keep", None)
    assert players.n == (8 if (name, protocol) == ("bert-medium-sst2", "own") else 10)  # sized for two cores
    assert (measured.layer, measured.output, measured.noise_bound) == (layer, "log-odds", 0.02)
    assert measured.baseline == {"patches": 0.0, "parts": "mask", "clusters": "part-mean"}[kind]
    assert (analysis.salience, analysis.salience_rule) == (0.03, "mean-effect")
    if kind == "patches":
        assert (players.rows, players.cols, players.central) == (8, 8, [6, 6])
    if kind == "clusters":
        assert players.count == 30


@pytest.mark.parametrize("name", ["bert-tiny-sst2", "vit-tiny-cifar10"])
def test_a_wide_start_differs_from_the_recipe_it_is_named_after_in_the_first_weights_alone(name):
    plain, wide = (load_recipe(one).plain() for one in (name, f"{name}-wide-start"))
    assert wide["model"]["options"].pop("init_std") > 0.1
    for tree in (plain, wide):
        for key in ("name", "description", "expected", "checkpoints"):  # how often it is looked at may differ
            tree.pop(key)
        tree["measure"].pop("test_samples")
    assert wide == plain


# -- data ------------------------------------------------------------------------------------------


def test_the_datas_own_division_and_limits(module):
    test = np.arange(12) % 3 == 0
    module.data = lambda *, seed: Dataset(_points(), np.arange(12) % 2, 2, test=test)  # noqa: ARG005
    samples = load_samples(DataSection(name="mine:data", options={}), allow_code=True)
    assert sorted(samples.test_ids) == [0, 3, 6, 9]
    assert sorted(samples.train_ids) == [1, 2, 4, 5, 7, 8, 10, 11]
    few = load_samples(DataSection(name="mine:data", options={}, n_train=3, n_test=2), allow_code=True)
    assert (len(few.train_ids), len(few.test_ids)) == (3, 2)
    assert set(few.test_ids) < {0, 3, 6, 9}


def test_labels_that_people_got_wrong(module):
    right = np.arange(12) % 2
    people = right.copy()
    people[[1, 4]] ^= 1
    test = np.arange(12) >= 8
    module.data = lambda *, seed: Dataset(_points(), right, 2, test=test, given=people)  # noqa: ARG005
    samples = load_samples(DataSection(name="mine:data", options={}), allow_code=True)
    assert sorted(samples.flipped_ids) == [1, 4]
    assert samples.given.tolist() == people.tolist()
    more = load_samples(DataSection(name="mine:data", options={}, label_noise=0.5), allow_code=True)
    wrong = [i for i in more.train_ids if more.given[i] != right[i]]
    assert sorted(more.flipped_ids) == sorted(wrong)
    assert set(wrong) not in ({1, 4}, set())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("test", np.zeros(11, bool), "`test` of the data .* one entry for each of 12 inputs; got 11"),
        ("parts", np.zeros((3, 20), int), "`parts` of the data"),
        ("given", np.full(12, 7), r"be in 0\.\.1; got values in 7\.\.7"),
    ],
)
def test_data_that_contradict_themselves(module, field, value, message):
    module.data = lambda *, seed: Dataset(_points(), np.arange(12) % 2, 2, **{field: value})  # noqa: ARG005
    with pytest.raises(DataError, match=message):
        load_samples(DataSection(name="mine:data", options={}), allow_code=True)


# -- players ---------------------------------------------------------------------------------------


def _sentences():
    rng = np.random.default_rng(1)
    tokens = rng.integers(5, 30, size=(12, 6))
    parts = np.tile([-1, 0, 1, 2, 2, -1], (12, 1))
    parts[::2, 3:] = -1  # every second sentence has two words
    return Dataset(tokens, np.arange(12) % 2, 2, test=np.arange(12) >= 6, parts=parts, mask_value=4)


class _Reader(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.last = torch.nn.Embedding(30, 4), torch.nn.Linear(4, 2)

    def forward(self, ids):
        return self.last(self.embedding(ids).mean(1))


def test_sentences_from_recipe_to_summary(module, tmp_path):
    module.data = lambda *, seed: _sentences()  # noqa: ARG005
    module.net = lambda shape, n_outputs: _Reader()  # noqa: ARG005
    recipe = resolve(_tree(players={"kind": "parts", "n": 3}))
    (group,) = choose_groups(recipe, load_samples(recipe.data, allow_code=True))
    assert all(i % 2 for i in group.sample_ids)  # sentences of three words
    assert group.config.baselines == 4
    assert group.config.feature_mask.tolist() == [[-1, 0, 1, 2, 2, -1]] * 2
    run = run_recipe(recipe, tmp_path / "run", allow_code=True)
    v = read_measurement(run, 0, group="test").v
    assert v.shape == (2, 8)
    assert summary_of(run)["n_players"] == 3
    reader = _Reader()
    from interdyn.recipes import build_model, load_weights

    reader = build_model(recipe.model, shape=(6,), n_outputs=2, seed=0, allow_code=True)
    load_weights(reader, read_checkpoint(run, 0).weights)
    ids = group.inputs[0].clone()
    ids[:, [1, 3, 4]] = 4  # players 0 and 2 masked: player 1 alone is subset 2
    logit = reader(ids).detach().double()
    wanted = logit.gather(1, group.target[:, None]) - logit.gather(1, 1 - group.target[:, None])
    np.testing.assert_allclose(v[:, 2], wanted[:, 0], atol=1e-5)


def test_sentences_with_fewer_words_are_left_out_or_measured_and_either_is_said(module, tmp_path):
    module.data = lambda *, seed: _sentences()  # noqa: ARG005
    module.net = lambda shape, n_outputs: _Reader()  # noqa: ARG005
    left = run_recipe(resolve(_tree(players={"kind": "parts", "n": 3})), tmp_path / "left", allow_code=True)
    summary = summary_of(left)
    assert summary["left_out"] == {"test": 3}
    assert "3 test samples have fewer than 3 players and could not be drawn." in summary["verdict"]
    measure = {"test_samples": 6, "baseline": "mask"}
    kept = run_recipe(
        resolve(_tree(players={"kind": "parts", "n": 3, "fewer": "measure"}, measure=measure)),
        tmp_path / "k",
        allow_code=True,
    )
    summary = summary_of(kept)
    assert "left_out" not in summary
    words = [3 if i % 2 else 2 for i in range(6, 12)]
    assert summary["players_of_samples"] == {"test": words}
    assert "3 of 6 test samples have fewer than 3 players; the smallest number is 2." in summary["verdict"]
    found = read_measurement(kept, 0, group="test")
    assert found.v.shape == (6, 8)
    third = np.arange(8) >= 4  # subsets with player 2, which every second sentence does not hold
    lacking = np.array(words) == 2
    np.testing.assert_array_equal(found.v[lacking][:, third], found.v[lacking][:, ~third])
    assert np.abs(found.v[~lacking][:, third] - found.v[~lacking][:, ~third]).min() > 0
    for n, message in ((9, "the most that any of the test samples has; got 9"), (None, "got 2 to 3")):
        players = {"kind": "parts", **({"n": n, "fewer": "measure"} if n else {})}
        recipe = resolve(_tree(players=players, measure=measure))
        with pytest.raises(RecipeError, match=message):
            choose_groups(recipe, load_samples(recipe.data, allow_code=True))


def test_the_mean_embedding_in_a_recipe(module, tmp_path):
    module.data = lambda *, seed: _sentences()  # noqa: ARG005
    module.net = lambda shape, n_outputs: _Reader()  # noqa: ARG005
    measure = {"test_samples": 2, "layer": "embedding"}
    recipe = resolve(_tree(players={"kind": "parts", "n": 3}, measure={**measure, "baseline": "mean-embedding"}))
    run = run_recipe(recipe, tmp_path / "run", allow_code=True)
    (group,) = choose_groups(recipe, load_samples(recipe.data, allow_code=True))
    for step in run.steps:  # the mean moves with the network
        weights = {k: torch.from_numpy(w.copy()) for k, w in read_checkpoint(run, step).weights.items()}
        vectors = weights["embedding.weight"][group.inputs[0]]
        vectors[:, 1:5] = weights["embedding.weight"].mean(0)  # no player present
        z = (vectors.mean(1) @ weights["last.weight"].T + weights["last.bias"]).double()
        wanted = z.gather(1, group.target[:, None]) - z.gather(1, 1 - group.target[:, None])
        np.testing.assert_allclose(read_measurement(run, step, group="test").v[:, 0], wanted[:, 0], atol=1e-5)
    for wrong, message in (
        ({"layer": "embedding", "baseline": "mask"}, 'or "mean-embedding" of a layer that embeds tokens'),
        ({"baseline": "mean-embedding"}, "mean-embedding needs the `layer` that embeds the tokens"),
    ):
        with pytest.raises(RecipeError, match=message):
            resolve(_tree(measure=wrong))


def test_given_parts_of_points_move_to_their_means(module):
    parts = np.arange(20)[None].repeat(12, 0) % 4
    module.data = lambda *, seed: Dataset(_points(), np.arange(12) % 2, 2, parts=parts)  # noqa: ARG005
    tree = _tree(players={"kind": "parts", "n": 3}, measure={"test_samples": 2, "baseline": "part-mean"})
    (group,) = choose_groups(resolve(tree), load_samples(resolve(tree).data, allow_code=True))
    points = group.inputs[0]
    moved = points[:, 2::4].mean(1, keepdim=True).expand(-1, 5, -1)
    torch.testing.assert_close(group.config.baselines[:, 2::4], moved)

    def spread(points):  # parts 0 AND 2 have a width; 3 is the one not drawn, or not
        wide = [points[:, part::4].std(1).amax(1) > 1e-6 for part in range(4)]
        return (wide[0] & wide[2]).double()

    found = measure(
        spread,
        points,
        feature_mask=torch.from_numpy(parts[:2, :, None]),
        baselines=group.config.baselines,
        output="regression",
        noise_bound=0.0,
    )
    for sample in range(2):
        (first,) = found[sample].top(1)
        assert (first.kind, first.players) == ("and", (0, 2))
        assert first.value == pytest.approx(1.0, abs=1e-2)


def test_pieces_of_a_sequence_in_a_recipe(module, tmp_path):
    module.data = lambda *, seed: Dataset(_points(), np.arange(12) % 2, 2)  # noqa: ARG005
    recipe = resolve(
        _tree(
            model={"name": "gru", "options": {"hidden": 4}},
            players={"kind": "steps", "count": 5, "n": 3},
            measure={"test_samples": 2, "baseline": 0.0},
        )
    )
    (group,) = choose_groups(recipe, load_samples(recipe.data, allow_code=True))
    assert group.config.players == steps(5).choose(3, seed=0)
    assert read_measurement(run_recipe(recipe, tmp_path / "run", allow_code=True), 0, group="test").v.shape == (2, 8)


def test_clusters_of_points_in_a_recipe(module):
    module.data = lambda *, seed: Dataset(_points(), np.arange(12) % 2, 2)  # noqa: ARG005
    tree = _tree(players={"kind": "clusters", "count": 5, "n": 3, "seed": 2}, measure={"baseline": "part-mean"})
    recipe = resolve({**tree, "measure": {"test_samples": 2, "baseline": "part-mean"}})
    (group,) = choose_groups(recipe, load_samples(recipe.data, allow_code=True))
    mask = group.config.feature_mask
    assert mask.shape == (2, 20, 1)
    assert [sorted(set(m.flatten().tolist())) for m in mask] == [[-1, 0, 1, 2]] * 2
    expected = part_means(group.inputs[0], clusters(group.inputs[0], 5, seed=2))
    torch.testing.assert_close(group.config.baselines, expected)


def test_part_means_are_means():
    points = torch.from_numpy(_points(1))
    ids = torch.arange(20)[None] % 3
    means = part_means(points, ids)
    for part in range(3):
        torch.testing.assert_close(means[0, part::3], points[0, part::3].mean(0).expand(len(means[0, part::3]), 3))


@pytest.mark.parametrize(
    ("players", "baseline", "message"),
    [
        ({"kind": "parts"}, "mask", "need data with parts"),
        ({"kind": "columns"}, "mask", "a mask value"),
        ({"kind": "columns"}, "part-mean", "needs point clouds"),
    ],
)
def test_players_and_baselines_that_the_data_do_not_have(module, players, baseline, message):
    module.data = lambda *, seed: Dataset(_points(), np.arange(12) % 2, 2)  # noqa: ARG005
    recipe = resolve(_tree(players=players, measure={"test_samples": 2, "baseline": baseline}))
    with pytest.raises(RecipeError, match=message):
        choose_groups(recipe, load_samples(recipe.data, allow_code=True))


def test_tokens_have_no_mean_and_too_few_long_sentences_are_told(module):
    module.data = lambda *, seed: _sentences()  # noqa: ARG005
    for section, message in (
        ({"test_samples": 2, "baseline": "mean"}, "tokens have no mean"),
        ({"test_samples": 4, "baseline": "mask"}, "at most 3, the test samples with enough players; got 4"),
    ):
        recipe = resolve(_tree(players={"kind": "parts", "n": 3}, measure=section))
        with pytest.raises(RecipeError, match=message):
            choose_groups(recipe, load_samples(recipe.data, allow_code=True))


@pytest.mark.parametrize(
    ("players", "message"),
    [
        ({"kind": "clusters"}, "clusters need `count`"),
        ({"kind": "steps", "count": 3, "rows": 2}, "steps have no `rows`"),
        ({"kind": "parts", "count": 3}, "parts have no `count`"),
        ({"kind": "patches", "rows": 2}, "patches need `cols`"),
        ({"kind": "columns", "fewer": "measure"}, "columns have no `fewer`"),
    ],
)
def test_keys_that_do_not_fit_the_players(players, message):
    with pytest.raises(RecipeError, match=message):
        resolve(_tree(players=players))
