"""Results for other tools: files, shapiq, SHAP, xarray, pandas; and reading those of the authors' code."""

from interdyn.exports._dividends import shapley_values, to_shap, to_shapiq
from interdyn.exports._files import FORMATS, export_run
from interdyn.exports._laboratory import read_laboratory
from interdyn.exports._saved import load_interactions as load_interactions, save_interactions as save_interactions
from interdyn.exports._tables import run_to_pandas, run_to_xarray, to_pandas, to_xarray

__all__ = [
    "FORMATS",
    "export_run",
    "read_laboratory",
    "run_to_pandas",
    "run_to_xarray",
    "shapley_values",
    "to_pandas",
    "to_shap",
    "to_shapiq",
    "to_xarray",
]
