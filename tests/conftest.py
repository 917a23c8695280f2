"""Fixtures of all tests: seeded randomness, one Hypothesis profile, one thread each (the tests run side by side)."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # also for the interpreters that tests start; before torch reads it

import numpy as np
import pytest
import torch
from hypothesis import settings

# run in interpreters of their own: importing the first turns on checks of every shape
collect_ignore = ["checked_flow.py", "distributed_training.py"]
torch.set_num_threads(1)
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
