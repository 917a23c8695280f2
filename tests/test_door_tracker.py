"""Trackers and `measure` take what `value_table` takes: data sets, batches by name, labels of any kind, values."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import interdyn as ix
from interdyn.errors import InputError, NonFiniteError, ShapeError, TargetError

C = ix.players.columns()


@pytest.fixture
def x(generator):
    return torch.randn(6, 4, generator=generator)


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def strength(probe, network, **options):
    tracker = ix.Tracker(probe, schedule=ix.schedules.every(1), strict=True, budget=None, **{"players": C, **options})
    assert tracker.observe(0, network)
    return tracker.trajectory.strength


Y = [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    "probe",
    [
        lambda x: (x.numpy(), Y),
        lambda x: (x.tolist(), pd.Series(Y, index=range(9, 3, -1))),
        lambda x: (x, nn.functional.one_hot(torch.tensor(Y))),
        lambda x: (x, pd.Series(["abc"[i] for i in Y], dtype="category")),
        lambda x: TensorDataset(x, torch.tensor(Y)),
        lambda x: {"test": DataLoader(TensorDataset(x, torch.tensor(Y)), batch_size=2)},
        lambda x: {"input": x, "labels": Y},
    ],
)
def test_probes_in_any_form(x, net, probe):
    np.testing.assert_array_equal(strength(probe(x), net), strength((x, torch.tensor(Y)), net))


def test_values_of_a_regression(x, net):
    one = nn.Sequential(net, nn.Linear(3, 1))
    found = strength((x, torch.linspace(0, 3, 6)), one)
    np.testing.assert_array_equal(found, strength((x, None), one))
    loss = strength((x, torch.linspace(0, 3, 6)), one, output=lambda z, y: (z[:, 0] - y) ** 2)
    assert not np.allclose(loss, found)


def test_zero_and_one_of_a_binary_loss(x, net):
    one = nn.Sequential(net, nn.Linear(3, 1))
    np.testing.assert_array_equal(
        strength((x, torch.tensor([0.0, 1.0] * 3)[:, None]), one), strength((x, torch.tensor([0, 1] * 3)), one)
    )


@pytest.mark.parametrize("output", ["multi-label", "regression", "logit", lambda z, of: z.gather(1, of[:, None])[:, 0]])
def test_one_label_or_output_of_several(x, net, output):
    """A target is then the index of what is followed, the same in all samples."""
    by_index = strength((x, 2), net, output=output)
    np.testing.assert_array_equal(by_index, strength((x, torch.full((6,), 2)), net, output=output))
    assert not np.allclose(by_index, strength((x, 0), net, output=output))
    column = nn.Sequential(net, nn.Linear(3, 1, bias=False))
    nn.init.zeros_(column[1].weight)[0, 2].data.fill_(1)
    np.testing.assert_allclose(by_index, strength((x, None), column, output="regression"), atol=1e-3)
    with pytest.raises(TargetError, match=r"in 0\.\.2"):
        strength((x, 3), net, output="multi-label")
    with pytest.raises(TargetError, match=r"the index of one"):
        ix.Tracker((x, torch.ones(6, 3, dtype=int)), players=C, output="multi-label")


def test_one_output_of_several_must_be_named(x, net):
    with pytest.raises(TargetError, match=r"3 outputs, so `target` must name one.*\(x, index\)"):
        strength((x, None), net, output="regression")


@pytest.mark.parametrize(("output", "scored"), [("multi-label", False), ("regression", False), ("log-odds", True)])
def test_the_index_of_a_label_is_not_the_class_of_a_sample(x, net, tmp_path, output, scored):
    """A sample without the label that is followed does not look mislabelled."""
    y = torch.tensor(Y) if scored else 1
    with ix.Tracker({"train": (x, y)}, players=C, output=output, budget=None, strict=True, out=tmp_path / "run") as one:
        one.observe(0, net)
    for table in (one.samples(), ix.store.read_result(tmp_path / "run").samples):
        assert np.isfinite([row.score for row in table]).all() == scored
        assert [row.label is None for row in table] == [not scored] * 6


@pytest.mark.parametrize("samples", [2, 4, 12])
def test_a_mask_without_a_sample_axis(samples, generator):
    pictures = torch.rand(samples, 1, 8, 8, generator=generator)
    quarters = torch.arange(8)[:, None] // 4 * 2 + torch.arange(8)[None] // 4
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    y = torch.arange(samples) % 2
    plain = strength((pictures, y), network, players=None, feature_mask=quarters)
    assert plain.shape[-1] == 4
    each = strength((pictures, y), network, players=None, feature_mask=quarters.expand(samples, 8, 8).clone())
    np.testing.assert_array_equal(plain, each)


def test_the_part_that_is_read(x, net):
    class Two(nn.Module):
        def forward(self, rows):
            return {"first": net(rows) * 2, "second": net(rows)}

    found = ix.measure(Two(), x, target=Y, players=C, output_key="second")
    assert torch.equal(found.i_and, ix.measure(net, x, target=Y, players=C).i_and)
    np.testing.assert_array_equal(
        strength((x, torch.tensor(Y)), Two(), output_key="second"), strength((x, torch.tensor(Y)), net)
    )


def test_batches_by_name(generator):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=2
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bert = transformers.BertForSequenceClassification(config)
    batch = {
        "input_ids": torch.randint(5, 20, (4, 5), generator=generator),
        "attention_mask": torch.ones(4, 5, dtype=torch.long),
        "labels": torch.tensor([0, 1, 0, 1]),
    }
    found = strength(batch, bert, baselines=4)
    by_group = strength({"train": batch, "test": (batch, None)}, bert, baselines=4)
    np.testing.assert_array_equal(found, by_group)
    measured = ix.measure(bert, batch, players=C, baselines=4)
    assert measured.i_and.shape == (4, 32)


@pytest.mark.parametrize(
    ("probe", "error", "message"),
    [
        ((torch.ones(2, 4), ["a", "b"]), TargetError, r"classes\.index"),
        ((["a", "b"], [0, 1]), ShapeError, "Encode"),
        (torch.ones(2, 4), InputError, "must be a pair"),
        ((torch.ones(2, 4), [1, 1]), InputError, "at least two classes"),
        (3, ShapeError, "dim 0"),
    ],
)
def test_probes_that_are_none(probe, error, message):
    with pytest.raises(error, match=message):
        ix.Tracker(probe, players=C)


def missing(x, entry=(3, 2), value=float("nan")):
    out = x.clone()
    out[entry] = value
    return out


def test_a_sample_with_nan_is_named(x, net):
    with pytest.raises(NonFiniteError, match=r"sample 3 contains NaN at entry 2, and .*\. Fill it"):
        strength({"test": (x, Y), "train": (missing(x), Y)}, net)
    pictures = missing(torch.ones(6, 1, 2, 2), (1, 0, 1, 1))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(NonFiniteError, match=r"sample 1 contains NaN at entry \(0, 1, 1\)"):
        strength((pictures, Y), flat, players=ix.players.patches(2, 2))
    for value, named in ((float("nan"), "NaN"), (float("inf"), "inf"), (float("-inf"), "-inf")):
        rows = []

        def linear(given, rows=rows):
            rows.append(len(given))
            return net[0](given)

        with pytest.raises(NonFiniteError, match=rf"sample 3 contains {named} at entry 2, and the model returns no"):
            ix.measure(linear, missing(x, value=value), target=Y, players=C)
        assert sum(rows) < 16, "refused before the masked passes"
    with pytest.raises(NonFiniteError, match=r"sample 7 contains NaN at entry 1"):
        ix.measure(net, missing(x[:1], (0, 1)), target=0, players=C, sample_ids=[7])
    with pytest.raises(NonFiniteError, match=r"sample 4 contains NaN at entry 1"):
        ix.game.game_function(net, missing(x[:1], (0, 1)), target=0, players=C, sample_id=4)
    with pytest.raises(NonFiniteError, match=r"for sample 3 with .*Check the sample, which contains NaN at entry 2"):
        ix.measure(net, missing(x), target=Y, players=ix.players.columns(), layer="0")


class Filling(nn.Module):
    """Reads NaN as missing."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(torch.nan_to_num(x, nan=0.5))


def test_nan_that_nothing_reads_or_that_means_missing_is_measured(x, net):
    odd, filled = missing(x), missing(x, value=0.5)
    given, plain = ix.measure(Filling(net), odd, target=Y, players=C), ix.measure(net, filled, target=Y, players=C)
    assert torch.equal(given.i_and, plain.i_and)
    np.testing.assert_array_equal(strength((odd, Y), Filling(net)), strength((filled, Y), net))
    found = strength((odd, Y), Filling(net), baselines=float("nan"))
    np.testing.assert_array_equal(found, strength((filled, Y), net, baselines=0.5))
    mask = torch.tensor([0, 1, -2, 2])
    options = {"players": None, "feature_mask": mask}
    np.testing.assert_array_equal(strength((odd, Y), net, **options), strength((x, Y), net, **options))
    always = ix.measure(net, odd, target=Y, feature_mask=mask)
    assert torch.equal(always.i_and, ix.measure(net, x, target=Y, feature_mask=mask).i_and)
    with pytest.raises(NonFiniteError, match="contains NaN at entry 2"):
        strength((odd, Y), net, players=None, feature_mask=mask.clamp(min=-1))


def test_nan_in_padding_is_measured(generator):
    class Attending(nn.Module):
        def forward(self, inputs_embeds, attention_mask):
            return torch.where(attention_mask[..., None] > 0, inputs_embeds, 0.0).sum(1)

    vectors, there = torch.randn(2, 3, 2, generator=generator), torch.tensor([[1, 1, 1], [1, 1, 0]])
    y, cut = [0, 1], {"players": None, "feature_mask": torch.arange(3)[:, None], "allow_fewer": True}
    expected = strength(({"inputs_embeds": vectors, "attention_mask": there}, y), Attending(), **cut)
    padded = {"inputs_embeds": missing(vectors, (1, 2)), "attention_mask": there}
    np.testing.assert_array_equal(strength((padded, y), Attending(), **cut), expected)
    with pytest.raises(NonFiniteError, match=r"sample 1 contains NaN at entry \(1, 0\)"):
        strength(({"inputs_embeds": missing(vectors, (1, 1)), "attention_mask": there}, y), Attending(), **cut)


def test_sample_ids_that_do_not_fit(x):
    for ids in (5, [1], ["a"] * 6):
        with pytest.raises(ShapeError, match="number for each"):
            ix.Tracker((x, Y), players=C, sample_ids=ids)


def test_masks_and_baselines_of_each_group():
    test, train = torch.tensor([[1, 5, 9, 6], [1, 5, 8, 6]]), torch.tensor([[5, 9, 7, 1], [6, 9, 5, 1]])
    masks = {"test": torch.tensor([[-1, 0, -1, 1]] * 2), "train": torch.tensor([[0, -1, 1, -1]] * 2)}
    baselines = {"test": 4, "train": 3}
    seen = []

    def reader(ids):
        seen.append(ids.clone())
        return torch.stack([(ids == 5).any(1).float(), torch.zeros(len(ids))], dim=1)

    groups = {"test": (test, [0, 1]), "train": (train, [0, 1])}
    strength(groups, reader, players=None, feature_mask=masks, baselines=baselines)
    rows = torch.cat(seen)
    assert (rows == 4).any(0).tolist() == [False, True, False, True]
    assert (rows == 3).any(0).tolist() == [True, False, True, False]
