"""Everything behind the split at sixteen players: tables of 65,536 entries, in seconds."""

import numpy as np
import pytest
import torch

from interdyn.sparsify import split
from interdyn.spectra import order_profile, order_spectrum, output_without
from interdyn.theory import row_norms, strength_by_level, target_weights
from interdyn.values import orders

N = 16


@pytest.fixture(scope="module")
def found():
    """The split of a game that needs few steps: interactions of all orders, planted."""
    generator = torch.Generator().manual_seed(0)
    v = torch.zeros(2, 2**N, dtype=torch.float64)
    subsets = np.arange(2**N)
    for row in range(2):
        for size in (1, 2, 3, 5, 8):
            players = torch.randperm(N, generator=generator)[:size]
            subset = int((1 << players).sum())
            v[row] += torch.from_numpy((subsets & subset == subset) * (3.0 + size))
    return split(v, noise_bound=0.0, tol=1e-2)


def test_planted_interactions_are_found(found):
    assert (found.gap <= 1e-2).all()
    spectrum = order_spectrum(found)
    total = spectrum.strength.sum(axis=-1)
    for size in (1, 2, 3, 5, 8):
        np.testing.assert_allclose(spectrum.strength[:, size - 1], 3 + size, rtol=0.1)
    np.testing.assert_allclose(total, 5 * 3 + 19, rtol=0.05)
    assert order_profile(spectrum).mean_order.shape == (2,)
    assert output_without(found).shape == (2, N)


def test_the_theory_keeps_up(found):
    weights = target_weights(found)
    strength = strength_by_level(weights, np.array([0.0, 1e-3]))
    assert strength.shape == (2, 2, N)
    kept = (weights.i_and.abs() + weights.i_or.abs()).numpy()
    expected = np.stack([kept[:, orders(N) == k].sum(axis=1) for k in range(1, N + 1)], axis=1)
    assert (strength[0] <= expected + 1e-9).all()
    assert (strength[1].sum() < strength[0].sum()).all()
    assert row_norms(N, np.array([1e-6])).shape[-1] == N + 1


def test_exports_keep_up(found):
    assert found[0].to_shapiq().n_players == N
    assert len(found[0].to_pandas()) > 0
    assert found.to_xarray().sizes["subset"] == 2**N
    assert found.to_shap().values.shape == (2, N)
