"""What a tracker finds in a real training, and what it costs, against its budget: three networks, trained for a minute.

Each training runs for about ``--seconds`` on generated data, with a tracker that is asked for its verdict after every
measurement: with the length of the training known (``total_steps``) and without. What is recorded is how many
measurements there were, of how many players and samples, the share of the training time that measuring took, the last
network included, and the seconds of loading the compiled solver. *Network alone* is the share that the masked inputs of
ten measurements of 8 players and 8 samples take in the network and nothing else: no measuring costs less.

Run: ./run bench tracking
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn

from _record import Record
from interdyn.game import Players, columns, patches, steps
from interdyn.tracking import Tracker
from interdyn_zoo.models.cnn import cnn
from interdyn_zoo.models.mlp import mlp
from interdyn_zoo.models.text import encoder


@dataclass(frozen=True)
class Case:
    """A network, its data and its players."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Tensor
    players: Players
    baseline: float


def cases(samples: int = 4000) -> list[Case]:
    """Return the three trainings."""
    random = torch.Generator().manual_seed(0)
    pictures = torch.randn(samples, 1, 16, 16, generator=random)
    walks = torch.randn(samples, 20, 8, generator=random)
    rows = torch.randn(samples, 10, generator=random)
    return [
        Case("MLP", lambda: mlp((10,), 2, hidden=[256, 256]), rows, columns(), 0.0),
        Case("CNN", lambda: cnn((1, 16, 16), 2), pictures, patches(4, 4).choose(10), 0.0),
        Case("transformer", lambda: encoder((20, 8), 2, size="tiny"), walks, steps(10), 0.0),
    ]


def train(case: Case, tracker: Tracker | None, *, seconds: float, total_steps: int | None = None) -> tuple[float, int]:
    """Train for so many steps, or seconds, and return the wall time of training alone and the steps."""
    torch.manual_seed(0)
    network = case.build()
    y = (case.inputs.flatten(1)[:, 0] * case.inputs.flatten(1)[:, 1] > 0).long()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    spent, begun, step = 0.0, perf_counter(), 0
    while step < total_steps if total_steps is not None else perf_counter() - begun - spent < seconds:
        spent -= perf_counter()
        if tracker is not None and tracker.observe(step, network):
            _ = tracker.verdict
        spent += perf_counter()
        rows = torch.randint(len(y), (64,))
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(case.inputs[rows]), y[rows]).backward()
        optimiser.step()
        step += 1
    lasted = perf_counter() - begun - spent
    if tracker is not None:
        tracker.observe(step, network)
        tracker.close()
    return lasted, step


def alone(case: Case, *, batch: int = 128) -> float:
    """Return the seconds of the network on the masked inputs of ten measurements of 8 players and 8 samples."""
    network, inputs = case.build().eval(), case.inputs[:batch]
    with torch.inference_mode():
        network(inputs)
        begun = perf_counter()
        for _ in range(10 * 8 * 2**8 // batch):
            network(inputs)
    return perf_counter() - begun


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each training")
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.05], help="shares of the training time")
    parser.add_argument(
        "--only", choices=("known", "unknown"), help="length of the training known or not; default: both"
    )
    options = parser.parse_args()
    record = Record("tracking")
    for case in cases():
        probe = (case.inputs[:32], (case.inputs[:32].flatten(1)[:, 0] * case.inputs[:32].flatten(1)[:, 1] > 0).long())
        for budget in options.budgets:
            for length in ("known", "unknown"):
                if options.only in (None, length):
                    row(record, case, probe, budget, seconds=options.seconds, known=length == "known")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    record.write()


def row(
    record: Record, case: Case, probe: tuple[Tensor, Tensor], budget: float, *, seconds: float, known: bool
) -> None:
    """Train once and record what was measured."""
    total = None
    if known:
        trial, count = train(case, None, seconds=max(seconds / 20, 1.0))
        total = max(1000, round(seconds / trial * count))
    tracker = Tracker(probe, players=case.players, baselines=case.baseline, budget=budget, total_steps=total)
    lasted, _ = train(case, tracker, seconds=seconds, total_steps=total)
    plan = tracker.plan
    batch, players = (plan.n_samples, plan.n_players) if plan is not None else (0, 0)
    title = f"{case.name}, budget {budget:.0%}, length {'known' if known else 'unknown'}"
    print(f"{title}: {tracker.counts}")
    record.add(f"{title}: training", lasted, "s", n=players, batch=batch)
    record.add(f"{title}: measurements", len(tracker.steps), "", n=players, batch=batch)
    record.add(f"{title}: share of the training time", tracker.measuring_seconds / lasted, "", n=players, batch=batch)
    record.add(f"{title}: network alone", alone(case) / lasted, "", n=8, batch=8)
    record.add(f"{title}: loading the solver", tracker.preparing_seconds, "s", n=players, batch=batch)


if __name__ == "__main__":
    main()
