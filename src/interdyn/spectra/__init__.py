"""Strength of the salient interactions of each order, and how sure it is."""

from interdyn.spectra._bootstrap import OrderIntervals, bootstrap_distribution
from interdyn.spectra._jaccard import OrderSimilarity, jaccard_by_order
from interdyn.spectra._order_spectrum import OrderProfile, order_profile, order_spectrum, sum_by_order as sum_by_order
from interdyn.spectra._salience import DEFAULT_SALIENCE, SalienceRule, is_salient, output_range, salience_threshold
from interdyn.spectra._survival import costliest as costliest, output_without
from interdyn.spectra._window import WindowMean, window_mean

__all__ = [
    "DEFAULT_SALIENCE",
    "OrderIntervals",
    "OrderProfile",
    "OrderSimilarity",
    "SalienceRule",
    "WindowMean",
    "bootstrap_distribution",
    "is_salient",
    "jaccard_by_order",
    "order_profile",
    "order_spectrum",
    "output_range",
    "output_without",
    "salience_threshold",
    "window_mean",
]
