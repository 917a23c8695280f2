"""The callback of Keras 3 on the torch backend; its measurements are also in the history of `fit`."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch
from sklearn.datasets import load_digits

import interdyn as ix
from interdyn.tracking.keras import TrackerCallback

keras.utils.set_random_seed(0)
digits = load_digits()
x, y = (digits.images[:, None] / 16).astype("float32"), digits.target
model = keras.Sequential(
    [
        keras.Input((1, 8, 8)),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10),
    ]
)
model.compile(keras.optimizers.SGD(0.05, momentum=0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
tracker = ix.Tracker(
    (torch.tensor(x[1000:1012]), torch.tensor(y[1000:1012])),
    players=ix.players.patches(4, 4).choose(7),
    schedule=ix.schedules.log_spaced(5),
    stop_when="harm",
    out="runs/keras_digits",
    budget=None,
)
history = model.fit(
    x[:1000],
    y[:1000],
    batch_size=50,
    epochs=5,
    validation_data=(x[1000:], y[1000:]),
    callbacks=[TrackerCallback(tracker)],
    verbose=0,
)

print(tracker.verdict.sentence)
print("mean order after each epoch:", [round(order, 2) for order in history.history["interactions/mean_order"]])
