"""``interdyn study``."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interdyn.cli._data_root import DataRoot, use_data_root
from interdyn.cli._engines import Address, EngineName, ShardName, Where, Workers, opened
from interdyn.cli._execute import import_from_here, stoppable
from interdyn.cli._say import say

if TYPE_CHECKING:
    from interdyn.recipes import Study, StudyResult

_TRIES = 3  # for a run whose worker ends unexpectedly


def study(
    file: Annotated[Path, typer.Argument(help="TOML file of the study. See docs/howto/studies.md.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the runs. Default: runs/NAME.", show_default=False)
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Start no runs; report on those that are finished.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Scale every run down to a few seconds.")] = False,
    data_root: DataRoot = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Allow code that the recipe names as module:factory.")
    ] = False,
    engine: EngineName = None,
    workers: Workers = None,
    address: Address = None,
    shard: ShardName = None,
) -> None:
    """Run all trainings of a study and test its claims on them. A stopped study is continued.

    With --workers, several runs are trained at a time. Exits with 1 if a run fails.

    Example: **interdyn study benchmarks/studies/label-noise.toml --workers 2**
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
    show(result)
    write_json(folder / "study.json", result.to_json())
    say(f"Report: {_page(result, folder)}")
    if problems:
        raise typer.Exit(1)


def _make(study: "Study", mine: list[int], given: tuple[str, str, bool, bool], executor: Executor | None) -> list[str]:
    """Train the runs with the numbers in ``mine``; return the errors, one for each failed run."""
    from interdyn.recipes import planned
    from interdyn.recipes._study_result import run_of_study

    file, folder, smoke, allow_code = given
    plan, problems = planned(study), []
    jobs = {at: partial(run_of_study, file, at, folder, smoke, allow_code) for at in mine}
    handed = {} if executor is None else {at: executor.submit(job) for at, job in jobs.items()}
    for count, (at, job) in enumerate(jobs.items(), start=1):
        say(f"run {count} of {len(mine)}: {plan[at].folder}", err=True)
        again = None if executor is None else partial(executor.submit, job)
        problem = job() if again is None else _outlived(handed[at], again, plan[at].folder)
        problems += [problem] if problem else []
    return problems


def _outlived(future: "Future[str]", again: "Callable[[], Future[str]]", name: str) -> str:
    """Wait for a run; if its worker ends unexpectedly, resume it in another worker, three times at most."""
    from interdyn.tracking._pool import WorkerDiedError

    for tries in range(1, _TRIES + 1):
        try:
            return future.result()
        except WorkerDiedError as error:
            if tries == _TRIES:
                return (
                    f"{name}: its worker ended unexpectedly {tries} times; {error}. Use more memory, or fewer workers."
                )
            say(f"{name}: its worker ended unexpectedly; the run resumes in another worker", err=True)
            future = again()
    raise AssertionError


def show(result: "StudyResult") -> None:
    """Print the results of a study."""
    say(f"{result.study.question} {len(result.finished)} of {len(result.runs)} runs are finished.")
    for heading, columns, rows in result.tables():
        say(f"\n{heading}")
        for row in rows:
            say(f"  {row[0]}")
            for name, text in zip(columns[1:], row[1:], strict=True):
                say(f"    {name:<18} {text}")


def _page(result: "StudyResult", folder: Path) -> Path:
    from interdyn.plot import load_run
    from interdyn.recipes import CLAIM_LEGEND
    from interdyn.report import Table, write_study

    tables = [
        Table(f"table-{i}", heading, CLAIM_LEGEND if heading == "Claims" else "", columns, rows)
        for i, (heading, columns, rows) in enumerate(result.tables())
    ]
    named = {name: [load_run(folder / one.planned.folder) for one in runs] for name, runs in result.by_variant.items()}
    return write_study(named, folder / "study.html", title=result.study.question, tables=tables)
