"""The option ``--data-root``, of every command that trains or measures."""

import os
from pathlib import Path
from typing import Annotated

import typer

DataRoot = Annotated[
    Path | None,
    typer.Option(envvar="INTERDYN_DATA", help="Folder of the data sets that no package provides.", show_default=False),
]


def use_data_root(folder: Path | None) -> None:
    """Set the folder of data sets, for this process and those that it starts."""
    if folder is not None:
        os.environ["INTERDYN_DATA"] = str(folder)
