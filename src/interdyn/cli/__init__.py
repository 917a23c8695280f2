"""The command line: one file for each command; `main` is the entry point.

Loading this package loads neither torch nor pydantic; each command imports what it needs when it runs.
"""

from interdyn.cli._app import app, main

__all__ = ["app", "main"]
