"""How many rows go through at once: the estimate, and what happens when memory runs out."""

import warnings

import numpy as np
import pytest
import torch

from interdyn.errors import BudgetWarning, InputError, ModelError
from interdyn.game import columns, game_function, patches, value_table
from interdyn.game._batches import WidestArray, estimated_rows
from interdyn.game._masking import Masking, feature_ids

CPU = torch.device("cpu")


def first(x):
    return x.flatten(1)[:, 0]


TRIED: list[int] = []  # by all networks: a network is run as a copy


class Deep(torch.nn.Module):
    """A layer to mask, and memory for five rows."""

    def __init__(self, limit=5):
        super().__init__()
        self.first = torch.nn.Linear(4, 4)
        self.second = torch.nn.ReLU()
        self.limit = limit

    def forward(self, x):
        out = self.second(self.first(x))
        TRIED.append(len(out))
        if len(out) > self.limit:
            raise torch.OutOfMemoryError("no")
        return out.sum(1)


def with_weights(model):
    with torch.no_grad():
        model.first.weight.copy_(torch.eye(4))
        model.first.bias.fill_(0.5)
    return model


def test_a_layer_learns_what_fits_once_for_all_samples():
    model, roomy = with_weights(Deep()), with_weights(Deep(limit=10**6))
    x = torch.arange(16.0).reshape(4, 4)
    TRIED.clear()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = value_table(model, x, players=columns(), layer="second", output="regression")
    assert [w.category for w in seen] == [BudgetWarning]
    assert sum(rows > 5 for rows in TRIED) == 2  # 16, then 8; never again
    expected = value_table(roomy, x, players=columns(), layer="second", output="regression")
    torch.testing.assert_close(found.values, expected.values)


def test_feature_maps_are_made_in_batches_too():
    model = with_weights(Deep())
    TRIED.clear()
    x = torch.rand(12, 4, generator=torch.Generator().manual_seed(0))
    found = value_table(model, x, players=columns(), layer="second", output="regression", batch_size=4)
    assert max(TRIED) <= 4
    with torch.no_grad():
        torch.testing.assert_close(found.values[:, -1], (x + 0.5).sum(1).double())


def test_one_row_that_does_not_fit_is_the_callers_to_know():
    tried = []

    def model(x):
        tried.append(len(x))
        if len(tried) > 3:  # the first passes only try the model out
            raise MemoryError("not even one")
        return x.sum(1)

    with pytest.warns(BudgetWarning), pytest.raises(MemoryError, match="not even one"):
        value_table(model, torch.ones(1, 4), players=columns(), output="regression", batch_size=8)
    assert tried[3:] == [8, 4, 2, 1]


def test_the_estimate_follows_the_widest_array_inside_the_model():
    sizes = []

    def model(x):
        sizes.append(len(x))
        return x.repeat(1, 2**13)[:, :1].clone()  # 128 KiB for a row of 16 bytes

    value_table(model, torch.ones(1, 4), players=columns(), output="regression")
    assert max(sizes) == 16
    sizes.clear()
    value_table(lambda x: model(x[:, :1])[:, 0], torch.ones(32, 4), players=columns(), output="regression")
    assert max(sizes) == 64  # a quarter as wide
    assert estimated_rows(0, CPU) == 2048


def test_what_comes_before_a_masked_layer_does_not_count():
    sizes = []

    class Narrow(torch.nn.Module):
        def forward(self, x):
            sizes.append(len(x))
            return x

    wide = torch.nn.Sequential(torch.nn.Linear(6, 2**17), torch.nn.ReLU(), torch.nn.Linear(2**17, 6))
    network = torch.nn.Sequential(wide, Narrow())
    table = {"target": 0, "players": columns(), "baselines": 0.0}
    value_table(network, torch.ones(1, 6), **table)
    assert max(sizes) == 16  # 512 KiB a row
    sizes.clear()
    value_table(network, torch.ones(1, 6), layer="0", **table)
    assert max(sizes) == 64  # all masks of the narrow map at once


def test_views_of_weights_are_no_work_space():
    weight = torch.zeros(10_000, 4)
    with torch.inference_mode(), WidestArray() as widest:
        torch.ones(2, 4) @ weight.t()
    assert widest.bytes == 2 * 10_000 * 4
    with torch.inference_mode(), WidestArray() as widest:
        torch.zeros(2, 50).sort(1)  # gives values and, twice as wide, indices
    assert widest.bytes == 2 * 50 * 8


@pytest.mark.parametrize("batch_size", [0, -1, True, 2.0, "all", None])
def test_sizes_that_are_none(batch_size):
    with pytest.raises(InputError, match='must be "auto" or 1 or more'):
        value_table(first, torch.ones(1, 4), players=columns(), output="regression", batch_size=batch_size)


def test_whole_numbers_of_any_kind_are_sizes():
    sizes = []

    def model(x):
        sizes.append(len(x))
        return first(x)

    value_table(model, torch.ones(1, 4), players=columns(), output="regression", batch_size=np.int64(6))
    assert sizes[3:] == [6, 6, 4]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("size", [1, 3, 16, 17, 40, 95, 96])
def test_any_cut_into_batches_gives_the_same_rows(own, size):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 2, 4, 4, generator=generator)
    off = torch.randn(6, 2, 4, 4, generator=generator)
    players = patches(2, 2).choose(4) if own else patches(2, 2)
    if own:  # choosing four of four leaves nothing to differ, so shift the ids by sample
        mask = (players.feature_mask((2, 4, 4), range(6)) + torch.arange(6)[:, None, None, None]) % 4
    else:
        mask = players.feature_mask((2, 4, 4), range(6))
    ids, n = feature_ids(None, mask, (x,), range(6))
    masking = Masking((x,), (off,), ids, n)
    parts = [masking.rows(start, min(start + size, 96)) for start in range(0, 96, size)]
    rows = torch.cat([inputs[0] for inputs, _ in parts])
    assert torch.cat([sample for _, sample in parts]).tolist() == [r // 16 for r in range(96)]
    mask = mask.expand(6, 1, 4, 4)
    for row in range(96):
        sample, subset = divmod(row, 16)
        keep = torch.tensor([bool(subset >> i & 1) for i in mask[sample].flatten().tolist()]).reshape(1, 4, 4)
        assert torch.equal(rows[row], torch.where(keep, x[sample], off[sample]))


class TestGame:
    def test_masks_go_through_in_batches(self):
        sizes = []

        def model(x):
            sizes.append(len(x))
            if len(x) > 6:
                raise RuntimeError("CUDA out of memory")
            return x.sum(1)

        game = game_function(model, torch.ones(1, 40), players=columns(), output="regression", batch_size=8)
        masks = np.random.default_rng(0).random((20, 40)) < 0.5
        with pytest.warns(BudgetWarning, match="with 8 masked"):
            np.testing.assert_array_equal(game(masks), masks.sum(1))
        assert sizes[3:] == [8, 4, 4, 4, 4, 4]
        assert game(np.zeros((0, 40), dtype=bool)).shape == (0,)

    def test_the_sample_has_its_own_players(self):
        x = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(0))
        players = patches(3, 3).choose(4, seed=2)
        weight = torch.arange(36.0)

        def model(z, factor):
            return factor * (z.flatten(1) @ weight)

        options = {"players": players, "output": "regression"}
        table = value_table(
            model, x, sample_ids=[4, 9, 7], additional_forward_args=torch.tensor([1.0, 2.0, 3.0]), **options
        ).values[2]
        game = game_function(model, x[2:], sample_id=7, additional_forward_args=torch.tensor([3.0]), **options)
        masks = (np.arange(16)[:, None] >> np.arange(4)) & 1 == 1
        np.testing.assert_allclose(game(masks), table, rtol=1e-6)

    def test_bad_models(self):
        x = torch.ones(1, 3)
        with pytest.raises(ModelError, match="one row for each input"):
            game_function(lambda z: z.sum(1)[:1], x, players=columns(), output="regression")
        game = game_function(lambda z: z.sum(1) / (z[:, 0] > 0), x, players=columns(), output="regression")
        with pytest.raises(ValueError, match=r"players \[1, 2\] present"):
            game(np.array([[True] * 3, [False, True, True]]))


LAYOUTS: list[bool] = []  # of the weights in each pass, whether channels are last


class Pictures(torch.nn.Module):
    """A network of convolutions that notes the layout of its weights; ``view``: it takes one layout only."""

    def __init__(self, view):
        super().__init__()
        self.view, self.conv, self.head = view, torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.Linear(4 * 36, 3)

    def forward(self, x):
        LAYOUTS.append(self.conv.weight.is_contiguous(memory_format=torch.channels_last))
        maps = torch.relu(self.conv(x))
        return self.head(maps.view(len(x), -1) if self.view else maps.flatten(1))


@pytest.mark.parametrize("view", [False, True])
def test_a_copy_has_channels_last_where_the_network_takes_them(view, generator):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Pictures(view).eval()
    x = torch.randn(3, 2, 6, 6, generator=generator)
    LAYOUTS.clear()
    found = value_table(network, x, target=1, players=patches(2, 2), output="logit").values
    assert LAYOUTS[-1] is not view
    assert any(LAYOUTS)
    assert not network.conv.weight.is_contiguous(memory_format=torch.channels_last)  # the user's own
    with torch.no_grad():
        torch.testing.assert_close(found[:, -1], network(x)[:, 1].double(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found[:, 0], network(0 * x)[:, 1].double(), rtol=1e-5, atol=1e-5)


def test_a_whole_encoder_layer_is_as_wide_as_its_widest_weight():
    layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=40, batch_first=True).eval()
    with torch.inference_mode(), WidestArray() as widest:
        layer(torch.ones(1, 5, 8))
    assert widest.bytes == 4 * 5 * 40  # inside one kernel, whose result is five times narrower
