"""One training that is logged to a CSV file, TensorBoard, MLflow and Weights & Biases (offline)."""

from pathlib import Path

import mlflow
import torch
import wandb
from sklearn.datasets import load_digits
from torch import nn

import interdyn as ix
from interdyn.tracking.loggers import CSVLogger, MLflowLogger, TensorBoardLogger, WandbLogger
from interdyn.tracking.pytorch import watching

torch.manual_seed(0)
digits = load_digits()
x, y = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

mlflow.set_tracking_uri("sqlite:///mlflow.db")
with mlflow.start_run(), wandb.init(project="interdyn-example", mode="offline"):
    tracker = ix.Tracker(
        (x[1000:1012], y[1000:1012]),
        players=ix.players.patches(4, 4).choose(6),
        schedule=ix.schedules.log_spaced(4),
        loggers=[CSVLogger("measurements.csv"), TensorBoardLogger("tensorboard"), MLflowLogger(), WandbLogger()],
        budget=None,
    )
    with watching(tracker, model, optimiser):
        for _ in range(5):
            for rows in torch.randperm(1000).split(50):
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
                optimiser.step()

print(tracker.verdict.sentence)
print(Path("measurements.csv").read_text())
