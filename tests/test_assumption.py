"""What `./run assumption` says of the noise of interactions, on draws whose noise is known."""

import numpy as np
import pytest
import torch
from torch import nn

from assumption import disturbed, together, variances, verdict
from interdyn.measurement import MeasurementConfig
from interdyn.measurement._config import Group
from interdyn.players import columns
from interdyn.transforms import and_from_values
from interdyn.values import orders


def test_tables_with_independent_noise_give_the_variance_of_the_assumption(rng):
    """An AND interaction of k players adds 2^k outputs, each with noise of its own."""
    found = and_from_values(rng.standard_normal((400, 3, 64)))
    by_order = variances(found)
    np.testing.assert_allclose(by_order, 2.0 ** np.arange(1, 7), rtol=0.3)


def test_independent_interactions_go_together_as_much_as_by_chance(rng):
    independent = 5 + rng.standard_normal((40, 3, 32))  # a mean is no correlation
    r, chance = together(independent)
    assert r == pytest.approx(chance, rel=0.1)
    one_source = rng.standard_normal((40, 3, 1)) * np.ones(32) + 0.3 * independent
    assert together(one_source)[0] > 3 * chance


def test_what_fails_is_named():
    assert verdict([1.0, 1.1], [1.0, 1.2]) == "Assumption 1 holds at all disturbances."
    assert "does not double with each order (it grows by 1.41)" in verdict([0.5, 1.0], [1.0, 1.0])
    assert "go together (2.0 times as much as by chance)" in verdict([1.0], [2.0])


def test_weights_are_disturbed_by_a_part_of_their_size_and_put_back():
    network = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[3.0, -3.0, 3.0, -3.0]]))
    kept = network.weight.detach().clone()
    x = torch.ones(2, 4)
    group = Group("test", (x,), None, (0, 1), MeasurementConfig(players=columns(), baselines=0.0))
    found = disturbed(group, network, size=0.1, draws=200)
    assert torch.equal(network.weight, kept)
    singles = found[:, 0, orders(4) == 1]
    np.testing.assert_allclose(singles.std(axis=0), 0.3, rtol=0.2)
    np.testing.assert_allclose(found[:, 0, orders(4) > 1], 0, atol=1e-5)
