"""Value tables to the sparsest AND and OR interactions, with a certificate of how sparse."""

from interdyn.sparsify._effort import BAR_FROM, LONGEST, expected_seconds
from interdyn.sparsify._split import SplitSettings, split

__all__ = ["BAR_FROM", "LONGEST", "SplitSettings", "expected_seconds", "split"]
