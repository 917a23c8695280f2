"""``interdyn verify``."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from interdyn.cli._say import cell, say


def verify(run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Compare a finished run with what its recipe expects; exit with 1 when that does not hold.

    Example: [bold]interdyn verify interdyn-demo[/bold]
    """
    from interdyn.errors import InputError
    from interdyn.recipes import checks, resolve
    from interdyn.report import left_open, split_rule
    from interdyn.store import open_run, read_recipe, read_result

    opened = open_run(run)
    if opened.open_ended:
        raise InputError(f"`verify` needs a run of a recipe, which says what to expect; got a tracked training, {run}.")
    result = read_result(opened)
    say(f"Split: {split_rule(result.split)}. Orders: of {result.game}.")
    if result.identified is not None:
        say(f"Left open by sparsity at the last checkpoint: {left_open(result.identified)}.")
    found = checks(result, resolve(read_recipe(opened)).expected)
    if not found:
        say("The recipe expects nothing, as one that is scaled down does not; nothing to compare.")
        return
    table = Table("expected", "needed", "got", "holds", title=cell(opened.recipe_name), box=box.SIMPLE_HEAD)
    for check in found:
        table.add_row(cell(check.key), cell(check.needed), _text(check.got), "yes" if check.holds else "NO")
    Console().print(table)
    failed = sum(not check.holds for check in found)
    if failed:
        say(f"{failed} of {len(found)} expectations do not hold.")
        raise typer.Exit(1)
    say(f"All {len(found)} expectations hold.")


def _text(got: float | bool | None) -> str:
    if got is None:
        return "not in the run"
    if isinstance(got, bool):
        return "yes" if got else "no"
    return f"{got:.4g}"
