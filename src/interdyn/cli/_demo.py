"""``interdyn demo``."""

from pathlib import Path
from typing import Annotated

import typer

RECIPE = "digits-cnn"


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run. An unfinished run in it is continued.")] = Path(
        "interdyn-demo"
    ),
    smoke: Annotated[bool, typer.Option("--smoke", help="Scale the demo down to a few seconds, as a test.")] = False,
) -> None:
    """Train a small network on handwritten digits and show how its interactions change.

    Trains until the network overfits, measures the interactions at every checkpoint, finds the phases, tests the
    theory, and writes report.html, summary.json and the figures. Takes two to seven minutes on two cores.

    Example: **interdyn demo --out my-demo**
    """
    from interdyn.cli._execute import execute, tell

    tell(execute(RECIPE, out, smoke=smoke))
