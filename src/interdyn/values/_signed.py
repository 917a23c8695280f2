"""Numbers with a sign, as people read them."""

import math


def decimals_of(span: float) -> int:
    """Return with how many decimals numbers up to ``span`` are written: two, or three digits of the largest.

    Examples
    --------
    >>> decimals_of(14.2), decimals_of(0.0512), decimals_of(0.0)
    (2, 4, 2)
    """
    if not math.isfinite(span) or span <= 0:
        return 2
    return min(max(2, 2 - math.floor(math.log10(span))), 12)


def signed(value: float, decimals: int = 2) -> str:
    """Return a number with its sign; what rounds to zero has none, and ``-`` stands for what is not a number.

    Examples
    --------
    >>> signed(1.234), signed(-0.001), signed(-0.001, 3), signed(math.nan)
    ('+1.23', '0.00', '-0.001', '-')
    """
    if not math.isfinite(value):
        return "-"
    text = f"{value:+.{decimals}f}"
    return text if any(digit in text for digit in "123456789") else text[1:]
