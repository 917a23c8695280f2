"""Small trainings that every adapter is tried on, and what its tracker must have handed on."""

import math

import torch
from torch import nn

from interdyn.dynamics import online_verdict
from interdyn.players import columns
from interdyn.tracking import Tracker, every
from interdyn.tracking._said import scalars_of


def data(samples=64, features=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, features, generator=generator)
    return x, (x[:, 0] * x[:, 1] > 0).long()


def probe():
    return data(8, seed=5)


def tracker(**options):
    """Return a tracker of `network` that lets nothing pass."""
    return Tracker(probe(), **{"players": columns(), "schedule": every(4), "strict": True, "budget": None, **options})


def network(features=6):
    """Return a network with everything that measuring could disturb: batch statistics, dropout, a random start."""
    return nn.Sequential(nn.Linear(features, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))


def same(seen, unseen):
    """Assert that two trainings ended with the same bits, and that they trained."""
    assert seen.keys() == unseen.keys()
    for name, weights in unseen.items():
        assert torch.equal(torch.as_tensor(seen[name]), torch.as_tensor(weights)), name


TURN, END = 8.0, 60.0  # steps
STOPS = 20  # the step at which harm is said, measured at every second one


class Turning(nn.Module):
    """A network whose interactions fall from order 4 to order 1 until step 8, and rise from then on.

    Its second output is its age, which grows by one with each step of `SGD(lr=1)` on the loss ``-age``.
    """

    def __init__(self):
        super().__init__()
        self.age = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return torch.stack([value(x, float(self.age.detach())), self.age.expand(len(x))], dim=1)


def value(x, age):
    """Return what the network of this age says of four players: their sum, and their product by a weight."""
    weight = 6 * abs(math.log1p(age) - math.log1p(TURN)) / math.log1p(TURN)
    return x.sum(dim=1) + weight * x.prod(dim=1)


def turning_tracker(**options):
    generator = torch.Generator().manual_seed(3)
    x = 1 + 0.1 * torch.randn(8, 4, generator=generator)
    options = {"stop_when": "harm", "schedule": every(2), "strict": True, "budget": None, **options}
    if options["stop_when"]:
        options["losses"] = turning_losses
    return Tracker((x, None), players=columns(), output=lambda outputs, _: outputs[:, 0], **options)


def turning_losses(network):
    """Return a test loss that falls until step 8 and rises from then on."""
    with torch.no_grad():
        age = float(network(torch.ones(1, 4))[0, 1])
    return {"test_loss": 1 + abs(math.log1p(age) - math.log1p(TURN))}


def handed_on(tracker):
    """Return the numbers of each measured step, computed from the tracker's trajectory."""
    whole = tracker.trajectory
    return {
        step: scalars_of(whole.strength[i], online_verdict(whole.first(i + 1))) for i, step in enumerate(tracker.steps)
    }
