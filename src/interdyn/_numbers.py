"""How numbers are written in sentences."""

import math


def percent(share: float | None, *, missing: str = "not recorded") -> str:
    """Format a share in percent: whole percent from 10 % up, two significant digits below, at most two decimals.

    Parameters
    ----------
    share
        The share, 0.05 for 5 %.
    missing
        The text for a share that is None or not finite.

    Examples
    --------
    >>> percent(0.05), percent(0.0521), percent(1.0732), percent(0.0009), percent(-1e-9), percent(float("nan"))
    ('5 %', '5.2 %', '107 %', '0.09 %', '0 %', 'not recorded')
    """
    if share is None or not math.isfinite(share):
        return missing
    return f"{100 * share:.0f} %" if abs(share) >= 0.0995 else f"{round(100 * share, 2) + 0.0:.2g} %"
