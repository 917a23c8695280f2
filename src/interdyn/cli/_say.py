"""Output to the terminal: text from runs is shown, and its control characters are escaped."""

import re

import typer
from rich.markup import escape

# control characters except tabs and line ends, marks that change the writing direction, surrogates
_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    r"""Return a text with terminal control characters escaped as ``\u001b``; JSON stays the same JSON.

    Examples
    --------
    >>> print(shown("a \x1b[31mred\x1b[0m name"))
    a \u001b[31mred\u001b[0m name
    """
    return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Write a line to standard output, or to standard error."""
    typer.echo(shown(str(text)), err=err, nl=nl)


def cell(text: object) -> str:
    r"""Return text for a table or a title of `rich`, which reads brackets as markup.

    Examples
    --------
    >>> print(cell("[bold]x"))
    \[bold]x
    """
    return escape(shown(str(text)))
