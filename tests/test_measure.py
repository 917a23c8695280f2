"""From a model to its interactions: known worlds, options, cost."""

import pytest
import torch

import interdyn
from interdyn.errors import InputError


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
    found = interdyn.measure(
        model, x, target=[0, 2], players=interdyn.players.columns(), noise_bound=0.05, identified=True
    )
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

    with pytest.raises(InputError, match="`threads` must be a whole number"):
        interdyn.measure(must_not_run, torch.ones(1, 3), target=0, players=interdyn.players.columns(), threads=0)
