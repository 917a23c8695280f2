"""Fixtures of all tests: seeded randomness, one Hypothesis profile."""

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("interdyn", deadline=None, max_examples=30, derandomize=True, print_blob=True)
settings.load_profile("interdyn")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts the same for every test."""
    return np.random.default_rng(0)


@pytest.fixture
def generator() -> torch.Generator:
    """The same for torch."""
    return torch.Generator().manual_seed(0)
