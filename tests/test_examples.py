"""Every example runs as it stands, in a folder of its own, and says how its training went."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example, tmp_path):
    quiet = {"WANDB_SILENT": "true", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, example],
        cwd=tmp_path,
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "problem" not in done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith(("At step", "No verdict"))]
    assert len(said) == 1, done.stdout
    if example.stem == "plain_pytorch":
        assert "over-fitting has begun" in said[0]


def test_there_is_one_for_each_door():
    doors = {"accelerate", "hugging_face", "keras", "lightning", "loggers", "plain"}
    assert {path.stem.rsplit("_", 1)[0] for path in EXAMPLES} == doors
