"""Figures of a run: one function per question, from plain data to matplotlib axes.

Every function takes a run directory (or a `RunView`, or the two JSON objects of a run) and an optional
``ax``, draws with intervals and units, and returns the axes. Data that was not recorded gives a panel that
says what to record. Nothing is shown and no global setting is touched.
"""

from interdyn.plot._compare import COLOURS, QUANTITIES, course_of, named_runs, plot_comparison
from interdyn.plot._notebook import run_html
from interdyn.plot._orders import plot_dynamics, plot_order_distribution, plot_strengths
from interdyn.plot._phases import plot_loss_gap, plot_mean_order
from interdyn.plot._quality import plot_row_norms, plot_solver
from interdyn.plot._sample import plot_sample
from interdyn.plot._samples import plot_samples
from interdyn.plot._save import save_figures
from interdyn.plot._sparsity import plot_sparsity
from interdyn.plot._steps import StepAxis, step_label
from interdyn.plot._style import group_name
from interdyn.plot._theory import plot_noise, plot_theory, plot_theory_distance
from interdyn.plot._view import Drawable, as_view, has_numbers, load_run

__all__ = [
    "COLOURS",
    "QUANTITIES",
    "Drawable",
    "StepAxis",
    "as_view",
    "course_of",
    "group_name",
    "has_numbers",
    "load_run",
    "named_runs",
    "plot_comparison",
    "plot_dynamics",
    "plot_loss_gap",
    "plot_mean_order",
    "plot_noise",
    "plot_order_distribution",
    "plot_row_norms",
    "plot_sample",
    "plot_samples",
    "plot_solver",
    "plot_sparsity",
    "plot_strengths",
    "plot_theory",
    "plot_theory_distance",
    "run_html",
    "save_figures",
    "step_label",
]
