"""Make the three runs beside this file and all numbers that are read from them; run it to begin them anew.

A recipe's run, a tracked training and a watched folder; small enough to be kept. ``numbers.json`` holds what version
0.1, with the split of order weights, read from them.

Run: .venv/bin/python tests/data/before/make.py
"""

import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

import interdyn as ix
from interdyn import store

HERE = Path(__file__).parent
RUNS = ("recipe", "tracked", "watched")
_LEFT_OUT = ("seconds", "version", "created", "schema", "prediction")


def make_recipe(folder):
    """Train and measure a small recipe."""
    from interdyn.recipes import load_recipe, run_recipe

    overrides = [
        "model.options={hidden=[8]}",
        "data.options={n_players=4, draws=20, full=16, spread=0.1, terms=["
        '{kind="and", players=[0, 1], weight=2.0}, {kind="or", players=[2, 3], weight=1.5}]}',
        *("training.epochs=40", "training.batch_size=16", "training.learning_rate=0.03"),
        *("checkpoints.count=10", "measure.test_samples=6", "measure.train_samples=6", "measure.tol=1e-9"),
    ]
    run_recipe(load_recipe("game-and-or", overrides=overrides), folder)
    for step in store.trainer_steps(store.open_run(folder)):
        (folder / "trainer" / f"step_{step:08d}.safetensors").unlink(missing_ok=True)


def world():
    """Return samples of a small classification, noisy labels in training, and its network."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(96, 4, generator=generator)
    y = (x[:, 0] * x[:, 1] + 0.3 * torch.randn(96, generator=generator) > 0).long()
    y[::7] = 1 - y[::7]
    torch.manual_seed(0)
    return x, y, nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))


def train(net, optimiser, x, y):
    """Do one step."""
    optimiser.zero_grad()
    nn.functional.cross_entropy(net(x[:64]), y[:64]).backward()
    optimiser.step()


def losses(net, x, y):
    """Return the mean losses."""
    with torch.no_grad():
        of = [float(nn.functional.cross_entropy(net(x[part]), y[part])) for part in (slice(64), slice(64, None))]
    return {"train_loss": of[0], "test_loss": of[1]}


def make_tracked(folder):
    """Follow a training with two groups of samples."""
    x, y, net = world()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.05)
    probe = {"test": (x[64:72], y[64:72]), "train": (x[:6], y[:6])}
    schedule = ix.schedules.at(0, 1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128)
    with ix.Tracker(
        probe, players=ix.players.columns(), schedule=schedule, out=folder, strict=True, budget=None
    ) as tracker:
        for step in range(129):
            tracker.observe(step, net, **losses(net, x, y))
            train(net, optimiser, x, y)


def make_watched(folder):
    """Measure the networks that a training left on disk."""
    from interdyn.tracking import mean_losses, watch

    x, y, net = world()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
    groups = {"test": (x[64:], y[64:]), "train": (x[:64], y[:64])}
    with tempfile.TemporaryDirectory() as saved:
        for step in range(81):
            if step in (0, 2, 5, 10, 20, 40, 60, 80):
                torch.save(net.state_dict(), Path(saved) / f"step_{step}.pt")
            train(net, optimiser, x, y)
        probe = {"test": (x[64:72], y[64:72])}
        with ix.Tracker(
            probe,
            players=ix.players.columns(),
            schedule=ix.schedules.every(1),
            out=folder,
            strict=True,
            budget=None,
        ) as tracker:
            watch(saved, net, tracker, losses=lambda seen: mean_losses(seen, groups), once=True)


def plain(value):
    """Return anything as what JSON can hold; times and versions are left out, and the prediction, which came later."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items() if k not in _LEFT_OUT}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def results(folder):
    """Return summary and analysis, computed anew from the measurements."""
    from interdyn.measurement import History

    return History.read(folder).result(options=run_options(folder)).to_json()


def run_options(folder):
    """Return how the recipe of a run is analysed; None of a tracked training."""
    import tomllib

    recipe = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
    return recipe.get("analysis")


def numbers(folder) -> Iterator[tuple[str, object]]:
    """Yield names and all numbers that users are told of a run."""
    from interdyn.exports import export_run
    from interdyn.measurement import History

    result = results(folder)
    yield "summary", plain(result["summary"])
    yield "analysis", plain(result["analysis"])
    history = History.read(folder)
    yield "verdicts", plain(list(history.verdicts()))
    yield "trajectory", plain(history.trajectory())
    table = history.samples()
    yield "samples", plain({"rows": list(table), "looks": table.scored_at})
    with tempfile.TemporaryDirectory() as out:
        for path in export_run(folder, to="csv", out=Path(out) / "csv"):
            yield f"csv {path.stem}", [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[:99]]


def everything():
    """Return all numbers of all runs by name."""
    return {f"{name} {what}": value for name in RUNS for what, value in numbers(HERE / name)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if "--numbers" not in sys.argv:
        for name in RUNS:
            shutil.rmtree(HERE / name, ignore_errors=True)
            globals()[f"make_{name}"](HERE / name)
            for leftover in ("run.lock", "report.html"):
                (HERE / name / leftover).unlink(missing_ok=True)
            shutil.rmtree(HERE / name / "figures", ignore_errors=True)
    (HERE / "numbers.json").write_text(json.dumps(everything(), separators=(",", ":")) + "\n", encoding="utf-8")
