"""The page of the monitor's evidence: tables, one sentence for each question, a figure; all from what is kept."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from _monitor_judged import (
    BLIND,
    END,
    HARM,
    LEVEL,
    NAMING,
    SIGNALS,
    STEP,
    Fare,
    Named,
    edges,
    fare,
    measured,
    name_step,
    pattern_rings,
)
from _tables import course, lines, number, share_interval, span
from interdyn._numbers import percent
from interdyn.monitors import NAMES

Kept = Mapping[str, Any]
ORDER = ("clean", "noise-10", "noise-20", "noise-40", "people", "few", "decay", "stopped", "one-pass", "small")
"""Those from which version 0.2 judged its signal; the others came after it was chosen."""
CHOSEN = "Run after `R` and its threshold were chosen; none of them influenced the choice."
PROPOSED = {"auc": 0.93, "balanced": 0.89, "false": 0.18}  # by the study that proposed R

HEAD = """# Is the monitor worth trusting?
"""
HOW = """## How this was measured

Each training is a recipe in `benchmarks/monitor` whose truth is known (`./run monitor run NAME`; this page: `./run
monitor page`). False alarms and delays in simulated trainings: [the finder](finder.md), [harm](harm.md).

**Truth.** Training *harms* once the test loss, as the median of five evaluations, is above its earlier minimum by more
than two standard errors (of the samples' differences) and 5 %. Half of the test samples give this test loss. The other
half is the validation set, which only patience and `find_harm` use. Losses and the data of other monitors are recorded
after every epoch (in short trainings forty times), interactions of 8 training samples at the steps of the run.

**Ours, without held-out data**, of training samples: `R` of `find_pattern` (threshold 1.3 at two measurements in a
row); rise of the mean order, of the cancelling share `1 - |sum I| / sum |I|`
and of the Walsh degree above their minimum so far; fall of the similarity to a twin with another seed (weighted Jaccard
of the salient interactions of order 1) below its maximum so far. **Others**, from `interdyn.monitors`: Label Wave,
gradient disparity, instance-wise early stopping; their signals are logarithms of the ratio to their minimum so far,
that of instance-wise stopping is the share of samples that are learned. weightwatcher: smallest alpha of a layer, alarm
below 2. **With held-out labels**: patience (five evaluations), `find_harm`. **Controls**: the training loss alone, the
step alone. The step that `R` and weightwatcher name is that of their alarm; neither is meant to name the best.
"""

COLUMNS = f"""AUC and balanced accuracy: at all measured steps, whether training has harmed by then. Each training has
weight 1; the threshold for a task is chosen on the other tasks. Intervals are {percent(LEVEL)}, from redrawing tasks
and their trainings (thresholds stay as they are); those of numbers of alarms are Wilson's, 95 %. `find_harm` is a rule
without a signal, so it has neither area nor threshold. Alarms follow each signal's own rule; a signal without one uses
the threshold of the other tasks, exceeded twice in a row; *early*: before harm begins. *late*: step of the alarm
divided by the step at which harm begins, median and range. *step over best*: the named step divided by that of the
minimum test loss (median). *loss over minimum*: the test loss there divided by its minimum (geometric mean). Where no
step is named, training continues to its end. `find_harm` names the step of the least validation loss (a single low
value does not count). *log step* and *share of the steps* see nothing of the training: the number of steps done, and
the share of the planned steps that is best, in the mean, on other tasks."""


# -- the two questions -------------------------------------------------------------------------------


def part(count: tuple[int, int]) -> str:
    return f"{count[0]} of {count[1]}"


def share_of(count: tuple[int, int]) -> str:
    """Return a number of trainings with the 95 % interval of its share.

    >>> share_of((1, 13))
    '1 of 13 (0.01 to 0.33)'
    """
    return part(count) + between(share_interval_of(count))


def share_interval_of(count: tuple[int, int]) -> tuple[float, float]:
    return share_interval(count[0] / count[1], count[1]) if count[1] else (math.nan, math.nan)


def between(interval: tuple[float, float], digits: int = 2) -> str:
    return "" if not math.isfinite(interval[0]) else f" ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def late(found: Sequence[float]) -> str:
    return "none" if not found else f"{np.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def harm_table(fares: Mapping[str, Fare]) -> list[str]:
    rows = [
        (
            name,
            SIGNALS[name].family,
            str(f.n),
            number(f.auc, 2) + between(edges(f.auc_draws)) if SIGNALS[name].values else "",
            number(f.balanced, 2) + between(edges(f.draws)) if SIGNALS[name].values else "",
            f"{f.worst[0]:.2f} ({f.worst[1]})" if SIGNALS[name].values else "",
            share_of(f.false_alarms),
            f"{share_of(f.alarms)}, {f.early} early",
            late(f.late),
        )
        for name, f in fares.items()
    ]
    head = ("signal", "whose", "trainings", "AUC", "balanced accuracy", "worst task", "false alarms", "alarms", "late")
    return lines(head, rows)


def step_table(named: Mapping[str, Named]) -> list[str]:
    rows = [
        (
            name,
            SIGNALS[name].family if name in SIGNALS else "control",
            f"{f.named} of {f.n}",
            number(f.ratio, 2) + between(edges(f.ratio_draws)),
            number(f.loss, 2) + between(edges(np.exp(f.draws))),
            number(f.harmed, 2),
            number(f.harmless, 2),
            f"{f.worst[0]:.2f} ({f.worst[1]})",
        )
        for name, f in named.items()
    ]
    head = ("signal", "whose", "names a step in", "step over best", "loss over minimum", "harmed", "harmless", "worst")
    return lines(head, rows)


def harm_sentences(fares: Mapping[str, Fare]) -> list[str]:
    """Return what held-out labels show, and which signals without them detect harm better than the steps alone."""
    full, blind = max(f.n for f in fares.values()), fares[STEP]
    free = [n for n, f in fares.items() if SIGNALS[n].family in ("ours", "other") and f.n == full]
    free.sort(key=lambda n: -fares[n].balanced)
    gains = {n: edges(fares[n].draws - blind.draws) for n in free}
    better, worse = [n for n in free if gains[n][0] > 0], [n for n in free if gains[n][1] < 0]
    top = better or free[:1]
    shown = listed([f"*{n}*: {fares[n].balanced:.2f}, difference {span_of(gains[n])}" for n in top])
    lows = [f"{fares[n].worst[0]:.2f} ({n}, {fares[n].worst[1]})" for n in (*top, STEP)]
    out = [
        f"**Is this training being harmed?** Use held-out labels: `find_harm` raises {alarms(fares[HARM])}; patience "
        f"raises {alarms(fares['patience'])}.",
        f"Without labels, {'these signals are' if better else 'no signal is'} established to detect harm better than "
        f"the number of steps alone, whose balanced accuracy is {blind.balanced:.2f} on tasks left out "
        f"({'' if better else 'the highest is '}{shown}).",
    ]
    least = listed([f"*{n}* ({fares[n].balanced:.2f})" for n in worse]) or "none"
    out.append(f"Established to detect it less well: {least}.")
    out.append(f"Balanced accuracy in the worst task: {listed(lows)}.")
    ruled = dict.fromkeys(("R", *(n for n in top if SIGNALS[n].rings)))
    return [*out, *(f"The fixed rule of *{n}*{by_name(n)} raises {alarms(fares[n])}." for n in ruled)]


def alarms(found: Fare) -> str:
    """Return how often a rule raises an alarm."""
    early = f", {found.early} of them before harm began" if found.early else ""
    harmed = f"{part(found.alarms)} harmed trainings{early}"
    return f"false alarms in {part(found.false_alarms)} harmless trainings and alarms in {harmed}"


def step_sentences(named: Mapping[str, Named]) -> list[str]:
    """Return what held-out labels name, and which signals without them name a better step than a share of the steps."""
    full = max(f.n for f in named.values())
    able = {n: f for n, f in named.items() if f.n == full}
    free = sorted((n for n in able if n in SIGNALS and SIGNALS[n].family != "labels"), key=lambda n: able[n].loss)
    first, blind = able[free[0]], able[BLIND]
    gain = edges(first.draws - blind.draws)
    out = [
        f"**Where was the best step?** Use held-out labels: the test loss at the step that `find_harm` names is "
        f"{able[HARM].loss:.2f} times its minimum, at that of patience {able['patience'].loss:.2f}, at the end of "
        f"training {able[END].loss:.2f}.",
        f"Without labels, {'one signal is' if gain[1] < 0 else 'no signal is'} established to name a better step than "
        f"the share of the steps that is best on other tasks, with {by_harm(blind)}: the best signal, *{free[0]}*, has "
        f"{by_harm(first, f'; difference of logarithms {span_of(gain)}')}, and names a step in {first.named} of "
        f"{first.n} trainings.",
    ]
    harmed = min(free, key=lambda n: able[n].harmed)
    if harmed != free[0]:
        out.append(f"In harmed trainings the best signal is *{harmed}*{by_name(harmed)}, with {by_harm(able[harmed])}.")
    return out


def by_harm(found: Named, more: str = "") -> str:
    """Return the loss over its minimum, apart for harmed and harmless trainings."""
    harmed, harmless = number(found.harmed, 2), number(found.harmless, 2)
    return f"{found.loss:.2f} ({harmed} in harmed trainings, {harmless} in harmless{more})"


def span_of(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{low:+.2f} to {high:+.2f}" if math.isfinite(low) else "not known"


def listed(parts: Sequence[str]) -> str:
    """Join parts of a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""


def by_name(winner: str) -> str:
    """Return how a user has another's monitor."""
    name = winner.lower().replace("-wise", "").replace(" ", "-")
    return f" (`interdyn.monitors.named({name!r})`)" if name in NAMES else ""


def conclusion(kept: Sequence[Kept], missing: Sequence[str]) -> str:
    """Return what users read elsewhere: the first sentences on each question, of the new trainings."""
    if missing:
        return f"Not known yet: {len(kept)} of {len(kept) + len(missing)} trainings are kept."
    new = [k for k in kept if k["name"] not in ORDER]
    fares, named = judged_on(new)
    return "\n".join((" ".join(harm_sentences(fares)[:3]), " ".join(step_sentences(named)[:2])))


def judged_on(kept: Sequence[Kept]) -> tuple[dict[str, Fare], dict[str, Named]]:
    """Return how each signal that was measured fares on both questions; the last two are controls."""
    there = [name for name in SIGNALS if measured(name, kept)]
    fares = {name: fare(name, kept) for name in there}
    return fares, {name: name_step(name, kept) for name in (*(n for n in NAMING if n in there), END, BLIND)}


def of_tasks(kept: Sequence[Kept]) -> str:
    """Return which tasks the new trainings share with the ten."""
    old, new = ({k["task"] for k in kept if (k["name"] in ORDER) is ten} for ten in (True, False))
    return f"Tasks that the ten trainings of version 0.2 have too: {listed(sorted(old & new)) or 'none'}."


def proposed(new: Sequence[Kept]) -> str:
    """Return what the study that proposed `R` reported, and whether it was found again."""
    fares, _ = judged_on(new)
    r, blind = fares["R"], fares[STEP]
    gain = edges(r.draws - blind.draws)
    rows = {"AUC": (PROPOSED["auc"], r.auc, edges(r.auc_draws))}
    rows["balanced accuracy"] = (PROPOSED["balanced"], r.balanced, edges(r.draws))
    rows["false alarms"] = (PROPOSED["false"], r.false_alarms[0] / r.false_alarms[1], share_interval_of(r.false_alarms))
    found = [
        f"{name} {old:.2f}, here {now:.2f}{between(interval)}: "
        f"{'not contradicted' if interval[0] <= old <= interval[1] else 'refuted'}"
        for name, (old, now, interval) in rows.items()
    ]
    return (
        f"It had 33 trainings on 5 tasks and tried about 80 signals. It reported {'; '.join(found)}. "
        f"It reported more balanced accuracy than the number of steps (0.79); here the difference is {span_of(gain)}: "
        f"{'refuted' if gain[1] < 0 else 'not contradicted'}. Of rivals it reported false alarms in 0.82 (patience), "
        f"0.91 (Label Wave) and 1.00 (gradient disparity) of harmless trainings; here in "
        f"{listed([share_of(fares[n].false_alarms) for n in ('patience', 'Label Wave', 'gradient disparity')])}."
    )


def questions(kept: Sequence[Kept]) -> list[str]:
    """Return both sentences and both tables for some trainings."""
    fares, named = judged_on(kept)
    first, second = " ".join(harm_sentences(fares)), " ".join(step_sentences(named))
    return [first, "", *harm_table(fares), "", second, "", *step_table(named), ""]


# -- each training -----------------------------------------------------------------------------------


def training_table(kept: Sequence[Kept]) -> list[str]:
    rows = []
    for k in kept:
        true, rivals = k["truth"], k["rivals"]
        grown = percent(true["end"] / true["least"] - 1)
        seen = [r for r in k["pattern"] if r is not None]
        rows.append(
            (
                k["name"],
                k["task"],
                course(k["mean_order"]),
                f"{true['least_at']:.0f} of {k['fine']['steps'][-1]}; ends {grown} above",
                number(true["since"], 0),
                span(true["gap_onset"], true["gap_interval"]) if true["gap_grows"] else "does not grow",
                number(k["phase_2"]["said"], 0),
                number(k["harm"]["said"], 0),
                f"{number(pattern_rings(k), 0)} ({max(seen):.1f})" if seen else "none",
                *(number(rivals[name]["stops_at"], 0) for name in rivals),
                _alpha(k["alpha"]),
            )
        )
    head = (
        *(
            "run",
            "task",
            "mean order",
            "test loss",
            "harms since",
            "gap",
            "phase 2 reported",
            "harm reported",
            "R (largest)",
        ),
        *("patience", "Label Wave", "gradient disparity", "instance-wise", "smallest alpha"),
    )
    return lines(head, rows)


def _alpha(alpha: Sequence[float | None] | None) -> str:
    if alpha is None:
        return "not measured"
    return number(min((a for a in alpha if a is not None), default=None), 2)


def pattern_told(kept: Sequence[Kept]) -> str:
    """Return how often `find_pattern` raised an alarm in the new trainings, as its documentation writes it.

    >>> pattern_told([])
    'in 0 of 0 harmed trainings (in 0 before harm began), and in 0 of 0 others'
    """
    r = fare("R", [k for k in kept if k["name"] not in ORDER])
    return (
        f"in {part(r.alarms)} harmed trainings (in {r.early} before harm began), and in {part(r.false_alarms)} others"
    )


def text(kept: Sequence[Kept], missing: Sequence[str]) -> str:
    """Return the whole page."""
    new = [k for k in kept if k["name"] not in ORDER]
    tasks = sorted({k["task"] for k in new})
    said = [line for answer in conclusion(kept, missing).split("\n") for line in (*textwrap.wrap(answer, 120), "")]
    out = [HEAD, *said, HOW]
    if missing:
        out += [f"**Not all trainings are kept yet**; missing: {', '.join(missing)}.", ""]
    if len({k["truth"]["since"] is not None for k in new}) == 2:
        out += [f"## New trainings: {len(new)}, on {len(tasks)} tasks ({', '.join(tasks)})", ""]
        out += ["\n".join(textwrap.wrap(f"{CHOSEN} {of_tasks(kept)}", 120)), "", COLUMNS, "", *questions(new)]
        out += ["## Was the study right that proposed R?", "", *textwrap.wrap(proposed(new), 120), ""]
    if len({k["truth"]["since"] is not None for k in kept}) == 2 and len(kept) > len(new):
        out += [f"## All trainings: {len(kept)}", "", *questions(kept)]
    out += ["## Each training", "", *training_table(kept), ""]
    out += ["![Mean order, test loss and alarms of every training](monitor/courses.svg)", ""]
    return "\n".join(out)


def picture(kept: Sequence[Kept], file: Path) -> None:
    """Draw mean order and test loss of each training, and where it harms or harm is reported."""
    columns = 5
    rows = -(-len(kept) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * rows + 0.6), layout="constrained")
    FigureCanvasSVG(figure)
    axes = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    styles = (
        ("harm", "#d55e00", "-"),
        ("R", "#cc79a7", "-"),
        ("patience", "#000000", ":"),
        ("Label Wave", "#009e73", "--"),
    )
    for axis, k in zip(axes, kept, strict=False):
        axis.plot(
            np.array(k["looks"]) + 1, [np.nan if x is None else x for x in k["mean_order"]], ".-", color="#0072b2"
        )
        right = axis.twinx()
        right.plot(np.array(k["fine"]["steps"]) + 1, k["fine"]["test"], color="#999999")
        if k["truth"]["since"] is not None:
            axis.axvspan(k["truth"]["since"] + 1, k["fine"]["steps"][-1] + 1, color="#d55e00", alpha=0.1, lw=0)
        said = (
            k["harm"]["said"],
            pattern_rings(k),
            k["rivals"]["patience"]["stops_at"],
            k["rivals"]["label-wave"]["stops_at"],
        )
        for step, (_, colour, style) in zip(said, styles, strict=True):
            if step is not None:
                axis.axvline(step + 1, color=colour, linestyle=style)
        axis.set(xscale="log", title=k["name"], xlabel="step + 1", ylabel="mean order")
        right.set_ylabel("test loss", color="#777777")
    for axis in axes[len(kept) :]:
        axis.set_axis_off()
    handles = [Line2D([], [], color="#0072b2", marker="."), Line2D([], [], color="#999999")]
    handles += [Line2D([], [], color="#d55e00", alpha=0.1, lw=8)]
    handles += [Line2D([], [], color=colour, linestyle=style) for _, colour, style in styles]
    names = ("mean order", "test loss", "has harmed", "harm reported", "R alarm", "patience stops", "Label Wave stops")
    figure.legend(handles, names, loc="outside lower center", ncols=7, frameon=False)
    with rc_context({"svg.hashsalt": "monitor", "svg.fonttype": "none"}):  # the same bytes for the same numbers
        figure.savefig(file, metadata={"Date": None})
