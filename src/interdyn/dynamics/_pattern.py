"""A pattern seen in trainings that are being harmed, for where there is no held-out loss: strength of high orders."""

import numpy as np
from jaxtyping import Float

from interdyn._arguments import real_array
from interdyn.dynamics._axis import checked_steps
from interdyn.dynamics._onset import Onset, rounded
from interdyn.errors import InputError

HIGH_ORDER = 4  # and larger
RINGS = 1.3  # of R, at two measurements in a row
_FLOOR = 0.01  # added to the ratio
_SPAN = 3  # measurements of the mean whose running minimum is taken


def pattern_signal(
    high_orders: Float[np.ndarray, " steps"], effect: Float[np.ndarray, " steps"]
) -> Float[np.ndarray, " steps"]:
    r"""Return how far the strength of high orders stands above its least, beside the effect of all players.

    $$R_t = \ell_t - \min_{s \le t} \tfrac13 (\ell_{s-2} + \ell_{s-1} + \ell_s), \qquad
    \ell = \log\left(\frac{H}{V} + 0.01\right)$$

    Parameters
    ----------
    high_orders
        ``H``: salient strength of the orders from 4 on of a training sample, mean over samples, shape ``(steps,)``.
    effect
        ``V``: mean of ``|v(N) - v({})|`` over the same samples, in the same unit, shape ``(steps,)``.

    Returns
    -------
    Float[np.ndarray, " steps"]
        ``R``, without unit, shape ``(steps,)``; NaN before three measurements are known and where there is no effect.

    Examples
    --------
    >>> pattern_signal(np.array([0.5, 0.1, 0.1, 0.1, 0.4]), np.ones(5)).round(2)
    array([  nan,   nan, -0.51,  0.  ,  1.32])
    """
    high, whole = real_array(high_orders, "high_orders"), real_array(effect, "effect")
    if high.ndim != 1 or high.shape != whole.shape:
        raise InputError(
            f"`high_orders` and `effect` must have one value for each step; got shapes {high.shape} and {whole.shape}. "
            "Pass what was measured on the same samples."
        )
    out = np.full(high.shape, np.nan)
    known = np.isfinite(high) & np.isfinite(whole) & (whole > 0)
    if known.sum() >= _SPAN:
        level = np.log(high[known] / whole[known] + _FLOOR)
        mean = np.convolve(level, np.full(_SPAN, 1 / _SPAN), "valid")
        out[known] = [*[np.nan] * (_SPAN - 1), *(level[_SPAN - 1 :] - np.minimum.accumulate(mean))]
    return out


def find_pattern(
    steps: Float[np.ndarray, " steps"], high_orders: Float[np.ndarray, " steps"], effect: Float[np.ndarray, " steps"]
) -> Onset:
    """Say whether a training shows a pattern that is seen in trainings that are being harmed.

    Parameters
    ----------
    steps
        Optimiser steps, strictly ascending and not negative, shape ``(steps,)``.
    high_orders, effect
        As in `pattern_signal`, of training samples.

    Returns
    -------
    Onset
        Found where the signal ``R`` exceeds 1.3 at the last two measurements or more, from the first of them on;
        ``growth`` is its value now. It has no interval and no probability.

    Raises
    ------
    InputError
        If the steps do not ascend or the lengths differ.

    Notes
    -----
    No substitute for held-out data. On this project's runs (8 training samples, 10 players) it rang
    in 13 of 22 harmed trainings, and in 1 of 17 others: ``docs/results/monitor.md``, by ``./run monitor``. The study
    that it comes from, 33 trainings on 5 tasks with the threshold set on the other tasks, had a balanced accuracy of
    0.89, and alarms in 0.18 of the harmless; about 80 signals were tried there. It is blind to a shortcut, which is
    simple, to a shift of the data, and to harm without high orders; it does not name a best step.

    Examples
    --------
    >>> found = find_pattern(np.arange(6), np.array([0.5, 0.1, 0.1, 0.1, 0.6, 0.9]), np.ones(6))
    >>> found.found, found.step
    (True, 4.0)
    """
    steps, signal = checked_steps(steps), pattern_signal(high_orders, effect)
    if signal.shape != steps.shape:
        raise InputError(
            f"`high_orders` must have one value for each of the {len(steps)} steps; got shape {signal.shape}. Pass "
            "what was measured at these steps."
        )
    known = np.isfinite(signal)
    rings = signal[known] > RINGS
    since = len(rings) - int(np.append(rings[::-1], False).argmin())  # where those up to the last one begin
    if len(rings) - since < 2:
        return Onset.unknown(0.0, "")
    first, now = float(steps[known][since]), float(signal[known][-1])
    sentence = (
        "Harm cannot be seen without held-out losses; since about step "
        f"{rounded(first)} training samples show a pattern seen in trainings that are being harmed (R = {now:.1f}): "
        "confirm with held-out data."
    )
    return Onset(True, first, None, 0.0, now, None, sentence)
