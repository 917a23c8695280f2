"""What the nearby steps of each measurement have in common, if a measurement takes several."""

from collections.abc import Mapping

import numpy as np

from interdyn._numbers import percent
from interdyn.values._record import Band, Numbers, OverSteps, Record


class Repeatability(Record):
    """The share of the salient strength of each order that all steps of a window have, and how well it can be known.

    Attributes
    ----------
    step, n_steps, n_samples
        Last step of the window, and its number of steps; number of samples.
    value
        ``sum min / sum max`` over the steps for each order ``1..n`` (`interdyn.spectra.window_mean`).
    conditioning
        The same between the table of the last step and that table with noise, split again as often as there are steps:
        without any training between them. The steps cannot be expected to share more.
    noise
        Standard deviation of the noise, relative to that of each table.
    """

    step: float
    n_steps: int
    n_samples: int
    value: Numbers
    conditioning: Numbers
    noise: float

    def __str__(self) -> str:
        both = zip(self.value, self.conditioning, strict=True)
        told = [
            f"order {k} {x:.2f} ({f'{line:.2f}' if np.isfinite(line) else 'none'})"
            for k, (x, line) in enumerate(both, 1)
            if np.isfinite(x)
        ]
        return (
            f"Repeatability over the {self.n_steps} nearby steps up to step {self.step:,.0f}, in brackets that of one "
            f"table with {percent(self.noise)} of noise: {', '.join(told) or 'nothing is salient'}."
        )


class WindowResult(Record):
    """The measurements of a training whose measurements take several nearby steps.

    Attributes
    ----------
    size
        Most steps of a measurement.
    number
        The measurement that each step of the run belongs to: 0, 1, ..., shape ``(steps,)``.
    steps, counts
        First step of each measurement, and its number of steps, shape ``(measurements,)``.
    mean_order, order_distribution
        Of each group: mean order of the mean of the single spectra, with interval, shape ``(measurements,)``, and its
        share of each order, ``(measurements, orders)``.
    degree
        For the first group: Walsh degree of the cross spectrum (`interdyn.measurement.cross_spectrum`), a second
        measure of order that needs no split; NaN for a single step.
    repeatability
        Of the last measurement of several steps, on a few samples; None if it was not computed.
    """

    size: int
    number: OverSteps
    steps: Numbers
    counts: Numbers
    mean_order: Mapping[str, Band] = {}
    order_distribution: Mapping[str, Numbers] = {}
    degree: Numbers
    repeatability: Repeatability | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is judged, what the second measure of order shows, and how repeatable an explanation is."""
        out = [
            f"{len(self.steps)} measurements of up to {self.size} nearby steps each. The verdict uses the values of "
            "the single steps, those of one measurement as correlated; the figures show the mean of their spectra."
        ]
        degree = self.degree[np.isfinite(self.degree)]
        if len(degree) > 1:
            out.append(
                "Second measure of order, without a split: the Walsh degree of what nearby steps share goes from "
                f"{degree[0]:.2f} over a minimum of {degree.min():.2f} to {degree[-1]:.2f}. It is not part of the "
                "verdict."
            )
        return (*out, *(() if self.repeatability is None else (str(self.repeatability),)))
