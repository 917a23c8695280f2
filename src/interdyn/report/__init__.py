"""The report of a run, or of several beside each other: one HTML file that explains itself and works offline."""

from interdyn.report._compare import write_comparison
from interdyn.report._page import filled, render, write_report
from interdyn.report._samples import samples
from interdyn.report._uses import Uses
from interdyn.report._words import left_open, split_rule

__all__ = ["Uses", "filled", "left_open", "render", "samples", "split_rule", "write_comparison", "write_report"]
