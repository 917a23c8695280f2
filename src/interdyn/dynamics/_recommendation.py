"""What to do: which checkpoint to use, or whether to continue, with the reason; or why there is no recommendation."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from interdyn._arguments import instance
from interdyn._numbers import percent
from interdyn.dynamics._harm import BOUNDED, SMALLEST_RISE
from interdyn.values import HarmResult, RunResult

_ENOUGH = 0.9  # probability of a rise of the loss that `find_harm` needs, rounded: its odds are 10 to 1 or more
_TO_RECORD = (
    "Only data that is not trained on shows which checkpoint is best. Record a held-out loss: pass `losses=` to the "
    "tracker, or `test_loss=` to `observe`."
)
_OF_BEFORE = (
    "This run was analysed by a version that did not judge harm. Analyse it again: remove summary.json and repeat the "
    "command of the run."
)


@dataclass(frozen=True)
class Recommendation:
    """What to do with a run.

    ``str`` of it is sentence, reason and what is not certain.

    Attributes
    ----------
    sentence, reason
        The recommendation, and the reason for it; where there is none, why, and what to record.
    step
        The checkpoint to use; None where training should continue, or there is no recommendation.
    stop
        Whether a running training should stop: only harm is a reason. None where that is not known.
    course
        How the held-out loss changed, as a clause; empty where it is not known.
    open
        What is not certain about it, as a sentence; empty where nothing is.
    """

    sentence: str
    reason: str
    step: float | None = None
    stop: bool | None = None
    course: str = ""
    open: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.sentence, self.reason, self.open) if part)


def recommend(result: RunResult) -> Recommendation:
    """Return which checkpoint of a finished run to use, or whether a running training should continue.

    Parameters
    ----------
    result
        A run that has ended, or one that is still training (its ``stage`` is not None).

    Returns
    -------
    Recommendation

    Raises
    ------
    InputError
        If it is not a result of a run.

    Notes
    -----
    Only held-out losses count, or an accuracy where they are not known. A running training should stop where harm is
    established (`find_harm`). For a training that has ended, the last checkpoint is recommended, unless its held-out
    loss is more than 5 % above its minimum (`least_loss`); the reason then states whether the rise is more than noise,
    and where the accuracy is better at the end, both checkpoints are named. Without a held-out loss or accuracy, no
    checkpoint is recommended.

    Examples
    --------
    >>> harm = {"best_step": 10, "sentence": "No harm: the held-out loss is at most 1 % above its minimum."}
    >>> run = {"steps": [0, 5, 10], "test_loss": [2.0, 1.2, 0.8], "harm": harm}
    >>> recommend(RunResult.from_json(run)).sentence
    'Use the last checkpoint, step 10.'
    >>> recommend(RunResult.from_json({"steps": [0, 5], "harm": {"sentence": "No loss."}})).sentence
    'No recommendation: no held-out loss was recorded.'
    """
    instance(result, "result", RunResult, do="Pass what `interdyn.plot.load_run` returns.")
    harm, held = result.harm, _HeldOut.of(result)
    if len(result.steps) == 1:
        return Recommendation("No recommendation from one checkpoint.", "There is no other to compare it with.")
    if harm is None:
        return Recommendation("No recommendation: harm was not judged.", _OF_BEFORE)
    if held is None:
        verb = "was" if result.stage is None else "is"
        return Recommendation(f"No recommendation: no held-out loss {verb} recorded.", harm.pattern or _TO_RECORD)
    find = _of_the_whole if result.stage is None else _of_now
    course = held.in_short("at the end" if result.stage is None else "now")
    if harm.found and harm.growth is not None:  # the fitted rise, as in the sentence on harm
        least = "below its best" if held.name == "accuracy" else "above its minimum"
        course = f"the fitted held-out {held.name} is {percent(harm.growth)} {least}"
    return replace(find(held, harm), course=course)


def _of_the_whole(held: "_HeldOut", harm: HarmResult) -> Recommendation:
    """Return which checkpoint to use of a training that has ended."""
    if harm.found or held.rise > SMALLEST_RISE:
        reason = f"{held.course()} {_beyond(harm)}" if harm.found else held.course()
        if held.accuracy_at_end == "better":
            text = f"Choose: step {held.at} by held-out loss, or the last checkpoint by held-out accuracy."
            return Recommendation(text, f"{reason} {held.of_accuracy()}", open=held.open(harm))
        if held.accuracy_at_end == "worse":
            reason = f"{reason} {held.of_accuracy()}"
        text = f"Prefer the checkpoint of step {held.at}; the last may be as good."
        if harm.found:
            text = f"Use the checkpoint of step {held.at}, not the last."
        elif held.accuracy_at_end == "worse":
            text = f"Prefer the checkpoint of step {held.at}, by loss and by accuracy."
        return Recommendation(text, reason, held.step, open=held.open(harm))
    if held.step == held.last_step:
        best = f"Held-out {held.name} is {held.best_word} there: {held.end:.3g} {held.isolated}"
        reason = f"{best}. Longer training was not tried."
    elif held.rise < 0:
        better = "above" if held.name == "accuracy" else "below"
        reason = (
            f"Held-out {held.name} at the end is {held.end:.3g}, {better} {held.best:.3g} at step {held.at}, which "
        )
        reason += f"is the {held.best_word} apart from single values."
    else:
        near = f"at most {percent(SMALLEST_RISE)} {held.worse_word} {held.best:.3g} at step {held.at}"
        where = f"where it is {held.best_word} {held.isolated}"
        reason = f"Held-out {held.name} at the end is {held.end:.3g}, {near}, {where}."
    why = "" if harm.sentence.startswith(BOUNDED) else harm.sentence
    return Recommendation(f"Use the last checkpoint, step {held.last_at}.", reason, held.last_step, open=why)


def _of_now(held: "_HeldOut", harm: HarmResult) -> Recommendation:
    """Return whether a training should continue."""
    if harm.found:
        reason = f"{held.course()} {_beyond(harm)}"
        if held.accuracy_at_end == "better":
            text = "Choose: stop here by held-out loss, or continue by held-out accuracy."
            return Recommendation(text, f"{reason} {held.of_accuracy()}")
        return Recommendation(f"Stop here, and use the checkpoint of step {held.at}.", reason, held.step, True)
    if harm.probability is None:
        return Recommendation("Keep training: it is too early to judge.", harm.sentence, stop=False)
    if held.rise > SMALLEST_RISE:
        text = f"Keep training for now, and keep the checkpoint of step {held.at}."
        return Recommendation(text, held.course(), stop=False, open=held.open(harm))
    return Recommendation("Keep training: the held-out data give no reason to stop.", harm.sentence, stop=False)


def _beyond(harm: HarmResult) -> str:
    """Return that harm is more than noise, with its probability, which is never called certain."""
    if harm.probability is None:
        return "The difference is more than noise."
    return f"The difference is more than noise (probability {_sure(harm.probability)})."


def _sure(p: float) -> str:
    return "over 99 %" if p > 0.99 else percent(p)


@dataclass(frozen=True)
class _HeldOut:
    """The held-out measure of a run where it is best, and at its end."""

    name: str
    step: float
    best: float
    last_step: float
    end: float
    accuracy: tuple[float, float] | None  # at the same two steps, beside the loss

    @classmethod
    def of(cls, result: RunResult) -> "_HeldOut | None":
        """Return the loss, or the accuracy where that alone is known; None without a best step."""
        best_step = None if result.harm is None else result.harm.best_step
        if best_step is None:
            return None
        steps, accuracy = result.steps, result.test_accuracy
        for name, values in (("loss", result.test_loss), ("accuracy", accuracy)):
            if values is None or not np.isfinite(values).any():
                continue
            known = np.flatnonzero(np.isfinite(values))
            at, last = int(known[np.abs(steps[known] - best_step).argmin()]), int(known[-1])
            both = None if name == "accuracy" or accuracy is None else (float(accuracy[at]), float(accuracy[last]))
            return cls(name, float(steps[at]), float(values[at]), float(steps[last]), float(values[last]), both)
        return None

    @property
    def best_word(self) -> str:
        return "highest" if self.name == "accuracy" else "lowest"

    @property
    def isolated(self) -> str:
        return f"(a single {'high' if self.name == 'accuracy' else 'low'} value does not count)"

    @property
    def worse_word(self) -> str:
        return "below" if self.name == "accuracy" else "above"

    @property
    def at(self) -> str:
        return f"{self.step:,.10g}"

    @property
    def last_at(self) -> str:
        return f"{self.last_step:,.10g}"

    @property
    def rise(self) -> float:
        """How much worse the end is, as a share of the best value."""
        worse = (self.end - self.best) * (-1 if self.name == "accuracy" else 1)
        return worse / abs(self.best) if self.best else float(np.sign(worse)) * np.inf

    @property
    def accuracy_at_end(self) -> Literal["better", "worse", ""]:
        """How the accuracy has changed, where its errors did by more than the smallest rise that counts."""
        if self.accuracy is None:
            return ""
        best, end = self.accuracy
        change, least = best - end, SMALLEST_RISE * (1 - best)
        return "worse" if change > least else "better" if -change > least else ""

    def course(self) -> str:
        best = (
            f"Held-out {self.name} is {self.best_word} at step {self.at}, where it is {self.best:.3g} {self.isolated}"
        )
        return f"{best}. At step {self.last_at} it is {self.end:.3g}."

    def open(self, harm: HarmResult) -> str:
        """Return whether a rise is more than noise, as far as that is not certain."""
        if harm.found:
            return ""
        if harm.probability is None:
            return f"There are too few values of the held-out {self.name} to judge its noise."
        what = f"The probability that the held-out {self.name} has become worse by more than its noise"
        if harm.probability <= _ENOUGH:
            return f"{what} is {percent(harm.probability)}; more than {percent(_ENOUGH)} is needed to call it harm."
        also = f"a rise of {percent(SMALLEST_RISE)} or more must hold at two measurements in a row"
        return f"{what} is {_sure(harm.probability)}; to call it harm, that and {also}."

    def in_short(self, now: str) -> str:
        """Return how it changed, as a clause; ``now`` is what the last measurement is called."""
        if self.step == self.last_step:
            return f"held-out {self.name} is {self.best_word} around {now.removeprefix('at ')}"
        if self.rise <= SMALLEST_RISE:
            place = "is now" if now == "now" else f"{now} is"
            return f"held-out {self.name} {place} within {percent(SMALLEST_RISE)} of its best"
        verb = "lower" if self.name == "accuracy" else "higher"
        return f"held-out {self.name} is {percent(self.rise)} {verb} {now} than at step {self.at}"

    def of_accuracy(self) -> str:
        assert self.accuracy is not None
        return "Held-out accuracy: {:.3f} there, {:.3f} at the end.".format(*self.accuracy)
