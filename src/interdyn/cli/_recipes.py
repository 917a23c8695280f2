"""``interdyn recipes``."""

from rich import box
from rich.console import Console
from rich.table import Table

from interdyn.cli._execute import plain_warnings


def recipes() -> None:
    """List the recipes of all installed packages that provide some.

    Example: [bold]interdyn recipes[/bold]
    """
    from interdyn import recipes as library

    table = Table("recipe", "what it does", box=box.SIMPLE_HEAD)
    with plain_warnings():
        for name, description in library.recipes().items():
            table.add_row(name, description)
    Console().print(table)
