"""The callback of Lightning; its measurements are also in the trainer's log."""

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import interdyn as ix
from interdyn.tracking.lightning import TrackerCallback


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, x):
        return self.network(x)

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, _):
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


lightning.seed_everything(0, verbose=False)
digits = load_digits()
data = TensorDataset(torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target))
train, test = torch.utils.data.random_split(data, [1000, 797])
x, y = test[:12]

tracker = ix.Tracker(
    (x, y),
    players=ix.players.patches(4, 4).choose(7),
    schedule=ix.schedules.log_spaced(5),
    stop_when="harm",
    out="runs/lightning_digits",
    budget=None,
)
trainer = lightning.Trainer(
    max_epochs=5,
    accelerator="cpu",
    logger=CSVLogger("runs", name="lightning_digits_log"),
    callbacks=[TrackerCallback(tracker)],
    enable_progress_bar=False,
    enable_model_summary=False,
    enable_checkpointing=False,
)
trainer.fit(Classifier(), DataLoader(train, batch_size=50, shuffle=True), DataLoader(test, batch_size=797))

print(tracker.verdict.sentence)
print(f"measured steps {tracker.steps}; the log is in {trainer.logger.log_dir}/metrics.csv")
