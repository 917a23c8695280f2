"""Value tables to the sparsest AND and OR interactions, with a certificate of how sparse."""

from interdyn.sparsify._split import SplitSettings, split

__all__ = ["SplitSettings", "split"]
