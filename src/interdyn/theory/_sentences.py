"""What the fit says about each step, in words."""

import math
from collections.abc import Mapping
from typing import Any


def describe(step: Mapping[str, Any], tv_bound: float, boundary_step: float | None) -> tuple[bool, str]:
    """Return whether the regression view describes a step, and a plain sentence or three.

    ``step`` holds its number as ``"step"`` (NaN when unknown), fields of `NoiseFit`, and the claims ``"is_final"``
    (measured strength is that of ``w*``), ``"at_low"`` and ``"at_high"`` (the level lies at an end of the search).

    Examples
    --------
    >>> numbers = {"step": 5, "noise_var": 1e-3, "tv_distance": 0.2, "tv_null_sigma0": 0.4, "tv_null_tilt": 0.3}
    >>> claims = {"is_final": False, "at_low": False, "at_high": False}
    >>> describe(numbers | claims, 0.15, None)
    (False, 'Not described by the regression view: its nearest distribution is 0.200 away, above the bound of 0.15.')
    """
    tv = step["tv_distance"]
    if math.isnan(tv):
        return False, "Nothing is salient in the network or in the theory, so there are no distributions to compare."
    if boundary_step is not None and step["step"] < boundary_step:
        return False, (
            f"Not described by the regression view: this is phase 1, before the boundary at step {boundary_step:g}; "
            f"the nearest noise level ({step['noise_var']:.2g}, distance {tv:.3f}) has no meaning here."
        )
    if tv > tv_bound:
        return False, (
            f"Not described by the regression view: its nearest distribution is {tv:.3f} away, "
            f"above the bound of {tv_bound:g}."
        )
    if step["is_final"]:
        return True, "This network supplies the target of the regression, so its agreement is no test."
    return True, " ".join([f"Described: noise variance {step['noise_var']:.2g}, distance {tv:.3f}.", *_remarks(step)])


def _remarks(step: Mapping[str, Any]) -> list[str]:
    """Return what weakens a good distance."""
    tv, out = step["tv_distance"], []
    nulls = {"no noise": step["tv_null_sigma0"], "a tilt of the final distribution": step["tv_null_tilt"]}
    as_good = [name for name, distance in nulls.items() if distance <= tv]
    if as_good:
        out.append(f"The simpler explanation by {' or by '.join(as_good)} is at least as near.")
    if step["at_low"] or step["at_high"]:
        end = "lower" if step["at_low"] else "upper"
        out.append(f"The level lies at the {end} end of the search, so it is only a bound.")
    return out
