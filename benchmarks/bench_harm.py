"""Rates of `find_harm` with a verdict at every measurement: how often a falling loss alarms, and a rise is found.

Each course is a held-out loss, the logarithm of a smooth course with noise; *one pass* is logistic regression by SGD on
samples that are each seen once, so that its loss on all data only falls, on 1,000 test samples. Writes
``docs/results/harm.md``.

Run: ./run bench harm, or benchmarks/bench_harm.py "exp ar0.8" for some cells; what is kept is not measured again.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices

import argparse
import json
import time
import zlib
from pathlib import Path

import numpy as np

from _tables import share_interval, wrapped
from interdyn._numbers import percent
from interdyn.dynamics import find_harm

PAGE = Path(__file__).parents[1] / "docs" / "results" / "harm.md"
KEPT = PAGE.with_suffix(".json")
FEWEST = 10  # values before which nothing is judged
COUNT = 400
CELLS = [
    " ".join(line.split())
    for line in """
flat     ar0.8     22 log    0.05 0
steep    ar0.8     22 log    0.05 0
exp      iid       22 log    0.05 0
exp      ar0.8     22 log    0.05 0
one-pass sgd       22 log    0    0
exp      iid       22 log    0.02 0.3
exp      iid       22 log    0.05 1
power    ar0.8     22 log    0.05 0
flat     ar0.8late 40 linear 0.05 0
exp      ar0.8late 22 linear 0.05 0
exp      late      22 log    0.05 0
exp      early     22 log    0.05 0
exp      tails     22 uneven 0.05 0
accuracy iid       22 log    0.02 0
flat     iid       22 log    0.05 0
steep    iid       22 log    0.01 0
slow     ar0.8     22 linear 0.05 0
exp      ar0.5     40 linear 0.05 0
exp      ar0.8     22 log    0.2  0
exp      ar0.8     22 log    0.05 0.3
exp      late      22 linear 0.05 1
""".strip().split("\n")
]
TITLE = "# How often does `find_harm` report harm wrongly, and how often does it find it?"
HEAD = f"""Each cell has {COUNT} simulated held-out losses; `find_harm` gives a verdict at every measurement. *size*:
the standard deviation of the logarithm of the loss (late or early: three times it there, 0.4 of it elsewhere).
*rise*: how far above its minimum the loss ends. *false*: the share of trainings with an alarm although the loss
without noise never rises. *found*: the share with an alarm where it does rise. *above the minimum then*: how far the
loss without noise was above its minimum at the alarm (median). *begin covers*: how often the interval of the
beginning contained the minimum. This page is written by `./run bench harm`.

"""


def draw(line, rng):
    """Return steps, the loss without noise, and the loss of one course of a cell."""
    shape, noise, count, spacing, size, rise = line
    steps = _steps(spacing, int(count), rng)
    if shape == "one-pass":
        return steps, *one_pass(steps, rng)
    x = np.log1p(steps) / np.log1p(steps[-1])
    mean = _falling(shape, steps, x, rng, speed=10.0 if float(rise) else 1.0)
    start = rng.uniform(0.5, 0.75)
    mean = mean + np.log1p(float(rise)) * np.clip((x - start) / (1 - start), 0, None)
    return steps, np.exp(mean), np.exp(mean + float(size) * _noise(noise, x, rng))


def _steps(spacing, count, rng):
    if spacing == "linear":
        return 100.0 * np.arange(count)
    inner = np.geomspace(1, 10 ** rng.uniform(3, 4.5), count - 1)
    if spacing == "uneven":
        inner = np.exp(np.sort(rng.uniform(0, 9, count - 1)))
    return np.concatenate([[0.0], np.unique(np.round(inner))])


def _falling(shape, steps, x, rng, *, speed):
    """Return the logarithm of a loss that never rises; where it then does, it has fallen by then."""
    end = steps[-1] / speed
    if shape == "power":
        return -rng.uniform(0.3, 1) * np.log1p(steps / end ** rng.uniform(0.1, 0.4))
    if shape == "exp":
        plateau = 10 ** rng.uniform(-1.5, -0.5)
        return np.log(plateau + (1 - plateau) * np.exp(-steps / (end * 10 ** rng.uniform(-2, -0.7))))
    if shape == "steep":
        return -rng.uniform(1, 4) / (1 + np.exp((rng.uniform(0.4, 0.7) - x) / 0.04))
    if shape == "slow":
        return -2 * x**2
    if shape == "accuracy":  # the logarithm of one over it
        return -np.log(0.95 - 0.85 * np.exp(-steps / (end * 10 ** rng.uniform(-2, -0.7))))
    return np.zeros_like(x)


def _noise(kind, x, rng):
    size = np.where(x > 0.65, 3.0, 0.4) if "late" in kind else np.where(x < 0.35, 3.0, 0.4) if kind == "early" else 1.0
    if kind == "tails":
        return rng.standard_t(2, len(x)) / 1.6
    noise, rho = rng.standard_normal(len(x)), float(kind[2:5]) if kind.startswith("ar") else 0.0
    for t in range(1, len(x)):
        noise[t] = rho * noise[t - 1] + np.sqrt(1 - rho**2) * noise[t]
    return size * noise


def one_pass(steps, rng, *, players=10, rate=0.1, batch=10):
    """Return losses of logistic regression at some steps: on 20,000 samples, and on the first 1,000 of them."""
    truth = 2 * rng.standard_normal(players)
    inputs = rng.standard_normal((20_000, players))
    labels = rng.random(20_000) < 1 / (1 + np.exp(-inputs @ truth))
    weights, wanted, out = np.zeros(players), set(steps.tolist()), []
    for step in range(int(steps[-1]) + 1):
        if step in wanted:
            loss = np.logaddexp(0, np.where(labels, -1, 1) * (inputs @ weights))
            out.append((loss.mean(), loss[:1000].mean()))
        x = rng.standard_normal((batch, players))
        y = rng.random(batch) < 1 / (1 + np.exp(-x @ truth))
        weights = weights - rate / np.sqrt(1 + step) * x.T @ (1 / (1 + np.exp(-x @ weights)) - y) / batch
    return np.array(out).T


def alarm(steps, loss, *, larger_is_better):
    """Return the index of the first measurement at which training is said to harm, and what is said; None if never."""
    y = -loss if larger_is_better else loss
    for count in range(FEWEST, len(steps) + 1):
        then = y[:count]
        least = min(np.median(then[max(i - 1, 0) : i + 2]) for i in range(count))
        if abs(np.median(then[-3:]) - least) < 0.05 * abs(least) * (1 - 1e-9):
            continue  # below 5 %, which is no harm: spares the fit
        said = find_harm(steps[:count], loss[:count], larger_is_better=larger_is_better)
        if said.found:
            return count - 1, said
    return None


def measure(line, count):
    """Return the rates of a cell."""
    rang, above, covered = 0, [], []
    for rng in np.random.default_rng([0, zlib.crc32(" ".join(line).encode())]).spawn(count):
        accuracy = line[0] == "accuracy"
        steps, mean, loss = draw(line, rng)
        said = alarm(steps, 1 / loss if accuracy else loss, larger_is_better=accuracy)
        rang += said is not None
        if said is not None and float(line[-1]):
            at, onset = said
            above.append(mean[at] / mean.min() - 1)
            covered.append(onset.interval[0] <= steps[mean.argmin()] <= onset.interval[1])
    if not float(line[-1]):
        return {"false": rang / count}
    return {"found": rang / count, "above the least then": np.median(above), "begin covers": np.mean(covered)}


def main():
    """Measure the cells that are not kept, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of names of cells, in quotes; all without")
    parser.add_argument("--count", type=int, default=COUNT, help="losses in a cell; another number is not kept")
    options = parser.parse_args()
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
    for name in CELLS:
        if (options.count == COUNT and name in kept) or not any(part in name for part in options.names or [""]):
            continue
        begun, row = time.perf_counter(), measure(name.split(), options.count)
        said = ", ".join(f"{key} {value:.3f}" for key, value in row.items())
        print(f"{name}: {said} ({time.perf_counter() - begun:.0f} s)", flush=True)
        if options.count == COUNT:
            kept[name] = row
            KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(kept), encoding="utf-8")  # also where nothing was measured now


def page(kept):
    """Return the table of what is kept."""
    columns = ("false", "found", "above the least then", "begin covers")  # keys of what is kept
    shown = (name.replace("least", "minimum") for name in columns)
    table = ["| loss | noise | n | spacing | size | rise | " + " | ".join(shown) + " |", "|---" * 10 + "|"]
    for name in CELLS:
        if name in kept:
            cells = ["" if key not in kept[name] else f"{kept[name][key]:.3f}" for key in columns]
            table.append("| " + " | ".join([*name.split(), *cells]) + " |")
    rises = {name: row for name, row in kept.items() if "found" in row}
    false, worst = max((row["false"], name) for name, row in kept.items() if "false" in row)
    low, high = (percent(end) for end in share_interval(false, COUNT))
    found, above, size = (
        f"{percent(min(values))} to {percent(max(values))}"
        for values in (
            [row["found"] for row in rises.values()],
            [row["above the least then"] for row in rises.values()],
            [float(name.split()[-1]) for name in rises],
        )
    )
    told = (
        f"Wrongly in {percent(false)} of the simulated trainings in the worst cell (`{worst}`; 95 % interval {low} to "
        f"{high}). Where the loss ends {size} above its minimum, it finds {found} of the trainings, when the loss is "
        f"{above} above its minimum (medians by cell): training may harm for long before an alarm, or without one."
    )
    return "\n".join([TITLE, "", *wrapped(told), "", HEAD + "\n".join(table), ""])


if __name__ == "__main__":
    main()
