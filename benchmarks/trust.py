"""How much the findings of runs depend on choices of measuring: the page that a sceptic reads first.

Each run is a folder, which is measured again (`interdyn.recipes.trust`), or the JSON file that `interdyn trust RUN
--out FILE` wrote. The numbers are kept in docs/results/trust, and the page docs/results/trust.md is written over all
that are there.

Run: ./run trust [RUN-OR-JSON ...] [--device auto]
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _tables import lines, wrapped
from interdyn.recipes._trust import DRAWN, moved, ranked, yardstick

RESULTS = Path(__file__).parents[1] / "docs" / "results"
NUMBERS, PAGE = RESULTS / "trust", RESULTS / "trust.md"
ORDERS = {"start": "at the start", "least": "at its minimum", "end": "at the end"}
PLACES = {"fall_ends": "end of the fall", "rise_starts": "start of the rise"}
LEAVES = math.erfc(1.645 / 2)  # chance that a second mean leaves the 90 % interval of a first one of as many samples
TITLE = "# Do other choices of measuring change the findings?"
HEAD = """
To test your own run: `interdyn trust RUN`. It measures ten stored networks again on five samples, with one choice
changed at a time (baseline, players, noise bound and others). This is less evidence than the run has: phases that the
run establishes may not be established here. This page is written by `./run trust RUN ...`; its numbers are in
[trust](trust/).

- **mean order**: at the start, at its minimum and at the end, with 90 % intervals over samples.
- **fall ends**, **rise starts**: the two ends of the boundary, in steps, with 90 % intervals; "-": not established.
- **moves**: the largest change of one of the three mean orders, compared with the run's own choices on the same
  networks. The choices that move most come first.
- **samples drawn**: no choice is changed, only other samples are measured, twice. What they move is the yardstick.
- **more than samples**: whether a choice moves a mean order by more than the larger of these two; over all runs, in how
  many it does.
"""


def outside(own: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    """Return how many of the three mean orders leave the interval of the run's own."""
    return sum(
        other[name][0] < own[name][1] or other[name][0] > own[name][2]
        for name in ORDERS
        if own.get(name) and other.get(name) and own[name][1] is not None
    )


def sentence(told: Mapping[str, Any]) -> str:
    """Return what moves a run most, and whether its phases stay, in a sentence."""
    own, made, drawn = told["own"], ranked(told), yardstick(told)
    chosen = [one for one in made if one["what"] != DRAWN]
    if not chosen:
        return "No choice could be changed."
    first = chosen[0]
    change, name = moved(own, first)
    more = sum(abs(moved(own, one)[0]) > drawn for one in chosen)
    same = sum(one["two_phases"] == own["two_phases"] for one in made)
    finds = "fall and rise are established" if own["two_phases"] else "fall and rise are not established"
    beyond = "" if math.isnan(drawn) else f" Other samples move one by up to {drawn:.2f}; {more} of {len(chosen)} "
    beyond += "choices move one by more." if beyond else ""
    return (
        f"Of the choices, {first['what']} ({first['way']}) moves most: the mean order {ORDERS.get(name, '')} changes "
        f"by {change:+.2f}.{beyond} With the run's own choices and samples {finds}, and the same holds with {same} of "
        f"{len(made)} others; {_places(own, made)}."
    )


def other_training(name: str, told: Mapping[str, Any]) -> str:
    """Return in a sentence what distinguishes the run that was measured from the one kept; nothing if nothing does."""
    path = RESULTS / name / "summary.json"
    if not path.is_file():
        return ""
    kept = json.loads(path.read_text())
    windows, last = kept.get("windows"), told["steps"][-1]
    steps = [round(step) for step in (windows or kept)["steps"]]
    if last == steps[-1] and set(told["steps"]) <= set(steps):
        return ""
    in_windows = any(one["what"] == "window" and "why" not in one for one in told["others"])
    end = f" (to {kept['steps'][-1]:.0f})" if windows else ""
    said = [f"its last measurement starts at step {last}, that of the kept run at step {steps[-1]}{end}"]
    if in_windows != bool(windows):
        ways = ("at windows of nearby steps", "at single steps")
        said.append("it is measured {}, the kept run {}".format(*(ways if in_windows else ways[::-1])))
    elsewhere = len(set(told["steps"]) - set(steps))
    said.append(f"the kept run has {len(told['steps']) - elsewhere} of its {len(told['steps'])} steps")
    return f"This is not the [kept run]({name}/) of the recipe: {'; '.join(said)}."


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
    own, drawn = told["own"], yardstick(told)
    rows = [["the run's own choices", *_cells(own), "", ""]]
    for one in ranked(told):
        change, _ = moved(own, one)
        more = "-" if one["what"] == DRAWN or math.isnan(drawn) else "yes" if abs(change) > drawn else "no"
        rows.append([f"{one['what']}: {one['way']}", *_cells(one), f"{change:+.2f}", more])
    return lines(("choice", "mean order", "fall ends", "rise starts", "moves", "more than samples"), rows)


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


def beyond_samples(runs: Mapping[str, Mapping[str, Any]], changes: Mapping[str, float]) -> tuple[int, int]:
    """Return in how many runs the largest change by a choice exceeds that by other samples, and of how many."""
    more = [abs(change) > drawn for name, change in changes.items() if not math.isnan(drawn := yardstick(runs[name]))]
    return sum(more), len(more)


def established(more: int, of: int) -> bool:
    """Return whether that many of so many runs would exceed by chance in 5 % or fewer (sign test).

    Examples
    --------
    >>> established(4, 6), established(6, 6), established(0, 0)
    (False, True, False)
    """
    return of > 0 and sum(math.comb(of, k) for k in range(more, of + 1)) / 2**of <= 0.05


def overview(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the table over all runs: the largest change of a mean order by each choice, the largest movers first."""
    rows = []
    for what, changes in largest_moves(runs).items():
        more, of = beyond_samples(runs, changes)
        cells = [f"{changes[name]:+.2f}" if name in changes else "-" for name in runs]
        rows.append([what, *cells, f"{_median(changes):.2f}", "-" if what == DRAWN else f"{more} of {of}"])
    return lines(("choice", *runs, "median size", "more than samples"), rows)


def summary(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return whether choices move mean orders more than other samples do, and how often the two phases stay."""
    largest = largest_moves(runs)
    chosen = {what: changes for what, changes in largest.items() if what != DRAWN}
    if not chosen:
        return "No choice could be changed."
    counts = {what: beyond_samples(runs, changes) for what, changes in chosen.items()}
    shown = [what for what, count in counts.items() if established(*count)]
    said = (
        f"Yes: {', '.join(shown)} {'changes' if len(shown) == 1 else 'change'} mean orders more than other samples do."
        if shown
        else f"In single runs, not in general: over {len(runs)} runs no choice is shown to change a mean order more "
        "than other samples do."
    )
    first = f"{said} {_of_samples(runs)}".strip()
    return "\n\n".join([first, _of_choices(chosen, counts, shown), _of_phases(runs)])


def _of_samples(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how far other samples move a mean order, and how often out of its interval: the yardstick."""
    drawn = [(told["own"], one) for told in runs.values() for one in ranked(told) if one["what"] == DRAWN]
    if not drawn:
        return ""
    sizes = [size for told in runs.values() if not math.isnan(size := yardstick(told))]
    counts = [outside(own, one) for own, one in drawn]
    n = len(ORDERS) * len(drawn)
    narrow = sum(counts) > n * LEAVES
    samples = " or ".join(dict.fromkeys(str(told["samples"]) for told in runs.values()))
    said = (
        f"Another draw of {samples} samples, with the same choices, moves one by {np.median(sizes):.2f} orders (median "
        f"over {len(sizes)} runs; {min(sizes):.2f} to {max(sizes):.2f}), and {sum(counts)} of {n} numbers out of their "
        f"own 90 % interval, where about {n * LEAVES:.0f} are expected of an interval that is wide enough"
    )
    return f"{said}{': do not expect an interval over so few samples to hold for others.' if narrow else '.'}"


def _of_choices(
    chosen: Mapping[str, Mapping[str, float]], counts: Mapping[str, tuple[int, int]], shown: Sequence[str]
) -> str:
    """Return which choices move a mean order by more than other samples do in some runs, and which in none."""
    some = [what for what in chosen if counts[what][0]]
    never = [what for what in chosen if not counts[what][0] and counts[what][1]]
    said = ""
    if some:
        told = [f"{what} in {counts[what][0]} of {counts[what][1]} runs ({_median(chosen[what]):.2f})" for what in some]
        said = f"More than that move (median size in brackets): {', '.join(told)}"
        said += "." if shown else "; this establishes neither that they move more in general, nor their order."
    if never:
        said += f" Less in every run: {', '.join(never)}."
    return f"{said} Compare mean orders only between measurements with the same choices and the same samples.".strip()


def _of_phases(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how often fall and rise stay established, with other choices and with other samples."""
    stay = {name: ranked(told) for name, told in runs.items() if told["own"]["two_phases"]}
    without = [one["two_phases"] for told in runs.values() if not told["own"]["two_phases"] for one in ranked(told)]
    said = f"Fall and rise are established in {len(stay)} of {len(runs)} runs with their own choices and samples"
    if made := [one for ones in stay.values() for one in ones]:
        kept = [[one["two_phases"] for one in made if (one["what"] == DRAWN) is drawn] for drawn in (False, True)]
        shares = {name: [one["two_phases"] for one in ones] for name, ones in stay.items() if ones}
        least = min(shares, key=lambda name: float(np.mean(shares[name])))
        said += f", and stay so there with {sum(kept[0])} of {len(kept[0])} other choices and {sum(kept[1])} of "
        said += f"{len(kept[1])} other draws of samples (least often in {least}: {sum(shares[least])} of "
        said += f"{len(shares[least])})"
    if without:
        said += f"; where they are not, {sum(without)} of {len(without)} others establish them"
    return f"{said}."


def refused(told: Mapping[str, Any]) -> list[str]:
    """Return what could not be done, with its reason."""
    return [f"- {one['what']}, {one['way']}: {one['why']}" for one in told["others"] if "why" in one]


def write_page() -> None:
    """Write the page from the numbers that are there."""
    runs = {path.stem: json.loads(path.read_text()) for path in sorted(NUMBERS.glob("*.json"))}
    page = [
        TITLE,
        "",
        "\n\n".join("\n".join(wrapped(part)) for part in summary(runs).split("\n\n")),
        HEAD,
        "## All runs",
        "",
        "Largest change of a mean order by each choice, in orders; sorted by the median over runs.",
        "",
    ]
    page += [*overview(runs), "", *(f"- **{name}**: {sentence(told)}" for name, told in runs.items()), ""]
    for name, told in runs.items():
        about = f"Steps {', '.join(map(str, told['steps']))}; {told['samples']} samples."
        page += [f"## {name}", "", *wrapped(f"{about} {other_training(name, told)}".strip()), ""]
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
