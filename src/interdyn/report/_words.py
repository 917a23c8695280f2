"""The text of the report: what happened, how certain it is, a note for every checkpoint, and the tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from interdyn._numbers import percent
from interdyn.dynamics import PhaseStatus, when
from interdyn.plot import phase_2_begins, step_label
from interdyn.values import LeftOpen, RunResult, SampleTable, SplitRule, signed

_MOST_ROWS = 200  # of the table of samples
_LEVEL = "90 % interval"
_PATTERN = (
    "The pattern on training samples does not detect shortcuts or a shift of the data. It appeared in 9 of 16 harmed "
    "trainings (in 3 before harm began), and in 1 of 13 others, that this project ran after choosing it; in the study "
    "that introduced it, in 18 % of the trainings without harm. At a given step it detects harm less well than the "
    "number of steps does."
)


def number(value: Any, pattern: str = ".3g", *, missing: str = "not recorded") -> str:
    """Format a number for people; ``missing`` is the text for a number that was not recorded.

    Examples
    --------
    >>> number(0.01234), number(None), number(float("nan"))
    ('0.0123', 'not recorded', 'not recorded')
    """
    return missing if value is None or not np.isfinite(value) else format(value, pattern)


def split_rule(split: SplitRule) -> str:
    """Return the split rule of a run as text.

    Examples
    --------
    >>> split_rule(SplitRule(order_weight=0.02))
    'ties go to the lower order (order weight 0.02)'
    >>> split_rule(SplitRule())
    'split of version 0.1: ties are shared, which gives higher orders'
    """
    weight = split.order_weight
    if isinstance(weight, tuple):
        return f"a mixture of order weights: {', '.join('none (version 0.1)' if w is None else str(w) for w in weight)}"
    if weight is None:
        return "split of version 0.1: ties are shared, which gives higher orders"
    if split.solver == "sgd-paper":
        return "the method of the authors' code"
    if weight == 0:
        return "the paper's problem: ties are left open (order weight 0)"
    return f"ties go to the lower order (order weight {weight})"


def counted(n: int, what: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> counted(1, "sample"), counted(1200, "sample")
    ('1 sample', '1,200 samples')
    """
    return f"{n:,} {what}{'s' if n != 1 else ''}"


def left_open(identified: LeftOpen) -> str:
    """Return the identified range of the mean order at the last step as text.

    Examples
    --------
    >>> left_open(LeftOpen(mean_order=(1.31, 1.74), reported_mean_order=1.4, factor=1.001, n_samples=8))
    'mean order of all interactions of 8 samples: 1.40, identified range 1.31 to 1.74'
    """
    low, high = identified.mean_order
    of = f"mean order of all interactions of {counted(identified.n_samples, 'sample')}"
    return f"{of}: {identified.reported_mean_order:.2f}, identified range {low:.2f} to {high:.2f}"


def facts(view: RunResult) -> list[tuple[str, str, str]]:
    """Return the three statements, and how well the theory predicts, as (name, value, remark)."""
    rows: list[tuple[str, str, str]] = []
    phases = view.phases
    if phases is not None:
        began, gap = phase_2_begins(view), phases.gap_interval
        why = "a rise of the mean order after a fall is not established"
        rows.append(("Phase 2", f"began {when(began[1])}", _LEVEL) if began else ("Phase 2", "not established", why))
        why = phases.gap_status or _why_no_gap(view)
        rows.append(
            ("Loss gap", f"began to widen {when(gap)}", _LEVEL) if gap else ("Loss gap", "growth not established", why)
        )
    rows += _harm(view)
    rows += _predicted(view)
    return rows


def mean_order(view: RunResult) -> str:
    """Return the mean order at the first measurement, where it turns and at the last; empty for fewer than two."""
    band = view.mean_order
    finite = band.value[np.isfinite(band.value)] if band is not None else np.empty(0)
    if finite.size < 2:
        return ""
    between = finite.max() if turn(view) == "maximum" else finite.min()
    return " → ".join(f"{x:.1f}" for x in (finite[0], between, finite[-1]))


def turn(view: RunResult) -> str:
    """Return where the mean order turns: at its maximum if it first rises and then falls, otherwise at its minimum."""
    first_rises = view.phases is not None and view.phases.kind == PhaseStatus.RISES_THEN_FALLS
    return "maximum" if first_rises else "minimum"


def _predicted(view: RunResult) -> list[tuple[str, str, str]]:
    """Return the card on what predicts the tables of earlier checkpoints."""
    overall = None if view.prediction is None else view.prediction.overall
    if overall is None:
        reason = "" if view.prediction is None else view.prediction.reason
        return [("Prediction by the theory", "not made", reason)] if reason else []
    ours, rival = overall.correlation.get(overall.theory), overall.correlation.get(overall.rival)
    ceiling = "" if overall.ceiling is None else f", nearby steps {overall.ceiling:.2f}"
    compared = f"correlation with the measured tables; best rival {number(rival, '.2f')}{ceiling}"
    remark = f"{compared}. {overall.sentence.partition(':')[0]}."
    return [("Prediction by the theory", "not possible" if ours is None else f"{ours:.2f}", remark)]


def predicted(view: RunResult) -> str:
    """Return for a table how well the theory predicts, with the best rival and nearby steps for comparison."""
    overall = None if view.prediction is None else view.prediction.overall
    ours = None if overall is None else overall.correlation.get(overall.theory)
    if overall is None or ours is None:
        return "not made"
    ceiling = "" if overall.ceiling is None else f", nearby steps {overall.ceiling:.2f}"
    return f"{ours:.2f} (best rival {number(overall.correlation.get(overall.rival), '.2f')}{ceiling})"


def over_seeds(name: str, views: Sequence[RunResult]) -> str:
    """Return how much better the theory predicts than its best rival over several seeds; empty for fewer than two.

    Over all checkpoints, since a seed may have no second phase.
    """
    found = [view.prediction.whole for view in views if view.prediction is not None and view.prediction.whole]
    gains = [one.gain for one in found if one.gain is not None]
    if len(gains) < 2:
        return ""
    better = sum(one.gain_low is not None and one.gain_low > 0 for one in found)
    worse = sum(one.gain_high is not None and one.gain_high < 0 for one in found)
    mean, low, high = (signed(float(x), 3) for x in (np.mean(gains), min(gains), max(gains)))
    return (
        f"{name}, {len(gains)} seeds, all checkpoints: the correlation of the theory's prediction minus that of its "
        f"best rival is {mean} on average, from {low} to {high}; the theory is "
        f"shown to be better in {better} and worse in {worse} of the seeds."
    )


def _why_no_gap(view: RunResult) -> str:
    return "training and test loss were not recorded" if view.loss_gap is None else "not judged"


def _harm(view: RunResult) -> list[tuple[str, str, str]]:
    """Return the row on harm."""
    harm = view.harm
    if harm is None:
        return [("Harm", "not judged", "the version that wrote this run did not judge it; analyse the run again")]
    if harm.best_step is None:
        return [("Harm", "cannot be judged", harm.pattern or harm.sentence)]
    value = "not established" if harm.interval is None else f"began {when(harm.interval)}"
    return [("Harm", value, harm.sentence)]


def remarks(view: RunResult) -> list[str]:
    """Return the sentences after the verdict, each once, without those that a figure has next to it."""
    beside = {one.sentence for one in (view.prediction, view.theory and view.theory.overall) if one}
    return [s for s in dict.fromkeys(view.verdict[1:]) if s and s not in beside]


def confidence(view: RunResult) -> list[str]:
    """Return how certain the verdict is, and whether the boundary and the loss gap agree."""
    out: list[str] = []
    phases = view.phases
    group = view.group("test")
    samples = group.n_samples if group is not None else view.n_samples
    if samples is not None:
        out.append(f"Measured on {counted(samples, 'test sample')} at {counted(len(view.steps), 'checkpoint')}.")
    out += () if view.windows is None else view.windows.sentences
    if phases is None:
        return out
    if view.stage is not None:
        out.append("The verdict is updated at every checkpoint and reports a change once two in a row show it.")
    elif phases.status:
        out.append(phases.status)
    if phases.found and phases.interval is not None:
        low, high = phases.interval
        inside = int(((view.steps >= low) & (view.steps <= high)).sum())
        out.append(
            f"The interval of the boundary contains {inside} checkpoints; more checkpoints there would narrow it."
        )
        if phases.agreement:
            out.append(phases.agreement)
    if view.harm is not None and view.harm.pattern:
        out.append(_PATTERN)
    return out


def means(view: RunResult) -> str:
    """Return what the values on the page are, where measurements take several steps."""
    assert view.windows is not None
    return (
        f"Each value is the mean over up to {view.windows.size} nearby steps, ± its standard error; “kept” is the part "
        "that all steps share, 0 where signs differ."
    )


def notes(view: RunResult) -> list[str]:
    """Return one sentence for every checkpoint, shown and read aloud as the slider moves."""
    group = view.group("test")
    band = group.mean_order if group is not None else None
    out: list[str] = []
    for i, step in enumerate(view.steps):
        words = [f"Step {step_label(float(step))}"]
        if band is not None and np.isfinite(band.value[i]):
            words.append(f"mean order {band.value[i]:.2f}")
        if view.theory is not None and np.isfinite(view.theory.tv.value[i]):
            words.append(f"distance between theory and measurement {view.theory.tv.value[i]:.3f}")
        if view.loss_gap is not None and np.isfinite(view.loss_gap[i]):
            words.append(f"loss gap {view.loss_gap[i]:.3f}")
        sentence = ", ".join(words) + "."  # the second line is the theory's own comment
        if view.theory is not None and view.theory.sentences[i]:
            sentence += f"\n{view.theory.sentences[i]}"
        out.append(sentence)
    return out


def trust(view: RunResult) -> list[tuple[str, str, str]]:
    """Return the quality and the cost of the numbers as (name, value, what it means)."""
    solver, seconds = view.solver, view.seconds
    split = "how much sparser an explanation could be at most (certified)"
    rest = "largest unexplained part of an output, relative to the largest output"
    rest += "; the noise bound is relative to the effect of all players"
    cost = ", ".join(f"{key.replace('_', ' ')} {number(value, ',.0f')} s" for key, value in seconds.items())
    groups = ", ".join(f"{group.n_samples} {name}" for name, group in view.groups.items() if group.n_samples)
    counts = [("Measurements", str(view.measurements), "taken by the tracker")] if view.measurements else []
    return [
        *counts,
        (
            "Gap of the AND-OR split",
            f"mean {percent(solver.mean_gap)}, max {percent(solver.max_gap)}",
            split,
        ),
        ("Ties between orders", split_rule(view.split), "which of the equally sparse explanations is reported"),
        (
            "Identified range",
            left_open(view.identified) if view.identified else "not recorded",
            _open_remark(view.identified),
        ),
        ("Residual", f"max {percent(solver.max_residual)}", rest),
        (
            "Samples",
            groups or number(view.n_samples, "d"),
            "intervals are 90 % bootstrap intervals over samples",
        ),
        ("Players", str(view.game), "parts of the input that are masked in all combinations, out of all parts (N)"),
        ("Forward passes", number(view.forward_passes, ",d"), "evaluations of the network on masked inputs"),
        ("Time", cost or "not recorded", "on the machine of the run"),
    ]


def _open_remark(identified: LeftOpen | None) -> str:
    if identified is None:
        return "mean orders of all equally sparse explanations: `interdyn.sparsify.identified` computes them"
    return (
        f"mean orders of all explanations within {percent(identified.factor - 1)} of the sparsest (certified), salient "
        "or not, at the last checkpoint"
    )


def table(view: RunResult) -> tuple[list[str], list[list[str]]]:
    """Return the numbers behind the charts: header and one row per checkpoint."""
    columns: list[tuple[str, np.ndarray | None, str]] = []
    for name, group in view.groups.items():
        order = group.mean_order.value if group.mean_order is not None else None
        columns.append((f"mean order, {name}", order, ".2f"))
        columns.append((f"salient per sample, {name}", group.n_salient, ".1f"))
    columns += [
        ("training loss", view.train_loss, ".4g"),
        ("test loss", view.test_loss, ".4g"),
        ("training accuracy", view.train_accuracy, ".3f"),
        ("test accuracy", view.test_accuracy, ".3f"),
    ]
    found = {} if view.prediction is None else view.prediction.mechanisms
    columns += [(f"correlation, {name}", one.correlation.value, ".3f") for name, one in found.items()]
    if view.theory is not None:
        columns += [
            ("noise variance", view.theory.noise_var.value, ".2e"),
            ("distance of orders", view.theory.tv.value, ".3f"),
        ]
    shown = [(name, array, pattern) for name, array, pattern in columns if array is not None]
    rows = [
        [step_label(float(step)), *("-" if not np.isfinite(a[i]) else format(a[i], p) for _, a, p in shown)]
        for i, step in enumerate(view.steps)
    ]
    return ["step", *(name for name, _, _ in shown)], rows


def samples(table: SampleTable | None) -> dict[str, Any] | None:
    """Return sentence, headings and rows of the table of samples; None where the run has no samples.

    Training samples come first, by rank, then the others, as `interdyn samples` prints them.
    """
    if not table:
        return None
    return {
        "sentence": table.sentence,
        "heads": (*table.HEADS[:-1], "looks memorised or mislabelled"),
        "rows": [row.cells() for row in table[:_MOST_ROWS]],
        "left_out": max(len(table) - _MOST_ROWS, 0),
    }
