"""How much the findings of runs depend on choices of measuring: the page that a sceptic reads first.

Each run is a folder, which is measured again (`interdyn.recipes.trust`), or the JSON file that `interdyn trust RUN
--out FILE` wrote. The numbers are kept in docs/results/trust, and the page docs/results/trust.md is written over all
that are there.

Run: ./run trust [RUN-OR-JSON ...] [--device auto]
"""

import argparse
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _tables import lines

RESULTS = Path(__file__).parents[1] / "docs" / "results"
NUMBERS, PAGE = RESULTS / "trust", RESULTS / "trust.md"
ORDERS = {"start": "at the start", "least": "at its minimum", "end": "at the end"}
PLACES = {"fall_ends": "end of the fall", "rise_starts": "start of the rise"}
TITLE = "# Do other choices of measuring change the findings?"
HEAD = """
To test your own run: `interdyn trust RUN`. It measures ten stored networks again on five samples, with one choice
changed at a time (baseline, players, noise bound and others). This is less evidence than the run has: phases that the
run establishes may not be established here. More players have higher orders, so compare mean orders only at the same
number of players. This page is written by `./run trust RUN ...`; its numbers are in [trust](trust/).

- **mean order**: at the start, at its minimum and at the end, with 90 % intervals over samples.
- **fall ends**, **rise starts**: the two ends of the boundary, in steps, with 90 % intervals; "-": not established.
- **moves**: the largest change of one of the three mean orders, compared with the run's own choices on the same
  networks. The choices that move most come first.
- **outside**: how many of the five numbers leave the interval that the run's own choices give.
"""


def moved(own: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, str]:
    """Return the change of the mean order that changes most, and its name; NaN and nothing without any."""
    known = {name: other[name][0] - own[name][0] for name in ORDERS if own.get(name) and other.get(name)}
    if not known:
        return float("nan"), ""
    name = max(known, key=lambda key: abs(known[key]))
    return known[name], name


def outside(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return which numbers leave the interval of the run's own, or are there in one of the two only."""
    return [name for name in (*ORDERS, *PLACES) if _leaves(own.get(name), other.get(name))]


def _leaves(own: Sequence[float | None] | None, other: Sequence[float | None] | None) -> bool:
    if own is None or other is None:
        return (own is None) != (other is None)
    value, low, high = other[0], own[1], own[2]
    return value is not None and low is not None and high is not None and not low <= value <= high


def ranked(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the choices that could be changed, the largest movers first."""
    made = [one for one in told["others"] if "why" not in one]
    return sorted(made, key=lambda one: -np.nan_to_num(abs(moved(told["own"], one)[0]), nan=-1.0))


def sentence(told: Mapping[str, Any]) -> str:
    """Return what moves a run most, and whether its phases stay, in a sentence."""
    own, made = told["own"], ranked(told)
    if not made:
        return "No choice could be changed."
    first = made[0]
    change, name = moved(own, first)
    same = sum(one["two_phases"] == own["two_phases"] for one in made)
    left = sum(bool(set(outside(own, one)) & set(ORDERS)) for one in made)
    finds = "fall and rise are established" if own["two_phases"] else "fall and rise are not established"
    return (
        f"{first['what'].capitalize()} ({first['way']}) moves most: the mean order {ORDERS.get(name, '')} changes by "
        f"{change:+.2f}. {left} of {len(made)} choices move a mean order out of its own interval. With the run's own "
        f"choices {finds}, and the same holds with {same} of {len(made)} others; {_places(own, made)}."
    )


def _places(own: Mapping[str, Any], made: Sequence[Mapping[str, Any]]) -> str:
    """Return in a clause how far the two ends of the boundary move."""
    said = []
    for name, words in PLACES.items():
        steps = [one[name][0] for one in made if one.get(name)]
        if own.get(name) and steps:
            said.append(
                f"the {words} (step {own[name][0]:.0f}) lies between steps {min(steps):.0f} and {max(steps):.0f}"
            )
    return " and ".join(said) if said else "neither end of the boundary can be compared"


def table(told: Mapping[str, Any]) -> list[str]:
    """Return the table of a run."""
    own = told["own"]
    rows = [["the run's own choices", *_cells(own), "", ""]]
    for one in ranked(told):
        change, _ = moved(own, one)
        rows.append([f"{one['what']}: {one['way']}", *_cells(one), f"{change:+.2f}", f"{len(outside(own, one))} of 5"])
    return lines(("choice", "mean order", "fall ends", "rise starts", "moves", "outside"), rows)


def _cells(one: Mapping[str, Any]) -> list[str]:
    orders = " → ".join(_told(one.get(name), 2) for name in ORDERS)
    return [orders, *(_told(one.get(name), 0) for name in PLACES)]


def _told(found: Sequence[float | None] | None, digits: int) -> str:
    if found is None or found[0] is None:
        return "-"
    value = f"{found[0]:.{digits}f}"
    return value if found[1] is None else f"{value} ({found[1]:.{digits}f} to {found[2]:.{digits}f})"


def largest_moves(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return of each choice the largest change of a mean order in each run, by the median over runs."""
    largest: dict[str, dict[str, float]] = {}
    for name, told in runs.items():
        for one in ranked(told):
            change = moved(told["own"], one)[0]
            known = largest.setdefault(one["what"], {})
            if abs(change) > abs(known.get(name, 0.0)) or name not in known:
                known[name] = change
    return dict(sorted(largest.items(), key=lambda item: -_median(item[1])))


def _median(changes: Mapping[str, float]) -> float:
    """Return the median size of changes."""
    return float(np.nanmedian(np.abs(list(changes.values()))))


def overview(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the table over all runs: the largest change of a mean order by each choice, the largest movers first."""
    rows = [
        [what, *(f"{changes[name]:+.2f}" if name in changes else "-" for name in runs)]
        for what, changes in largest_moves(runs).items()
    ]
    return lines(("choice", *runs), rows)


def summary(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return which choices move mean orders most over all runs, and how often the two phases stay, in a paragraph."""
    pairs = [(told["own"], one) for told in runs.values() for one in ranked(told)]
    if not pairs:
        return "No choice could be changed."
    movers = list(largest_moves(runs).items())
    first, changes = movers[0]
    most = max(changes, key=lambda name: abs(changes[name]))
    said = f"Of all choices, {first} moves the mean order most over {len(runs)} runs, by {_median(changes):.2f} orders "
    said += f"(median over runs; most, {changes[most]:+.2f}, in {most})"
    if then := [f"{what} ({_median(by):.2f})" for what, by in movers[1:4]]:
        said += f", followed by {', '.join(then)}"
    left = sum(bool(set(outside(own, one)) & set(ORDERS)) for own, one in pairs)
    said += f". {left} of {len(pairs)} choices move a mean order out of its own interval."
    stay = {
        name: [one["two_phases"] for one in ranked(told)] for name, told in runs.items() if told["own"]["two_phases"]
    }
    with_phases = [found for founds in stay.values() for found in founds]
    without = [one["two_phases"] for own, one in pairs if not own["two_phases"]]
    said += f" Fall and rise are established in {len(stay)} of {len(runs)} runs with their own choices"
    if with_phases:
        least = min(stay, key=lambda name: float(np.mean(stay[name] or [1.0])))
        said += f", and stay so with {sum(with_phases)} of the {len(with_phases)} other choices tried there "
        said += f"(least often in {least}: {sum(stay[least])} of {len(stay[least])})"
    if without:
        said += f"; where they are not, {sum(without)} of {len(without)} other choices establish them"
    return f"{'Yes. ' if left else ''}{said}."


def refused(told: Mapping[str, Any]) -> list[str]:
    """Return what could not be done, with its reason."""
    return [f"- {one['what']}, {one['way']}: {one['why']}" for one in told["others"] if "why" in one]


def write_page() -> None:
    """Write the page from the numbers that are there."""
    runs = {path.stem: json.loads(path.read_text()) for path in sorted(NUMBERS.glob("*.json"))}
    page = [
        TITLE,
        "",
        *textwrap.wrap(summary(runs), 120),
        HEAD,
        "## All runs",
        "",
        "Largest change of a mean order by each choice, in orders; sorted by the median over runs.",
        "",
    ]
    page += [*overview(runs), "", *(f"- **{name}**: {sentence(told)}" for name, told in runs.items()), ""]
    for name, told in runs.items():
        page += [f"## {name}", "", f"Steps {', '.join(map(str, told['steps']))}; {told['samples']} samples.", ""]
        page += [*table(told), ""]
        if not_done := refused(told):
            page += ["Not possible:", "", *not_done, ""]
    PAGE.write_text("\n".join(page).rstrip() + "\n")


def numbers_of(path: Path, device: str | None) -> dict[str, Any]:
    """Return the numbers of a run: of its file, or measured now."""
    if path.is_file():
        told: dict[str, Any] = json.loads(path.read_text())
        return told
    from interdyn.recipes import trust, trust_json
    from interdyn.store import open_run

    return trust_json(trust(open_run(path), device=device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of finished runs, or files of `interdyn trust`")
    parser.add_argument("--device", help="cpu, cuda or auto")
    asked = parser.parse_args()
    NUMBERS.mkdir(parents=True, exist_ok=True)
    for path in asked.runs:
        told = numbers_of(path, asked.device)
        (NUMBERS / f"{told['recipe']}.json").write_text(json.dumps(told, indent=1) + "\n")
        print(f"{told['recipe']}: {sentence(told)}", flush=True)
    write_page()


if __name__ == "__main__":
    main()
