"""``interdyn study``."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interdyn.cli._data_root import DataRoot, use_data_root
from interdyn.cli._engines import Address, EngineName, ShardName, Where, Workers, opened
from interdyn.cli._execute import import_from_here, stoppable
from interdyn.cli._say import say

if TYPE_CHECKING:
    from interdyn.recipes import Study, StudyResult
    from interdyn.recipes._over_seeds import Estimate


def study(
    file: Annotated[Path, typer.Argument(help="TOML file of the study; see docs/studies.md.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of its runs; default: runs/NAME.", show_default=False)
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Make no runs; only look at those there are.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Scale every run down to a few seconds.")] = False,
    data_root: DataRoot = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run what the recipe names as module:factory.")
    ] = False,
    engine: EngineName = None,
    workers: Workers = None,
    address: Address = None,
    shard: ShardName = None,
) -> None:
    """Make the runs that answer a question, and hold its claims against them; stopped, it can be continued.

    Each run is a unit of work: with workers so many are made at a time. Exits with 1 if a run fails.

    Example: [bold]interdyn study benchmarks/studies/label-noise.toml --workers 2[/bold]
    """
    from interdyn.recipes import load_study, planned, read_study
    from interdyn.store import write_json

    use_data_root(data_root)
    if allow_code:
        import_from_here()
    asked = load_study(file)
    folder = out or Path("runs") / asked.name
    problems: list[str] = []
    if not report:
        from interdyn.tracking import Shard

        part = None if shard is None else Shard.of(shard)
        mine = [i for i in range(len(planned(asked))) if part is None or part.has(i)]
        with stoppable(folder), opened(Where(engine, workers, address)) as executor:
            problems = _make(asked, mine, (str(file.resolve()), str(folder.resolve()), smoke, allow_code), executor)
    result = read_study(asked, folder)
    for problem in [*problems, *(f"{name}: {why}" for name, why in result.failed.items())]:
        say(f"failed: {problem}", err=True)
    if not result.finished:
        say(f"No run of the study is finished in {folder}.")
        raise typer.Exit(1)
    told = show(result)
    write_json(folder / "study.json", told)
    say(f"Look at: {_page(result, folder / 'study.html')}")
    if problems:
        raise typer.Exit(1)


def _make(study: "Study", mine: list[int], told: tuple[str, str, bool, bool], executor: Executor | None) -> list[str]:
    """Make the runs of the numbers in ``mine``; return what went wrong, by run."""
    from interdyn.recipes import planned
    from interdyn.recipes._study import run_of_study

    file, folder, smoke, allow_code = told
    plan, problems = planned(study), []
    handed: dict[int, Future[str]] = {}
    for at in mine if executor is not None else ():
        assert executor is not None
        handed[at] = executor.submit(run_of_study, file, at, folder, smoke, allow_code)
    for count, at in enumerate(mine, start=1):
        say(f"run {count} of {len(mine)}: {plan[at].folder}", err=True)
        problem = handed[at].result() if handed else run_of_study(file, at, folder, smoke, allow_code)
        problems += [problem] if problem else []
    return problems


def show(result: "StudyResult") -> dict[str, Any]:
    """Print what a study has found, and return it as plain data."""
    from interdyn.recipes._study import to_json

    told = to_json(result)
    say(f"{result.study.question} {len(result.finished)} of {len(result.runs)} runs are finished.")
    for heading, columns, rows in _tables(result):
        say(f"\n{heading}")
        for row in rows:
            say(f"  {row[0]}")
            for name, text in zip(columns[1:], row[1:], strict=True):
                say(f"    {name:<18} {text}")
    return told


def _tables(result: "StudyResult") -> list[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]]:
    """Return heading, columns and rows of the tables of a study."""
    columns = ("variant", "runs", *(name.replace("_", " ") for name in result.study.report))
    kinds: dict[str, Callable[[Estimate], str]] = {"Means over seeds, with 95 % intervals": str}
    if result.study.spread:
        kinds["Standard deviation between seeds, and how many seeds a mean within 10 % needs"] = _spread
    table, runs = result.table(), result.by_variant
    out = [
        (
            heading,
            columns,
            tuple((name, str(len(runs[name])), *map(told, row.values())) for name, row in table.items()),
        )
        for heading, told in kinds.items()
    ]
    claims = [(one.text, one.needed, str(one.got), str(one.got.n), _holds(one.holds)) for one in result.claims()]
    if claims:
        out.append(("Claims", ("claim", "needed", "got", "seeds", "holds"), tuple(claims)))
    return out


def _spread(one: "Estimate") -> str:
    if one.spread is None:
        return "-"
    return f"{one.spread:.3g}" if one.seeds_needed is None else f"{one.spread:.3g} ({one.seeds_needed} seeds)"


def _holds(holds: bool) -> str:
    return "yes" if holds else "NO"


def _page(result: "StudyResult", path: Path) -> Path:
    from interdyn.report import Table, write_study

    tables = [
        Table(f"table-{i}", heading, "", columns, rows) for i, (heading, columns, rows) in enumerate(_tables(result))
    ]
    return write_study(result.by_variant, path, title=result.study.question, tables=tables)
