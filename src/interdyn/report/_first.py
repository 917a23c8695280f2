"""The text of the first screen: what happened, what to do, what is not certain, and four cards."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from interdyn._numbers import percent
from interdyn.dynamics import PhaseEvidence, PhaseStatus, Recommendation, recommend, when
from interdyn.plot import phase_2_begins, step_label
from interdyn.report._looked import MISLABELLED
from interdyn.report._used import being_learned
from interdyn.report._words import mean_order, turn
from interdyn.values import PhaseResult, RunResult

_GROWING = {
    "phase 1": "its interactions got simpler, and phase 2 (more complex interactions) is not established",
    "phase 2": "it learns more complex interactions (phase 2)",
    "no verdict": "it is too early to judge the phase",
}
_BEGAN = "phase 2 (more complex interactions) began"
_ABSENT = {  # `interdyn.dynamics.PhaseStatus` to the answer on a card, and a clause
    PhaseStatus.ONLY_FALLS: ("One phase", "the interactions got simpler, without a second phase"),
    PhaseStatus.ONLY_RISES: ("No first phase", "the interactions got more complex, without getting simpler first"),
    PhaseStatus.RISES_THEN_FALLS: ("Rises, then falls", "the interactions got more complex, then simpler"),
    PhaseStatus.FLAT: ("No phases", "the interactions got neither simpler nor more complex"),
}
_UNSEEN = "harm cannot be judged without held-out losses"
_NAMED = 3  # samples named on a card


@dataclass(frozen=True)
class Card:
    """One of the four answers next to the overview: its name, the answer, a remark, and the section with more on it."""

    name: str
    value: str
    remark: str
    anchor: str


def headline(view: RunResult, *, alive: bool = True) -> str:
    """Return what happened, in one sentence; ``alive`` says whether a run that has not ended is still written."""
    harm, course = view.harm, recommend(view).course
    if view.stage is not None:
        began = phase_2_begins(view)
        stage = _GROWING.get(view.stage, view.stage)
        if began is not None:
            stage = f"{_BEGAN if view.stage == 'phase 2' else stage} {when(began[1])}"
        parts = [stage]
        if harm is not None and harm.interval is not None:
            parts = [f"training began to harm {when(harm.interval)}"]
        state = "Still in training" if alive else "Stopped unexpectedly"
        return f"{state}: {'; '.join([*parts, *([course] if course else [])])}."
    if len(view.steps) == 1:
        return "Only one checkpoint was measured. It shows what the network uses, not how that changes."
    if harm is not None and harm.interval is not None:
        return f"Training began to harm {when(harm.interval)}{f': {course}' if course else ''}."
    unseen = harm is not None and harm.best_step is None
    rest = f"; {course or _UNSEEN}" if course or unseen else ""
    if view.phases is None:
        return f"The interactions were measured over training, but the phases were not analysed{rest}."
    began = phase_2_begins(view)
    if began is not None:
        return f"The interactions got simpler, then more complex (phase 2 began {when(began[1])}){rest}."
    turn = "a lasting phase 2 (more complex interactions) is not established"
    if view.phases.kind in _ABSENT:
        turn = _ABSENT[PhaseStatus(view.phases.kind)][1]
    return _sentence(f"{course}; {turn}" if course else f"{turn}{rest}")


def state(view: RunResult, *, alive: bool = True) -> str:
    """Return the state and last step of a run, and of how many samples interactions were measured."""
    count, last = len(view.steps), step_label(float(view.steps[-1]))
    how = "finished" if view.stage is None else "running" if alive else "stopped unexpectedly"
    samples = view.n_samples if view.first is None else view.first.n_samples
    of = "" if samples is None else f", interactions of {samples} test sample{'s' if samples > 1 else ''}"
    windows = "" if view.windows is None else f" in {len(view.windows.steps)} windows"
    return f"{how} at step {last}, {count} checkpoint{'s' if count > 1 else ''}{windows}{of}"


def advice(view: RunResult, *, alive: bool = True) -> Recommendation:
    """Return what to do; a training that has lost its process and should continue must be restarted."""
    found = recommend(view)
    if view.stage is None or alive or found.stop is not False:
        return found
    return replace(found, sentence="Restart the training: no process writes to this run, and no harm is established.")


def uncertain(view: RunResult) -> str:
    """Return what is not certain about the verdict, in a few short sentences; empty where nothing is open."""
    out, phases, harm, advised = list[str](), view.phases, view.harm, recommend(view)
    began = phase_2_begins(view)
    if began is not None:
        out.append(f"Phase 2, in which higher orders are learned, may have begun anywhere {_between(began[1])}.")
    elif view.stage is not None:
        out.append("Whether phase 2 has begun is not established.")
    elif phases is not None and phases.kind == PhaseStatus.RISES_THEN_FALLS:
        p = percent(_evidence(phases).hump)
        out.append(f"The probability that interactions first got more complex, then simpler is {p}.")
    elif phases is not None and phases.kind not in _ABSENT:
        possible = (phases.evidence or {}).get("possible_rise")
        rise = "" if possible is None else f"; the mean order may have risen by up to {possible:.2g} by the end"
        out.append(f"A lasting phase 2 is not established{rise}.")
    if harm is not None and harm.interval is not None:
        inside = advised.step is not None and harm.interval[0] < advised.step
        near = ", perhaps before the recommended checkpoint" if inside else ""
        out.append(f"Harm may have begun anywhere {_between(harm.interval)}{near}.")
    if advised.open:
        out.append(advised.open)
    return " ".join(out)


def cards(view: RunResult, used: Mapping[str, Any] | None) -> list[Card]:
    """Return the four answers; ``used`` is what `Uses.record` returns."""
    return [_checkpoint(view), _phase(view), learned(view, used), _samples(view)]


def learned(view: RunResult, used: Mapping[str, Any] | None) -> Card:
    """Return what is being learned: the orders with most of the strength, and the interaction that grew most."""
    anchor = "uses" if used else "dynamics"
    group = view.first
    band = None if group is None else group.order_distribution
    name = "What is being learned" if view.stage is not None else "What was learned"
    if band is None or not np.isfinite(band.value[-1]).all():
        return Card(name, "Not measured", "no interactions at the last checkpoint", anchor)
    share = band.value[-1]
    first, second, *_ = (*np.argsort(-share, kind="stable"), 0)
    value = f"Orders {first + 1} and {second + 1}" if share[first] + share[second] > 0.5 else "Many orders"
    value = f"Mostly order {first + 1}" if share[first] > 0.5 else value
    remark = f"{percent(share[first])} of the interaction strength has order {first + 1}"
    if len(share) > 1 and share[second] >= 0.01:
        remark += f", {percent(share[second])} order {second + 1}"
    grown = being_learned(used)
    return Card(name, value, f"{remark}. {grown}".rstrip(), anchor)


def _checkpoint(view: RunResult) -> Card:
    """Return the card on the best checkpoint."""
    use, best = recommend(view).step, None if view.harm is None else view.harm.best_step
    step = use if use is not None else best
    if step is None or len(view.steps) == 1:
        do = "analyse the run again" if view.harm is None else "record a held-out loss to compare checkpoints"
        return Card("Best checkpoint", "Not known", do, "sure")
    at = int(np.abs(view.steps - step).argmin())
    known = [
        f"{name} {values[at]:{digits}}"
        for name, values, digits in (("held-out loss", view.test_loss, ".3g"), ("accuracy", view.test_accuracy, ".3f"))
        if values is not None and np.isfinite(values[at])
    ]
    if step != view.steps[-1] and view.test_accuracy is not None and np.isfinite(view.test_accuracy[[at, -1]]).all():
        known.append(f"at the last step {view.test_accuracy[-1]:.3f}")
    value = f"Step {step_label(step)}"
    if use is None:
        value += " so far" if view.stage is not None else " or the last"
    elif step == view.steps[-1] and view.stage is None:
        value += ", the last"
    return Card("Best checkpoint", value, ", ".join(known), "dynamics")


def _phase(view: RunResult) -> Card:
    """Return the card on the phase, with the mean order at the start, at its minimum and at the end."""
    began = phase_2_begins(view)
    value = "Phase 2" if began is not None else "Not established"
    if view.stage is not None:
        value = view.stage[0].upper() + view.stage[1:]
    elif view.phases is None:
        value = "Not analysed"
    elif view.phases.kind in _ABSENT:
        value = _ABSENT[PhaseStatus(view.phases.kind)][0]
    elif began is None and _evidence(view.phases).falls():
        value = "Phase 1"
    elif began is None and _evidence(view.phases).rises():
        value = "Only a rise"
    remark = f"learning of higher orders began {when(began[1])}; " if began is not None else ""
    if course := mean_order(view):
        remark += f"mean order {course} (start, {turn(view)}, {'end' if view.stage is None else 'now'})"
    return Card("Phase", value, remark.removesuffix("; "), "dynamics")


def _evidence(phases: PhaseResult) -> PhaseEvidence:
    """Return the evidence of a run as far as it is recorded."""
    kept = phases.evidence or {}
    return PhaseEvidence(**{field.name: kept[field.name] for field in fields(PhaseEvidence) if field.name in kept})


def _samples(view: RunResult) -> Card:
    """Return the card on the samples to check."""
    name = "Samples to check"
    if not view.samples:
        return Card(name, "Not recorded", "record a group of training samples", "shown")
    training = [row for row in view.samples if row.group != "test"]
    flagged = [row for row in training if row.flagged]
    ranked = sorted((row for row in training if row.rank is not None), key=lambda row: row.rank or 0)
    first = (flagged or ranked)[:_NAMED]
    if not first:
        return Card(name, "Not recorded", "record a group of training samples", "shown")
    value = ", ".join(str(row.sample_id) for row in first)
    if all(row.group == MISLABELLED for row in training):
        return Card(name, value, "of the samples known to be mislabelled, those that fit worst", "samples")
    if flagged:
        seem = "sample looks memorised" if len(flagged) == 1 else "samples look memorised"
        return Card(name, value, f"{len(flagged)} training {seem} or mislabelled", "samples")
    why = view.samples.sentence if view.samples.flags is None else str(view.samples.flags)
    return Card(name, value, f"{_in_group(first[0].group)} that fit worst. {why}", "samples")


def _in_group(name: str) -> str:
    return "training samples" if name == "train" else f'samples of the group "{name}"'


def _between(interval: tuple[float, float]) -> str:
    words = when(interval)
    return words if words.startswith("between") else f"near {words.removeprefix('about ')}"


def typeset(text: str) -> str:
    r"""Return a text that does not break within "held-out" or before a percent sign, without the marks of code.

    Examples
    --------
    >>> typeset("held-out loss up 5 %").split(" ")
    ['held‑out', 'loss', 'up', '5\xa0%']
    """
    return text.replace("held-out", "held\u2011out").replace(" %", "\u00a0%").replace("`", "")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
