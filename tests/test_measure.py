"""From a model to its interactions: known worlds, options, cost."""

import pytest
import torch

import interdyn
from interdyn.errors import InputError
from interdyn.measurement import MeasurementConfig
from interdyn.players import columns


def test_a_planted_network_is_explained():
    def model(x):
        both, either = x[:, 0] * x[:, 3], 1 - (1 - x[:, 1]) * (1 - x[:, 2])
        return torch.stack([2 * both + 3 * either - 1, torch.zeros(len(x))], dim=1)

    found = interdyn.measure(model, torch.ones(2, 5), target=0, feature_mask=torch.arange(5), noise_bound=0.0, tol=1e-6)
    assert float(found[(0, 3)].i_and[0]) == pytest.approx(2, abs=1e-4)
    assert float(found[(1, 2)].i_or[1]) == pytest.approx(3, abs=1e-4)
    assert float(found[()].i_and[0]) == pytest.approx(-1, abs=1e-4)
    assert [t.players for t in found[0].top(2)] == [(1, 2), (0, 3)]
    assert float(found.objective[0]) == pytest.approx(5 * 1.02, abs=1e-4)  # without the constant


def test_cost_and_settings_come_with_the_result(generator):
    model = torch.nn.Linear(4, 3)
    x = torch.randn(2, 4, generator=generator)
    found = interdyn.measure(model, x, target=[0, 2], players=columns(), noise_bound=0.05, identified=True)
    assert found.forward_passes == 2 * 16
    assert set(found.seconds) == {"forward", "split"}
    assert found.settings["noise_bound"] == 0.05
    assert found.settings["n_players"] == 4
    assert found.identified.strength.low.shape == (2, 4)
    assert found[0].identified.mean_order.low.shape == ()
    assert found.unit == "log-odds"
    assert (found.gap <= 1e-3).all()


def test_threads_that_cannot_be_are_refused_before_any_work():
    def must_not_run(*_):
        raise AssertionError

    with pytest.raises(InputError, match="`threads` must be an integer"):
        interdyn.measure(must_not_run, torch.ones(1, 3), target=0, players=columns(), threads=0)


def test_a_config_says_all_and_what_is_passed_beside_it_goes_before_it(generator):
    x, model = torch.randn(2, 4, generator=generator), torch.nn.Linear(4, 3)
    options = {
        "players": columns(),
        "baselines": "mean",
        "noise_bound": 0.05,
        "tol": 1e-4,
        "output": "logit",
    }
    config = MeasurementConfig(**options)
    by_config, by_keywords = (interdyn.measure(model, x, target=1, **how) for how in ({"config": config}, options))
    assert torch.equal(by_config.i_and, by_keywords.i_and)
    assert by_config.settings == by_keywords.settings
    mixed = interdyn.measure(
        model, x, target=1, config=config, noise_bound=0.2, feature_mask=torch.tensor([0, 0, 1, 1])
    )
    assert mixed.settings["noise_bound"] == 0.2
    assert (mixed.settings["tol"], mixed.settings["n_players"]) == (1e-4, 2)  # the mask took the place of the columns


def test_a_device_that_is_not_there_is_refused_before_any_work():
    def must_not_run(*_):
        raise AssertionError

    for device in ("abacus", "cuda:77"):
        with pytest.raises(InputError, match=f"`device` must be one that torch can use here; got '{device}'"):
            interdyn.measure(must_not_run, torch.ones(1, 3), target=0, players=columns(), device=device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tables_stay_where_the_network_is_unless_a_device_is_named(generator):
    x, model = torch.randn(2, 5, generator=generator), torch.nn.Linear(5, 3)
    options = {"target": 1, "players": columns()}
    on_cpu, on_gpu = interdyn.measure(model, x, **options), interdyn.measure(model.cuda(), x, **options)
    split_on_cpu = interdyn.measure(model, x, device="cpu", **options)
    assert on_gpu.i_and.device.type == "cuda"
    assert split_on_cpu.i_and.device.type == "cpu"
    assert next(model.parameters()).device.type == "cuda"
    torch.testing.assert_close(split_on_cpu.objective, on_cpu.objective, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(on_gpu.objective.cpu(), on_cpu.objective, rtol=2e-3, atol=1e-6)  # within the tolerance
