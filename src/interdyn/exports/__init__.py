"""Take results elsewhere: shapiq, SHAP, xarray, pandas, files; and read those of the laboratory."""

from interdyn.exports._arrays import run_to_xarray, to_xarray
from interdyn.exports._files import FORMATS, export_run
from interdyn.exports._laboratory import read_laboratory
from interdyn.exports._shap import shapley_values, to_shap
from interdyn.exports._shapiq import to_shapiq
from interdyn.exports._tables import run_to_pandas, to_pandas

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
