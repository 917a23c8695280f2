"""``interdyn demo``."""

from pathlib import Path
from typing import Annotated

import typer

RECIPE = "digits-cnn"


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run; an unfinished run there is continued.")] = Path(
        "interdyn-demo"
    ),
    smoke: Annotated[bool, typer.Option("--smoke", help="A tiny version, to see whether it works.")] = False,
) -> None:
    """Train a small network on handwritten digits and watch its interactions.

    It trains until the network over-fits, measures interactions at every checkpoint, fits the theory, finds
    the two phases, and writes report.html, summary.json and the figures. A few minutes on two cores.

    Example: [bold]interdyn demo --out my-demo[/bold]
    """
    from interdyn.cli._execute import execute, tell

    tell(execute(RECIPE, out, smoke=smoke))
