"""Value tables to interactions and back: one butterfly, four names."""

from interdyn.transforms._mobius import and_from_values, or_from_values, values_from_and, values_from_or

__all__ = ["and_from_values", "or_from_values", "values_from_and", "values_from_or"]
