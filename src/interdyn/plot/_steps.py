"""The axis of training time: logarithmic, with room for step 0."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

STEP_LABEL = "optimiser step (log scale)"
_ZERO_ROOM = 0.5  # width between step 0 and the first positive step, in decades
_MIN_APART = 0.12  # of two tick labels, as a share of the axis


@dataclass(frozen=True)
class StepAxis:
    """Where each step is drawn: linear from 0 to ``first``, logarithmic from there to ``last``.

    Attributes
    ----------
    first, last
        Smallest and largest positive step of the run; 1 and 0 when there is none.
    zero
        Whether the run has step 0.

    Examples
    --------
    >>> axis = StepAxis.of(np.array([0.0, 10.0, 100.0, 1000.0]))
    >>> axis.position(np.array([0.0, 10.0, 100.0])).tolist()
    [0.0, 0.5, 1.5]
    >>> axis.ticks()[1]
    ['0', '10', '100', '1,000']
    """

    first: float
    last: float
    zero: bool

    @classmethod
    def of(cls, steps: Float[np.ndarray, " steps"]) -> "StepAxis":
        """Return the axis of these steps."""
        positive = steps[steps > 0]
        if positive.size == 0:
            return cls(1.0, 0.0, True)
        return cls(float(positive.min()), float(positive.max()), bool((steps <= 0).any()))

    def position(self, steps: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the place of each step, in decades."""
        relative = np.asarray(steps, dtype=np.float64) / self.first
        return np.where(relative <= 1, _ZERO_ROOM * relative, _ZERO_ROOM + np.log10(np.maximum(relative, 1)))

    def step(self, positions: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the step drawn at each place; the inverse of `position`."""
        p = np.asarray(positions, dtype=np.float64)
        logarithmic = 10 ** np.maximum(p - _ZERO_ROOM, 0)
        return self.first * np.where(p <= _ZERO_ROOM, p / _ZERO_ROOM, logarithmic)

    def edges(self, steps: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " edges"]:
        """Return the borders of cells around the steps, as places, one more than there are steps."""
        p = self.position(steps)
        if p.size == 1:
            return np.array([p[0] - 0.5, p[0] + 0.5])
        middle = (p[1:] + p[:-1]) / 2
        return np.concatenate([[2 * p[0] - middle[0]], middle, [2 * p[-1] - middle[-1]]])

    def ticks(self) -> tuple[list[float], list[str]]:
        """Return steps worth a label and their labels, far enough apart not to touch."""
        if self.last < self.first:  # the run holds step 0 alone
            return [0.0], ["0"]
        low = 0.0 if self.zero else float(self.position(np.array(self.first)))
        span = max(float(self.position(np.array(self.last))) - low, 1e-9)
        decades = [10.0**k for k in range(int(np.floor(np.log10(self.first))), int(np.log10(self.last)) + 1)]
        wanted = [0.0] if self.zero else []
        wanted += [*decades, self.last]
        if len(decades) <= 2:
            wanted += [self.first, *(5 * d for d in decades), *(2 * d for d in decades)]
        chosen: list[float] = []
        for step in wanted:
            inside = step == 0 or self.first <= step <= self.last
            place = float(self.position(np.array(step)))
            apart = [abs(place - float(self.position(np.array(c)))) for c in chosen]
            if inside and all(distance >= _MIN_APART * span for distance in apart):
                chosen.append(step)
        chosen.sort()
        return chosen, [step_label(step) for step in chosen]


def step_label(step: float) -> str:
    """Format a step for people: ``'6,000'``, ``'200k'``, ``'3M'``.

    Examples
    --------
    >>> step_label(6000), step_label(200_000), step_label(3e6)
    ('6,000', '200k', '3M')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if step >= 100_000 and step >= size and step % size == 0:
            return f"{step / size:,.0f}{letter}"
    return f"{step:,.0f}"
