"""How large the page of a long run is, how soon it is written, opened and renewed.

A planted run of 200 checkpoints of 100 test and 100 training samples of 8 players, with coloured pictures; opening is
measured in Chromium, from the request until the charts in the window and a sample are drawn. Then the dashboard's list
of 200 runs: half finished, with 200 checkpoints; half stopped, with 21, which must be read as a whole once.

Run: ./run bench report
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import Browser, sync_playwright
from plotly.offline import get_plotlyjs

from _pages import CHROMIUM, served, wait_until
from _record import Record
from interdyn import store
from interdyn.measurement import History
from interdyn.report import write_report
from interdyn.report._list import Listing
from interdyn.report._plotly import plotly_script
from interdyn.report._runs import Followed
from interdyn.store import Checkpoint, Exhibit, Measurement, Run
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import orders

CHECKPOINTS, SAMPLES, PLAYERS, RUNS = 200, 100, 8, 200
GROUPS = ("test", "train")


class PlantedRun:
    """A run on disk that grows by one checkpoint at a time: orders fall, then rise; the loss gap opens half-way."""

    def __init__(self, folder: Path) -> None:
        self.rng = np.random.default_rng(0)
        self.steps = np.unique(np.round(np.geomspace(1, 50_000, 300)).astype(int))[-CHECKPOINTS:]
        self.order = orders(PLAYERS)
        shape = (len(GROUPS), SAMPLES, 2, 2**PLAYERS)
        self.final = self.rng.standard_normal(shape) * (self.rng.random(shape) < 30 / 2**PLAYERS)
        self.final[..., 1, 0] = 0.0
        environment = {"schema": store.SCHEMA, "packages": {}}
        self.run = store.begin_run(folder, {"name": "planted"}, steps=None, groups=GROUPS, environment=environment)
        for group in GROUPS:
            pictures = self.rng.integers(0, 255, (SAMPLES, 32, 32, 3)).astype(np.uint8)
            players = self.rng.integers(0, PLAYERS, (SAMPLES, 32, 32)).astype(np.int16)
            store.write_exhibit(self.run, Exhibit(group, np.arange(SAMPLES), pictures=pictures, players=players))

    def grow(self, index: int) -> None:
        """Write one checkpoint."""
        u, step = index / (CHECKPOINTS - 1), int(self.steps[index])
        weight = np.exp(-((self.order - 1 - 4 * (1 - u) ** 6 - 2 * u) ** 2) / 2)
        one = np.ones(SAMPLES)
        for group, final in zip(GROUPS, self.final, strict=True):
            now = final * weight * (1 + 0.05 * self.rng.standard_normal(final.shape))
            i_and, i_or = (torch.from_numpy(now[:, kind].copy()) for kind in (0, 1))
            v = (values_from_and(i_and) + values_from_or(i_or)).numpy()
            measured = Measurement(
                step,
                group,
                v,
                i_and.numpy(),
                i_or.numpy(),
                objective=one,
                gap=1e-3 * one,
                noise_bound=0.02 * one,
                sample_ids=np.arange(SAMPLES),
                status=("solved",) * SAMPLES,
                unit="log-odds",
                seconds={"forward": 1.0, "split": 1.0},
                targets=np.arange(SAMPLES) % 10,
            )
            store.write_measurement(self.run, measured)
        losses = {"train_loss": 2.3 * (1 - u) ** 2, "test_loss": 2.3 * (1 - u) ** 2 + 0.5 * max(u - 0.5, 0)}
        seconds = {"training": float(index), "evaluation": 0.0}
        store.write_checkpoint(self.run, Checkpoint(step, {}, losses=losses, seconds=seconds))


def write_results(run: Run) -> None:
    """Analyse the run, and write what came out."""
    store.write_result(run, History.read(run.path).result())


def seconds_to_open(browser: Browser, address: str) -> float:
    """Return the seconds from the request until the window is drawn; the middle one of three."""
    taken = []
    for _ in range(3):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        begun = time.perf_counter()
        page.goto(address)
        wait_until(page)
        taken.append(time.perf_counter() - begun)
        page.close()
    return sorted(taken)[1]


def seconds_to_show(browser: Browser, folder: Path, planted: PlantedRun, index: int) -> float:
    """Return the seconds from the end of writing a checkpoint until the live page shows it."""
    with served(folder) as address:
        page = browser.new_page()
        page.goto(f"{address}/runs/planted/", timeout=300_000)  # all is read once
        wait_until(page)
        planted.grow(index)
        begun = time.perf_counter()
        wait_until(page, f"document.getElementById('checkpoint').max === '{index}'")
        taken = time.perf_counter() - begun
        page.close()
    return taken


def many_runs(folder: Path, *, finished: Path, unfinished: Path) -> Path:
    """Make a folder of 200 runs out of two: half of them finished, half that stopped before their end."""
    many = folder / "many"
    for index in range(RUNS // 2):
        done = many / f"finished-{index}"
        done.mkdir(parents=True)
        for name in ("run.json", "summary.json", "analysis.json"):
            os.link(finished / name, done / name)
        shutil.copytree(unfinished, many / f"stopped-{index}", copy_function=os.link)
    return many


def list_runs(record: Record, folder: Path) -> None:
    """Measure how soon the dashboard lists 200 runs, at first and again."""
    listing = Listing(folder, lambda _, path: Followed(path))
    for what, patience in (("at first", 1.0), ("until all are read", 600.0), ("again", 1.0)):
        begun = time.perf_counter()
        lines = listing.lines(patience=patience)
        taken, read = time.perf_counter() - begun, sum(bool(line.done) for line in lines)
        record.add(f"dashboard, 200 runs: {what} ({read} are read)", taken, "s", n=PLAYERS, batch=SAMPLES)


def main() -> None:
    """Measure and record."""
    record = Record("report")
    if CHROMIUM is None:
        raise SystemExit("a browser is needed; got none. On Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        folder = Path(name)
        with store.writing(folder / "planted"):
            planted = PlantedRun(folder / "planted")
            for index in range(20):
                planted.grow(index)
            shown = seconds_to_show(browser, folder, planted, 20)
            record.add("live page, 20 checkpoints: until a new one is shown", shown, "s", n=PLAYERS, batch=SAMPLES)
            shutil.copytree(folder / "planted", folder / "young")
            for index in range(21, CHECKPOINTS - 1):
                planted.grow(index)
            shown = seconds_to_show(browser, folder, planted, CHECKPOINTS - 1)
            record.add("live page, 199 checkpoints: until a new one is shown", shown, "s", n=PLAYERS, batch=SAMPLES)
            write_results(planted.run)
        begun = time.perf_counter()
        path = write_report(folder / "planted")
        record.add("report, 200 checkpoints: to write", time.perf_counter() - begun, "s", n=PLAYERS, batch=SAMPLES)
        record.add("report, 200 checkpoints: size", path.stat().st_size / 1e6, "MB", n=PLAYERS, batch=SAMPLES)
        opened = seconds_to_open(browser, path.as_uri())
        record.add("report, 200 checkpoints: to open in Chromium", opened, "s", n=PLAYERS, batch=SAMPLES)
        path.write_text(path.read_text().replace(plotly_script(), get_plotlyjs()))
        opened = seconds_to_open(browser, path.as_uri())
        record.add(
            "report, 200 checkpoints: to open with plotly's script as shipped", opened, "s", n=PLAYERS, batch=SAMPLES
        )
        browser.close()
        list_runs(record, many_runs(folder, finished=folder / "planted", unfinished=folder / "young"))
    record.write()


if __name__ == "__main__":
    main()
