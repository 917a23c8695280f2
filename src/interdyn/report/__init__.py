"""The report of one run, or the comparison of several: one HTML file that works offline.

`application` and `serve` show the same page while a run is written; they need the extra ``live`` and are loaded on use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from interdyn.report._compare import Table as Table, write_comparison, write_study
from interdyn.report._page import render as render, write_report
from interdyn.report._words import left_open as left_open, split_rule as split_rule

if TYPE_CHECKING:
    from interdyn.report._live import application, serve

__all__ = [
    "application",
    "serve",
    "write_comparison",
    "write_report",
    "write_study",
]


def __getattr__(name: str) -> Any:
    if name in ("application", "serve"):
        return getattr(import_module("interdyn.report._live"), name)
    raise AttributeError(f"module 'interdyn.report' has no attribute {name!r}")
