"""Which mechanism predicts the tables of a run's checkpoints from its final network: what `RunResult` keeps of it."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from interdyn.values._record import Band, Flags, OverSteps, Record, fits

THEORY = ("theory", "joint theory")
"""Names of the theory among the mechanisms; the others are its rivals."""

DISTANCES = (
    "Secondary: distances of order distributions distinguish mechanisms poorly; seven of eight that are not the theory "
    "are as close."
)
"""The caveat shown with every distance of order distributions."""

_OverSteps = AfterValidator(fits("steps"))


class MechanismResult(Record):
    """How one mechanism predicts, one entry for each step of the run; NaN where a step was not predicted.

    Attributes
    ----------
    correlation
        Mean over samples of the correlation with the measured table over all masks, each sample with a parameter
        fitted on the others, with interval over samples.
    parameter, at_edge
        The best parameter over all samples, and whether it is the largest tested.
    distance
        Total variation distance between the order distributions of predicted tables (with that parameter, split as the
        measured ones were) and measured ones, 0 to 1. Not fitted. NaN if no prediction was split.
    """

    correlation: Annotated[Band, _OverSteps]
    parameter: OverSteps
    at_edge: Annotated[Flags, _OverSteps]
    distance: OverSteps


class PredictionSummary(Record):
    """Means over some steps; each sample's mean is taken first, so that intervals are over samples.

    Attributes
    ----------
    n_steps
        How many steps.
    correlation, low, high
        By mechanism: mean correlation and ends of its interval; None if no table varies.
    ceiling
        Mean correlation of nearby steps; None if there are none.
    best
        The mechanism that predicts best, and those it is not shown to be better than.
    theory, rival
        The better of the two forms of the theory, and the best of the other mechanisms.
    gain, gain_low, gain_high
        By how much the former predicts better than the latter, with interval.
    distance
        By mechanism: mean distance of order distributions over the steps whose predictions were split.
    sentence
        A sentence on whether the theory predicts better than its rivals, and what weakens that.
    """

    n_steps: int = 0
    correlation: Mapping[str, float | None] = {}
    low: Mapping[str, float | None] = {}
    high: Mapping[str, float | None] = {}
    ceiling: float | None = None
    best: tuple[str, ...] = ()
    theory: str = ""
    rival: str = ""
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    distance: Mapping[str, float | None] = {}
    sentence: str = ""


class PredictionResult(Record):
    """The tables of earlier checkpoints, predicted from the final network; see `interdyn.theory.predict_tables`.

    Attributes
    ----------
    mechanisms
        By name, see `interdyn.theory.Mechanism`; empty if nothing was predicted.
    ceiling, near
        Correlation of each step's tables with those of a nearby step, and that step.
    n_samples, n_split
        How many samples of the first group were predicted, and for how many the predictions were split.
    level
        Nominal coverage of the intervals.
    phase_2, whole
        Means over the checkpoints of phase 2 (None if there is none) and over all, without the last.
    reason
        Why nothing, or only a part, was predicted; empty otherwise.
    """

    mechanisms: Mapping[str, MechanismResult] = {}
    ceiling: OverSteps | None = None
    near: OverSteps | None = None
    n_samples: int = 0
    n_split: int = 0
    level: float | None = None
    phase_2: PredictionSummary | None = None
    whole: PredictionSummary | None = None
    reason: str = ""

    @property
    def overall(self) -> PredictionSummary | None:
        """The summary that sentences and expectations are about: of phase 2, or of all checkpoints without one."""
        return self.phase_2 or self.whole

    @property
    def sentence(self) -> str:
        """The outcome as a sentence, or why there is none.

        Examples
        --------
        >>> PredictionResult(reason="One sample was measured.").sentence
        'Nothing was predicted from the final network. One sample was measured.'
        """
        if self.overall is None:
            return f"Nothing was predicted from the final network. {self.reason}".strip()
        where = "phase 2" if self.phase_2 else "all checkpoints, as no second phase was found"
        count = self.overall.n_steps
        what = f"From the final network, over {where} ({count} {'step' if count == 1 else 'steps'})"
        return f"{what}: {self.overall.sentence} {self.reason}".strip()
