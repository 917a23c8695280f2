"""A training loop under Accelerate, run directly or with ``accelerate launch``; the main process measures."""

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import interdyn as ix
from interdyn.tracking import mean_losses
from interdyn.tracking.accelerate import watching

torch.manual_seed(0)
digits = load_digits()
x, y = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
model, optimiser, loader = accelerator.prepare(
    network,
    torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9),
    DataLoader(TensorDataset(x[:1000], y[:1000]), batch_size=25, shuffle=True),
)
tracker = ix.Tracker(
    (x[1000:1012], y[1000:1012]),
    players=ix.players.patches(4, 4).choose(7),
    schedule=ix.schedules.log_spaced(5),
    stop_when="harm",
    losses=lambda net: mean_losses(net, {"train": (x[:1000], y[:1000]), "test": (x[1000:], y[1000:])}),
    out="runs/accelerate_digits",
    budget=None,
)

with watching(tracker, accelerator, model, optimiser) as watch:
    for _ in range(5):
        for images, labels in loader:
            with accelerator.accumulate(model):
                loss = nn.functional.cross_entropy(model(images), labels)
                accelerator.backward(loss)
                optimiser.step()
                optimiser.zero_grad()
        if watch.should_stop:
            break

if accelerator.is_main_process:
    print(tracker.verdict.sentence)
    print(f"measured steps {tracker.steps} of {watch.step}")
