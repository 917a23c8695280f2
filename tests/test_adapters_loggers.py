"""What a tracker wrote with the real loggers is read back from their own files, and is what the tracker knows."""

import builtins
import struct
import time

import mlflow
import numpy as np
import pytest
import torch
import wandb
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from adapters_world import data, handed_on, network, tracker
from interdyn.errors import InputError, MissingExtraError
from interdyn.tracking.loggers import MLflowLogger, TensorBoardLogger, WandbLogger
from interdyn.tracking.pytorch import watching

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*noload.*"),  # MLflow asks SQLAlchemy for what 2.1 gives up
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),  # MLflow's own connections to its store
]


def trained(*loggers):
    """Train a little and return the tracker."""
    torch.manual_seed(1)
    net, (x, y) = network(), data()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
    watch = tracker(loggers=loggers)
    with watching(watch, net, optimiser):
        for _ in range(12):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()
            optimiser.step()
    assert watch.steps == (0, 4, 8, 12)
    return watch


def float32(looks):
    return {step: {k: float(np.float32(v)) for k, v in numbers.items()} for step, numbers in looks.items()}


def test_tensorboard(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    logger.writer.add_scalar("mine", 1.0, 3)  # the writer of the training itself
    watch = trained(TensorBoardLogger(logger.writer))
    events = EventAccumulator(str(tmp_path))  # written out, though the writer is not closed
    events.Reload()
    found = {step: {} for step in watch.steps}
    for name in events.Tags()["scalars"]:
        for event in events.Scalars(name):
            if name != "mine":
                found[event.step][name] = event.value
    assert found == float32(handed_on(watch))
    logger.writer.close()


def test_mlflow(tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/store.db")
    with pytest.raises(InputError, match=r"none is active. Call mlflow.start_run\(\)"):
        MLflowLogger()
    with mlflow.start_run() as run:
        watch = trained(MLflowLogger())
    client = mlflow.MlflowClient()
    expected = handed_on(watch)
    assert set(client.get_run(run.info.run_id).data.metrics) == set(expected[0])
    for name in expected[0]:
        history = {m.step: m.value for m in client.get_metric_history(run.info.run_id, name)}
        assert history == {step: numbers[name] for step, numbers in expected.items()}, name


def records(path):
    """Yield the records of a W&B file: blocks of 32 KiB, each record after its checksum, length and kind."""
    content, place, held = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:  # the rest of a block is empty
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        held += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(held)
            held = b""
            yield record


def test_weights_and_biases_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    with pytest.raises(InputError, match=r"none was started. Call wandb.init\(\)"):
        WandbLogger()
    with wandb.init(project="watched", dir=tmp_path, mode="offline"):
        watch = trained(WandbLogger())
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    end = time.perf_counter() + 60  # another process writes the file, on a busy computer later
    while not any(record.WhichOneof("record_type") == "exit" for record in records(path)):
        assert time.perf_counter() < end, "the run never ended"
        time.sleep(0.2)
    found, axes = {}, {}
    for record in records(path):
        if record.WhichOneof("record_type") == "history":
            row = {item.nested_key[0]: float(item.value_json) for item in record.history.item}
            step = int(row.pop("interactions/step"))
            found[step] = {name: value for name, value in row.items() if not name.startswith("_")}
        elif record.WhichOneof("record_type") == "metric" and record.metric.glob_name:
            axes[record.metric.glob_name] = record.metric.step_metric
    assert found == handed_on(watch)
    assert axes == {"interactions/*": "interactions/step"}


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("torch.utils.tensorboard", lambda path: TensorBoardLogger(path)),
        ("mlflow", lambda _: MLflowLogger()),
        ("wandb", lambda _: WandbLogger()),
    ],
)
def test_a_missing_package_is_named_with_the_line_to_type(package, make, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == package:
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'interdyn\[loggers\]'"):
        make(tmp_path)
