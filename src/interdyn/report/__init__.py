"""The report of a run, or of several beside each other: one HTML file that explains itself and works offline."""

from interdyn.report._compare import write_comparison
from interdyn.report._page import render, write_report

__all__ = ["render", "write_comparison", "write_report"]
