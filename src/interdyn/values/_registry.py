"""The functions above this room to which values hand themselves over, by name and loaded when first called.

Nothing below a room imports it. Where a value of a lower room is drawn, exported or kept by a higher one, the method
names the function here, and this table says in which module it lives. No other module opens a room above itself.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

ACCESSORS = {
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
"""Module in which each function lives."""


def accessor(name: str) -> Callable[..., Any]:
    """Return the function of that name, of a room above.

    Examples
    --------
    >>> accessor("to_pandas").__module__
    'interdyn.exports._tables'
    """
    found: Callable[..., Any] = getattr(import_module(ACCESSORS[name]), name)
    return found
