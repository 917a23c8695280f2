"""What is refused before a wrong number can come of it, and what a table says of itself."""

import numpy as np
import pytest
import torch

import interdyn
from interdyn.errors import InputError, PlayersError, TooLargeError
from interdyn.game import blur_baseline, columns, isolated, patches, segments, value_table


def first(x):
    return x.flatten(1)[:, 0]


def must_not_run(*_):
    raise AssertionError


class TestPlayers:
    def test_every_sample_must_hold_every_player(self):
        mask = torch.tensor([[0, 1, 2], [0, 2, 2]])
        with pytest.raises(PlayersError, match="sample 1 without player 1"):
            value_table(must_not_run, torch.ones(2, 3), feature_mask=mask)
        with pytest.raises(PlayersError, match="sample 1 without player 2"):  # the last one too
            value_table(must_not_run, torch.ones(2, 3), feature_mask=torch.tensor([[0, 1, 2], [0, 1, 1]]))

    def test_a_player_may_be_in_one_of_several_inputs(self):
        a, b = torch.ones(2, 2), torch.ones(2, 2)
        mask = (torch.tensor([[0, 1], [1, 1]]), torch.tensor([[2, 2], [0, 2]]))
        found = value_table(lambda x, y: x.sum(1) + 10 * y.sum(1), (a, b), feature_mask=mask, output="regression")
        assert found.values[:, 1].tolist() == [1.0, 10.0]  # player 0 alone

    def test_a_picture_taken_for_a_mask(self):
        with pytest.raises(PlayersError, match=r"ids up to 1000000000000 without \[0, 1, 2, 3, 4\]"):
            value_table(must_not_run, torch.ones(1, 2), feature_mask=torch.tensor([10**12, 10**12]))

    @pytest.mark.parametrize("shape", [(3, 3), (2, 4, 4, 4), (5, 4)])
    def test_segments_must_fit_the_picture(self, shape):
        with pytest.raises(PlayersError, match=r"broadcast to one sample of shape \(1, 4, 4\)"):
            value_table(must_not_run, torch.ones(1, 1, 4, 4), players=segments(np.zeros(shape, dtype=int)))

    def test_labels_of_segments_are_numbered_anew(self):
        mask = segments(np.array([[1, 1], [7, -1]])).feature_mask((2, 2), [0])
        assert mask[0].tolist() == [[0, 0], [1, -1]]

    def test_empty_groups_would_move_the_players_after_them(self):
        with pytest.raises(PlayersError, match="group 1 is empty"):
            columns([[0], [], [2]])

    def test_seeds_and_sample_ids_are_not_negative(self):
        with pytest.raises(PlayersError, match="seed"):
            patches(2, 2).choose(2, seed=-1)
        with pytest.raises(PlayersError, match="sample_ids"):
            value_table(must_not_run, torch.ones(1, 1, 4, 4), players=patches(2, 2).choose(2), sample_ids=[-3])

    def test_far_too_many_players_are_refused_in_one_line(self):
        with pytest.raises(TooLargeError, match="n = 50176") as error:  # 2**50176 has more digits than Python prints
            value_table(must_not_run, torch.ones(1, 1, 224, 224), players=patches(224, 224))
        assert len(str(error.value)) < 200

    @pytest.mark.parametrize(
        "call",
        [
            "patches(8, 8).central(6, 6).choose(10, seed=3, others='keep')",
            "columns([[0], [1, 2]])",
            "columns().choose(2, seed=0, others='mask')",
        ],
    )
    def test_players_print_as_the_call_that_makes_them(self, call):
        assert repr(eval(call)) == call
        assert repr(segments(np.zeros((2, 3), dtype=int))) == "segments(map of shape (2, 3))"


class TestBaselines:
    @pytest.mark.parametrize("baseline", [0.7, torch.tensor([1.0, 2.5]), "mean", float("nan")])
    def test_whole_number_inputs_take_no_fractions(self, baseline):
        with pytest.raises(PlayersError, match=r"type torch\.int64"):
            value_table(must_not_run, torch.tensor([[1, 2], [2, 3]]), players=columns(), baselines=baseline)

    def test_nor_the_mean_of_one_input_which_is_itself(self):
        with pytest.raises(PlayersError, match="got a single one, which is its own mean"):
            value_table(lambda x: x.sum(-1), torch.ones(1, 3), feature_mask=torch.arange(3), baselines="mean")

    def test_nor_numbers_that_do_not_fit(self):
        with pytest.raises(PlayersError, match=r"type torch\.uint8 .* got 300"):
            value_table(must_not_run, torch.ones(1, 2, dtype=torch.uint8), players=columns(), baselines=300)

    def test_whole_numbers_written_with_a_point_are_taken(self):
        tokens = torch.tensor([[4, 5]])
        found = value_table(lambda x: x.sum(1), tokens, players=columns(), baselines=2.0, output="regression")
        assert found.values[0].tolist() == [4, 6, 7, 9]

    def test_whole_number_pictures_are_not_blurred_to_nothing(self):
        with pytest.raises(InputError, match=r"float\(\)"):
            blur_baseline(torch.full((1, 1, 4, 4), 200, dtype=torch.uint8))


class TestTable:
    def test_values_are_a_tensor_like_any_other(self):
        found = value_table(first, torch.ones(1, 3), players=columns(), output="regression")
        assert not found.values.is_inference()
        found.values.add_(1.0)
        assert found.values[0].tolist() == [1, 2, 1, 2, 1, 2, 1, 2]
        weight = torch.ones((), dtype=torch.float64, requires_grad=True)
        (found.values * weight).sum().backward()
        assert float(weight.grad) == 12.0

    def test_values_do_not_follow_what_the_model_keeps(self):
        kept = []

        def model(x):
            kept.append(x)
            return x[:, 0]  # a view of its input, already float64

        x = torch.ones(1, 2, dtype=torch.float64)
        found = value_table(model, x, players=columns(), output="regression")
        with torch.inference_mode():
            for seen in kept:
                seen.fill_(9.0)
        assert found.values[0].tolist() == [0, 1, 0, 1]
        assert x.tolist() == [[1, 1]]

    def test_it_says_what_made_it(self):
        found = value_table(
            torch.nn.Flatten(),
            torch.ones(2, 3),
            target=0,
            baselines=torch.zeros(3),
            players=columns().choose(2, seed=3),
        )
        assert found.provenance == {
            "n_players": 2,
            "n_parts": [3, 3],
            "players": "columns().choose(2, seed=3, others='keep')",
            "baselines": "0",
            "layer": None,
            "layer_method": None,
            "model": "Flatten",
            "torch": str(torch.__version__),
            "batch_rows": 2048,
        }
        given = value_table(first, torch.ones(1, 1), feature_mask=torch.tensor([0]), output="regression")
        assert given.provenance["players"] == "feature_mask"
        assert given.provenance["model"] == "first"
        assert given.values.tolist() == [[0, 1]]

    def test_a_layer_whose_model_refuses_another_batch_in_its_own_words(self):
        class Strict(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.body = torch.nn.Tanh()

            def forward(self, x):
                out = self.body(x)
                if len(out) != len(x):
                    raise ValueError("batch mismatch")
                return out.sum(1)

        x = torch.tensor([[0.3, -2.0], [1.0, 0.5]])
        found = value_table(Strict(), x, players=columns(), layer="body", output="regression")
        assert found.provenance["layer_method"] == "full"
        y = x.tanh().double()
        expected = torch.stack([torch.zeros(2).double(), y[:, 0], y[:, 1], y.sum(1)], dim=1)
        torch.testing.assert_close(found.values, expected, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("padded", [1, 2])
    def test_a_network_that_treats_a_later_sample_otherwise(self, padded):
        """As a transformer, which makes an attention mask for padding only, of as many rows as its input has."""

        class Padded(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.body = torch.nn.Embedding(4, 2)

            def forward(self, ids):
                out = self.body(ids).sum(-1)
                if bool((ids == 0).any()):
                    return (out * (ids != 0)[torch.arange(len(out))]).sum(1)
                return out.sum(1)

        model = Padded()
        ids = torch.tensor([[1, 2, 3], [3, 2, 1], [2, 1, 1]])
        ids[padded, 2] = 0
        found = value_table(
            model,
            ids,
            layer="body",
            output="regression",
            baselines="mean-embedding",
            batch_size=4,
            feature_mask=torch.arange(3)[:, None],
        )
        assert found.provenance["layer_method"] == "full"
        means = model.body.weight.detach().mean(0).sum()
        for s, row in enumerate(ids):
            own = model.body(row).detach().sum(-1)
            for subset in range(8):
                keep = torch.tensor([bool(subset >> i & 1) for i in range(3)])
                expected = (torch.where(keep, own, means) * (row != 0)).sum().double()
                torch.testing.assert_close(found.values[s, subset], expected, rtol=1e-5, atol=1e-5)

    def test_a_batch_of_one_row_does_not_decide_how_a_layer_is_run(self):
        class Mixing(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.body = torch.nn.Identity()

            def forward(self, x):
                out = self.body(x)
                return out.reshape(len(x), -1).sum(1)  # one row of input would add all maps up

        x = torch.ones(2, 3)
        found = value_table(Mixing(), x, players=columns(), layer="body", output="regression", batch_size=1)
        assert found.provenance["layer_method"] == "full"
        assert found.values[0].tolist() == [0, 1, 1, 2, 1, 2, 2, 3]


class TestProgress:
    @pytest.mark.parametrize("layer", [None, "0"])
    def test_a_bar_on_standard_error_and_nowhere_else(self, layer, capsys):
        seen = []
        options = {"players": columns(), "layer": layer, "batch_size": 6, "output": "regression", "target": 0}
        x = torch.ones(2, 3)
        model = torch.nn.Sequential(torch.nn.Flatten())
        with_bar = value_table(model, x, show_progress=True, progress=lambda *at: seen.append(at), **options)
        drawn = capsys.readouterr()
        assert "masked inputs" in drawn.err
        assert "100%" in drawn.err
        assert drawn.out == ""
        assert seen[-1] == (16, 16)
        assert [done for done, _ in seen] == sorted({done for done, _ in seen})
        without = value_table(model, x, **options)
        assert capsys.readouterr().err == ""
        assert torch.equal(with_bar.values, without.values)

    def test_measure_shows_it_too(self, capsys):
        interdyn.measure(first, torch.ones(1, 2), players=columns(), output="regression", show_progress=True)
        assert "100%" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
class TestOnAnAccelerator:
    def test_tables_equal_those_of_the_cpu(self):
        generator = torch.Generator().manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()
        x = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        players = columns().choose(3)
        on_cpu = value_table(model, x, target=[0, 1, 2], players=players, baselines="mean")
        on_gpu = value_table(model.cuda(), x, target=[0, 1, 2], players=players, baselines="mean")
        assert on_gpu.values.device.type == "cuda"  # where the network is
        torch.testing.assert_close(on_gpu.values.cpu(), on_cpu.values)

    def test_further_arguments_follow_and_generators_stay(self):
        state = torch.cuda.get_rng_state()
        x = torch.ones(2, 3, device="cuda")
        with isolated(lambda x: x):
            torch.rand(3, device="cuda")
        assert torch.equal(torch.cuda.get_rng_state(), state)
        found = value_table(
            lambda z, w: z.sum(1) * w, x, players=columns(), output="regression", additional_forward_args=torch.ones(2)
        )
        assert found.values[1, -1] == 3.0


def test_pictures_of_another_size():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(2 * 6 * 6, 3))
    grid = patches(2, 2)
    assert value_table(network, torch.ones(2, 1, 8, 8), target=0, players=grid).values.shape == (2, 16)
    for shape, layer in (((1, 9, 9), None), ((3, 8, 8), None), ((1, 9, 9), "0")):
        with pytest.raises(RuntimeError) as told:
            value_table(network, torch.ones(2, *shape), target=0, players=grid, layer=layer)
        assert (
            f"must accept inputs of shape {shape} (float32), 2 in a batch; it raised this Ru" in told.value.__notes__[0]
        )
    with pytest.raises(PlayersError, match=r"needs images of at least that many pixels; got .*\(1, 8, 8\)"):
        value_table(network, torch.ones(2, 1, 8, 8), target=0, players=patches(9, 9).choose(4))
