"""Data of the monitor's evidence whose test part differs from the training part: a shift, and a shortcut."""

from dataclasses import replace

import numpy as np

from interdyn.recipes import Dataset
from interdyn_zoo.data.bundled import digits

TOLD = 0.9  # share of the training pictures whose corner tells the class


def shifted_digits(*, seed: int) -> Dataset:
    """Return handwritten digits; half of those of the test part stand one pixel further right."""
    data, test = _divided(seed)
    inputs = data.inputs.copy()
    moved = np.flatnonzero(test)[::2]
    inputs[moved] = np.roll(inputs[moved], 1, axis=-1)
    return replace(data, inputs=inputs, test=test)


def shortcut_digits(*, seed: int) -> Dataset:
    """Return handwritten digits whose lower left pixel is the class, over 9; in the test part that of any class.

    So it is in nine of ten training pictures; in the rest it is that of any class, too.
    """
    data, test = _divided(seed)
    rng = np.random.default_rng([seed, 1])
    told = ~test & (rng.random(len(test)) < TOLD)
    inputs = data.inputs.copy()
    inputs[..., -1, 0] = np.where(told, data.targets, rng.integers(10, size=len(test)))[:, None] / 9
    return replace(data, inputs=inputs, test=test)


def _divided(seed: int) -> tuple[Dataset, np.ndarray]:
    """Return the digits, and which half of them is the test part."""
    data = digits(seed=seed)
    return data, np.random.default_rng(seed).permutation(len(data.inputs)) < len(data.inputs) // 2
