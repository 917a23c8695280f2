"""What the panels of a run share: name and stamp, and the steps that are marked."""

import math
from typing import Any

from interdyn.dynamics import PhaseStatus, recommend, when
from interdyn.plot._panel import Rule, credit
from interdyn.plot._steps import step_label
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


def phase_2_begins(view: RunResult) -> tuple[float, tuple[float, float]] | None:
    """Return step and interval where phase 2 begins, or of the boundary in older runs; None where not found."""
    phases = view.phases
    if phases is None or not phases.found:
        return None
    interval = phases.rise_starts_interval or phases.interval
    at = phases.rise_starts if phases.rise_starts is not None else phases.boundary_step
    return None if interval is None or at is None else (at, interval)


def statements(view: RunResult) -> tuple[Rule, ...]:
    """Return a mark for each of the three statements and for the best checkpoint, found or not."""
    phases, harm, began = view.phases, view.harm, phase_2_begins(view)
    none = phases is not None and phases.kind in (PhaseStatus.FLAT, PhaseStatus.ONLY_FALLS)
    open_phase = "not analysed" if phases is None else "none" if none else "not established"
    if phases is not None and phases.kind == PhaseStatus.ONLY_RISES:
        open_phase = "not dated, there is no phase 1"
    rows = [_row("phase 2 begins", began, f"phase 2: {open_phase}", colour="ink", dash="--")]
    gap = None
    if phases is not None and phases.gap_onset_step is not None and phases.gap_interval is not None:
        gap = (phases.gap_onset_step, phases.gap_interval)
    open_gap = "no losses" if view.loss_gap is None else "not established"
    rows.append(_row("loss gap widens", gap, f"wider loss gap: {open_gap}", colour="theory", dash=":"))
    harmed = None if harm is None or harm.step is None or harm.interval is None else (harm.step, harm.interval)
    seen = harm is not None and harm.best_step is not None
    open_harm = "not judged" if harm is None else "not established" if seen else "cannot be judged, no held-out data"
    rows.append(_row("harm begins", harmed, f"harm: {open_harm}", colour="mislabelled", dash="-"))
    return (*rows, _best(view))


def _row(name: str, found: tuple[float, tuple[float, float]] | None, otherwise: str, *, colour: str, dash: str) -> Rule:
    if found is None:
        return Rule(math.nan, otherwise, "muted")
    return Rule(found[0], f"{name} {when(found[1])}", colour, dash, found[1])


def _best(view: RunResult) -> Rule:
    """Return the mark of the checkpoint to use, or else of the lowest held-out loss."""
    use = recommend(view).step
    if use is not None:
        return Rule(use, f"checkpoint to use: step {step_label(use)}", "green", "-.")
    best = None if view.harm is None else view.harm.best_step
    if best is None:
        return Rule(math.nan, "checkpoint to use: not known", "muted")
    what = "highest held-out accuracy" if view.test_loss is None else "lowest held-out loss"
    return Rule(best, f"{what}: step {step_label(best)}", "green", "-.")
