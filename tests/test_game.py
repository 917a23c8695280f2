"""Value tables against one mask at a time; players, baselines, outputs, feature maps, what is left undisturbed."""

import numpy as np
import pytest
import torch

from interdyn.errors import (
    BudgetWarning,
    InputError,
    ModelError,
    NonFiniteError,
    PlayersError,
    ShapeError,
    TargetError,
    TooLargeError,
)
from interdyn.game import (
    blur_baseline,
    columns,
    game_function,
    isolated,
    mean_baseline,
    patches,
    scalar_outputs,
    segments,
    value_table,
)


def one_by_one(model, x, target, mask, baseline):
    """The slow twin: every subset of every sample alone, by Python's own loops."""
    n = int(mask.max()) + 1
    mask = mask.expand(x.shape) if mask.ndim == x.ndim else mask.expand(x.shape[1:]).expand(x.shape)
    baseline = torch.as_tensor(baseline, dtype=x.dtype).expand(x.shape)
    out = torch.zeros(len(x), 2**n, dtype=torch.float64)
    for s in range(len(x)):
        for subset in range(2**n):
            keep = torch.tensor([i == -1 or (i >= 0 and bool(subset >> i & 1)) for i in mask[s].flatten().tolist()])
            row = torch.where(keep.reshape(x[s].shape), x[s], baseline[s])
            with torch.no_grad():
                z = model(row[None]).double()[0]
            others = torch.cat([z[: target[s]], z[target[s] + 1 :]])
            out[s, subset] = z[target[s]] - torch.logsumexp(others, 0)
    return out


@pytest.fixture
def cnn():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(2, 4, 3, padding=1),
            torch.nn.BatchNorm2d(4),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.5),
            torch.nn.Flatten(),
            torch.nn.Linear(4 * 36, 3),
        ).eval()


def pictures(generator, samples=3):
    return torch.randn(samples, 2, 6, 6, generator=generator)


@pytest.mark.parametrize("batch_size", [1, 5, "auto"])
def test_pictures_equal_one_mask_at_a_time(cnn, generator, batch_size):
    x, target = pictures(generator), [0, 2, 1]
    baseline = torch.randn(2, 1, 1, generator=generator)
    found = value_table(cnn, x, target=target, players=patches(2, 2), baselines=baseline, batch_size=batch_size)
    twin = one_by_one(cnn, x, target, patches(2, 2).feature_mask((2, 6, 6), range(3))[0], baseline)
    torch.testing.assert_close(found.values, twin, rtol=1e-5, atol=1e-5)
    assert found.values.dtype == torch.float64
    assert found.forward_passes == 3 * 16
    assert found.unit == "log-odds"
    assert found.seconds > 0


def test_a_mask_of_its_own_for_each_sample(cnn, generator):
    x, target = pictures(generator), [1, 1, 0]
    players = patches(3, 3).choose(4, seed=5)
    mask = players.feature_mask((2, 6, 6), range(3))
    found = value_table(cnn, x, target=target, players=players)
    torch.testing.assert_close(found.values, one_by_one(cnn, x, target, mask, 0.0), rtol=1e-5, atol=1e-5)
    by_mask = value_table(cnn, x, target=target, feature_mask=mask)
    assert torch.equal(by_mask.values, found.values)


def test_others_masked_instead_of_kept(cnn, generator):
    x = pictures(generator)
    players = patches(3, 3).choose(3, seed=1, others="mask")
    mask = players.feature_mask((2, 6, 6), range(3))
    assert (mask == -2).any()
    found = value_table(cnn, x, target=0, players=players)
    torch.testing.assert_close(found.values, one_by_one(cnn, x, [0, 0, 0], mask, 0.0), rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        bare = cnn(torch.zeros_like(x))
    empty = scalar_outputs(bare, torch.zeros(3, dtype=torch.long), output="log-odds")
    torch.testing.assert_close(found.values[:, 0], empty, rtol=1e-5, atol=1e-5)


def test_random_players_depend_on_seed_and_sample_alone():
    players = patches(4, 4).choose(6, seed=3)
    together = players.feature_mask((1, 8, 8), [0, 1, 7])
    assert torch.equal(players.feature_mask((1, 8, 8), [7])[0], together[2])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(players.choose(6, seed=4).feature_mask((1, 8, 8), [7])[0], together[2])
    for row in together:
        assert sorted(set(row.flatten().tolist())) == [-1, 0, 1, 2, 3, 4, 5]


def test_central_window():
    mask = patches(8, 8).central(6, 6).choose(10).feature_mask((3, 8, 8), [0])
    border = torch.ones(8, 8, dtype=torch.bool)
    border[1:7, 1:7] = False
    assert (mask[0, 0][border] == -1).all()
    assert int(mask.max()) == 9


def test_tables_and_one_hot_groups(generator):
    weight = torch.randn(5, 2, generator=generator)

    def model(x):
        return torch.tanh(x) @ weight

    x = torch.randn(4, 5, generator=generator)
    players = columns([[0], [1, 2], [4]])
    found = value_table(model, x, target=1, players=players, baselines="mean")
    mask = torch.tensor([0, 1, 1, -1, 2])
    torch.testing.assert_close(found.values, one_by_one(model, x, [1] * 4, mask, x.mean(0)), rtol=1e-5, atol=1e-5)
    assert columns().cells((3,)).tolist() == [0, 1, 2]


def test_sequences_of_tokens_keep_their_type(generator):
    table = torch.randn(10, 3, generator=generator)
    seen = []

    def model(tokens):
        seen.append(tokens.dtype)
        return table[tokens].mean(1)

    tokens = torch.randint(1, 10, (2, 4), generator=generator)
    found = value_table(model, tokens, target=0, feature_mask=torch.tensor([0, 1, 1, -1]), baselines=0)
    assert set(seen) == {torch.int64}
    masked = tokens.clone()
    masked[:, :3] = 0
    expected = scalar_outputs(table[masked].mean(1), torch.zeros(2, dtype=torch.long), output="log-odds")
    torch.testing.assert_close(found.values[:, 0], expected)


def test_tuples_of_inputs_and_further_arguments(generator):
    a, b, scale = (
        torch.randn(3, 2, generator=generator),
        torch.randn(3, 4, generator=generator),
        torch.tensor([1.0, 2, 3]),
    )

    def model(x, y, factor, power):
        return factor * (x.sum(1) * y.sum(1)) ** power

    found = value_table(
        model,
        (a, b),
        feature_mask=(torch.tensor([0, 1]), torch.tensor([2, 2, 0, -1])),
        baselines=(0.0, torch.tensor(1.0)),
        output="regression",
        additional_forward_args=(scale, 2),
    )
    for s in range(3):
        for subset in range(8):
            x = torch.stack([a[s, i] if subset >> i & 1 else torch.tensor(0.0) for i in (0, 1)])
            y = [b[s, j] if i == -1 or subset >> i & 1 else torch.tensor(1.0) for j, i in enumerate((2, 2, 0, -1))]
            expected = scale[s] * (x.sum() * sum(y)) ** 2
            assert float(found.values[s, subset]) == pytest.approx(float(expected), rel=1e-5, abs=1e-6)


def test_the_order_of_bits_is_the_convention():
    found = value_table(
        lambda x: x @ torch.tensor([1.0, 10.0, 100.0]), torch.ones(1, 3), players=columns(), output="regression"
    )
    assert found.values[0].tolist() == [0, 1, 10, 11, 100, 101, 110, 111]


class TestOutputs:
    def test_log_odds_is_stable_when_the_network_is_certain(self):
        z = torch.tensor([[1e4, 0.0, -1e4], [-1e4, 1e4, 1e4]])
        found = scalar_outputs(z, torch.tensor([0, 0]), output="log-odds")
        assert found.tolist() == [1e4, pytest.approx(-2e4 - np.log(2))]
        assert torch.isfinite(scalar_outputs(z, torch.tensor([2, 0]), output="log-probability")).all()

    def test_all_names_against_the_plain_formulas(self, generator):
        z, y = torch.randn(5, 4, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0])
        p = z.softmax(1).gather(1, y[:, None])[:, 0]
        close = torch.testing.assert_close
        close(scalar_outputs(z, y, output="log-odds"), torch.log(p / (1 - p)))
        close(scalar_outputs(z, y, output="log-probability"), p.log())
        close(scalar_outputs(z, y, output="loss"), -p.log())
        close(scalar_outputs(z, y, output="logit"), z.gather(1, y[:, None])[:, 0])
        close(scalar_outputs(z, y, output="regression"), z.gather(1, y[:, None])[:, 0])
        close(scalar_outputs(z, y, output=lambda out, _: out.sum(1)), z.sum(1))

    def test_a_single_logit_is_class_one_against_zero(self):
        z, y = torch.tensor([[2.0], [2.0]]), torch.tensor([1, 0])
        for output in ("log-odds", "logit"):
            assert scalar_outputs(z, y, output=output).tolist() == [2.0, -2.0]
        p = torch.sigmoid(torch.tensor(2.0, dtype=torch.float64))
        torch.testing.assert_close(scalar_outputs(z, y, output="loss"), torch.stack([-p.log(), -(1 - p).log()]))

    def test_wrappers_with_logits(self):
        class Wrapped:
            logits = torch.tensor([[1.0, 0.0]])

        assert scalar_outputs(Wrapped(), torch.tensor([0]), output="log-odds").tolist() == [1.0]

    def test_errors(self):
        z = torch.zeros(2, 3)
        with pytest.raises(TargetError, match=r"0\.\.2, .* got 3"):
            scalar_outputs(z, torch.tensor([0, 3]), output="logit")
        with pytest.raises(TargetError, match="got None"):
            scalar_outputs(z, None, output="log-odds")
        with pytest.raises(TargetError, match="3 outputs"):
            scalar_outputs(z, None, output="regression")
        with pytest.raises(ModelError, match="shape"):
            scalar_outputs(torch.zeros(2, 3, 4), torch.tensor([0, 0]), output="logit")


class TestUndisturbed:
    def test_modes_generators_and_statistics_are_as_before(self, cnn, generator):
        cnn.train()
        cnn[1].eval()
        modes = [m.training for m in cnn.modules()]
        buffers = {k: v.clone() for k, v in cnn.named_buffers()}
        state = torch.get_rng_state()
        value_table(cnn, pictures(generator), target=0, players=patches(2, 2))
        assert [m.training for m in cnn.modules()] == modes
        assert all(torch.equal(v, buffers[k]) for k, v in cnn.named_buffers())
        assert torch.equal(torch.get_rng_state(), state)
        assert all(not m._forward_hooks for m in cnn.modules())

    def test_also_when_the_model_fails(self):
        model = torch.nn.Dropout().train()
        state = torch.get_rng_state()

        def fails():
            with isolated(model):
                torch.rand(3)
                raise RuntimeError("broken")

        with pytest.raises(RuntimeError, match="broken"):
            fails()
        assert model.training
        assert torch.equal(torch.get_rng_state(), state)

    def test_half_precision_modules_are_fed_their_own_type(self, generator):
        model = torch.nn.Linear(3, 2).to(torch.bfloat16)
        found = value_table(model, torch.randn(2, 3, generator=generator), target=0, players=columns())
        assert found.values.dtype == torch.float64


class TestMemory:
    @pytest.mark.parametrize("error", [torch.OutOfMemoryError("no"), RuntimeError("CUDA out of memory"), MemoryError()])
    def test_batches_are_halved(self, error, generator):
        sizes = []

        def model(x):
            if len(x) > 5:
                raise error
            sizes.append(len(x))
            return x.sum(1)

        x = torch.randn(2, 4, generator=generator)
        with pytest.warns(BudgetWarning, match="memory ran out with 32"):
            found = value_table(model, x, players=columns(), output="regression")
        assert max(sizes[1:]) <= 5
        roomy = value_table(lambda x: x.sum(1), x, players=columns(), output="regression")
        torch.testing.assert_close(found.values, roomy.values)

    def test_other_errors_pass_through(self):
        def model(x):
            if len(x) > 2:
                raise RuntimeError("shape mismatch")
            return x.sum(1)

        with pytest.raises(RuntimeError, match="shape mismatch"):
            value_table(model, torch.ones(1, 3), players=columns(), output="regression")

    def test_given_batch_sizes(self):
        sizes = []

        def model(x):
            sizes.append(len(x))
            return x.sum(1)

        value_table(model, torch.ones(2, 3), players=columns(), output="regression", perturbations_per_eval=6)
        assert sizes[3:] == [6, 6, 4]
        with pytest.raises(InputError, match="both"):
            value_table(
                model, torch.ones(2, 3), players=columns(), output="regression", batch_size=4, perturbations_per_eval=6
            )
        with pytest.raises(InputError, match="batch_size"):
            value_table(model, torch.ones(2, 3), players=columns(), output="regression", batch_size=0)

    def test_progress_counts_every_row(self):
        seen = []
        value_table(
            lambda x: x.sum(1),
            torch.ones(2, 3),
            players=columns(),
            output="regression",
            batch_size=6,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert seen == [(6, 16), (12, 16), (16, 16)]


class Residual(torch.nn.Module):
    """A prefix, a layer, and a branch that by-passes it."""

    def __init__(self, *, own_batch: bool) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(2, 4, 3, padding=1)
        self.second = torch.nn.ReLU()
        self.last = torch.nn.Linear(4 * 36, 3)
        self.own_batch = own_batch
        self.rows = 0

    def forward(self, x):
        batch = len(x)
        self.rows += batch
        before = self.first(x)
        after = self.second(before) + 0.5 * before
        return self.last(after.reshape(batch, -1) if self.own_batch else after.flatten(1))


class Devious(torch.nn.Module):
    """A part before the masked layer that works in place, by an effect beside what it gives, or once more after it."""

    def __init__(self, kind):
        super().__init__()
        self.first, self.effect = torch.nn.Linear(5, 5), torch.nn.ReLU(inplace=True)
        self.masked, self.last = torch.nn.Tanh(), torch.nn.Linear(5, 2)
        self.kind = kind

    def forward(self, x):
        before = self.first(x)
        if self.kind == "by effect":
            self.effect(before)  # what it gives is dropped
        elif self.kind == "in place":
            before = self.effect(before)
            before += 1.0
        after = self.masked(before) + before
        return self.last(self.first(after) if self.kind == "twice" else after)


RUN: list[int] = []  # of a module's function: what it closes over is copied with it


class TestLayer:
    @pytest.mark.parametrize("own_batch", [False, True])
    def test_masked_feature_maps_equal_the_whole_network(self, own_batch, generator):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = Residual(own_batch=own_batch)
        x = pictures(generator, 2)
        players = patches(3, 3).choose(4, seed=0)
        mask = players.feature_mask((4, 6, 6), range(2))
        found = value_table(model, x, target=[0, 2], players=players, layer="second", batch_size=5)
        assert found.provenance["layer_method"] == ("full" if own_batch else "remembered")
        with torch.no_grad():
            before = model.first(x)
            for s, y in enumerate((0, 2)):
                for subset in range(16):
                    keep = torch.tensor([i == -1 or bool(subset >> i & 1) for i in mask[s].flatten().tolist()])
                    masked = torch.where(keep.reshape(6, 6), before[s].relu(), 0.0)
                    z = model.last((masked + 0.5 * before[s]).flatten()[None])
                    expected = scalar_outputs(z, torch.tensor([y]), output="log-odds")
                    torch.testing.assert_close(found.values[s, subset], expected[0], rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("rows", [8, 64, 512])
    def test_the_part_before_runs_once_a_sample(self, rows, generator):
        model = Residual(own_batch=False)
        before = RUN
        before.clear()
        run = model.first.forward
        model.first.forward = lambda x: RUN.append(len(x)) or run(x)
        x = pictures(generator, 3)
        found = value_table(model, x, target=0, players=patches(3, 3), layer="second", batch_size=rows)
        assert found.values.shape == (3, 512)
        # network and layout are tried out, the maps of three samples made, the method tried out; then a row a sample
        assert before == [3, 3, 2, 3, 3, 2, 1, 1, 1]
        model.first(x)  # the user's own is back
        assert before[-1] == 3

    @pytest.mark.parametrize(
        ("kind", "method"), [("in place", "remembered"), ("by effect", "one row"), ("twice", "remembered")]
    )
    def test_networks_in_which_a_remembered_part_could_mislead(self, kind, method, generator):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = Devious(kind).double()
        x = torch.randn(2, 5, generator=generator, dtype=torch.float64)
        found = value_table(model, x, target=1, players=columns(), layer="masked", batch_size=3, output="logit")
        assert found.provenance["layer_method"] == method
        assert not any("forward" in vars(module) for module in model.modules())  # nothing is left behind
        for s in range(2):
            for subset in range(32):
                keep = torch.tensor([bool(subset >> i & 1) for i in range(5)])
                handle = model.masked.register_forward_hook(lambda _m, _i, out, keep=keep: torch.where(keep, out, 0.0))
                with torch.no_grad():
                    expected = model(x[s : s + 1])[0, 1]
                handle.remove()
                torch.testing.assert_close(found.values[s, subset], expected)

    def test_unknown_layers(self, cnn, generator):
        model = Residual(own_batch=False)
        with pytest.raises(InputError, match=r"got 'secnd'\. The nearest are second, (first|last), (first|last)\."):
            value_table(model, pictures(generator), target=0, players=patches(2, 2), layer="secnd")
        with pytest.raises(InputError, match=r"got ''\. The nearest are \d, \d, \d\."):
            value_table(cnn, pictures(generator), target=0, players=patches(2, 2), layer="")
        with pytest.raises(InputError, match="It has none: mask the input"):
            value_table(torch.nn.Linear(3, 2), torch.ones(1, 3), target=0, players=columns(), layer="first")
        with pytest.raises(InputError, match=r"torch\.nn\.Module"):
            value_table(lambda x: x.sum(1), torch.ones(1, 3), players=columns(), layer="a", output="regression")
        with pytest.raises(ModelError, match="one tensor"):
            value_table(Stacked(), torch.ones(2, 3), target=0, players=columns(), layer="body")


class Stacked(torch.nn.Module):
    """Uses one layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Linear(3, 3)

    def forward(self, x):
        return self.body(self.body(x))


class TestBaselines:
    def test_blur_keeps_constants_and_smooths(self, generator):
        x = torch.randn(2, 3, 8, 8, generator=generator)
        assert blur_baseline(x).std() < 0.5 * x.std()
        torch.testing.assert_close(blur_baseline(torch.full((1, 1, 5, 5), 2.0)), torch.full((1, 1, 5, 5), 2.0))
        with pytest.raises(InputError, match="sigma"):
            blur_baseline(x, sigma=0.0)

    def test_data_set_mean(self):
        assert mean_baseline(torch.tensor([[0, 2], [4, 2]])).tolist() == [[2.0, 2.0]]

    @pytest.mark.parametrize("baseline", [None, 0.5, "mean", "blur", torch.tensor(0.5), (0.5,)])
    def test_every_form(self, cnn, generator, baseline):
        x = pictures(generator)
        if isinstance(baseline, str):
            off = x.mean(0, keepdim=True) if baseline == "mean" else blur_baseline(x)
        else:
            off = 0.0 if baseline is None else 0.5
        found = value_table(cnn, x, target=0, players=patches(2, 2), baselines=baseline)
        mask = patches(2, 2).feature_mask((2, 6, 6), range(3))[0]
        torch.testing.assert_close(found.values, one_by_one(cnn, x, [0] * 3, mask, off), rtol=1e-4, atol=1e-4)


class TestBadInput:
    @pytest.mark.parametrize(
        ("mask", "message"),
        [
            (torch.tensor([0, 2, 2]), r"without \[1\]"),
            (torch.tensor([-1, -1, -1]), "no player"),
            (torch.tensor([0, 1]), "broadcast"),
            (torch.tensor([0.0, 1.0, 2.0]), "integers"),
            (torch.tensor([0, 1, -3]), "-3"),
            (torch.zeros(5, 3, dtype=torch.long), "broadcast"),
        ],
    )
    def test_feature_masks(self, mask, message):
        with pytest.raises(PlayersError, match=message):
            value_table(lambda x: x.sum(1), torch.ones(2, 3), feature_mask=mask, output="regression")

    def test_players_and_mask(self):
        with pytest.raises(PlayersError, match="both"):
            value_table(sum, torch.ones(2, 3), players=columns(), feature_mask=torch.arange(3))
        with pytest.raises(PlayersError, match="neither"):
            value_table(sum, torch.ones(2, 3))
        with pytest.raises(PlayersError, match="tuple of 2"):
            value_table(sum, (torch.ones(2, 3), torch.ones(2, 3)), players=columns())

    def test_numbers_of_players(self):
        one = value_table(
            lambda x: x.sum(1), torch.ones(2, 3), feature_mask=torch.zeros(3, dtype=torch.long), output="regression"
        )
        assert one.values.tolist() == [[0, 3], [0, 3]]
        with pytest.raises(TooLargeError, match="n = 25"):
            value_table(lambda x: x.sum(1), torch.ones(1, 25), players=columns(), output="regression", allow_large=True)
        with pytest.raises(TooLargeError, match=r"33,554,432 forward passes, about .* h"):
            value_table(lambda x: x.sum(1), torch.ones(32, 20), players=columns(), output="regression")
        with pytest.raises(PlayersError, match="cannot draw 5 players from 4"):
            value_table(sum, torch.ones(1, 1, 4, 4), players=patches(2, 2).choose(5))
        with pytest.raises(PlayersError, match="1 or more"):
            patches(2, 2).choose(0)
        with pytest.raises(PlayersError, match="`rows` must be an integer, 1 or more"):
            patches(0, 2)
        with pytest.raises(PlayersError, match="at least that many pixels"):
            value_table(sum, torch.ones(1, 1, 4, 4), players=patches(8, 8))
        with pytest.raises(PlayersError, match="window"):
            patches(4, 4).central(5, 5)
        with pytest.raises(PlayersError, match="disjoint"):
            value_table(sum, torch.ones(1, 4), players=columns([[0, 1], [1]]))
        with pytest.raises(PlayersError, match="integers"):
            segments(np.array([0.5]))

    def test_allowed_when_asked_for(self, monkeypatch):
        monkeypatch.setattr("interdyn.game._table.MAX_PASSES", 7)
        with pytest.raises(TooLargeError, match="allow_large"):
            value_table(lambda x: x.sum(1), torch.ones(1, 3), players=columns(), output="regression")
        assert value_table(
            lambda x: x.sum(1), torch.ones(1, 3), players=columns(), output="regression", allow_large=True
        ).values.shape == (1, 8)

    def test_models(self):
        with pytest.raises(ModelError, match="one row for each input"):
            value_table(lambda x: x.sum(1)[:1], torch.ones(2, 3), players=columns(), output="regression")
        with pytest.raises(ModelError, match="shape"):
            value_table(lambda x: x[:, None, None] * x, torch.ones(2, 3), target=0, players=columns())
        with pytest.raises(NonFiniteError, match=r"sample 1 with players \[0\] present \(subset 1\)"):
            value_table(
                lambda x: x[:, 0] / (x[:, 1] + (x[:, 0] < 2)),
                torch.tensor([[1.0, 1], [2.0, 1]]),
                players=columns(),
                output="regression",
            )

    def test_targets(self, cnn, generator):
        x = pictures(generator)
        ran = []
        cnn.register_forward_hook(lambda *_: ran.append(1))
        with pytest.raises(TargetError, match=r"0\.\.2"):
            value_table(cnn, x, target=[0, 1, 3], players=patches(2, 2))
        assert len(ran) <= 2  # before the masked passes
        with pytest.raises(TargetError, match="one for each of 3 samples"):
            value_table(cnn, x, target=[0, 1], players=patches(2, 2))
        with pytest.raises(TargetError, match="integers"):
            value_table(cnn, x, target=0.5, players=patches(2, 2))

    def test_inputs_outputs_and_baselines(self):
        with pytest.raises(ShapeError, match="dim 0"):
            value_table(sum, np.ones(()), players=columns())
        with pytest.raises(ShapeError, match="same number"):
            value_table(sum, (torch.ones(2, 3), torch.ones(3, 3)), feature_mask=torch.arange(3))
        with pytest.raises(ShapeError, match="same number"):
            value_table(sum, torch.ones(0, 3), players=columns())
        with pytest.raises(ShapeError, match="sample_ids"):
            value_table(sum, torch.ones(2, 3), players=columns(), sample_ids=[1])
        with pytest.raises(InputError, match="log-odds, logit"):
            value_table(sum, torch.ones(2, 3), players=columns(), output="odds")
        with pytest.raises(PlayersError, match="broadcast"):
            value_table(
                lambda x: x.sum(1), torch.ones(2, 3), players=columns(), output="regression", baselines=torch.ones(4)
            )
        with pytest.raises(PlayersError, match="mean"):
            value_table(lambda x: x.sum(1), torch.ones(2, 3), players=columns(), output="regression", baselines="zero")
        with pytest.raises(PlayersError, match="one entry for each of 1 inputs"):
            value_table(lambda x: x.sum(1), torch.ones(2, 3), players=columns(), output="regression", baselines=(0, 0))


def test_game_function_is_the_table_read_by_masks(cnn, generator):
    x = pictures(generator, 1)
    table = value_table(cnn, x, target=1, players=patches(2, 2)).values[0]
    game = game_function(cnn, x, target=1, players=patches(2, 2))
    masks = np.array([[False] * 4, [True, False, False, True], [True] * 4])
    np.testing.assert_allclose(game(masks), table[[0, 9, 15]], rtol=1e-5)
    with pytest.raises(ShapeError, match=r"\(m, 4\)"):
        game(np.ones((2, 3), dtype=bool))
    with pytest.raises(ShapeError, match="one sample"):
        game_function(cnn, pictures(generator, 2), target=1, players=patches(2, 2))


def test_a_map_of_segments():
    found = value_table(
        lambda x: x.sum((1, 2)), torch.ones(1, 2, 2), players=segments(np.array([[0, 0], [1, -1]])), output="regression"
    )
    assert found.values[0].tolist() == [1, 3, 2, 4]
