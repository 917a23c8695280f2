"""``interdyn verify``."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from interdyn.cli._say import cell, say


def verify(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or the TOML file of a study.")],
    out: Annotated[
        Path | None, typer.Option(help="Of a study: folder of its runs; default: runs/NAME.", show_default=False)
    ] = None,
) -> None:
    """Hold a finished run against what its recipe expects, or a study against its claims; exit with 1 if not so.

    Example: [bold]interdyn verify interdyn-demo[/bold]
    """
    from interdyn.errors import InputError
    from interdyn.measurement import History, prediction_again
    from interdyn.recipes import NOT_CHECKED, check_prediction, checks, resolve
    from interdyn.report import left_open, split_rule
    from interdyn.store import open_run, read_recipe, read_result

    if run.suffix == ".toml":
        _verify_study(run, out)
        return
    opened = open_run(run)
    if opened.open_ended:
        raise InputError(f"`verify` needs a run of a recipe, which says what to expect; got a tracked training, {run}.")
    result = read_result(opened)
    say(f"Split: {split_rule(result.split)}. Orders: of {result.game}.")
    if result.identified is not None:
        say(f"Left open by sparsity at the last checkpoint: {left_open(result.identified)}.")
    recipe = resolve(read_recipe(opened))
    for key, why in NOT_CHECKED.items():
        if getattr(recipe.expected, key) is not None:
            say(f"Not checked any more: {key}, since {why}.")
    found = checks(result, recipe.expected)
    if not found:
        say("The recipe expects nothing, as one that is scaled down does not.")
    if result.prediction is None:
        say("The run holds no prediction, as those of earlier versions; remove summary.json and run it again for one.")
    else:
        again = prediction_again(History.read(opened), options=recipe.analysis.model_dump())
        found.append(check_prediction(result, again))
    if not found:
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


def _verify_study(file: Path, out: Path | None) -> None:
    from interdyn.cli._study import show
    from interdyn.recipes import load_study, read_study

    study = load_study(file)
    result = read_study(study, out or Path("runs") / study.name)
    show(result)
    lacking, failed = len(result.runs) - len(result.finished), sum(not claim.holds for claim in result.claims())
    if lacking or failed:
        say(
            f"{failed} of {len(study.claim)} claims do not hold; {lacking} of {len(result.runs)} runs are not finished."
        )
        raise typer.Exit(1)
    say(f"All {len(study.claim)} claims hold.")


def _text(got: float | bool | None) -> str:
    if got is None:
        return "not in the run"
    if isinstance(got, bool):
        return "yes" if got else "no"
    return f"{got:.4g}"
