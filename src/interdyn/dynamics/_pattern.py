"""A pattern of trainings that are being harmed, for use without a held-out loss: strength of high orders."""

import numpy as np
from jaxtyping import Float

from interdyn._arguments import real_array
from interdyn.dynamics._axis import checked_steps
from interdyn.dynamics._onset import Onset, rounded
from interdyn.errors import InputError

HIGH_ORDER = 4  # and above
RINGS = 1.3  # threshold of R, at two measurements in a row
_FLOOR = 0.01  # added to the ratio
_SPAN = 3  # measurements averaged before the running minimum


def pattern_signal(
    high_orders: Float[np.ndarray, " steps"], effect: Float[np.ndarray, " steps"]
) -> Float[np.ndarray, " steps"]:
    r"""Return how far the strength of high orders has risen above its minimum, relative to the effect of all players.

    $$R_t = \ell_t - \min_{s \le t} \tfrac13 (\ell_{s-2} + \ell_{s-1} + \ell_s), \qquad
    \ell = \log\left(\frac{H}{V} + 0.01\right)$$

    Parameters
    ----------
    high_orders
        ``H``: salient strength of orders 4 and above of a training sample, mean over samples, shape ``(steps,)``.
    effect
        ``V``: mean of ``|v(N) - v({})|`` over the same samples, in the same unit, shape ``(steps,)``.

    Returns
    -------
    Float[np.ndarray, " steps"]
        ``R``, without unit, shape ``(steps,)``; NaN before three measurements are known and where the effect is 0.

    Examples
    --------
    >>> pattern_signal(np.array([0.5, 0.1, 0.1, 0.1, 0.4]), np.ones(5)).round(2)
    array([  nan,   nan, -0.51,  0.  ,  1.32])
    """
    high, whole = real_array(high_orders, "high_orders"), real_array(effect, "effect")
    if high.ndim != 1 or high.shape != whole.shape:
        raise InputError(
            f"`high_orders` and `effect` must have one value for each step; got shapes {high.shape} and {whole.shape}. "
            "Pass values measured on the same samples."
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
    """Find whether a training shows a pattern that is typical of trainings that are being harmed.

    Parameters
    ----------
    steps
        Optimiser steps, strictly ascending and not negative, shape ``(steps,)``.
    high_orders, effect
        As in `pattern_signal`, for training samples.

    Returns
    -------
    Onset
        Found if the signal ``R`` exceeds 1.3 at the last two measurements or more; ``step`` is the first of them and
        ``growth`` the current value. It has no interval and no probability.

    Raises
    ------
    InputError
        If the steps do not ascend or the lengths differ.

    Notes
    -----
    No substitute for held-out data. In the trainings that this project ran after choosing it (8 training samples, 10
    players) it raised an alarm in 9 of 16 harmed trainings (in 3 before harm began), and in 1 of 13 others. At a given
    step it detects harm less well than the number of steps does: ``docs/results/monitor.md``. In the study that
    proposed it, 33 trainings on 5 tasks with the threshold set on the other tasks, its balanced accuracy was 0.89 and
    0.18 of the harmless trainings raised an alarm; about 80 signals were tried there. It does not see shortcuts (they
    are simple), shifts of the data, or harm without high orders, and it does not name a best step.

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
            "the values measured at these steps."
        )
    known = np.isfinite(signal)
    rings = signal[known] > RINGS
    since = len(rings) - int(np.append(rings[::-1], False).argmin())  # start of the alarms that reach the last one
    if len(rings) - since < 2:
        return Onset.unknown(0.0, "")
    first, now = float(steps[known][since]), float(signal[known][-1])
    sentence = (
        "Harm cannot be judged without held-out losses; since about step "
        f"{rounded(first)} the training samples show a pattern typical of trainings that are being harmed "
        f"(R = {now:.1f}): confirm with held-out data."
    )
    return Onset(True, first, None, 0.0, now, None, sentence)
