"""Why interactions are learned in order of complexity: regression under parameter noise, in closed form."""

from interdyn.theory._expected import distribution_by_level, strength_by_level, target_weights
from interdyn.theory._fit import NoiseFit, NoiseTrend, falling, fit_noise
from interdyn.theory._search import default_levels
from interdyn.theory._weights import optimal_weights, row_norm_ratios, row_norms, weights_by_level

__all__ = [
    "NoiseFit",
    "NoiseTrend",
    "default_levels",
    "distribution_by_level",
    "falling",
    "fit_noise",
    "optimal_weights",
    "row_norm_ratios",
    "row_norms",
    "strength_by_level",
    "target_weights",
    "weights_by_level",
]
