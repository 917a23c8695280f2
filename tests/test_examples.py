"""Every example runs as it stands, in a folder of its own, and says how its training went."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TUTORIAL = Path(__file__).parents[1] / "examples" / "tutorial.ipynb"
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.example
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
        assert "phase 2 began" in said[0]


@pytest.mark.example
def test_the_tutorial_runs_and_comes_to_what_it_says(tmp_path):
    notebook = nbformat.read(TUTORIAL, as_version=4)
    said = [_said(cell) for cell in notebook.cells]
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    for cell, before in zip(notebook.cells, said, strict=True):
        assert [kind for kind, _ in _said(cell)] == [kind for kind, _ in before], cell.source
    everything = "".join(text for cell in notebook.cells for _, text in _said(cell))
    assert "phase 2 began" in everything
    assert (tmp_path / "tutorial-run" / "summary.json").is_file()


def _said(cell):
    """Return the kinds of output of a cell, as kept in the file or as computed anew, with its text."""
    return [
        (",".join(sorted(output.get("data", {"text": ""}))), output.get("data", output).get("text/plain", ""))
        for output in cell.get("outputs", [])
    ]


def test_there_is_one_for_each_door():
    doors = {"accelerate", "hugging_face", "keras", "lightning", "loggers", "plain"}
    assert {path.stem.rsplit("_", 1)[0] for path in EXAMPLES} == doors
