"""What people pass, read as they mean it or refused in words: samples, labels, outputs, masks, networks of any kind."""

import os
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from interdyn.errors import (
    InputError,
    InputWarning,
    InterdynError,
    ModelError,
    PlayersError,
    PrecisionWarning,
    ShapeError,
    TargetError,
    TooLargeError,
)
from interdyn.game import (
    Samples,
    blur_baseline,
    choose_parts,
    columns,
    game_function,
    labels_of,
    mean_baseline,
    output_for,
    patches,
    samples_of,
    scalar_outputs,
    segments,
    value_table,
)

C = columns()


class Ends(nn.Module):
    """A network of three logits with something done to them at its end."""

    def __init__(self, end=lambda z: z):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        self.end = end

    def forward(self, x):
        return self.end(self.body(x))


@pytest.fixture
def x(generator):
    return torch.randn(6, 4, generator=generator)


Y = [0, 1, 2, 0, 1, 2]


@pytest.fixture
def expected(x):
    return value_table(Ends(), x, target=Y, players=C).values


class Rows(Dataset):
    """A data set whose rows are made, and that draws numbers as augmentation does."""

    def __init__(self, row, count=6):
        self.row, self.count = row, count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        torch.rand(1), np.random.rand()  # noqa: NPY002
        return self.row(i)


class Stream(IterableDataset):
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


class TestSamples:
    @pytest.mark.parametrize(
        "given",
        [
            lambda x: x.double().numpy(),
            lambda x: x.numpy().astype(">f4"),
            lambda x: x.numpy()[::-1][::-1],
            lambda x: x.tolist(),
            lambda x: list(x),
            lambda x: (x,),
            lambda x: x.to_sparse(),
            lambda x: pd.DataFrame(x.numpy(), columns=list("abcd")),
            lambda x: x.clone().requires_grad_(),
            lambda x: samples_of(x),
        ],
    )
    def test_numbers_in_any_form(self, x, expected, given):
        torch.testing.assert_close(value_table(Ends(), given(x), target=Y, players=C).values, expected)

    @pytest.mark.parametrize(
        "given",
        [
            lambda x: TensorDataset(x, torch.tensor(Y)),
            lambda x: DataLoader(TensorDataset(x, torch.tensor(Y)), batch_size=2, shuffle=True),
            lambda x: Rows(lambda i: (x[i].numpy(), Y[i])),
            lambda x: Rows(lambda i: (x[i].tolist(), np.int64(Y[i]))),
            lambda x: Stream([(row, y) for row, y in zip(x, Y, strict=True)]),
            lambda x: DataLoader(Stream([(row, y) for row, y in zip(x, Y, strict=True)]), batch_size=4),
        ],
    )
    def test_data_sets_with_their_labels(self, x, expected, given):
        state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        torch.testing.assert_close(value_table(Ends(), given(x), players=C).values, expected)
        assert torch.equal(torch.get_rng_state(), state)
        assert (np.random.get_state()[1] == legacy).all()  # noqa: NPY002

    def test_a_data_set_without_labels_and_one_that_is_long(self, x):
        assert samples_of(Rows(lambda i: x[i])).target is None
        long = samples_of(TensorDataset(torch.rand(100, 4), torch.arange(100)))
        assert len(long) == 64
        assert long.target.tolist() == list(range(64))
        assert len(samples_of(TensorDataset(torch.rand(100, 4)), most=7)) == 7
        first = long.first(3)
        assert (len(first), first.target.tolist()) == (3, [0, 1, 2])

    def test_several_inputs_of_a_data_set(self, x):
        data = TensorDataset(x, 2 * x, torch.tensor(Y))
        found = samples_of(data)
        assert len(found.inputs) == 2
        assert torch.equal(found.inputs[1], 2 * x)
        assert found.target.tolist() == Y

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (None, "got None"),
            (3.0, "x\\[None\\]"),
            (["a film", "dull"], "Encode anything else as numbers"),
            ([[1.0, 2.0], [3.0]], "different lengths"),
            ([torch.ones(2), torch.ones(3)], "different lengths"),
            ((torch.ones(2, 3), torch.ones(3, 3)), "same number"),
            (torch.ones(0, 3), "same number"),
            (pd.DataFrame({"a": ["red", "blue"]}), "Encode"),
            (torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged), "different lengths"),
        ],
    )
    def test_what_holds_no_samples(self, given, message):
        with pytest.raises(ShapeError, match=message):
            value_table(Ends(), given, target=0, players=C)

    def test_data_sets_that_hold_none(self):
        with pytest.raises(InputError, match="got an empty one"):
            samples_of(Rows(lambda i: i, count=0))
        with pytest.raises(InputError, match="got the entries text"):
            samples_of({"text": ["a", "b"]})

    def test_baselines_and_masks_in_any_form(self, x, expected):
        grid = np.arange(4)[::-1].astype(">i2")
        found = value_table(Ends(), x, target=Y, feature_mask=grid, baselines=np.zeros((6, 4))[::-1])
        reverse = [int(f"{i:04b}"[::-1], 2) for i in range(16)]
        torch.testing.assert_close(found.values[:, reverse], expected)
        assert mean_baseline([[0.0, 2.0], [2.0, 2.0]]).tolist() == [[1.0, 2.0]]
        assert blur_baseline(np.ones((1, 1, 4, 4))).shape == (1, 1, 4, 4)
        assert choose_parts([[0, 0, 1]]).tolist() == [[0, 0, 1]]
        assert segments(np.flipud(np.array([[0, 0], [1, 1]]))).cells((2, 2)).tolist() == [[1, 1], [0, 0]]

    def test_everyday_slips_are_answered_in_words(self, x):
        for error, options in [
            (PlayersError, {"players": np.arange(4)}),
            (ShapeError, {"players": C, "sample_ids": 3}),
            (ShapeError, {"players": C, "sample_ids": [1, 2]}),
            (TargetError, {"players": C, "target": 2**63}),
            (TargetError, {"players": C, "target": "cat"}),
            (PlayersError, {"players": C, "baselines": ["a"]}),
            (PlayersError, {"feature_mask": [["a"]]}),
            (InputError, {"players": C, "output_key": 1.5}),
        ]:
            with pytest.raises(error):
                value_table(Ends(), x, **{"target": 0, **options})
        for slip in (lambda: C.choose("4"), lambda: columns([0, 1]), lambda: segments([["a"]]), lambda: C.choose(2.5)):
            with pytest.raises(PlayersError):
                slip()
        with pytest.raises(InputError, match=r"must be a torch\.nn\.Module, a function"):
            value_table(3, x, target=0, players=C)
        with pytest.raises(TooLargeError, match="one row of inputs must fit"):
            value_table(exhausted, x, target=0, players=C)


def exhausted(_):
    raise MemoryError


class TestLabels:
    @pytest.mark.parametrize(
        "given",
        [
            np.array(Y),
            np.array(Y, dtype=np.uint8)[::-1][::-1],
            pd.Series(Y, index=range(9, 3, -1)),
            pd.Series(["xyz"[i] for i in Y], dtype="category"),
            torch.tensor(Y)[:, None],
            nn.functional.one_hot(torch.tensor(Y)),
            nn.functional.one_hot(torch.tensor(Y)).float().numpy(),
        ],
    )
    def test_classes_in_any_form(self, x, expected, given):
        assert torch.equal(value_table(Ends(), x, target=given, players=C).values, expected)

    def test_zero_and_one_of_a_binary_loss(self):
        assert labels_of([0.0, 1.0], 2).tolist() == [0, 1]
        assert labels_of(torch.tensor([[1.0], [0.0]]), 2).dtype == torch.long

    def test_names_need_an_order(self, x):
        with pytest.raises(
            TargetError, match=r"the output of each name is not known; got 'cat', 'dog'.*classes\.index"
        ):
            value_table(Ends(), x, target=["dog", "cat"] * 3, players=C)
        named = Ends()
        named.config = type("Config", (), {"label2id": {"dog": 2, "cat": 0, "owl": 1}})()
        by_name = value_table(named, x, target=["dog", "cat"] * 3, players=C)
        assert torch.equal(by_name.values, value_table(Ends(), x, target=[2, 0] * 3, players=C).values)
        with pytest.raises(TargetError, match="among the model's classes cat, owl, dog; got 'cow'"):
            value_table(named, x, target="cow", players=C)

    def test_values_of_a_regression(self, x):
        one = Ends(lambda z: z[:, 0])
        values = torch.linspace(0.1, 3, 6)
        found = value_table(one, x, target=values, players=C, output="regression")
        assert torch.equal(found.values, value_table(one, x, players=C, output="regression").values)
        squared = value_table(one, x, target=values.numpy(), players=C, output=lambda z, y: -((z - y) ** 2))
        torch.testing.assert_close(squared.values[:, -1], -((found.values[:, -1] - values) ** 2))
        with pytest.raises(TargetError, match='or output="regression"'):
            value_table(Ends(), x, target=values, players=C)
        with pytest.raises(TargetError, match="a value for each of 6"):
            value_table(one, x, target=[0.5, 1.5], players=C, output="regression")
        with pytest.raises(TargetError, match="3 outputs, so `target` must name one; got values"):
            value_table(Ends(), x, target=values, players=C, output="regression")

    def test_the_scalar_that_goes_with_targets(self):
        kept = samples_of(torch.ones(2, 3), [0.5, 2.5])
        assert kept.target.tolist() == [0.5, 2.5]
        assert output_for(kept.target) == output_for(None) == "regression"
        assert output_for(samples_of(torch.ones(2, 3), [0.0, 1.0]).target) == "log-odds"


class TestOutputs:
    @pytest.mark.parametrize(
        ("end", "key"),
        [
            (lambda z: (z, "more"), None),
            (lambda z: [z], None),
            (lambda z: {"loss": None, "logits": z}, None),
            (lambda z: {"only": z}, None),
            (lambda z: {"first": 2 * z, "second": z}, "second"),
            (lambda z: (2 * z, z), 1),
            (lambda z: {"first": 2 * z, "second": z}, 1),
            (lambda z: (2 * z, {"deep": z}), lambda result: result[1]["deep"]),
            (lambda z: torch.stack([2 * z, z], dim=1), "last-token"),
            (lambda z: z.detach().numpy(), None),
        ],
    )
    def test_the_part_that_is_read(self, x, expected, end, key):
        found = value_table(Ends(end), x, target=Y, players=C, output_key=key)
        assert torch.equal(found.values, expected)
        game = game_function(Ends(end), x[:1], target=Y[:1], players=C, output_key=key)
        np.testing.assert_allclose(game(np.ones((1, 4), dtype=bool)), expected[0, -1:], rtol=1e-5)

    @pytest.mark.parametrize(
        ("end", "key", "message"),
        [
            (lambda z: {"a": z, "b": z}, None, r"got a, b\. Pass `output_key`"),
            (lambda z: {"a": z}, "b", r"got 'b' for a\."),
            (lambda z: (z,), 3, r"got 3 for 1 entries"),
            (lambda z: z, "last-token", r"needs logits of shape .*got \(6, 3\)|got \(4, 3\)"),
            (lambda z: z[:, None], None, 'output_key="last-token"'),
            (lambda _: None, None, "got NoneType"),
            (lambda _: "cat", None, "got str"),
            (lambda z: z + 1j, None, "complex"),
            (lambda z: z[:1], None, "one row for each input"),
        ],
    )
    def test_results_without_it(self, x, end, key, message):
        with pytest.raises(ModelError, match=message):
            value_table(Ends(end), x, target=Y, players=C, output_key=key)

    def test_functions_of_numpy(self, x, expected):
        weights = [p.detach().numpy() for p in Ends().parameters()]

        def network(rows):
            assert isinstance(rows, np.ndarray)
            return np.tanh(rows @ weights[0].T + weights[1]) @ weights[2].T + weights[3]

        found = value_table(network, x.numpy(), target=Y, players=C)
        torch.testing.assert_close(found.values, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(value_table(network, x, target=Y, players=C).values, found.values)

        def of_torch(rows):
            return torch.stack([rows.sum(1), torch.zeros(len(rows))], dim=1)

        assert value_table(of_torch, x.numpy(), target=0, players=C).values.shape == (6, 16)

    def test_a_label_by_itself(self, x):
        found = value_table(Ends(), x, target=1, players=C, output="multi-label")
        assert found.unit == "log-odds"
        assert torch.equal(found.values, value_table(Ends(), x, target=1, players=C, output="logit").values)
        assert scalar_outputs(torch.tensor([2.0]), torch.tensor([0]), output="multi-label").tolist() == [2.0]
        named = Ends()
        named.config = type("Config", (), {"problem_type": "multi_label_classification"})()
        with pytest.raises(InputError, match='Pass output="multi-label"'):
            value_table(named, x, target=1, players=C)
        assert torch.equal(value_table(named, x, target=1, players=C, output="multi-label").values, found.values)


class TestProbabilities:
    @pytest.mark.parametrize("end", [nn.Softmax(1), lambda z: z.softmax(1), lambda z: (z.softmax(-1).clone(), "more")])
    @pytest.mark.parametrize("output", ["log-odds", "loss"])
    @pytest.mark.parametrize("samples", [1, 6])
    def test_those_of_a_softmax_are_read_as_logits(self, x, end, output, samples):
        x, y = x[:samples], Y[:samples]
        with pytest.warns(InputWarning, match="probabilities, not logits"):
            found = value_table(Ends(end), x, target=y, players=C, output=output)
        torch.testing.assert_close(
            found.values, value_table(Ends(), x, target=y, players=C, output=output).values, rtol=1e-5, atol=1e-5
        )

    def test_a_softmax_layer_is_exact_where_it_is_certain(self, x):
        sure = nn.Sequential(nn.Linear(4, 2), nn.Softmax(1)).double()
        with torch.no_grad():
            sure[0].weight.copy_(torch.tensor([[900.0, 0, 0, 0], [0.0, 900.0, 0, 0]]))
        with pytest.warns(InputWarning, match="the input of its last layer, '1', is read"):
            found = value_table(sure, x, target=0, players=C)
        assert torch.equal(found.values, value_table(sure[0], x, target=0, players=C).values)
        with pytest.warns(InputWarning, match="'1'"):
            by_layer = value_table(sure, x, target=0, feature_mask=torch.tensor([0, 1]), layer="0")
        assert by_layer.values[:, -1].tolist() == found.values[:, -1].tolist()

    @pytest.mark.parametrize(
        ("end", "plain"),
        [
            (lambda z: torch.sigmoid(z[:, 0]), lambda z: z[:, 0]),
            (lambda z: torch.sigmoid(z[:, :1]), lambda z: z[:, 0]),
            (lambda z: z[:, :2].softmax(1)[:, 1], lambda z: z[:, 1] - z[:, 0]),
        ],
    )
    def test_one_column(self, x, end, plain):
        with pytest.warns(InputWarning, match=r"log p - log\(1 - p\)"):
            found = value_table(Ends(end), x, target=[0, 1] * 3, players=C)
        expected = value_table(Ends(plain), x, target=[0, 1] * 3, players=C).values
        torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-4)

    def test_several_sigmoids_are_labels_by_themselves(self, x):
        with pytest.raises(ModelError, match=r'ends in a sigmoid of 3 outputs\. Pass output="multi-label"'):
            value_table(Ends(torch.sigmoid), x, target=1, players=C)
        with pytest.warns(InputWarning):
            found = value_table(Ends(torch.sigmoid), x, target=1, players=C, output="multi-label")
        expected = value_table(Ends(), x, target=1, players=C, output="logit").values
        torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize(
        ("end", "output"),
        [
            (lambda z: z.log_softmax(1), "log-odds"),
            (lambda z: z.sigmoid() * 0.3, "log-odds"),  # numbers in [0, 1] that are no probabilities
            (lambda z: z.softmax(1), "regression"),
            (lambda z: z.softmax(1), lambda p, _: p[:, 0]),
        ],
    )
    def test_what_is_read_as_it_stands(self, x, end, output):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = value_table(Ends(end), x, target=Y, players=C, output=output)
        if isinstance(output, str) and output == "log-odds":
            expected = scalar_outputs(end(Ends().body(x)).detach(), torch.tensor(Y), output=output)
            torch.testing.assert_close(found.values[:, -1], expected, rtol=1e-4, atol=1e-4)

    def test_estimators(self, generator):
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LinearRegression, LogisticRegression

        rows = torch.randn(80, 4, generator=generator).double().numpy()
        names = np.where(rows[:, 0] + rows[:, 1] > 0, "yes", "no")
        fitted = LogisticRegression().fit(rows, names)
        expected = value_table(fitted.decision_function, rows[:5], target=names[:5], players=C)
        for model in (fitted, fitted.predict_proba):
            with pytest.warns(InputWarning):
                found = value_table(model, rows[:5], target=names[:5], players=C)
            torch.testing.assert_close(found.values, expected.values)
        with pytest.warns(InputWarning, match="one column of numbers in"):
            value_table(lambda z: fitted.predict_proba(z)[:, 1], rows[:5], target=1, players=C)
        numbered = RandomForestClassifier(10, random_state=0).fit(rows, np.where(names == "yes", 7, 3))
        with pytest.warns(InputWarning):
            found = value_table(numbered, rows[:5], target=np.where(names[:5] == "yes", 7, 3), players=C)
        assert torch.isfinite(found.values).all()
        assert (found.values[:, -1] > 0).all()  # of the class that was named, not of its number
        plain = LinearRegression().fit(rows, rows[:, 0])
        assert value_table(plain, rows[:2], players=C, output="regression").values.shape == (2, 16)
        with pytest.raises(InputError, match="or have predict_proba; got LinearRegression"):
            value_table(plain, rows[:2], target=0, players=C)


def with_norm(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, **options), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2)
        )


class Counting(nn.Module):
    """Keeps something from pass to pass."""

    def __init__(self):
        super().__init__()
        self.state = 0.0

    def forward(self, x):
        self.state = self.state + float(x.abs().mean())
        return x[:, :2] * self.state


class TestTryOut:
    @pytest.mark.parametrize(
        "model",
        [Ends(lambda z: nn.functional.dropout(z, 0.5)), Counting(), Ends(lambda z: z * np.random.rand())],  # noqa: NPY002
    )
    def test_the_same_samples_must_give_the_same_twice(self, x, model):
        with pytest.raises(ModelError, match=r"same outputs twice; got outputs that differ by"):
            value_table(model, x, target=0, players=C)
        with pytest.raises(ModelError, match="twice"):
            game_function(model, x[:1], target=0, players=C)

    @pytest.mark.parametrize("samples", [1, 2, 5])
    def test_batch_norm_without_statistics(self, samples, generator):
        pictures = torch.randn(samples, 1, 8, 8, generator=generator)
        with pytest.raises(
            ModelError, match=r"others in its batch; got .*give the layers '1' running stat.*batch_size=1"
        ):
            value_table(with_norm(track_running_stats=False), pictures, target=0, players=patches(2, 2))
        alone = value_table(
            with_norm(track_running_stats=False), pictures, target=0, players=patches(2, 2), batch_size=1
        )
        with torch.no_grad():
            z = torch.cat([with_norm(track_running_stats=False)(row[None]) for row in pictures]).double()
        torch.testing.assert_close(alone.values[:, -1], z[:, 0] - z[:, 1], rtol=1e-5, atol=1e-5)
        assert value_table(with_norm(), pictures, target=0, players=patches(2, 2)).values.shape == (samples, 16)

    @pytest.mark.parametrize("samples", [1, 3])
    def test_nor_masked_at_a_layer(self, samples, generator):
        pictures = torch.randn(samples, 1, 8, 8, generator=generator)
        with pytest.raises(ModelError, match=r"others in its batch|at layer '0'"):
            value_table(with_norm(track_running_stats=False), pictures, target=0, players=patches(2, 2), layer="0")

    def test_norm_over_a_batch_of_one_number(self, x):
        net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))
        for options in ({}, {"batch_size": 1}):
            with pytest.raises(ValueError, match="more than 1 value per channel") as told:
                value_table(net, x[:2], target=0, players=C, **options)
            (note,) = told.value.__notes__
            assert "track_running_stats=True" in note
            assert "batch_size" not in note

    def test_differences_as_small_as_what_a_split_leaves_open_are_told(self, x):
        small = Ends(lambda z: z * (1 + 0.015 * torch.rand(len(z), 1)))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            with pytest.warns(PrecisionWarning, match="same outputs twice"):
                assert value_table(small, x, target=Y, players=C).values.shape == (6, 16)

    def test_small_outputs_are_held_to_their_own_scale(self, x):
        small = Ends(lambda z: nn.functional.dropout(z, 0.5) * 1e-6)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            with pytest.raises(ModelError, match="twice"):
                value_table(small, x, target=0, players=C, output="regression")

    def test_it_costs_few_rows(self, x):
        rows = []
        value_table(Ends(lambda z: rows.append(len(z)) or z), x, target=Y, players=C)
        assert sum(rows) - 6 * 16 <= 12


class Block(nn.Module):
    """A residual block that adds in place."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x):
        before = torch.relu(self.first(x))
        after = self.norm(self.second(before))
        after += before
        return self.head(torch.relu_(after).mean((2, 3)))


IN_PLACE = [nn.ReLU, nn.SiLU, nn.Hardswish, nn.LeakyReLU, nn.ELU]


class TestLayersFollowedInPlace:
    @pytest.mark.parametrize("kind", [*IN_PLACE, None])
    def test_their_tables_are_those_of_networks_that_work_on_copies(self, kind, generator):
        pictures = torch.randn(3, 1, 6, 6, generator=generator)
        tables = []
        for inplace in (True, False):
            with torch.random.fork_rng():
                torch.manual_seed(0)
                net = (
                    Block()
                    if kind is None
                    else nn.Sequential(nn.Conv2d(1, 4, 3), kind(inplace=inplace), nn.Flatten(), nn.Linear(64, 3))
                )
            if kind is None and not inplace:
                net.forward = lambda x, net=net: net.head(
                    torch.relu(net.norm(net.second(b := torch.relu(net.first(x)))) + b).mean((2, 3))
                )
            net.eval()
            layer = "norm" if kind is None else "0"
            tables.append(value_table(net, pictures, target=1, players=patches(2, 2), layer=layer).values)
            with torch.no_grad():
                plain = scalar_outputs(net(pictures), torch.ones(3, dtype=torch.long), output="log-odds")
            torch.testing.assert_close(tables[-1][:, -1], plain, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(*tables, rtol=1e-5, atol=1e-5)

    def test_a_full_table_that_is_not_the_network_is_refused(self, generator):
        class Counts(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = nn.Identity()

            def forward(self, x):
                out = self.body(x)
                return torch.stack([out.sum(1) * (2.0 if len(out) == 8 else 1.0), out.sum(1)], dim=1)

        with pytest.raises(ModelError, match=r"its output without masks; got .*at layer 'body'"):
            value_table(
                Counts(), torch.rand(2, 3, generator=generator), target=0, players=C, layer="body", batch_size=8
            )


class TestPictures:
    def test_channels_last(self, generator):
        pictures = torch.randn(2, 3, 8, 8, generator=generator)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
        last = pictures.movedim(1, -1).contiguous()

        def of_last(z):
            return net(z.movedim(-1, 1))

        expected = value_table(net, pictures, target=0, players=patches(2, 2), baselines="blur").values
        found = value_table(of_last, last, target=0, players=patches(2, 2, channels="last"), baselines="blur")
        torch.testing.assert_close(found.values, expected)
        with pytest.raises(PlayersError, match=r'sample of shape \(8, 8, 3\).*patches\(2, 2, channels="last"\)'):
            value_table(of_last, last, target=0, players=patches(2, 2))
        mask = patches(2, 2, channels="last").feature_mask((8, 8, 3), [0])
        with pytest.raises(PlayersError, match="blur_baseline"):
            value_table(of_last, last, target=0, feature_mask=mask, baselines="blur")
        torch.testing.assert_close(
            value_table(
                of_last, last, target=0, feature_mask=mask, baselines=blur_baseline(last, channels="last")
            ).values,
            expected,
        )

    def test_where_nothing_is_doubtful(self):
        assert repr(patches(2, 2, channels="last").central(1, 1)) == "patches(2, 2, channels='last').central(1, 1)"
        assert patches(2, 2, channels="first").feature_mask((8, 8, 3), [0]).shape == (1, 1, 8, 3)
        for shape in ((3, 8, 8), (1, 4, 4), (8, 8), (16, 8, 8)):
            assert patches(2, 2).feature_mask(shape, [0]).shape[-2:] == shape[-2:]
        assert patches(2, 3).count((9, 9, 3)) == 6
        assert columns().count((5,)) == 5
        with pytest.raises(PlayersError, match="'first' or 'last'"):
            patches(2, 2, channels="middle")

    def test_a_map_for_all_or_for_each(self, generator):
        pictures = torch.randn(3, 2, 4, 4, generator=generator)
        halves = torch.arange(4)[:, None].expand(4, 4) // 2

        def first(z):
            return z[:, :, :2].sum((1, 2, 3))

        found = value_table(first, pictures, feature_mask=halves, output="regression").values
        each = torch.stack([halves, halves.T, halves])
        by_sample = value_table(first, pictures, feature_mask=each, output="regression").values
        expected = value_table(first, pictures, feature_mask=each[:, None], output="regression").values
        assert torch.equal(by_sample, expected)
        assert torch.equal(by_sample[0], found[0])
        with pytest.raises(PlayersError, match=r"mask\[:, None\] for samples, mask\[None\] for channels"):
            value_table(first, torch.rand(3, 3, 4, 4), feature_mask=each, output="regression")


class TestKeras:
    @pytest.fixture
    def keras(self, monkeypatch):
        if os.environ.get("KERAS_BACKEND", "torch") != "torch":
            pytest.skip("needs Keras on torch")
        monkeypatch.setenv("KERAS_BACKEND", "torch")
        return pytest.importorskip("keras")

    @pytest.mark.filterwarnings("default::DeprecationWarning")
    def test_channels_are_last_but_where_they_are_seen_first(self, keras):
        for shape, same in (((8, 8, 3), (4, 4, 3)), ((1, 8, 8), (1, 4, 4)), ((6, 6, 32), (3, 3, 32))):
            net = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(2)])
            x = torch.zeros(1, *shape)
            x[0][tuple(slice(size) for size in same)] = 1.0  # one of four patches
            found = value_table(net, x, target=0, players=patches(2, 2), baselines=0.0, output="logit").values[0]
            torch.testing.assert_close(found[0b0001], found[0b1111])
            assert abs(found[0b1110] - found[0b1111]) > 1e-6

    @pytest.mark.filterwarnings("default::DeprecationWarning")
    def test_its_pictures_and_heads(self, keras):
        layers = keras.layers
        keras.utils.set_random_seed(0)
        body = [layers.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten()]
        head = layers.Dense(3)
        net = keras.Sequential([*body, head, layers.Softmax()])
        plain = keras.Sequential([*body, head])
        pictures = np.random.default_rng(0).random((4, 8, 8, 3))
        with pytest.warns(InputWarning, match="probabilities"):
            found = value_table(net, pictures, target=1, players=patches(2, 2))
        expected = value_table(plain, pictures, target=1, players=patches(2, 2, channels="last"))
        torch.testing.assert_close(found.values, expected.values, rtol=1e-4, atol=1e-4)
        assert patches(2, 2).feature_mask((3, 8, 8), [0]).shape[-1] == 8  # of others as ever
        one = keras.Sequential([layers.Input((4,)), layers.Dense(1, activation="sigmoid")])
        with pytest.warns(InputWarning, match="probabilities"):
            value_table(one, np.ones((2, 4)), target=[0, 1], players=C)


class TestOtherModules:
    @pytest.mark.filterwarnings("ignore:.*deprecated.*")
    @pytest.mark.parametrize("make", [torch.jit.script, lambda net: torch.jit.trace(net, torch.ones(2, 4))])
    def test_scripted(self, x, expected, make):
        body = make(Ends().body)
        torch.testing.assert_close(value_table(body, x, target=Y, players=C).values, expected)
        with pytest.raises(InputError, match="the scripted module '1'"):
            value_table(body, x, target=Y, players=C, layer="1")

    def test_exported(self, x, expected):
        batch = torch.export.Dim("batch")
        body = Ends().body.eval()
        program = torch.export.export(body, (x[:3],), dynamic_shapes=({0: batch},))
        for model in (program, program.module()):
            torch.testing.assert_close(value_table(model, x, target=Y, players=C).values, expected)
            found = value_table(model, x[:1].double().numpy(), target=Y[:1], players=C)
            torch.testing.assert_close(found.values, expected[:1], rtol=1e-5, atol=1e-5)
        with pytest.raises(Exception, match="uard") as told:  # of a type that differs by version of torch
            value_table(torch.export.export(body, (x[:3],)), x, target=Y, players=C)
        assert "Export it with a dynamic first axis" in told.value.__notes__[0]

    @pytest.mark.filterwarnings("ignore:.*quanti:DeprecationWarning", "ignore:.*quantized:UserWarning")
    def test_quantised(self, x, expected):
        net = torch.ao.quantization.quantize_dynamic(Ends().body, {nn.Linear})
        found = value_table(net, x.double().numpy(), target=Y, players=C, batch_size=1)
        torch.testing.assert_close(found.values, expected, rtol=0.05, atol=0.05)

    def test_half(self, x):
        assert torch.isfinite(value_table(Ends().bfloat16(), x, target=Y, players=C).values).all()


def test_samples_are_a_record_of_their_own():
    samples = samples_of({"pixel_values": torch.ones(2, 1, 4, 4), "index": [3, 4], "label": ["a", "b"]}, [1, 0])
    assert isinstance(samples, Samples)
    assert samples.keywords == ("pixel_values", "index")
    assert samples.target.tolist() == [1, 0]
    with pytest.raises(InterdynError, match=re.escape("[classes.index(name) for name in target]")):
        samples_of(torch.ones(2, 1), ["a", "b"])
