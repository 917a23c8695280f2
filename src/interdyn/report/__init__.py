"""The report of a run: one HTML file that explains itself and works offline."""

from interdyn.report._page import render, write_report

__all__ = ["render", "write_report"]
