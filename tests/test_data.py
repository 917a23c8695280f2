"""Data sets under INTERDYN_DATA: as their README says; and clear words when they are not there."""

import os
import re

import numpy as np
import pytest
import torch

from interdyn.errors import DataError, RecipeError
from interdyn.game import n_parts, scalar_outputs
from interdyn.measurement import recorded
from interdyn.recipes import build_model, load_samples, resolve
from interdyn.recipes._measuring import choose_groups
from interdyn.recipes._registry import _DATASETS, find_dataset
from interdyn.recipes._schema import DataSection
from interdyn_zoo.data import sentences
from interdyn_zoo.data.table_files import _coded

SETS = {  # shape, test samples, classes
    "mnist": ((69000, 1, 28, 28), 9000, 10),
    "cifar10": ((12000, 3, 32, 32), 2000, 10),
    "tiny-imagenet10": ((2400, 3, 64, 64), 400, 10),
    "cub12": ((645, 3, 96, 96), 300, 12),
    "sst2": ((7492, 32), 572, 2),
    "shapenet10": ((83, 1024, 3), 20, 10),
    "modelnet4": ((924, 1024, 3), 218, 4),
    "modelnet2": ((424, 1024, 3), 118, 2),
    "mnist-points": ((69000, 128, 3), 9000, 10),
    "mnist-three-players": ((69089, 1, 32, 32), 9089, 10),
    "motorbike-parts": ((172, 1024, 3), 49, 11),
}
TABLES = {  # rows, original columns, classes
    "adult": (31561, 14, 2),
    "magic": (18020, 10, 2),
    "california": (19640, 8, None),
    "bike": (16379, 12, None),
    "german": (900, 20, 2),
    "heloc": (9959, 23, 2),
}

there = pytest.mark.skipif("INTERDYN_DATA" not in os.environ, reason="needs the folder named by INTERDYN_DATA")


@there
@pytest.mark.data
@pytest.mark.parametrize("name", SETS)
def test_sets_are_what_their_readme_says(name):
    shape, n_test, n_classes = SETS[name]
    data = find_dataset(name)(seed=0)
    assert data.inputs.shape == shape
    assert int(data.test.sum()) == n_test
    assert data.n_classes == n_classes
    assert set(data.targets.tolist()) == set(range(n_classes))
    if len(shape) == 4:
        assert (data.inputs.dtype, data.inputs.min(), data.inputs.max()) == (np.float32, 0.0, 1.0)
    if name in ("shapenet10", "modelnet4", "modelnet2"):
        assert 0.9 < np.linalg.norm(data.inputs, axis=2).max() < 1.1


@there
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "n_parts", "n_measurable"), [("mnist-three-players", 8, 89), ("motorbike-parts", 9, 89)]
)
def test_parts_that_people_have_drawn(name, n_parts, n_measurable):
    data = find_dataset(name)(seed=0)
    assert int(data.measurable.sum()) == n_measurable
    assert (data.parts[~data.measurable] == -1).all()
    assert data.parts[data.measurable].max() == n_parts - 1
    assert len(np.unique(data.targets[data.measurable])) == 1
    if name == "motorbike-parts":
        with pytest.raises(RecipeError, match="must be 1 to 2477; got 2478"):
            find_dataset(name)(seed=0, n_points=2478)


@there
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options", "baseline", "n"),
    [("bird-players", {"size": 28}, 0.0, 8), ("motorbike-parts", {"n_points": 256}, "part-mean", 6)],
)
def test_parts_that_people_have_drawn_are_players_of_a_recipe(name, options, baseline, n):
    tree = {
        "name": "drawn",
        "model": {"name": "mlp", "options": {"hidden": [4]}},
        "data": {"name": name, "options": options},
        "training": {"learning_rate": 0.1, "epochs": 1},
        "players": {"kind": "parts", "n": n},
        "measure": {"test_samples": 3, "baseline": baseline},
    }
    recipe = resolve(tree)
    samples = load_samples(recipe.data)
    (group,) = choose_groups(recipe, samples)
    network = build_model(recipe.model, shape=samples.shape, n_outputs=samples.n_outputs, seed=0)
    measured = recorded(network, group, step=0)
    assert measured.v.shape == (3, 2**n)
    assert n_parts(group.config.feature_mask.numpy()).tolist() == [n] * 3
    masked = group.inputs[0].clone()
    for row, mask in zip(masked, group.config.feature_mask, strict=True):
        for player in range(n):
            inside = (mask == player).expand_as(row)
            row[inside] = 0.0 if baseline == 0.0 else row[inside].reshape(-1, 3).mean(0).repeat(int(inside.sum()) // 3)
    with torch.no_grad():
        z = network(masked).double()
    wanted = scalar_outputs(z, group.target, output="log-odds")
    np.testing.assert_allclose(measured.v[:, 0], wanted, atol=1e-5)


@there
@pytest.mark.data
def test_birds_and_their_recoloured_twins():
    data = find_dataset("bird-players")(seed=0, size=112)
    assert data.inputs.shape == (34, 3, 112, 112)
    assert np.array_equal(data.parts[:17], data.parts[17:])
    assert set(np.unique(data.parts)) == set(range(-1, 8))
    assert np.abs(data.inputs[:17] - data.inputs[17:]).mean() > 0.1
    with pytest.raises(RecipeError, match="must divide 224; got 100"):
        find_dataset("bird-players")(seed=0, size=100)


@there
@pytest.mark.data
def test_digits_as_points_keep_their_shape():
    flat, cloud = find_dataset("mnist")(seed=0), find_dataset("mnist-points")(seed=0, n_points=500)
    x, y = cloud.inputs[7, :, 0], cloud.inputs[7, :, 1]
    drawn, _, _ = np.histogram2d(-y, x, bins=28, range=[[-1, 1], [-1, 1]])
    assert np.corrcoef(drawn.ravel(), flat.inputs[7, 0].ravel())[0, 1] > 0.8
    assert not cloud.inputs[..., 2].any()


@there
@pytest.mark.data
@pytest.mark.parametrize("name", TABLES)
def test_tables_have_their_columns_as_parts(name):
    rows, columns, n_classes = TABLES[name]
    data = find_dataset(name)(seed=0)
    assert len(data.inputs) == rows
    assert data.n_classes == n_classes
    assert np.isfinite(data.inputs).all()
    assert np.unique(data.parts[0]).tolist() == list(range(columns))
    assert data.parts.shape == data.inputs.shape
    assert data.parts.strides[0] == 0  # one row in memory
    if n_classes:
        assert 0.02 < data.targets.mean() < 0.98


@there
@pytest.mark.data
def test_labels_that_people_gave():
    clean = find_dataset("cifar10")(seed=0)
    assert clean.given is None
    published = {
        "aggre": 0.090,
        "random1": 0.172,
        "random2": 0.181,
        "random3": 0.176,
        "worse": 0.402,
    }  # wrong of 50,000
    for labels, share in published.items():
        data = find_dataset("cifar10")(seed=0, labels=labels)
        wrong = data.given != clean.targets
        assert wrong[~data.test].mean() == pytest.approx(share, abs=0.02)
        assert not wrong[data.test].any()
        section = DataSection(name="cifar10", options={"labels": labels}, n_train=500, n_test=10)
        samples = load_samples(section)
        assert 0.5 * share < len(samples.flipped_ids) / 500 < 1.5 * share
    with pytest.raises(RecipeError, match="one of clean, aggre"):
        find_dataset("cifar10")(seed=0, labels="mine")


@there
@pytest.mark.data
def test_words_of_sentences():
    data = find_dataset("sst2")(seed=0, max_length=20)
    assert data.inputs.dtype == np.int64
    assert (data.inputs[:, 0] == 101).all()  # [CLS]
    assert data.mask_value == 103  # [MASK]
    assert (data.parts[data.inputs == 0] == -1).all()
    assert (data.parts[:, 0] == -1).all()
    assert np.array_equal(data.measurable, data.parts.max(axis=1) >= 0)
    few = find_dataset("sst2")(seed=0, max_length=20, first=30)
    assert len(few.inputs) == 60
    assert few.test.sum() == 30
    assert np.array_equal(few.inputs[:30], data.inputs[:30])
    assert np.array_equal(few.inputs[30:], data.inputs[data.test][:30])
    with pytest.raises(RecipeError, match=r"`data.options.first` must be 1 or more; got 0"):
        find_dataset("sst2")(seed=0, first=0)
    with pytest.raises(RecipeError, match="`part` one of sentences, phrases"):
        find_dataset("sst2")(seed=0, part="words")
    with pytest.raises(RecipeError, match="`test` one of dev, test"):
        find_dataset("sst2")(seed=0, test="train")


@there
@pytest.mark.data
def test_every_part_of_the_sentences(monkeypatch):
    read = []
    monkeypatch.setattr(sentences, "coded", lambda *parts: read.append(parts))  # coding phrases takes a while
    for part in ("sentences", "phrases"):
        find_dataset("sst2")(seed=0, part=part, test="test")
    for (learned, seen, vocabulary, _), n_train in zip(read, (6920, 67349), strict=True):
        assert (len(learned), len(seen)) == (n_train, 1821)
        assert {label for _, label in learned + seen} == {"0", "1"}
        assert vocabulary.read_text().splitlines()[101] == "[CLS]"


@there
@pytest.mark.data
def test_fewer_points():
    few, all_ = find_dataset("modelnet4")(seed=0, n_points=64), find_dataset("modelnet4")(seed=0)
    assert np.array_equal(few.inputs, all_.inputs[:, :64])
    with pytest.raises(RecipeError, match="must be 1 to 1024; got 2000"):
        find_dataset("modelnet4")(seed=0, n_points=2000)


BERT = "bert_vocab/vocab.txt"
MNIST = ("mnist/mnist.npz",)
FILES = {  # of every set by name, and where to get them
    "mnist": (MNIST, "yann.lecun.com"),
    "mnist-points": (MNIST, "yann.lecun.com"),
    "mnist-three-players": (("players/mnist_three_players.npz",), "sjtu-xai-lab/interaction-concept"),
    "bird-players": (
        ("players/bg_bird_players.npz", "players/redbg_bluebird_players.npz"),
        "sjtu-xai-lab/interaction-concept",
    ),
    "motorbike-parts": (("players/shapenet_motorbike_parts.npz",), "sjtu-xai-lab/interaction-concept"),
    "cifar10": (("cifar10/cifar10_10k2k.npz", "cifar10/cifar10n_labels_all50k.npz"), "cs.toronto.edu.*noisylabels.com"),
    "tiny-imagenet10": (("tiny_imagenet10/tiny_imagenet10.npz",), "cs231n.stanford.edu"),
    "cub12": (("cub12/cub12_96px.npz",), "vision.caltech.edu"),
    "sst2": (("sst2/train_sentences.tsv.gz", "sst2/dev.tsv.gz", BERT), "gluebenchmark.com.*google-research/bert"),
    "ag-news": (("ag_news/train.csv", "ag_news/test.csv", BERT), "fancyzhx/ag_news.*google-research/bert"),
    "mnli": (("mnli/train.tsv", "mnli/dev_matched.tsv", BERT), "gluebenchmark.com.*google-research/bert"),
    "shapenet10": (("pointclouds/shapenet10_mini.npz",), "shapenet.org"),
    "modelnet4": (("pointclouds/modelnet4_vox32.npz",), "modelnet.cs.princeton.edu"),
    "modelnet2": (("pointclouds/modelnet_airplane_bathtub.npz",), "modelnet.cs.princeton.edu"),
    "adult": (("tabular/adult.csv.gz",), "archive.ics.uci.edu"),
    "magic": (("tabular/magic_gamma_telescope.csv.gz",), "archive.ics.uci.edu"),
    "california": (("tabular/california_housing.csv.gz",), "dcc.fc.up.pt"),
    "bike": (("tabular/bike_sharing_hourly.csv.gz",), "archive.ics.uci.edu"),
    "german": (("tabular/german_credit.csv.gz",), "archive.ics.uci.edu"),
    "heloc": (("tabular/heloc.csv.gz",), "community.fico.com"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_set_that_is_not_there_says_which_files_and_where_to_get_them(name, monkeypatch, tmp_path):
    files, source = FILES[name]
    section = DataSection(name=name, options={})
    monkeypatch.delenv("INTERDYN_DATA", raising=False)
    needed = (
        re.escape(", ".join(files)) + f" under the folder .*INTERDYN_DATA .*--data-root.*Get the set from .*{source}"
    )
    with pytest.raises(DataError, match=f"got no INTERDYN_DATA. Needed: {needed}"):
        load_samples(section)
    monkeypatch.setenv("INTERDYN_DATA", str(tmp_path))
    for file in files:  # each missing file is named, one after the other
        with pytest.raises(DataError, match=f"got no {re.escape(str(tmp_path / file))}. Needed: {needed}"):
            load_samples(section)
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()


def test_every_set_under_the_data_root_is_among_them():
    find_dataset("mnist")  # loads all
    by_format = {"image-folder", "idx", "cifar-batches", "hf-dataset", "table", "npz", "point-clouds"}
    in_packages = {"digits", "breast_cancer", "wine", "game", "modular-addition", "shortcut"}
    ours = {name for name, found in _DATASETS.items() if any(place.startswith("interdyn_zoo.") for place in found)}
    assert ours == set(FILES) | by_format | in_packages


@pytest.mark.parametrize(
    ("name", "by_format"),
    [("mnist", "idx"), ("cifar10", "cifar-batches"), ("modelnet4", "point-clouds"), ("adult", "table")],
)
def test_a_set_that_is_not_there_says_how_its_published_files_load(name, by_format, monkeypatch):
    monkeypatch.delenv("INTERDYN_DATA", raising=False)
    with pytest.raises(DataError, match=f"--set data.name={by_format} --set data.options.path=PATH"):
        load_samples(DataSection(name=name, options={}))


def test_pictures_from_a_file_as_described(monkeypatch, tmp_path):
    (tmp_path / "cub12").mkdir()
    x = np.arange(5 * 2 * 2 * 3, dtype=np.uint8).reshape(5, 2, 2, 3)
    np.savez(tmp_path / "cub12/cub12_96px.npz", x_train=x[:3], x_test=x[3:], y_train=[0, 1, 2], y_test=[3, 11])
    monkeypatch.setenv("INTERDYN_DATA", str(tmp_path))
    data = find_dataset("cub12")(seed=0)
    assert data.inputs.shape == (5, 3, 2, 2)
    np.testing.assert_allclose(data.inputs[4, 2, 1, 0], x[4, 1, 0, 2] / 255, rtol=1e-6)
    assert data.test.tolist() == [False] * 3 + [True] * 2
    halved = find_dataset("cub12")(seed=0, size=1)
    np.testing.assert_allclose(halved.inputs[4, 2, 0, 0], x[4, :, :, 2].mean() / 255, rtol=1e-6)
    with pytest.raises(RecipeError, match="must divide 2; got 3"):
        find_dataset("cub12")(seed=0, size=3)


def test_columns_of_numbers_words_and_gaps():
    for cells, values, categories in (
        (["1", "3", "2"], [[1], [3], [2]], [""]),
        (["1", "?", "3"], [[1, 0], [2, 1], [3, 0]], ["", "missing"]),
        (["b", "?", "a", "b"], [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], ["?", "a", "b"]),
        (["b", "", "a"], [[0, 0, 1], [1, 0, 0], [0, 1, 0]], ["missing", "a", "b"]),
    ):
        block, named = _coded("age", cells)
        assert (block.tolist(), named) == (values, categories)
    for cells, row in ((["1", "old"], 3), (["old", "1"], 2), (["1", "old", "old"], 3), (["", "old", "1", "2"], 3)):
        with pytest.raises(DataError, match=f"column `age` must contain numbers; got 'old' in row {row}"):
            _coded("age", cells)
