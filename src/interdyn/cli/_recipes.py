"""``interdyn recipes``."""

from rich import box
from rich.console import Console
from rich.table import Table


def recipes() -> None:
    """List the recipes that come with the package.

    Example: [bold]interdyn recipes[/bold]
    """
    from interdyn import recipes as library

    table = Table("recipe", "what it does", box=box.SIMPLE_HEAD)
    for name, description in library.recipes().items():
        table.add_row(name, description)
    Console().print(table)
