"""Which mechanism predicts the tables of a run's checkpoints from its final network: what `RunResult` keeps of it."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from interdyn.values._record import Band, Flags, OverSteps, Record, fits

THEORY = ("theory", "joint theory")
"""Names of the theory among the mechanisms; the others are its rivals."""

DISTANCES = (
    "Secondary: distances of order distributions tell mechanisms apart badly; seven of eight that are not the theory "
    "come as near."
)
"""What stands beside every distance of order distributions."""

_OverSteps = AfterValidator(fits("steps"))


class MechanismResult(Record):
    """How one mechanism predicts, one entry for each step of the run; NaN where a step was not predicted.

    Attributes
    ----------
    correlation
        Mean over samples of the correlation with the measured table over all masks, each sample by a parameter fitted
        on the others, with interval over samples.
    parameter, at_edge
        The parameter that is best on all samples, and whether it is the largest that was tried.
    distance
        Total variation distance of order distributions, 0 to 1: of the tables predicted with that parameter, split as
        those measured were, and of the measured ones. Nothing is fitted to it. NaN where no prediction was split.
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
        By mechanism: mean correlation and ends of its interval; None where no table varies.
    ceiling
        Mean correlation of near-by steps; None where there are none.
    best
        The mechanism that predicts best, and those it is not shown to be better than.
    theory, rival
        The better of the two forms of the theory, and the best of what is not the theory.
    gain, gain_low, gain_high
        By how much the former predicts better than the latter, with interval.
    distance
        By mechanism: mean distance of order distributions over those of the steps whose predictions were split.
    sentence
        Whether the theory predicts better than its rivals, in words, and what weakens that.
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
        By name, see `interdyn.theory.Mechanism`; empty where nothing was predicted.
    ceiling, near
        Correlation of each step's tables with those of a near-by step, and that step.
    n_samples, n_split
        How many samples of the first group, and of how many the predictions were split.
    level
        Nominal coverage of the intervals.
    phase_2, whole
        Means over the checkpoints of phase 2 (None where there is none) and over all, without the last.
    reason
        Why nothing, or less, was predicted; empty where nothing is left out.
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
        """The summary that sentences and expectations are about: of phase 2, without one of all checkpoints."""
        return self.phase_2 or self.whole

    @property
    def sentence(self) -> str:
        """The outcome in words, or why there is none.

        Examples
        --------
        >>> PredictionResult(reason="One sample was measured.").sentence
        'From the final network nothing was predicted. One sample was measured.'
        """
        if self.overall is None:
            return f"From the final network nothing was predicted. {self.reason}".strip()
        where = "phase 2" if self.phase_2 else "all checkpoints, as no second phase was found"
        count = self.overall.n_steps
        what = f"From the final network, over {where} ({count} {'step' if count == 1 else 'steps'})"
        return f"{what}: {self.overall.sentence} {self.reason}".strip()
