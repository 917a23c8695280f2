"""The application: its commands, and how errors are reported."""

from collections.abc import Sequence
from typing import Annotated

import typer

from interdyn._version import VERSION
from interdyn.cli._check import check
from interdyn.cli._compare import compare
from interdyn.cli._dashboard import dashboard
from interdyn.cli._demo import demo
from interdyn.cli._execute import plain_warnings
from interdyn.cli._export import export
from interdyn.cli._recipes import recipes
from interdyn.cli._report import report
from interdyn.cli._run import run
from interdyn.cli._samples import samples
from interdyn.cli._say import say
from interdyn.cli._study import study
from interdyn.cli._summary import summary
from interdyn.cli._trust import trust
from interdyn.cli._verdicts import verdicts
from interdyn.cli._verify import verify
from interdyn.cli._watch import watch
from interdyn.errors import InterdynError

app = typer.Typer(
    name="interdyn",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(asked: bool) -> None:
    if asked:
        say(f"interdyn {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Show which interactions a network has learned, how they change during training, and when training harms."""


for panel, commands in {
    "Train and measure": (demo, run, study, watch, recipes),
    "Results": (report, compare, dashboard, summary, samples, verdicts, export),
    "Checks": (verify, trust, check),
}.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an `InterdynError` is one line on standard error and exit status 2, a warning one line.

    Any other error comes from the user's code, or is a defect, and keeps its traceback.
    """
    try:
        with plain_warnings():
            app(args=None if arguments is None else list(arguments))
    except InterdynError as error:
        say(f"interdyn: {' '.join(str(error).split())}", err=True)
        raise SystemExit(2) from None
