"""What measured samples look like in a run's directory: pictures, words, points, columns, each with its players."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from interdyn import store
from interdyn.errors import InputError
from interdyn.measurement import MeasurementConfig, checked_groups, exhibit_of, recorded
from interdyn.players import clusters, columns, patches, steps
from interdyn.recipes import Dataset, load_recipe, load_samples, run_recipe
from interdyn.recipes._measuring import choose_groups, exhibits_of
from interdyn.schedules import every
from interdyn.tracking import Record, Tracker


def shown(name, *overrides, **changes):
    recipe = load_recipe(name, overrides=overrides)
    samples = replace(load_samples(recipe.data), **changes)
    group = choose_groups(recipe, samples)[0]
    return exhibits_of([group], samples)[0], group, samples


def test_pictures_are_8_bit_and_their_players_those_that_are_masked():
    found, group, samples = shown("digits-cnn", "measure.test_samples=5")
    assert found.pictures.shape == (5, 8, 8, 1)
    assert found.pictures.dtype == np.uint8
    assert (found.pictures.max(axis=(1, 2, 3)) == 255).all()
    mask = group.config.players.feature_mask((1, 8, 8), list(group.sample_ids))[:, 0]
    np.testing.assert_array_equal(found.players, mask)
    brightest = found.pictures.reshape(5, -1).argmax(1)
    raw = samples.shown[list(group.sample_ids)].reshape(5, -1)
    assert (raw[np.arange(5), brightest] == raw.max(1)).all()
    assert found.group == "test"
    np.testing.assert_array_equal(found.sample_ids, group.sample_ids)


def serve(monkeypatch, data):
    """Let every recipe have these data."""

    def factory(**_options):
        return data

    monkeypatch.setattr("interdyn.recipes._dataset.find_dataset", lambda _, **_options: factory)


def pictures(size=200, channels=3):
    rng = np.random.default_rng(0)
    return Dataset(rng.random((30, channels, size, size), dtype=np.float32), np.arange(30) % 2, 2)


def test_large_pictures_are_shown_smaller_with_players_where_they_lie(monkeypatch):
    recipe = load_recipe("digits-cnn", overrides=["measure.test_samples=3", "measure.mislabelled_samples=0"])
    serve(monkeypatch, pictures())
    samples = load_samples(recipe.data.model_copy(update={"n_train": 10, "label_noise": 0.0}))
    group = choose_groups(recipe, samples)[0]
    (found,) = exhibits_of([group], samples)
    assert found.pictures.shape == (3, 96, 96, 3)
    full = group.config.players.feature_mask((3, 200, 200), list(group.sample_ids))[:, 0].numpy()
    for y, x in ((10, 10), (48, 80), (95, 95)):
        assert (found.players[:, y, x] == full[:, int((y + 0.5) * 200 / 96), int((x + 0.5) * 200 / 96)]).all()


def test_columns_have_their_names_and_the_values_before_standardising():
    found, group, samples = shown("wine-mlp", "measure.test_samples=4", "measure.mislabelled_samples=0")
    first = found.pieces[0]
    assert len(first) == 13
    row = samples.shown[group.sample_ids[0]]
    assert first[0][0] == f"alcohol = {row[0]:.4g}"
    mask = group.config.players.feature_mask((13,), list(group.sample_ids))[0]
    assert [player for _, player in first] == mask.tolist()
    assert found.classes == ("class_0", "class_1", "class_2")
    assert found.pictures is None


def test_words_are_put_together_from_their_tokens(monkeypatch):
    vocabulary = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "un", "##like", "##ly", "good", ".", "film")
    tokens = np.array([[1, 4, 5, 6, 7, 9, 8, 2, 0, 0], [1, 3, 7, 9, 9, 7, 8, 2, 0, 0]] * 10)
    parts = np.array([[-1, 0, 0, 0, 1, 2, -1, -1, -1, -1], [-1, 0, 1, 2, 3, 4, -1, -1, -1, -1]] * 10)
    data = Dataset(tokens, np.arange(20) % 2, 2, parts=parts, mask_value=3.0, vocabulary=vocabulary)
    serve(monkeypatch, data)
    changes = ["measure.test_samples=6", "measure.mislabelled_samples=0", "measure.baseline=0.0"]
    plain = load_recipe("digits-mlp", overrides=changes).plain()
    plain["players"] = {"kind": "parts", "n": 2, "seed": 0}
    recipe = load_recipe("digits-mlp", overrides=changes).model_validate(plain)
    samples = load_samples(recipe.data.model_copy(update={"n_train": 10, "label_noise": 0.0, "standardise": False}))
    group = choose_groups(recipe, samples)[0]
    (found,) = exhibits_of([group], samples)
    for i, sample in enumerate(group.sample_ids):
        words = [text for text, _ in found.pieces[i]]
        expected = (
            ["unlikely", "good", "film", "."] if sample % 2 == 0 else ["[UNK]", "good", "film", "film", "good", "."]
        )
        assert words == expected
        players = [player for _, player in found.pieces[i]]
        assert sorted(p for p in players if p >= 0) == [0, 1]
        assert players[-1] < 0


def test_clouds_keep_points_and_clusters(monkeypatch):
    rng = np.random.default_rng(0)
    data = Dataset(rng.random((20, 700, 3), dtype=np.float32), np.arange(20) % 2, 2)
    serve(monkeypatch, data)
    plain = load_recipe("digits-mlp").plain()
    plain["players"] = {"kind": "clusters", "count": 6, "n": 4, "seed": 0}
    plain["measure"] |= {"test_samples": 3, "mislabelled_samples": 0, "baseline": "part-mean"}
    plain["data"] |= {"n_train": 10, "label_noise": 0.0, "standardise": False}
    recipe = load_recipe("digits-mlp").model_validate(plain)
    samples = load_samples(recipe.data)
    group = choose_groups(recipe, samples)[0]
    (found,) = exhibits_of([group], samples)
    assert found.points.shape == (3, 512, 3)
    assert found.players.shape == (3, 512)
    assert set(np.unique(found.players[found.players >= 0])) == {0, 1, 2, 3}
    nearest = int(np.abs(data.inputs[group.sample_ids[0]] - found.points[0, 100]).sum(1).argmin())
    assert found.players[0, 100] == group.config.feature_mask[0, nearest, 0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    changes = ["training.epochs=1", "checkpoints.count=2", "measure.test_samples=3", "measure.mislabelled_samples=2"]
    recipe = load_recipe("digits-cnn", overrides=[*changes, "players.n=4", "data.n_train=64"])
    return run_recipe(recipe, tmp_path_factory.mktemp("exhibits") / "run")


def test_a_run_holds_what_its_samples_look_like(run):
    for group in ("test", "mislabelled"):
        found = store.read_exhibit(run, group)
        assert found.group == group
        np.testing.assert_array_equal(found.sample_ids, store.read_measurement(run, 0, group=group).sample_ids)
        assert found.pictures.shape[1:] == (8, 8, 1)
        assert found.players.max() == 3
    assert store.read_exhibit(run, "nobody") is None


def test_what_another_run_left_there_is_not_read(run, tmp_path):
    other = replace(run, path=tmp_path, config_hash="0" * 64)
    store.write_exhibit(other, store.read_exhibit(run, "test"))
    assert store.read_exhibit(other, "test") is not None
    assert store.read_exhibit(replace(other, config_hash=run.config_hash), "test") is None


def test_pieces_survive_the_disk_whatever_is_written_in_them(run):
    pieces = ((("<script>alert(1)</script>", 0), ("日本語", -1), ('שלום "x"', 1)),)
    with store.writing(run.path):
        store.write_exhibit(run, store.Exhibit("words", np.array([7]), pieces=pieces, classes=("a" * 300,)))
    found = store.read_exhibit(run, "words")
    assert found.pieces == pieces
    assert found.classes == ("a" * 300,)
    assert torch.equal(torch.from_numpy(found.sample_ids), torch.tensor([7]))
    (run.path / "exhibits" / "words.safetensors").write_bytes(b"half")
    assert store.read_exhibit(run, "words") is None


# -- what a tracker measures -------------------------------------------------------------------------


def tracked(folder, inputs, network, **options):
    """Measure four samples once, and return what the folder says they look like."""
    probe = (inputs, torch.arange(len(inputs)) % 2)
    with Tracker(probe, schedule=every(1), out=folder, strict=True, budget=None, **options) as tracker:
        tracker.observe(0, network)
    run = store.open_run(folder)
    return store.read_exhibit(run, "test"), store.read_measurement(run, 0, group="test")


def flat(features):
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 2))


def test_a_tracker_keeps_pictures_with_the_players_it_drew(tmp_path):
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    players = patches(4, 4).choose(5)
    found, measured = tracked(tmp_path / "run", x, flat(64), players=players)
    assert found.pictures.shape == (4, 8, 8, 1)
    np.testing.assert_array_equal(found.sample_ids, measured.sample_ids)
    np.testing.assert_array_equal(found.players, players.feature_mask((1, 8, 8), range(4))[:, 0])
    assert (found.pictures.reshape(4, -1)[np.arange(4), x.reshape(4, -1).argmax(1)] == 255).all()


def test_masks_of_a_feature_map_lie_on_the_picture_where_its_cells_do(tmp_path):
    network = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found, _ = tracked(tmp_path / "run", x, network, players=patches(2, 2), layer="0")
    corners = found.players[0][[0, 0, 7, 7], [0, 7, 0, 7]]
    assert corners.tolist() == [0, 1, 2, 3]
    assert (found.players[0, :4, :4] == 0).all()


def test_columns_and_tokens_have_the_names_that_are_given(tmp_path):
    x = torch.tensor([[1.0, 2.0], [0.5, -1.0], [0.0, 1.0], [1.0, 1.0]])
    found, _ = tracked(tmp_path / "a", x, flat(2), players=columns(), names=("age", "pay"))
    assert found.pieces[0] == (("age = 1", 0), ("pay = 2", 1))
    unnamed, _ = tracked(tmp_path / "b", x, flat(2), players=columns())
    assert unnamed.pieces[1] == (("column 1 = 0.5", 0), ("column 2 = -1", 1))
    words = ("[CLS]", "not", "good", "##ness", "[PAD]", "[MASK]")
    tokens = torch.tensor([[0, 1, 2, 3, 4], [0, 2, 3, 4, 4]] * 2)
    of = torch.tensor([[-1, 0, 1, 1, -1], [-1, 0, 1, -1, -1]] * 2)

    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(6, 2)

        def forward(self, ids):
            return self.table(ids).sum(1)

    options = {"feature_mask": of, "baselines": 5, "names": lambda ids: [words[i] for i in ids]}
    read, _ = tracked(tmp_path / "c", tokens, Bag(), **options)
    assert read.pieces[0] == (("not", 0), ("goodness", 1))
    assert read.pieces[1][0] == ("goodness", 0)


def test_columns_may_share_a_name_and_names_of_players_are_no_names_of_columns(tmp_path):
    x = torch.tensor([[1.0, 0.0, 1.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    options = {"feature_mask": torch.tensor([0, 1, 1])}
    shared, _ = tracked(tmp_path / "a", x, flat(3), names={"age": [0], "city": [1, 2]}, **options)
    assert shared.pieces[1] == (("age = 0.5", 0), ("city", 1))
    coded = {"age": [0], "city": {"Berlin": 1, "Rome": 2}}
    categories, _ = tracked(tmp_path / "e", x, flat(3), names=coded, **options)
    assert [piece for piece, _ in categories.pieces[1]] == ["age = 0.5", "city = Berlin"]
    assert [row[1][0] for row in categories.pieces] == ["city = Rome", "city = Berlin", "city = Rome", "city = Berlin"]
    gaps = {"age": {"": 0, "missing": 1}, "city": [2]}  # a number, and where it is missing
    filled, _ = tracked(tmp_path / "f", x, flat(3), names=gaps, feature_mask=torch.tensor([0, 0, 1]))
    assert [row[0][0] for row in filled.pieces[:2]] == ["age = 1", "age = missing"]
    players, _ = tracked(tmp_path / "b", x, flat(3), names=("age", "city"), **options)
    assert players.pieces[1][0] == ("column 1 = 0.5", 0)
    pictures = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    tracked(tmp_path / "c", pictures, flat(4), players=patches(1, 2), names=("left", "right"))
    with pytest.raises(InputError, match="must refer to columns 0 to 2; got column 7"):
        tracked(tmp_path / "d", x, flat(3), names={"age": [7]}, **options)


def test_clouds_and_sequences_are_told_apart_by_how_they_are_masked(tmp_path):
    x = torch.rand(4, 20, 3, generator=torch.Generator().manual_seed(0))
    parts = clusters(x, 4)
    cloud, _ = tracked(tmp_path / "a", x, flat(60), feature_mask=parts[..., None])
    np.testing.assert_allclose(cloud.points, x)
    np.testing.assert_array_equal(cloud.players, parts)
    sequence, _ = tracked(tmp_path / "b", x, flat(60), players=steps(5))
    assert sequence.pieces[0][0] == ("step 1", 0)
    assert sequence.pieces[0][-1] == ("step 20", 4)


class Reader(nn.Module):
    """Takes tokens and which of them are attended to, by name."""

    def __init__(self):
        super().__init__()
        self.meaning = nn.Embedding(20, 2)

    def forward(self, input_ids, attention_mask):
        return (self.meaning(input_ids) * attention_mask[..., None]).sum(1)


def test_masks_by_name_show_the_input_that_is_cut_first(tmp_path, generator):
    ids = torch.randint(4, 20, (6, 4), generator=generator)
    batch, cut = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.arange(4).expand(6, 4)
    both, y = {"input_ids": cut, "attention_mask": torch.full_like(cut, -1)}, torch.arange(6) % 2
    shown = []
    masks = (cut, {"input_ids": cut}, both)
    for mask, off in zip(masks, (3, {"input_ids": 3}, {"input_ids": 3, "attention_mask": 0}), strict=True):
        folder = tmp_path / str(len(shown))
        options = {"feature_mask": mask, "baselines": off, "out": folder, "strict": True, "budget": None}
        with Tracker((batch, y), names=lambda row: [f"word {i}" for i in row], **options) as tracker:
            tracker.observe(0, Reader())
        shown.append(store.read_exhibit(store.open_run(folder), "test").pieces)
    assert shown[0][0] == tuple((f"word {token}", i) for i, token in enumerate(ids[0].tolist()))
    assert shown[1] == shown[2] == shown[0]
    (group,) = checked_groups((batch, y), MeasurementConfig(feature_mask={"attention_mask": cut}))
    assert exhibit_of(group) is None, "what is cut is not what is shown"


def test_a_measurement_of_fewer_samples_or_players_is_exhibited_as_it_is(tmp_path):
    x = torch.rand(6, 4, generator=torch.Generator().manual_seed(0))
    groups = checked_groups((x, torch.arange(6) % 2), MeasurementConfig(players=columns()))
    record = Record(groups, tmp_path / "run")
    for count, n in ((6, 4), (3, 2)):
        measured = recorded(flat(4), groups[0].first(count).drawn(n), step=0)
        record._exhibit([measured])
        found = store.read_exhibit(record.open(), "test")
        assert len(found.pieces) == count
        assert sorted({player for _, player in found.pieces[0] if player >= 0}) == list(range(n))


@pytest.mark.parametrize(
    ("inputs", "names", "words"),
    [
        (torch.rand(4, 3), ("a", "b"), "each of the 3 columns or tokens of a sample; got 2"),
        (torch.rand(4, 3), lambda ids: ids[:1], "each of the 3 columns or tokens of a sample; got 1"),
        (torch.rand(4, 1, 2, 2), ("a",), "rows of columns or tokens; got samples of shape"),
    ],
)
def test_names_that_do_not_fit_are_refused_before_anything_is_measured(tmp_path, inputs, names, words):
    with pytest.raises(InputError, match=words):
        Tracker((inputs, torch.arange(4) % 2), players=columns(), names=names, out=tmp_path / "run", budget=None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("names", [("wing", "tail"), (("wing", "tail"), ("wing",), ("wheel", "tail"))])
def test_parts_of_clouds_and_pictures_have_their_names(names):
    rows = [names] * 3 if isinstance(names[0], str) else names
    expected = tuple(tuple((name, i) for i, name in enumerate(row)) for row in rows)
    cloud, halves = torch.rand(3, 10, 3), torch.arange(10).reshape(1, 10, 1) // 5
    picture, cells = torch.rand(3, 1, 4, 6), (torch.arange(6) // 3).expand(1, 1, 4, 6)
    for inputs, mask, looks in ((cloud, halves, "points"), (picture, cells, "pictures")):
        config = MeasurementConfig(feature_mask=mask, names=names)
        (group,) = checked_groups((inputs, torch.tensor([0, 1, 0])), config)
        found = exhibit_of(group)
        assert getattr(found, looks) is not None
        assert found.pieces == expected
        assert exhibit_of(replace(group, config=replace(config, names=None))).pieces == ()
