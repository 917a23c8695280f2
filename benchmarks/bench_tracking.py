"""What a tracker costs in a real training, against the budget it was given: three networks, budgets of 1, 5 and 20 %.

Each training runs for about ``--seconds`` on generated data, with a tracker that is asked for its verdict after every
look. What is recorded is the share that looking took of the wall time of training, and that share over the budget.

Run: ./run bench tracking
"""

import argparse
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

BUDGETS = (0.01, 0.05, 0.20)


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


def train(case: Case, total_steps: int, tracker: Tracker | None) -> float:
    """Train and return the wall time of training alone."""
    torch.manual_seed(0)
    network = case.build()
    y = (case.inputs.flatten(1)[:, 0] * case.inputs.flatten(1)[:, 1] > 0).long()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    spent, begun = 0.0, perf_counter()
    for step in range(total_steps + 1):
        if tracker is not None:
            spent -= perf_counter()
            if tracker.observe(step, network):
                _ = tracker.verdict
            spent += perf_counter()
        rows = torch.randint(len(y), (64,))
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(case.inputs[rows]), y[rows]).backward()
        optimiser.step()
    return perf_counter() - begun - spent


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each training")
    options = parser.parse_args()
    record = Record("tracking")
    for case in cases():
        trial = 200
        steps_ = max(1000, round(options.seconds / (train(case, trial, None) / trial)))
        probe = (case.inputs[:32], (case.inputs[:32].flatten(1)[:, 0] * case.inputs[:32].flatten(1)[:, 1] > 0).long())
        for budget in BUDGETS:
            tracker = Tracker(
                probe, players=case.players, baselines=case.baseline, budget=budget, total_steps=steps_, strict=True
            )
            seconds = train(case, steps_, tracker)
            share = tracker.measuring_seconds / seconds
            title = f"{case.name}, budget {budget:.0%}"
            batch = tracker.plan.n_samples if tracker.plan else 0
            players = tracker.plan.n_players if tracker.plan else 0
            record.add(f"{title}: training", seconds, "s", n=players, batch=batch)
            record.add(f"{title}: looks", len(tracker.steps), "", n=players, batch=batch)
            record.add(f"{title}: share of the training time", share, "", n=players, batch=batch)
            record.add(f"{title}: share over the budget", share / budget, "", n=players, batch=batch)
    record.write()


if __name__ == "__main__":
    main()
