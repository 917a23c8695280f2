"""Your own training loop, tracked by one line; few samples and some wrong labels make the loss gap widen."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import interdyn as ix
from interdyn.tracking.pytorch import watching

torch.manual_seed(0)
digits = load_digits()
x = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
y = torch.tensor(digits.target)
order = torch.randperm(len(x))
train, test = order[:300], order[300:1300]
wrong = train[:45]
labels = y.clone()
labels[wrong] = torch.randint(10, (len(wrong),))

model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10))
optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
tracker = ix.Tracker(
    (x[test[:12]], y[test[:12]]),
    players=ix.players.patches(4, 4).choose(7),
    schedule=ix.schedules.log_spaced(6),
    stop_when="harm",
    budget=None,
)

with watching(tracker, model, optimiser) as watch:
    for epoch in range(60):
        for rows in train[torch.randperm(len(train))].split(30):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(x[rows]), labels[rows])
            loss.backward()
            watch.note(train_loss=loss)
            optimiser.step()
        with torch.no_grad():
            watch.note(test_loss=nn.functional.cross_entropy(model(x[test]), y[test]))
        if watch.should_stop:
            print(f"stopped after epoch {epoch}")
            break

print(tracker.verdict.sentence)
print(f"measured steps {tracker.steps}, {tracker.measuring_seconds:.1f} s; best step {tracker.best_step}")
