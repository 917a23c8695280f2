"""For tests and docstring examples alike: compiled once, Keras reads its backend when imported, nothing calls home."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
for name, value in {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "DO_NOT_TRACK": "true"}.items():
    os.environ[name] = value


def pytest_configure(config: pytest.Config) -> None:
    """Compile what the split is made of before workers start, or each of them would."""
    if hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None):
        return
    code = (
        "import sys, torch; from interdyn import transforms as t; from interdyn.sparsify._fused import loop;"
        "v = torch.zeros(1, 64, dtype=torch.float64); t.and_from_values(v), t.values_from_and(v), t.or_from_values(v),"
        "t.values_from_or(v); loop(sys.argv[1])"
    )
    layouts = ("side by side", "within")
    started = [subprocess.Popen([sys.executable, "-c", code, layout], stderr=subprocess.DEVNULL) for layout in layouts]
    for each in started:  # whatever goes wrong, a test will tell
        each.wait()


@pytest.fixture(autouse=True)
def _forgetful_accelerate() -> Iterator[None]:
    """Let no test see the state of Accelerate, one for the whole process, that the test before left."""
    yield
    if "accelerate.state" in sys.modules:
        from accelerate.state import AcceleratorState, GradientState

        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
