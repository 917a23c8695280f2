"""What panels of a run have in common: name and stamp, and the moments that are marked."""

from typing import Any

from interdyn.plot._panel import Rule, credit
from interdyn.values import RunResult


def head(view: RunResult, name: str, title: str, y: str = "", caption: str = "") -> dict[str, Any]:
    """Return what every panel of a run has."""
    stamp = credit(view.recipe, view.version)
    words = {"y": y, "caption": caption} if y else {}
    return {"id": name, "title": title, "steps": view.steps, "stamp": stamp, **words}


def boundary(view: RunResult) -> tuple[Rule, ...]:
    """Return the mark of the phase boundary; none where none was found."""
    phases = view.phases
    if phases is None or not phases.found or phases.boundary_step is None:
        return ()
    return (Rule(phases.boundary_step, "phase boundary", dash="--", interval=phases.interval),)


def all_moments(view: RunResult) -> tuple[Rule, ...]:
    """Return the marks of the three statements: boundary, onset of the gap, onset of harm."""
    moments, phases, harm = boundary(view), view.phases, view.harm
    if phases is not None and phases.gap_onset_step is not None:
        moments += (Rule(phases.gap_onset_step, "gap begins to widen", "theory", ":", phases.gap_interval),)
    if harm is not None and harm.step is not None:
        moments += (Rule(harm.step, "training begins to harm", "mislabelled", "-", harm.interval),)
    return moments
