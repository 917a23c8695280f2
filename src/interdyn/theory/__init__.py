"""Why interactions are learned in order of complexity: regression under parameter noise, in closed form."""

from interdyn.theory._expected import distribution_by_level, strength_by_level, target_weights
from interdyn.theory._fit import NoiseFit, NoiseTrend, falling, fit_noise
from interdyn.theory._mechanisms import MECHANISMS, Mechanism, default_parameters, mechanism_tables
from interdyn.theory._prediction import TablePrediction, predict_tables
from interdyn.theory._search import default_levels
from interdyn.theory._weights import optimal_weights, row_norm_ratios, row_norms, weights_by_level

__all__ = [
    "MECHANISMS",
    "Mechanism",
    "NoiseFit",
    "NoiseTrend",
    "TablePrediction",
    "default_levels",
    "default_parameters",
    "distribution_by_level",
    "falling",
    "fit_noise",
    "mechanism_tables",
    "optimal_weights",
    "predict_tables",
    "row_norm_ratios",
    "row_norms",
    "strength_by_level",
    "target_weights",
    "weights_by_level",
]
