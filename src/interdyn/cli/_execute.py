"""What ``demo`` and ``run`` share: run a recipe under progress bars, write the report, print the verdict."""

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from interdyn.cli._engines import Where, opened
from interdyn.cli._say import say
from interdyn.errors import InterdynWarning, MissingExtraError, missing_extra

if TYPE_CHECKING:
    from interdyn.recipes._run import Progress as Callback
    from interdyn.store import Run


_UNITS = {"training": "steps", "measuring": "measurements"}


def execute(
    recipe: str,
    out: Path | None,
    *,
    overrides: Sequence[str] = (),
    scale: str | None = None,
    smoke: bool = False,
    needs_page: bool = True,
    allow_code: bool = False,
    where: Where = Where(),  # noqa: B008  frozen
) -> "Run":
    """Run a recipe and write its report; see `recipes.run_recipe`.

    Code that the recipe names is refused, or listed with ``allow_code``, before anything runs.

    Where a package of the report is not installed, ``needs_page`` decides whether to refuse before the work begins, or
    to do the work and report what is missing.
    """
    from interdyn.recipes import code_of, load_recipe

    resolved = load_recipe(
        recipe, overrides=overrides, scale=scale, smoke=smoke
    )  # quick to refuse, before torch is loaded
    code = code_of(resolved)
    if code and allow_code:
        import_from_here()
        say(f"the recipe runs this code: {', '.join(f'{name} ({key})' for key, name in code.items())}", err=True)
    missing = _missing()
    if missing and needs_page:
        raise missing
    from interdyn.recipes import run_recipe
    from interdyn.store import has_result

    folder = out or Path("runs") / "-".join([resolved.name, *([scale] if scale else []), *(["smoke"] if smoke else [])])
    on_card = (resolved.training.device or "cpu") != "cpu"
    with stoppable(folder), opened(where, gpu=on_card) as executor, _bars() as progress:
        run = run_recipe(
            resolved,
            folder,
            progress=progress,
            allow_code=allow_code,
            executor=executor,
            shard=where.shard,
            patience=where.patience,
        )
    if not has_result(run):
        return run
    if missing:
        say(f"No report was written: {missing} Then: interdyn report {run.path}", err=True)
        return run
    write_page(run.path)
    return run


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM was received: handled like Ctrl-C, with another exit status."""


@contextmanager
def stoppable(folder: Path) -> Iterator[None]:
    """Stop cleanly on Ctrl-C and SIGTERM, which leave the run in ``folder`` intact, and report how to continue."""

    def end(*_: object) -> None:
        raise _TerminatedError

    here = threading.current_thread() is threading.main_thread()  # others cannot be sent signals
    before = signal.signal(signal.SIGTERM, end) if here else None
    try:
        yield
    except KeyboardInterrupt as stop:
        there = (folder / "run.json").is_file()
        kept = f"All measurements so far are saved in {folder}" if there else "Nothing was written"
        say(f"interdyn: stopped. {kept}. To continue, repeat the command.", err=True)
        raise typer.Exit(128 + (signal.SIGTERM if isinstance(stop, _TerminatedError) else signal.SIGINT)) from None
    finally:
        if here:
            signal.signal(signal.SIGTERM, before)


def import_from_here() -> None:
    """Allow a module that the user has named to be imported from the current folder.

    Only then: an optional package that is not installed must not be found there.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def write_page(folder: Path) -> Path:
    """Write the report of a run, which takes some seconds, with a line of progress where there is no terminal."""
    from interdyn.report import write_report

    if not Console(stderr=True).is_terminal:
        say(f"writing the report of {folder}", err=True)
    with _quiet_fonts():
        return write_report(folder)


def _missing() -> MissingExtraError | None:
    """Return the error for the first package of the report that is not installed."""
    for package in ("matplotlib", "plotly", "jinja2"):
        if find_spec(package) is None:
            return missing_extra(package, "report", "the report")
    return None


def tell(run: "Run") -> None:
    """Print the verdict of a finished run and the paths of its results."""
    from interdyn.store import has_result, read_result

    if not has_result(run):
        say("This shard is finished. The last shard to finish writes the results.")
        return
    for sentence in read_result(run).verdict:
        say(sentence)
    page = run.path / "report.html"
    if page.exists():
        say(f"\nReport:  {page}")
    say(f"Numbers: {run.path / 'summary.json'}   (interdyn summary {run.path})")


@contextmanager
def _bars() -> Iterator["Callback"]:
    """Show a bar with the remaining time for each stage; where standard error is not a terminal, print lines."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines().update
        return
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console) as bars:
        tasks = {stage: bars.add_task(stage, total=None) for stage in ("training", "measuring", "analysing")}

        def update(stage: str, done: int, total: int) -> None:
            bars.update(tasks[stage], completed=done, total=total)

        yield update


class Lines:
    """Progress for a log file: a line on standard error at the start and end of a stage, and every few seconds.

    Parameters
    ----------
    every
        Seconds between lines.
    """

    def __init__(self, every: float = 5.0) -> None:
        self._every, self._next, self._ended = every, 0.0, set[str]()

    def update(self, stage: str, done: int, total: int) -> None:
        """Write a line if one is due."""
        ends = done >= total and stage not in self._ended
        if monotonic() < self._next and not ends:
            return
        self._ended |= {stage} if ends else set()
        self._next = monotonic() + self._every
        say(f"{stage}: {done:,} of {total:,} {_UNITS.get(stage, '')}".rstrip(), err=True)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings of interdyn as one line each, without the place in the code."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, InterdynWarning):
                say(f"interdyn: {message}", err=True)
            else:
                shown(message, category, *place, **more)

        warnings.showwarning = show
        yield


@contextmanager
def _quiet_fonts() -> Iterator[None]:
    """Suppress matplotlib's note about building its font cache."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
