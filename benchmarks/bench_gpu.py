"""VGG-11 with n = 10 players on a graphics card: seconds for a sample, split and record included.

The network, its players and how it is measured are those of the recipe ``vgg11-cifar10`` at the paper's width, masked
after the second ReLU; it is trained for some steps first. Pictures are CIFAR-10 where INTERDYN_DATA has it, else drawn.
Masks are made on the device, and tables stay there until the split, which the compiled solver of the CPU does; beside
it stands the form by tensors, on the device. The paper reports 35 to 40 s a sample on one RTX 3090.

Without a card nothing is measured; ``--device cpu`` runs the same code on the CPU.

Run: ./run bench gpu
"""

import argparse
import os
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from _record import Record, seconds
from interdyn.measurement import Group, recorded
from interdyn.measurement._composition import measured
from interdyn.recipes import Dataset, Trainer, load_recipe, load_samples
from interdyn.recipes._measuring import choose_groups
from interdyn.sparsify import split

PAPER, GOAL = (35.0, 40.0), 0.1  # seconds for a sample


def pictures(*, seed: int) -> Dataset:
    """Return drawn pictures of ten classes: each is noise about a picture of its class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(10, size=3000)
    x = rng.normal(size=(10, 3, 32, 32))[y] + rng.normal(size=(3000, 3, 32, 32))
    return Dataset(x.astype(np.float32), y, n_classes=10)


def has_pictures() -> bool:
    """Return whether CIFAR-10 is at hand."""
    return bool(os.environ.get("INTERDYN_DATA")) and (Path(os.environ["INTERDYN_DATA"]) / "cifar10").is_dir()


def trained(device: str, count: int, steps: int) -> tuple[nn.Module, Group]:
    """Return the network after some steps, on a device, and so many samples."""
    drawn = [] if has_pictures() else ["data.name=bench_gpu:pictures"]
    recipe = load_recipe(
        "vgg11-cifar10",
        overrides=[
            *("model.options.width=1.0", "data.n_train=2000", "data.n_test=500", "training.epochs=50"),
            *(f"measure.test_samples={count}", f"training.device={device}", *drawn),
        ],
    )
    samples = load_samples(recipe.data, allow_code=True)
    trainer = Trainer(recipe, samples)
    trainer.advance(steps)
    return trainer.network.eval(), choose_groups(recipe, samples)[0]


def timed(network: nn.Module, group: Group) -> tuple[float, dict[str, float]]:
    """Return the seconds of a measurement, its record on the CPU included, and those of its parts."""
    start = time.perf_counter()
    parts = recorded(network, group, step=0).seconds
    return time.perf_counter() - start, dict(parts)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu for the same code without a card")
    parser.add_argument("--samples", type=int, help="default: 50, as in the paper; 1 on the CPU")
    parser.add_argument("--steps", type=int, default=50, help="steps of training")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("gpu: no graphics card that torch can use, so nothing is measured; --device cpu runs the same code.")
        return
    on_card = options.device.startswith("cuda")
    count, repeats = options.samples or (50 if on_card else 1), 5 if on_card else 1
    network, group = trained(options.device, count, options.steps)
    record = Record("gpu" if on_card else "gpu, its code on the CPU")

    def add(quantity: str, value: float, unit: str = "s") -> None:
        record.add(quantity, value, unit, n=group.n_players, batch=count, dtype="float32")

    table, found = measured(network, group.samples, group.config, target=group.target, show_progress=False)
    places = {x.device.type for x in (*network.parameters(), table.values, found.i_and)}
    if places != {torch.device(options.device).type}:
        raise SystemExit(f"network, tables and interactions must be on {options.device}; got {sorted(places)}.")
    whole, parts = sorted((timed(network, group) for _ in range(repeats)), key=lambda one: one[0])[repeats // 2]
    each = whole / count
    kind = "CIFAR-10" if has_pictures() else "drawn pictures"
    print(f"  {kind}, {count} samples; the paper: {PAPER[0]:g} to {PAPER[1]:g} s a sample")
    add(f"a sample, all of it (goal {GOAL} s)", each)
    add("of it masked passes", parts["forward"] / count)
    add("of it the split, by the compiled solver of the CPU", parts["split"] / count)
    bounds = {"tol": found.settings["tol"], "noise_bound": group.config.noise_bound, "threads": None}
    with (
        patch("interdyn.sparsify._split.available", return_value=False),
        patch("interdyn.sparsify._solve.available", return_value=False),
    ):
        by_tensors = split(table.values, **bounds)
        tensors = seconds(lambda: split(table.values, **bounds), repeats=repeats, warm_up=0) / count
    assert by_tensors.i_and.device == table.values.device
    add("the split by tensors on the device instead", tensors)
    add("largest difference of the two splits", float((by_tensors.i_and - found.i_and).abs().max()), "")
    add("the paper's seconds for a sample, the lesser, over ours", PAPER[0] / each, "times")
    if on_card:
        record.write()
    else:
        print("  nothing is written: no graphics card took part")


if __name__ == "__main__":
    main()
