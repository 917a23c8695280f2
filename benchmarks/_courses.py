"""Planted courses of the mean order, shapes, noises, spacings and windows crossed; and courses made of kept runs.

A *cell* is one line of `PHASES` or `ONLINE`: question and shape, noise, number of checkpoints, spacing, steps of a
window, rise and fall in orders. Its name is the line with single spaces; its seed is made of the name.
"""

import functools
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interdyn.values import Trajectory

NOISE = 0.08  # orders, of one measurement
WHITE = 0.5  # share of correlated noise that the steps of a window do not share
KEPT = Path(__file__).parents[1] / "docs" / "results"

PHASES = """
plateau iid           22 log    1  0   1.5
plateau ar0.5         40 linear 1  0   1.5
plateau ar0.8         22 log    1  0   1.5
plateau ar0.8         40 uneven 1  0   1.5
plateau late          22 uneven 1  0   1.5
plateau early         10 log    1  0   1.5
plateau tails         22 log    1  0   1.5
plateau ar0.8late     10 linear 1  0   1.5
plateau ar0.8late     22 uneven 1  0   1.5
plateau ar0.8late     40 linear 1  0   1.5
plateau ar0.8late     22 log    3  0   1.5
plateau late          22 log    3  0   1.5
plateau ar0.5         10 log    3  0   1.5
exp     ar0.8late     22 log    1  0   1.5
exp     ar0.8         22 linear 1  0   1.5
drift   ar0.8late     22 linear 1  0   1.5
drift   early         40 log    1  0   1.5
drift   iid           10 uneven 1  0   1.5
flat    ar0.8late     40 log    1  0   0
flat    ar0.8         22 uneven 1  0   0
flat    tails         10 linear 1  0   0
hump    ar0.8late     22 log    1  0   1.5
hump    ar0.5         22 linear 1  0   1.5
hump    early         22 uneven 1  0   1.5
kept    as-measured    0 kept   1  0   0
two     iid           22 log    3  0.3 1.5
two     iid           22 log    3  0.5 1.5
two     iid           22 log    3  0.8 1.5
two     ar0.5         22 log    3  0.3 1.5
two     late          22 log    3  0.3 1.5
two     ar0.8         22 linear 1  0.8 1.5
two     ar0.8late     22 uneven 1  0.8 1.5
two     iid           40 uneven 1  0.5 5
two     late          40 log    1  0.8 0.8
two     early         10 log    1  0.8 2.4
valley  ar0.8         40 log    1  0.8 1.5
valley  late          40 linear 1  0.8 1.5
valley  iid           22 log    3  0.5 1.5
smooth  ar0.8         22 log    1  0.8 1.5
smooth  iid           40 linear 1  0.8 2.5
kept-two as-measured   0 kept   1  0   0
gap-flat ar0.8        22 log    1  0   0
gap-flat ar0.8late    22 linear 1  0   0
gap-flat late         40 uneven 1  0   0
gap-grows iid         22 log    1  0.4 0
"""

ONLINE = """
plateau iid           22 log    1  0   1.5
plateau ar0.8         22 linear 1  0   1.5
plateau ar0.8late     22 log    1  0   1.5
plateau ar0.8late     40 uneven 1  0   1.5
plateau late          22 uneven 1  0   1.5
plateau ar0.5         22 log    3  0   1.5
exp     ar0.8         22 log    1  0   1.5
flat    ar0.8         22 log    1  0   0
flat    ar0.8late     22 linear 1  0   0
flat    tails         40 log    1  0   0
hump    ar0.5         22 log    1  0   1.5
two     iid           22 log    1  0.8 1.5
two     late          22 log    1  0.8 1.5
two     ar0.8         22 linear 1  0.8 1.5
two     iid           22 log    3  0.5 1.5
"""


@dataclass(frozen=True)
class Cell:
    """One line of the list."""

    shape: str
    noise: str
    checkpoints: int
    spacing: str
    window: int
    rise: float
    fall: float
    name: str

    @property
    def true(self) -> bool:
        """Whether what is asked for is there."""
        return self.shape in ("two", "valley", "smooth", "kept-two", "gap-grows")


@dataclass(frozen=True)
class Course:
    """A course at ``steps``, and places on the axis where its fall ends and its rise starts; None without a rise."""

    steps: np.ndarray
    y: np.ndarray
    window: np.ndarray
    truth: tuple[float, float] | None

    def axis(self, steps):
        """Return the places of steps on the logarithmic axis."""
        unit = self.steps[self.steps > 0][0]
        low, high = np.log1p(self.steps[[0, -1]] / unit)
        return (np.log1p(np.asarray(steps) / unit) - low) / (high - low)

    def trajectory(self, rng, *, samples: int = 20, single: bool = False) -> Trajectory:
        """Return orders 1 and 10 of samples whose mean order is the course; ``single``: the first step of a window."""
        keep = np.unique(self.window, return_index=True)[1] if single else slice(None)
        offset = 0.15 * rng.standard_normal(samples)
        share = np.clip((self.y[keep, None] - 1 + offset - offset.mean()) / 9, 0.002, 0.998)
        strength = np.zeros((*share.shape, 10))
        strength[..., 0], strength[..., 9] = 1 - share, share
        windows = {} if single or len(np.unique(self.window)) == len(self.window) else {"window": self.window}
        return Trajectory(self.steps[keep], strength, **windows)


def cells(text: str) -> list[Cell]:
    """Read a list of cells."""
    out = []
    for line in text.split("\n"):
        if words := line.split():
            shape, noise, checkpoints, spacing, window, rise, fall = words
            out.append(
                Cell(shape, noise, int(checkpoints), spacing, int(window), float(rise), float(fall), " ".join(words))
            )
    return out


def draw(cell: Cell, count: int, seed: int = 0):
    """Yield ``count`` courses of a cell, each with a generator of its own."""
    for rng in np.random.default_rng([seed, zlib.crc32(cell.name.encode())]).spawn(count):
        yield (_resampled(cell, rng) if cell.spacing == "kept" else _planted(cell, rng)), rng


def _planted(cell: Cell, rng) -> Course:
    steps = _steps(cell, rng)
    window = np.repeat(np.arange(len(steps)), cell.window)
    steps = np.repeat(steps, cell.window) * (1 + 0.05 * (np.arange(len(window)) % cell.window))
    keep = np.concatenate([[True], np.diff(steps) > 0])  # step 0 has no window
    steps, window = steps[keep], window[keep]
    x = Course(steps, steps, window, None).axis(steps)
    mean, truth = _shape(cell, x, rng.uniform(0.35, 0.65))
    return Course(steps, mean + NOISE * _noise(cell.noise, x, window, rng), window, truth)


def _steps(cell: Cell, rng):
    count = cell.checkpoints
    if cell.spacing == "linear":
        return 100.0 * np.arange(count)
    inner = np.geomspace(1, 10 ** rng.uniform(3, 4.5), count - 1)
    if cell.spacing == "uneven":
        inner = np.exp(np.sort(rng.uniform(0, 9, count - 1)))
    return np.concatenate([[0.0], np.unique(np.round(inner))])


def _noise(kind: str, x, window, rng):
    size = np.where(x > 0.65, 3.0, 0.4) if "late" in kind else np.where(x < 0.35, 3.0, 0.4) if kind == "early" else 1.0
    if not kind.startswith("ar"):
        return size * (rng.standard_t(2, len(x)) / 1.6 if kind == "tails" else rng.standard_normal(len(x)))
    rho, white = float(kind[2:5]), rng.standard_normal(window[-1] + 1)
    common = white.copy()
    for t in range(1, len(white)):
        common[t] = rho * common[t - 1] + np.sqrt(1 - rho**2) * white[t]
    if len(white) == len(window):
        return size * common
    return size * (np.sqrt(1 - WHITE) * common[window] + np.sqrt(WHITE) * rng.standard_normal(len(window)))


def _shape(cell: Cell, x, c):
    """Return the noiseless course, and where its fall ends and its rise starts."""
    low, fall, rise = 1.6, cell.fall, cell.rise

    def smooth(x, width=0.04):
        return fall * width * np.logaddexp(0, (c - x) / width) / c + rise * width * np.logaddexp(0, (x - c) / width) / (
            1 - c
        )

    if cell.shape == "smooth":
        fine = np.linspace(0, 1, 2001)
        at = float(fine[smooth(fine).argmin()])
        return low + smooth(x), (at, at)
    end = c / 2 if cell.shape == "valley" else c
    up = rise * np.clip((x - c) / (1 - c), 0, None)
    down = fall * np.clip((end - x) / end, 0, None)
    if cell.shape == "exp":
        down = fall * np.exp(-2 * x / c)
    elif cell.shape == "drift":
        down = fall * (1 - x)
    elif cell.shape == "hump":
        down = fall * np.exp(-0.5 * ((x - c) / 0.2) ** 2)
    elif cell.shape in ("flat", "gap-flat", "gap-grows"):
        down = np.ones_like(x)
    return low + down + up, (end, c) if cell.true else None


def falling(y):
    """Return the least-squares non-increasing fit, by pooling neighbours until nothing rises."""
    blocks = []
    for value in y:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) < np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    return np.concatenate([np.full(len(b), np.mean(b)) for b in blocks])


@functools.cache
def _kept_runs():
    """Return steps, falling-then-rising fit and residuals of every kept run that falls by half an order."""
    out = []
    for path in sorted(KEPT.glob("*/summary.json")):
        kept = json.loads(path.read_text())
        steps, y = np.array(kept["steps"], float), np.array(kept["mean_order"], float)
        fits = [np.concatenate([falling(y[:t]), -falling(-y[t:])]) for t in range(2, len(y) - 1)]
        fit = min(fits, key=lambda fit: ((y - fit) ** 2).sum())
        if len(y) >= 12 and fit[0] - fit.min() >= 0.5:
            out.append((steps, fit, y - fit))
    return out


def _resampled(cell: Cell, rng) -> Course:
    """Return the fit of a kept run, its rise cut off unless asked for; residuals have random signs in blocks of 3."""
    runs = [run for run in _kept_runs() if not cell.true or run[1][-1] - run[1].min() >= 0.5]
    steps, fit, residual = runs[rng.integers(len(runs))]
    lowest = np.flatnonzero(fit == fit.min())
    sign = np.repeat(rng.choice([-1.0, 1.0], len(fit) // 3 + 1), 3)[: len(fit)]
    mean = fit if cell.true else np.where(np.arange(len(fit)) > lowest[0], fit.min(), fit)
    course = Course(steps, np.maximum(mean + sign * residual, 1.01), np.arange(len(steps)), None)
    middle = float(course.axis(steps[lowest]).mean())
    return Course(course.steps, course.y, course.window, (middle, middle) if cell.true else None)
