"""Value tables to interactions and back, by the butterfly, and to Walsh coefficients and back."""

from interdyn.transforms._mobius import and_from_values, or_from_values, values_from_and, values_from_or
from interdyn.transforms._walsh import values_from_walsh, walsh_from_values

__all__ = [
    "and_from_values",
    "or_from_values",
    "values_from_and",
    "values_from_or",
    "values_from_walsh",
    "walsh_from_values",
]
