"""Kept runs of one recipe over several seeds: the table of the nine pairs of the paper, and that of other recipes."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _tables import course, lines, number, span, wrapped

Kept = Mapping[int, Mapping[str, Any]]
"""Seed of the training to summary."""

EXPECTED = {"phases": 7, "inside": 5, "named": 9}  # of the nine pairs
WIDE_GAP = 0.5  # an interval of the gap's onset over more than this share of the log axis contains most places
MECHANISMS = 5  # that predict the tables
KNOWN = ("vgg11-mnist", "vgg16-cifar10", "vgg16-cub")  # with seed 0, when settings were fixed
LEGEND = """One line per seed of the training. **mean order**: at the start, at its minimum and at the end (where a
measurement takes several nearby steps: of their mean); **fall ends**, **rise starts**: the two ends of the boundary;
**gap**: the step from which the gap between test and training loss grows, each with its 90 % interval; **inside**:
whether an established rise starts inside that of the gap ("-": no rise or no onset of the gap is established; "wide":
the gap's interval covers more than half of the log axis of steps, so that most places are inside); **best mechanism**:
predicts the tables best, over phase 2 or, without one, all checkpoints; several where the intervals do not separate
them; **noise**: of a measurement, in orders."""


def over_seeds(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the summaries of a recipe by seed.

    Raises
    ------
    ValueError
        If one is of another recipe than that of seed 0.
    """
    first = json.loads((folder / "summary.json").read_text())
    out = {0: first}
    for path in sorted(folder.glob("seed-*.json"), key=lambda path: int(path.stem.removeprefix("seed-"))):
        other = json.loads(path.read_text())
        if other["settings"] != first.get("settings"):
            raise ValueError(
                f"all seeds of a recipe need the same settings; got others in {path} than in its summary.json. "
                "Run it again, or delete it."
            )
        out[other["seed"]] = other
    return out


def shown_order(s: Mapping[str, Any]) -> list[float | None]:
    """Return the mean order over measurements: of windows where a measurement takes several steps."""
    found: list[float | None] = s["windows"]["mean_order"]["test"]["value"] if s.get("windows") else s["mean_order"]
    return found


def inside(s: Mapping[str, Any]) -> bool | None:
    """Return whether the rise starts in the interval of the onset of the loss gap; None without either of the two."""
    start, gap = s["phases"].get("rise_starts"), s["phases"]["gap_interval"]
    return None if start is None or gap is None else bool(gap[0] <= start <= gap[1])


def wide(s: Mapping[str, Any]) -> bool:
    """Return whether the interval of the onset of the loss gap covers more than half of the log axis of steps."""
    gap = s["phases"]["gap_interval"]
    if gap is None:
        return False
    first, last = next(step for step in s["steps"] if step > 0), s["steps"][-1]
    return (math.log1p(gap[1] / first) - math.log1p(gap[0] / first)) / math.log1p(last / first) > WIDE_GAP


def best_of(s: Mapping[str, Any]) -> list[str]:
    """Return the mechanisms that predict the tables best, over phase 2 or all checkpoints; several that are as good."""
    told = s.get("prediction") or {}
    found = told.get("phase_2") or told.get("whole") or {}
    return sorted(found.get("best") or [])


def named(s: Mapping[str, Any]) -> str:
    """Return the name of the best mechanism, with those that are as good."""
    return " or ".join(best_of(s))


def pairs_section(over: Mapping[str, Kept], places: str, remark: Callable[[str], str]) -> list[str]:
    """Return the section about the nine pairs: one table, seeds side by side, a line for each pair, and the counts.

    ``places`` is a sentence on how often intervals of places contain them, ``remark`` returns what was found out of a
    pair.
    """
    if not over:
        return []
    known = ", ".join(name for name in KNOWN if name in over)
    tried = "Settings were fixed before the seeds were run by `./run pairs final`"
    tried += f", except that seed 0 of {known} was known from version 0.1" if known else ""
    tried += "; [tried](tried.md) lists the settings that were tried."
    told = [f"- **{name}**: {sentence_of(kept)}{remark(name)}" for name, kept in over.items()]
    legend = [*LEGEND.split("\n"), "", *wrapped(f"{places} {tried}"), ""]
    return ["## The nine pairs of the paper", "", *legend, *_table(over), "", *told, "", *_counts(over), ""]


def other_section(over: Mapping[str, Kept]) -> list[str]:
    """Return the section about other recipes that are kept with several seeds; nothing without any."""
    several = {name: kept for name, kept in over.items() if len(kept) > 1}
    if not several:
        return []
    told = [f"- **{name}**: {sentence_of(kept)}" for name, kept in several.items()]
    return ["## Other recipes over seeds", "", *_table(several), "", *told, ""]


def _table(over: Mapping[str, Kept]) -> list[str]:
    columns = ("run", "seed", "mean order", "fall ends", "rise starts", "gap", "inside", "best mechanism", "noise")
    return lines(columns, [_row(name, kept) for name, kept in over.items()])


def _row(name: str, kept: Kept) -> list[str]:
    def cell(tell: Callable[[Mapping[str, Any]], str]) -> str:
        return "<br>".join(tell(s) for s in kept.values())

    def place(key: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda s: span(s["phases"].get(key), s["phases"].get(f"{key}_interval"))

    return [
        f"[{name}]({name}/)",
        "<br>".join(map(str, kept)),
        cell(lambda s: course(shown_order(s))),
        cell(place("fall_ends")),
        cell(place("rise_starts")),
        cell(lambda s: span(s["phases"]["gap_onset_step"], s["phases"]["gap_interval"])),
        cell(_inside_cell),
        cell(lambda s: named(s) or "none"),
        cell(lambda s: number(s["phases"]["evidence"].get("noise_std"), 2)),
    ]


def _inside_cell(s: Mapping[str, Any]) -> str:
    said = {True: "yes", False: "no", None: "-"}[inside(s)]
    return f"{said} (wide)" if said != "-" and wide(s) else said


def sentence_of(kept: Kept) -> str:
    """Return in one sentence what the seeds of a recipe agree on."""
    n = len(kept)
    found = [s for s in kept.values() if s["phases"]["found"]]
    changes = [_change(s) for s in kept.values()]
    said = [f"Fall and rise are established in {len(found)} of {n} seeds ({', '.join(changes)})"]
    risen = [s for s in kept.values() if inside(s) is not None]
    if risen:
        within = f"the rise starts inside the interval of the gap's onset in {sum(map(inside, risen))} of {len(risen)}"
        n_wide = sum(map(wide, risen))
        said.append(within + (f" ({n_wide} of these intervals wide)" if n_wide else ""))
    if not found:
        kinds = dict.fromkeys(s["phases"]["kind"] for s in kept.values())
        said.append(f"verdict: {', '.join(kinds)}")
    names = [named(s) for s in kept.values()]
    told = [f"{name or 'none'} ({names.count(name)})" for name in dict.fromkeys(names)]
    said.append(f"best mechanism: {', '.join(told)}")
    return "; ".join(said) + "."


def _change(s: Mapping[str, Any]) -> str:
    """Return by how much the mean order falls, and rises after that."""
    known = [x for x in shown_order(s) if x is not None]
    if not known:
        return "nothing salient"
    return f"{min(known) - known[0]:+.2f} and {known[-1] - min(known):+.2f} orders"


def _counts(over: Mapping[str, Kept]) -> list[str]:
    """Return how many pairs show what was expected; a pair counts if every seed does."""
    tests: dict[str, tuple[str, Callable[[Mapping[str, Any]], bool]]] = {
        "phases": ("Fall and rise established", lambda s: bool(s["phases"]["found"])),
        "inside": ("Start of the rise inside the interval of the loss gap's onset", lambda s: bool(inside(s))),
        "named": ("Best mechanism named, alone or with others as good", lambda s: bool(best_of(s))),
    }
    out = [f"Expected before the runs, and found, of the {len(over)} pairs; a pair counts if every seed shows it:", ""]
    for key, (text, test) in tests.items():
        every = [name for name, kept in over.items() if all(map(test, kept.values()))]
        some = [name for name, kept in over.items() if name not in every and any(map(test, kept.values()))]
        also = f"; with some seeds {', '.join(some)}" if some else ""
        weak = f" {_ties(over)}" if key == "named" else f" {_with_fall(over)}" if key == "inside" else ""
        out.append(f"- {text} (expected: {EXPECTED[key]}): {_names(every)}{also}.{weak}")
    alone = [name for name, kept in over.items() if all(len(best_of(s)) == 1 for s in kept.values())]
    return [*out, f"- One mechanism alone: {_names(alone)}."]


def _with_fall(over: Mapping[str, Kept]) -> str:
    """Return how many pairs count if the fall must be established too, as was required when they were run."""
    strict = [name for name, kept in over.items() if all(s["phases"]["found"] and inside(s) for s in kept.values())]
    return f"When these were run, the fall had to be established too: by that rule {_names(strict)}."


def _ties(over: Mapping[str, Kept]) -> str:
    """Return why it is no evidence that a best mechanism is named, and how many are as good on average."""
    best = [best_of(s) for kept in over.values() for s in kept.values()]
    trivial = sum("nothing" in names for names in best)
    return (
        "This count cannot fail, since it is also met where all mechanisms tie: on average "
        f"{np.mean([len(names) for names in best]):.1f} of {MECHANISMS} are as good as the best, and the final network "
        f'itself ("nothing") is among them in {trivial} of {len(best)} trainings.'
    )


def _names(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "none"
