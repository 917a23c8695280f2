"""The callback in real trainings of Lightning."""

import csv

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adapters_world import STOPS, Turning, data, handed_on, network, probe, same, tracker, turning_tracker
from interdyn.tracking import log_spaced
from interdyn.tracking.lightning import TrackerCallback

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),  # Lightning's advice to large trainings
    pytest.mark.filterwarnings("ignore:.*lower value for log_every_n_steps.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),  # Lightning uses what torch gives up
]


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = network()

    def forward(self, x):
        return self.network(x)

    def training_step(self, batch, _):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


def trainer(folder, *callbacks, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return lightning.Trainer(
        **{"max_epochs": 3, "accelerator": "cpu", "devices": 1, "logger": False, **quiet, **options},
        callbacks=list(callbacks),
        default_root_dir=folder,
    )


def fit(folder, watch=None, *, precision="32-true", **options):
    """Train with a data order from the global generator; return the trainer and the module."""
    lightning.seed_everything(1, verbose=False)
    module = Classifier()
    fitted = trainer(folder, *([TrackerCallback(watch)] if watch else []), precision=precision, **options)
    fitted.fit(
        module,
        DataLoader(TensorDataset(*data()), batch_size=8, shuffle=True),
        DataLoader(TensorDataset(*probe()), batch_size=8),
    )
    return fitted, module


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_tracked_training_ends_with_the_same_bits(tmp_path, precision):
    watch = tracker(out=tmp_path / "run")
    _, seen = fit(tmp_path, watch, precision=precision)
    _, unseen = fit(tmp_path, precision=precision)
    same(seen.state_dict(), unseen.state_dict())
    assert watch.steps == (0, 4, 8, 12, 16, 20, 24)
    assert (tmp_path / "run" / "summary.json").exists()  # closed at the end


def test_optimiser_steps_count_where_gradients_are_accumulated(tmp_path):
    watch = tracker()
    fitted, seen = fit(tmp_path, watch, accumulate_grad_batches=2)
    same(seen.state_dict(), fit(tmp_path, accumulate_grad_batches=2)[1].state_dict())
    assert fitted.global_step == 12
    assert watch.steps == (0, 4, 8, 12)


def test_with_a_budget_copies_of_the_module_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("interdyn.tracking._budget.SETTLED", 0.0)  # seconds, which this training may not take
    watch = tracker(schedule=log_spaced(8), budget=0.9, total_steps=1_000_000)
    _, seen = fit(tmp_path, watch)
    same(seen.state_dict(), fit(tmp_path)[1].state_dict())
    assert watch.plan is not None
    assert {0, 1, 2, 3} <= set(watch.steps)


def test_losses_are_those_of_the_module(tmp_path):
    watch = tracker()
    fitted, module = fit(tmp_path, watch)
    assert not torch.tensor(watch.trajectory.train_loss[1:]).isnan().any()
    known = torch.tensor(watch.trajectory.test_loss)
    assert known.isnan().tolist() == [True, True, True, False, True, False, True]  # validated after steps 8, 16, 24
    assert 0 < float(known[3]) < 2
    named = tracker()
    callback = TrackerCallback(named, test_loss="train_loss")
    callback.on_validation_end(fitted, module)
    callback._watch.observe(0, module)
    assert named.trajectory.test_loss[0] == pytest.approx(float(fitted.callback_metrics["train_loss"]))


def test_what_is_seen_goes_where_lightning_logs(tmp_path):
    watch = tracker()
    fitted, _ = fit(tmp_path, watch, logger=CSVLogger(tmp_path, name="logs", version=0), log_every_n_steps=1)
    with (tmp_path / "logs" / "version_0" / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    found = {
        int(row["step"]): {k: float(v) for k, v in row.items() if k.startswith("interactions/")}
        for row in rows
        if "interactions/phase" in row
    }
    expected = handed_on(watch)
    assert found == expected
    assert fitted.callback_metrics["interactions/mean_order"] == pytest.approx(expected[24]["interactions/mean_order"])
    assert watch.loggers == []


def test_another_callback_may_monitor_it(tmp_path):
    stopping = EarlyStopping("interactions/mean_order", patience=1, min_delta=10.0, mode="max")
    lightning.seed_everything(1, verbose=False)
    fitted = trainer(tmp_path, TrackerCallback(tracker()), stopping, max_epochs=8)
    loaders = [DataLoader(TensorDataset(*data()), batch_size=8), DataLoader(TensorDataset(*probe()), batch_size=8)]
    fitted.fit(Classifier(), *loaders)
    assert fitted.current_epoch < 7


class TurningModule(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = Turning()

    def forward(self, x):
        return self.network(x)

    def training_step(self, batch, _):
        return {"loss": -self(batch[0])[:, 1].mean()}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


@pytest.mark.parametrize(("stop_when", "stops_after"), [("harm", STOPS), (None, 40)])
def test_it_stops_when_training_harms(tmp_path, stop_when, stops_after):
    watch = turning_tracker(stop_when=stop_when)
    module = TurningModule()
    fitted = trainer(tmp_path, TrackerCallback(watch), max_epochs=2, limit_val_batches=0)
    fitted.fit(module, DataLoader(TensorDataset(torch.ones(20, 4)), batch_size=1))
    assert fitted.global_step == watch.steps[-1] == int(module.network.age.detach()) == stops_after


def test_a_training_that_breaks_off_keeps_what_was_seen(tmp_path):
    class Breaks(Classifier):
        def on_train_epoch_end(self):
            raise RuntimeError("broken")

    watch = tracker(out=tmp_path / "run")
    loader = DataLoader(TensorDataset(*data()), batch_size=8)
    with pytest.raises(RuntimeError, match="broken"):
        trainer(tmp_path, TrackerCallback(watch)).fit(Breaks(), loader, loader)
    again = tracker(out=tmp_path / "run")  # nobody else writes it any more
    assert again.steps == watch.steps == (0, 4, 8)
    again.close()
