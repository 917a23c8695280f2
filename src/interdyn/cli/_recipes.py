"""``interdyn recipes``."""

from rich import box
from rich.console import Console
from rich.table import Table

from interdyn.cli._say import cell


def recipes() -> None:
    """List the recipes of all installed packages.

    Example: **interdyn recipes**
    """
    from interdyn import recipes as library

    table = Table("recipe", "description", box=box.SIMPLE_HEAD)
    for name, description in library.recipes().items():
        table.add_row(cell(name), cell(description))
    Console().print(table)
