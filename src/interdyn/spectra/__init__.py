"""Strength of the salient interactions of each order, with intervals, and which interactions a network uses.

Importing this package does not import torch: `Matched` and `Usage` hold NumPy arrays, everything else is imported on
first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from interdyn.spectra._matched import Matched, Usage

if TYPE_CHECKING:
    from interdyn.spectra._bootstrap import OrderIntervals, bootstrap_distribution
    from interdyn.spectra._jaccard import OrderSimilarity, jaccard_by_order
    from interdyn.spectra._order_spectrum import (
        OrderProfile,
        order_profile,
        order_spectrum,
        sum_by_order as sum_by_order,
    )
    from interdyn.spectra._salience import DEFAULT_SALIENCE, SalienceRule, is_salient, output_range, salience_threshold
    from interdyn.spectra._survival import costliest as costliest, output_without
    from interdyn.spectra._usage import usage
    from interdyn.spectra._window import WindowMean, window_mean

_FILES = {
    **dict.fromkeys(("OrderIntervals", "bootstrap_distribution"), "_bootstrap"),
    **dict.fromkeys(("OrderSimilarity", "jaccard_by_order"), "_jaccard"),
    **dict.fromkeys(("OrderProfile", "order_profile", "order_spectrum", "sum_by_order"), "_order_spectrum"),
    **dict.fromkeys(("DEFAULT_SALIENCE", "SalienceRule", "is_salient"), "_salience"),
    **dict.fromkeys(("output_range", "salience_threshold"), "_salience"),
    **dict.fromkeys(("costliest", "output_without"), "_survival"),
    **dict.fromkeys(("WindowMean", "window_mean"), "_window"),
    "usage": "_usage",
}

__all__ = [
    "DEFAULT_SALIENCE",
    "Matched",
    "OrderIntervals",
    "OrderProfile",
    "OrderSimilarity",
    "SalienceRule",
    "Usage",
    "WindowMean",
    "bootstrap_distribution",
    "is_salient",
    "jaccard_by_order",
    "order_profile",
    "order_spectrum",
    "output_range",
    "output_without",
    "salience_threshold",
    "usage",
    "window_mean",
]


def __getattr__(name: str) -> Any:
    if name in _FILES:
        return getattr(import_module(f"interdyn.spectra.{_FILES[name]}"), name)
    raise AttributeError(f"module 'interdyn.spectra' has no attribute {name!r}")
