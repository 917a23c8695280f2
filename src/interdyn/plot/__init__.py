"""Figures of a run: one function per question, from plain data to matplotlib axes.

Every function takes a run directory (or a `RunResult`, or the two JSON objects of a run) and an optional
``ax``, draws with intervals and units, and returns the axes. Where data was not recorded, the panel states what to
record. Nothing is displayed and no global setting is changed. What a figure shows is a `Panel`, plain arrays and
text, made by `panels`; `draw` puts it on axes, and the pages of `interdyn.report` show the same panels.
"""

from interdyn.plot import (
    _available as _available,  # first, to name the extra
    panels,
)
from interdyn.plot._accessors import ResultPlots, RunPlots
from interdyn.plot._draw import draw
from interdyn.plot._figures import (
    plot_comparison,
    plot_dynamics,
    plot_loss_gap,
    plot_losses,
    plot_mean_order,
    plot_noise,
    plot_order_distribution,
    plot_strengths,
    plot_theory,
    plot_theory_distance,
)
from interdyn.plot._marks import phase_2_begins as phase_2_begins
from interdyn.plot._overview import plot_overview
from interdyn.plot._panel import Panel, Rule, Series, Step, Used, Waterfall
from interdyn.plot._prediction import plot_prediction, plot_prediction_distance
from interdyn.plot._quality import plot_row_norms, plot_solver
from interdyn.plot._sample import plot_sample
from interdyn.plot._samples import plot_samples
from interdyn.plot._save import save_figures
from interdyn.plot._sparsity import plot_sparsity
from interdyn.plot._steps import StepAxis, step_label as step_label
from interdyn.plot._uses import plot_network, plot_top, plot_top_over_training, plot_waterfall
from interdyn.plot._view import Drawable, as_view, has_numbers as has_numbers, load_run
from interdyn.plot._windows import plot_repeatability

__all__ = [
    "Drawable",
    "Panel",
    "ResultPlots",
    "Rule",
    "RunPlots",
    "Series",
    "Step",
    "StepAxis",
    "Used",
    "Waterfall",
    "as_view",
    "draw",
    "load_run",
    "panels",
    "plot_comparison",
    "plot_dynamics",
    "plot_loss_gap",
    "plot_losses",
    "plot_mean_order",
    "plot_network",
    "plot_noise",
    "plot_order_distribution",
    "plot_overview",
    "plot_prediction",
    "plot_prediction_distance",
    "plot_repeatability",
    "plot_row_norms",
    "plot_sample",
    "plot_samples",
    "plot_solver",
    "plot_sparsity",
    "plot_strengths",
    "plot_theory",
    "plot_theory_distance",
    "plot_top",
    "plot_top_over_training",
    "plot_waterfall",
    "save_figures",
]
