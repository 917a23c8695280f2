"""The application: its commands, and what becomes of errors."""

from collections.abc import Sequence

import typer

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
    help="Which symbolic interactions a network has learned, and how they change while it trains.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (
    demo,
    run,
    study,
    watch,
    report,
    compare,
    dashboard,
    summary,
    samples,
    verdicts,
    verify,
    trust,
    check,
    export,
    recipes,
):
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors of ours print one line on standard error and exit with 2, warnings of ours one line.

    Any other error is one of the user's code, or a defect, and keeps its traceback.
    """
    try:
        with plain_warnings():
            app(args=None if arguments is None else list(arguments))
    except InterdynError as error:
        say(f"interdyn: {' '.join(str(error).split())}", err=True)
        raise SystemExit(2) from None
