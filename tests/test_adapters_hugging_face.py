"""The callback in real trainings of the Hugging Face `Trainer`."""

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

from adapters_world import STOPS, Turning, handed_on, same, turning_tracker
from interdyn.tracking import Tracker, every
from interdyn.tracking.hugging_face import TrackerCallback

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*pin_memory.*"),  # torch, where there is no GPU
    pytest.mark.filterwarnings("ignore:.*logging_dir.*"),
]


def sentences(samples=48, seed=0):
    """Return sentences of six tokens whose class is whether two of them are in the same half of the vocabulary."""
    ids = torch.randint(4, 40, (samples, 6), generator=torch.Generator().manual_seed(seed))
    return [{"input_ids": row, "labels": ((row[0] < 20) == (row[1] < 20)).long()} for row in ids]


def bert():
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=40,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=8,
            num_labels=2,
        )
    )


def tracker(**options):
    probe = sentences(8, seed=5)
    ids, labels = (torch.stack([row[key] for row in probe]) for key in ("input_ids", "labels"))
    feature_mask = torch.arange(6).expand(8, 6)
    options = {"schedule": every(4), "strict": True, **options}
    return Tracker((ids, labels), feature_mask=feature_mask, baselines=3, budget=None, **options)


def arguments(folder, **options):
    quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "logging_steps": 3, "log_level": "error"}
    return TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        **{"num_train_epochs": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-2, **quiet, **options},
    )


def train(folder, watch=None, *, with_trainer=False, **options):
    set_seed(1)
    model = bert()
    held_out = {"eval_dataset": sentences(8, seed=7)} if "eval_strategy" in options else {}
    trainer = Trainer(model, arguments(folder, **options), train_dataset=sentences(), **held_out)
    if watch is not None:
        trainer.add_callback(TrackerCallback(watch, trainer if with_trainer else None))
    trainer.train()
    return trainer


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_tracked_training_ends_with_the_same_bits(tmp_path, accumulation):
    watch = tracker(out=tmp_path / "run")
    options = {"gradient_accumulation_steps": accumulation}
    seen, unseen = train(tmp_path, watch, **options), train(tmp_path, **options)
    same(seen.model.state_dict(), unseen.model.state_dict())
    assert seen.state.global_step == 24 / accumulation
    assert watch.steps == tuple(range(0, 24 // accumulation + 1, 4))
    assert (tmp_path / "run" / "summary.json").exists()


def test_losses_are_taken_from_the_logs(tmp_path):
    watch = tracker()
    trainer = train(tmp_path, watch, eval_strategy="steps", eval_steps=6)
    logged = {row["step"]: row["loss"] for row in trainer.state.log_history if "loss" in row}
    evaluated = {row["step"]: row["eval_loss"] for row in trainer.state.log_history if "eval_loss" in row}
    # a step is logged after it was measured: the measurement at 8 knows of 6, that at 16 of 9, 12 and 15
    assert watch.trajectory.train_loss[2] == pytest.approx(logged[6])
    assert watch.trajectory.train_loss[4] == pytest.approx((logged[12] + logged[15]) / 2)
    assert watch.trajectory.test_loss[2] == pytest.approx(evaluated[6])
    assert watch.trajectory.test_loss[4] == pytest.approx(evaluated[12])
    named = tracker()
    callback = TrackerCallback(named, test_loss="eval_other_loss")
    callback.on_log(None, None, None, logs={"eval_loss": 1.0, "eval_other_loss": 2.0})
    callback._watch.observe(0, trainer.model)
    assert named.trajectory.test_loss.tolist() == [2.0]


@pytest.mark.parametrize("with_trainer", [False, True])
def test_what_is_seen_is_in_the_history_and_changes_no_other_line(tmp_path, with_trainer):
    watch = tracker()
    history = train(tmp_path, watch, with_trainer=with_trainer, logging_steps=4).state.log_history
    found = {
        row["step"]: {k: v for k, v in row.items() if k.startswith("interactions/")}
        for row in history
        if "interactions/phase" in row
    }
    assert found == handed_on(watch)
    plain = train(tmp_path, logging_steps=4).state.log_history
    rest = [row for row in history if "interactions/phase" not in row]
    assert [(row["step"], row.get("loss")) for row in rest] == [(row["step"], row.get("loss")) for row in plain]


def test_with_the_trainer_it_reaches_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    watch = tracker()
    train(tmp_path, watch, with_trainer=True, report_to=["tensorboard"])
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    found = {event.step: event.value for event in events.Scalars("train/interactions/mean_order")}
    expected = {step: numbers["interactions/mean_order"] for step, numbers in handed_on(watch).items()}
    assert found == pytest.approx(expected, rel=1e-6)


class TurningModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = Turning()

    def forward(self, x, labels=None):
        outputs = self.network(x)
        return {"loss": -outputs[:, 1].mean(), "logits": outputs} if labels is not None else outputs


@pytest.mark.parametrize(("stop_when", "stops_after"), [("harm", STOPS), (None, 40)])
def test_it_stops_when_training_harms(tmp_path, stop_when, stops_after):
    watch, model = turning_tracker(stop_when=stop_when), TurningModel()
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    trainer = Trainer(
        model,
        arguments(tmp_path, num_train_epochs=2, per_device_train_batch_size=1, max_grad_norm=0.0, logging_steps=1000),
        train_dataset=[{"x": torch.ones(4), "labels": torch.tensor(0)}] * 20,
        optimizers=(optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)),
        callbacks=[TrackerCallback(watch)],
    )
    trainer.train()
    assert trainer.state.global_step == watch.steps[-1] == int(model.network.age.detach()) == stops_after
    assert watch.loggers == []
