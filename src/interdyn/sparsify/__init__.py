"""From value tables to the sparsest AND and OR interactions, with a certificate of how sparse they are."""

from interdyn.sparsify._effort import BAR_FROM as BAR_FROM, LONGEST as LONGEST, expected_seconds
from interdyn.sparsify._identified import identified
from interdyn.sparsify._solve import WITHIN as WITHIN, first_tolerance as first_tolerance
from interdyn.sparsify._split import ORDER_WEIGHT, SplitSettings, split

__all__ = [
    "ORDER_WEIGHT",
    "SplitSettings",
    "expected_seconds",
    "identified",
    "split",
]
