"""The callback in real trainings of Keras 3 on the torch backend."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import torch

from adapters_world import STOPS, data, handed_on, probe, same, tracker, turning_tracker, value
from interdyn.tracking import log_spaced
from interdyn.tracking.keras import TrackerCallback

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation.*:DeprecationWarning"),  # Keras with NumPy 2
]


def network(*, built=True):
    layers = keras.layers
    given = [keras.Input((6,))] if built else []
    return keras.Sequential(
        [*given, layers.Dense(16), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.3), layers.Dense(2)]
    )


def fit(watch=None, *, built=True, optimizer=None, **options):
    keras.utils.set_random_seed(1)
    model = network(built=built)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.05, momentum=0.9), loss)
    callbacks = [TrackerCallback(watch)] if watch else []
    options = {"epochs": 3, "validation_data": probe(), **options}
    history = model.fit(*data(), batch_size=8, shuffle=True, verbose=0, callbacks=callbacks, **options)
    return model, history.history


def weights(model):
    """Return all weights, those of the optimiser and of the random generators among them."""
    return {
        **{f"{i} {v.path}": keras.ops.convert_to_numpy(v) for i, v in enumerate(model.variables)},
        **{f"state {i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(model.optimizer.variables)},
        **{f"seed {i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(model.non_trainable_variables)},
    }


@pytest.mark.parametrize("built", [True, False])
def test_a_tracked_training_ends_with_the_same_bits(tmp_path, built):
    watch = tracker(out=tmp_path / "run")
    seen, unseen = fit(watch, built=built)[0], fit(built=built)[0]
    same(dict(zip(weights(unseen), weights(seen).values(), strict=True)), weights(unseen))
    assert watch.steps == (0, 4, 8, 12, 16, 20, 24)
    assert (tmp_path / "run" / "summary.json").exists()


def test_optimiser_steps_count_where_gradients_are_accumulated():
    watch = tracker()
    fit(watch, optimizer=keras.optimizers.SGD(0.05, gradient_accumulation_steps=2))
    assert watch.steps == (0, 4, 8, 12)


def test_with_a_budget_copies_of_the_model_are_measured(monkeypatch):
    monkeypatch.setattr("interdyn.tracking._budget.SETTLED", 0.0)  # seconds, which this training may not take
    watch = tracker(schedule=log_spaced(8), budget=0.9, total_steps=1_000_000)
    seen, unseen = fit(watch)[0], fit()[0]
    same(dict(zip(weights(unseen), weights(seen).values(), strict=True)), weights(unseen))
    assert watch.plan is not None
    assert {0, 1, 2, 3} <= set(watch.steps)


def test_losses_and_logs_are_those_of_keras():
    watch = tracker()
    model, history = fit(watch)
    # the measurements at 8 and 16 are at the last batch of an epoch; validation follows and is known to the next
    assert watch.trajectory.train_loss[2] == pytest.approx(float(history["loss"][0]), rel=1e-5)
    assert watch.trajectory.test_loss[3] == pytest.approx(float(history["val_loss"][0]), rel=1e-5)
    assert np.isnan(watch.trajectory.test_loss).tolist() == [True, True, True, False, True, False, True]
    expected = handed_on(watch)
    for name in ("interactions/mean_order", "interactions/phase"):
        assert history[name] == [expected[step][name] for step in (8, 16, 24)]
    assert watch.loggers == []
    named = tracker()
    callback = TrackerCallback(named, test_loss="val_other")
    callback.on_epoch_end(0, {"val_loss": 1.0, "val_other": 2.0})
    callback._watch.observe(0, model)
    assert named.trajectory.test_loss.tolist() == [2.0]


@keras.saving.register_keras_serializable()
class TurningLayer(keras.layers.Layer):
    def build(self, _shape):
        self.age = self.add_weight(shape=(), initializer="zeros")

    def call(self, x):
        age = self.age.value if isinstance(self.age.value, torch.Tensor) else self.age
        return keras.ops.stack([value(x, float(age.detach())), keras.ops.broadcast_to(age, (x.shape[0],))], axis=1)

    def compute_output_shape(self, shape):
        return (shape[0], 2)


@pytest.mark.parametrize(("stop_when", "stops_after"), [("harm", STOPS), (None, 40)])
def test_it_stops_when_training_harms(stop_when, stops_after):
    watch = turning_tracker(stop_when=stop_when)
    model = keras.Sequential([TurningLayer()])
    model.compile(keras.optimizers.SGD(1.0), lambda _, outputs: -keras.ops.mean(outputs[:, 1]))
    x = np.ones((20, 4), dtype="float32")
    model.fit(x, np.zeros(20), batch_size=1, epochs=2, verbose=0, callbacks=[TrackerCallback(watch)])
    age = int(model.layers[0].age.value.detach())
    assert int(model.optimizer.iterations) == watch.steps[-1] == age == stops_after


def test_another_backend_is_refused_with_what_to_do():
    code = (
        "import os; os.environ['KERAS_BACKEND'] = 'numpy'\n"
        "from interdyn.errors import InputError\n"
        "try:\n    import interdyn.tracking.keras\n"
        "except InputError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'got one that needs jax. Set os.environ["KERAS_BACKEND"] = "torch" before' in done.stdout
