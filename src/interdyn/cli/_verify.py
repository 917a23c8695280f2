"""``interdyn verify``."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table


def verify(run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Compare a finished run with what its recipe expects; exit with 1 when that does not hold.

    Example: [bold]interdyn verify interdyn-demo[/bold]
    """
    from interdyn.recipes import checks, resolve
    from interdyn.store import open_run, read_recipe, read_summary

    opened = open_run(run)
    found = checks(read_summary(opened), resolve(read_recipe(opened)).expected)
    table = Table("expected", "needed", "got", "holds", title=opened.recipe_name, box=box.SIMPLE_HEAD)
    for check in found:
        table.add_row(check.key, check.needed, _text(check.got), "yes" if check.holds else "NO")
    Console().print(table)
    failed = sum(not check.holds for check in found)
    if failed:
        typer.echo(f"{failed} of {len(found)} expectations do not hold.")
        raise typer.Exit(1)
    typer.echo(f"All {len(found)} expectations hold." if found else "The recipe expects nothing; nothing to compare.")


def _text(got: float | bool | None) -> str:
    if got is None:
        return "not in the run"
    if isinstance(got, bool):
        return "yes" if got else "no"
    return f"{got:.4g}"
