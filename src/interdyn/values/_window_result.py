"""What the near-by steps of each measurement have in common, where a measurement takes several."""

from collections.abc import Mapping

from interdyn.values._record import Band, Numbers, OverSteps, Record


class Repeatability(Record):
    """What part of the salient strength of each order all steps of a window have, beside how well that can be known.

    Attributes
    ----------
    step, n_steps, n_samples
        Last step of the window, how many it has; of how many samples.
    value
        ``sum min / sum max`` over the steps for each order ``1..n`` (`interdyn.spectra.window_mean`).
    conditioning
        The same between the table of the last step and that table with noise, split again, as many as there are steps:
        no training between them. What steps share cannot be expected to be more.
    noise
        Standard deviation of the noise, relative to that of each table.
    """

    step: float
    n_steps: int
    n_samples: int
    value: Numbers
    conditioning: Numbers
    noise: float


class WindowResult(Record):
    """The measurements of a training whose measurements take several near-by steps.

    Attributes
    ----------
    size
        Steps of a measurement, at most.
    number
        The measurement that each step of the run belongs to: 0, 1, ..., shape ``(steps,)``.
    steps, counts
        First step of each measurement, and how many steps it has, shape ``(measurements,)``.
    mean_order
        Of each group: mean order of the mean of the single spectra, with interval, shape ``(measurements,)``.
    degree
        Of the first group: Walsh degree of the cross spectrum (`interdyn.measurement.cross_spectrum`), a second witness
        that needs no split; NaN for a single step.
    repeatability
        Of the last measurement of several steps, on a few samples; None where it was not computed.
    """

    size: int
    number: OverSteps
    steps: Numbers
    counts: Numbers
    mean_order: Mapping[str, Band] = {}
    degree: Numbers
    repeatability: Repeatability | None = None
