"""``interdyn verify``."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from interdyn.cli._say import cell, say


def verify(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, the TOML file of a study, or its study.json.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the runs of a study. Default: runs/NAME.", show_default=False)
    ] = None,
) -> None:
    """Check a finished run against what its recipe expects, or a study against its claims.

    Exits with 1 if an expectation does not hold, or the value of a claim is not within what it needs. What the
    intervals of the claims establish is shown too.

    Example: **interdyn verify interdyn-demo**
    """
    from interdyn.errors import InputError
    from interdyn.measurement import History, prediction_again
    from interdyn.recipes import NOT_CHECKED, check_prediction, checks, resolve
    from interdyn.report import left_open, split_rule
    from interdyn.store import open_run, read_recipe, read_result

    if run.suffix in (".toml", ".json"):
        _verify_study(run, out)
        return
    opened = open_run(run)
    if opened.open_ended:
        raise InputError(f"`verify` needs a run of a recipe, which says what to expect; got a tracked training, {run}.")
    result = read_result(opened)
    say(f"Split: {split_rule(result.split)}. Players: {result.game}.")
    if result.identified is not None:
        say(f"At the last checkpoint: {left_open(result.identified)}.")
    recipe = resolve(read_recipe(opened))
    for key, why in NOT_CHECKED.items():
        if getattr(recipe.expected, key) is not None:
            say(f"Not checked: {key}, because {why}.")
    found = checks(result, recipe.expected)
    if not found:
        say("The recipe states no expectations; a recipe that is scaled down has none.")
    if result.prediction is None:
        say("Not checked: the prediction, because version 0.1 wrote this run. Run its recipe again in another folder.")
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
    say("The expectation holds." if len(found) == 1 else f"All {len(found)} expectations hold.")


def _verify_study(file: Path, out: Path | None) -> None:
    from interdyn.cli._study import show
    from interdyn.recipes import StudyResult, load_study, read_study, tally

    if file.suffix == ".json":
        result = StudyResult.from_json(_plain(file))
    else:
        asked = load_study(file)
        result = read_study(asked, out or Path("runs") / asked.name)
    show(result)
    claims = result.claims()
    missing, failed = len(result.runs) - len(result.finished), sum(not claim.holds for claim in claims)
    say(f"By complete intervals, of {len(claims)} claims {tally(claims) or 'none holds'}.")
    if missing or failed:
        say(
            f"By values, {failed} of {len(claims)} claims are not within what they need; "
            f"{missing} of {len(result.runs)} runs are not finished."
        )
        raise typer.Exit(1)
    say(f"By values, all {len(claims)} claims are within what they need.")


def _plain(file: Path) -> dict[str, Any]:
    from interdyn.errors import RunError

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{file} must be the study.json of a study; got {error}. Pass another file.") from None
    return content if isinstance(content, dict) else {}


def _text(got: float | bool | None) -> str:
    if got is None:
        return "not in the run"
    if isinstance(got, bool):
        return "yes" if got else "no"
    return f"{got:.4g}"
