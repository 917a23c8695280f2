"""Fixtures of all tests: seeded randomness, one Hypothesis profile, one thread each (the tests run side by side)."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # also for the interpreters that tests start; before torch reads it

import numpy as np
import pytest
import torch
from hypothesis import settings

from pages import CHROMIUM

# run in interpreters of their own: importing the first turns on checks of every shape
collect_ignore = ["checked_flow.py", "distributed_training.py"]
torch.set_num_threads(1)
settings.register_profile("interdyn", deadline=None, max_examples=30, derandomize=True, print_blob=True)
settings.load_profile("interdyn")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", type=int, default=None, help="inputs of the fuzzers in all; 2,000 by default")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts the same for every test."""
    return np.random.default_rng(0)


@pytest.fixture
def generator() -> torch.Generator:
    """The same for torch."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def opened():
    """A browser for the tests of a file."""
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*flags.split(), "--no-first-run"])
        yield browser
        browser.close()


@pytest.fixture
def chromium(opened):
    """A browser driven as a person would; its windows are closed after the test."""
    yield opened
    for context in opened.contexts:
        context.close()


@pytest.fixture
def without_figures(monkeypatch):
    """Reports without the PNG files beside them, which take longer than the page."""
    monkeypatch.setattr("interdyn.report._page.save_figures", lambda _: [])
