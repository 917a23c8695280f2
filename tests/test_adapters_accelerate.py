"""A tracker in real loops under Accelerate."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import GeneralTracker
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adapters_world import STOPS, Turning, data, handed_on, network, same, tracker, turning_tracker
from interdyn.tracking.accelerate import watching


class Kept(GeneralTracker):
    name, requires_logging_directory = "kept", False

    def __init__(self):
        super().__init__()
        self.rows = {}

    @property
    def tracker(self):
        return self.rows

    def log(self, values, step=None, **_):
        self.rows[step] = values


def train(watch=None, **options):
    """Train with a data order from the global generator and return the weights."""
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.manual_seed(1)
    accelerator = Accelerator(cpu=True, **options)
    accelerator.init_trackers("test")
    net = network()
    model, optimiser, loader = accelerator.prepare(
        net,
        torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9),
        DataLoader(TensorDataset(*data()), batch_size=8, shuffle=True),
    )

    def loop():
        for _ in range(3):
            for x, y in loader:
                with accelerator.accumulate(model):
                    accelerator.backward(nn.functional.cross_entropy(model(x), y))
                    optimiser.step()
                    optimiser.zero_grad()
        return accelerator.unwrap_model(model).state_dict()

    if watch is None:
        return loop()
    with watching(watch, accelerator, model, optimiser):
        return loop()


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, (0, 4, 8, 12, 16, 20, 24)),
        ({"mixed_precision": "bf16"}, (0, 4, 8, 12, 16, 20, 24)),
        ({"gradient_accumulation_steps": 2}, (0, 4, 8, 12)),
    ],
    ids=["plain", "bf16", "accumulating"],
)
def test_a_watched_training_ends_with_the_same_bits(options, steps):
    watch = tracker()
    same(train(watch, **options), train(**options))
    assert watch.steps == steps


def test_what_is_seen_goes_to_the_trackers_of_accelerate():
    watch, kept = tracker(), Kept()
    train(watch, log_with=[kept])
    assert kept.rows == handed_on(watch)
    assert watch.loggers == []


def test_it_stops_when_training_harms():
    watch, accelerator = turning_tracker(), Accelerator(cpu=True)
    net = Turning()
    model, optimiser = accelerator.prepare(net, torch.optim.SGD(net.parameters(), lr=1.0))
    with watching(watch, accelerator, model, optimiser) as watched:
        for _ in range(60):
            accelerator.backward(-model(torch.ones(2, 4))[:, 1].mean())
            optimiser.step()
            optimiser.zero_grad()
            if watched.should_stop:
                break
    assert watched.step == watch.steps[-1] == int(net.age.detach()) == STOPS
