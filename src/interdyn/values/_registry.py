"""Functions of higher-level packages that methods of results call, by name.

Results are drawn, exported and saved by packages that import them. A method such as ``found.to_shapiq()`` therefore
gets its function from here when it is called, and no module imports a package above its own.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

ACCESSORS = {
    "ResultPlots": "interdyn.plot",
    "RunPlots": "interdyn.plot",
    "load_interactions": "interdyn.exports",
    "load_run": "interdyn.plot",
    "plot_sample": "interdyn.plot",
    "plot_sparsity": "interdyn.plot",
    "run_html": "interdyn.plot._notebook",
    "save_interactions": "interdyn.exports",
    "to_pandas": "interdyn.exports",
    "to_shap": "interdyn.exports",
    "to_shapiq": "interdyn.exports",
    "to_xarray": "interdyn.exports",
}
"""The module of each function."""


def accessor(name: str) -> Callable[..., Any]:
    """Return the function of that name.

    Examples
    --------
    >>> accessor("to_pandas").__module__
    'interdyn.exports._tables'
    """
    found: Callable[..., Any] = getattr(import_module(ACCESSORS[name]), name)
    return found
