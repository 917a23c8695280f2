"""When the gap between test and training loss starts to grow."""

import numpy as np
from jaxtyping import Float, Int

from interdyn._arguments import real_array
from interdyn.dynamics._axis import MIN_STEPS, checked_steps
from interdyn.dynamics._evidence import GROWS, judge
from interdyn.dynamics._onset import Onset, when
from interdyn.errors import InputError


def find_gap_onset(
    steps: Float[np.ndarray, " steps"],
    train_loss: Float[np.ndarray, " steps"],
    test_loss: Float[np.ndarray, " steps"],
    *,
    level: float = 0.9,
    seed: int = 0,
    window: Int[np.ndarray, " steps"] | None = None,
) -> Onset:
    """Find the step from which the gap between test and training loss grows.

    Parameters
    ----------
    steps
        Optimiser steps, strictly ascending and not negative, shape ``(steps,)``.
    train_loss, test_loss
        Mean losses at each step, shape ``(steps,)``, in one unit. Steps with a non-finite loss are left out.
    level
        Probability of the interval.
    seed
        Seed of the posterior draws.
    window
        As in `Trajectory`.

    Returns
    -------
    Onset
        Onset, whose ``growth`` is in the unit of the losses.

    Raises
    ------
    InputError
        If the steps do not ascend, the lengths differ, or ``level`` is out of range.

    Notes
    -----
    The gap grows when the finder's posterior gives a rise, with or without a preceding fall, a probability above 0.85.
    If the gap dips first (wrong labels raise the training loss from the start), its onset lies after the dip. Where it
    slows down late, the model includes growth that ends before the last measurement.
    Rates by kind of noise: ``benchmarks/bench_phases.py``. Cost: 25 ms for 22 steps.
    Source: paper, section 4: the second phase starts with the growth of this gap.

    Examples
    --------
    >>> steps = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256])
    >>> gap = np.array([0, .01, 0, .01, 0, .1, .2, .31, .4, .5])
    >>> onset = find_gap_onset(steps, np.zeros(10), gap)
    >>> onset.found, 4 < onset.step < 16
    (True, True)
    """
    steps = checked_steps(steps, level=level, seed=seed)
    train, test = real_array(train_loss, "train_loss"), real_array(test_loss, "test_loss")
    gap = test - train if test.shape == train.shape else np.zeros((0, 0))
    if gap.shape != steps.shape:
        raise InputError(
            f"`train_loss` and `test_loss` must have one value for each of the {len(steps)} steps; got shapes "
            f"{train.shape} and {test.shape}. Pass the losses measured at these steps."
        )
    usable = np.isfinite(gap)
    numbers = np.arange(len(steps)) if window is None else window
    known = len(np.unique(numbers[usable]))
    if known < MIN_STEPS:
        why = f"The loss gap is known at {known} of the {MIN_STEPS} measurements needed."
        return Onset.unknown(level, why)
    found = judge(steps[usable], gap[usable], numbers[usable], level=level, seed=seed, may_end=True)
    e, start = found.evidence, found.rise_starts
    p = e.two_phases + e.only_rises
    if start is None or p <= GROWS:
        why = f"Growth of the loss gap is not established; growth by up to {e.possible_rise:.2g} is possible."
        return Onset.unknown(level, why, p)
    sentence = f"The loss gap began to widen {when(start.interval)}, by {e.rise:.2g}."
    return Onset(True, start.step, start.interval, level, e.rise, p, sentence)
