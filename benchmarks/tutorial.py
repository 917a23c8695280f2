"""Run the tutorial and keep its outputs in it.

Run: ./run pictures
"""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TUTORIAL = Path(__file__).parents[1] / "examples" / "tutorial.ipynb"


def main() -> None:
    """Run every cell in a folder of its own, and write the notebook back."""
    notebook = nbformat.read(TUTORIAL, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:  # when it ran is of no use to anyone, and would change at every run
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, TUTORIAL)


if __name__ == "__main__":
    main()
