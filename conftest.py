"""For tests and docstring examples alike: Keras reads its backend when it is imported, and nothing calls home."""

import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
for name, value in {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "DO_NOT_TRACK": "true"}.items():
    os.environ[name] = value


@pytest.fixture(autouse=True)
def _forgetful_accelerate() -> Iterator[None]:
    """Let no test see the state of Accelerate, one for the whole process, that the test before left."""
    yield
    if "accelerate.state" in sys.modules:
        from accelerate.state import AcceleratorState, GradientState

        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
