"""Run by `test_adapters_distributed.py` in each of two processes: trainings of every kind, one after the other.

Each says, in a line, its name, how many steps it did and how often this process measured.
"""

import sys
import warnings
from pathlib import Path

import torch
from torch import distributed, nn
from torch.utils.data import DataLoader, TensorDataset

from adapters_world import Turning, network, tracker, turning_tracker
from interdyn.tracking import accelerate, every, hugging_face, lightning, pytorch

folder = Path(sys.argv[1])
warnings.simplefilter("ignore")


def say(name, steps, watch):
    sys.stdout.write(f"{name} {steps} {len(watch.steps)}\n")
    sys.stdout.flush()


def plain(watch):
    model = nn.parallel.DistributedDataParallel(Turning())
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytorch.watching(watch, model, optimiser) as watched:
        for _ in range(60):
            optimiser.zero_grad()
            (-model(torch.ones(2, 4))[:, 1].mean()).backward()
            optimiser.step()
            if watched.should_stop:
                break
    say("plain", watched.step, watch)


def accelerated(watch):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    net = Turning()
    model, optimiser = accelerator.prepare(net, torch.optim.SGD(net.parameters(), lr=1.0))
    assert isinstance(model, nn.parallel.DistributedDataParallel)
    with accelerate.watching(watch, accelerator, model, optimiser) as watched:
        for _ in range(60):
            accelerator.backward(-model(torch.ones(2, 4))[:, 1].mean())
            optimiser.step()
            optimiser.zero_grad()
            if watched.should_stop:
                break
    say("accelerate", watched.step, watch)


def with_hugging_face(watch):
    from transformers import Trainer

    from test_adapters_hugging_face import TurningModel, arguments

    model = TurningModel()
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    trainer = Trainer(
        model,
        arguments(folder, num_train_epochs=2, per_device_train_batch_size=1, max_grad_norm=0.0, logging_steps=1000),
        train_dataset=[{"x": torch.ones(4), "labels": torch.tensor(0)}] * 60,
        optimizers=(optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)),
        callbacks=[hugging_face.TrackerCallback(watch)],
    )
    trainer.train()
    assert trainer.args.world_size == 2
    say("hugging_face", trainer.state.global_step, watch)


def with_lightning(watch):
    from test_adapters_lightning import TurningModule, trainer

    callback = lightning.TrackerCallback(watch)
    fitted = trainer(folder, callback, max_epochs=2, limit_val_batches=0, devices=2, strategy="ddp")
    fitted.fit(TurningModule(), DataLoader(TensorDataset(torch.ones(60, 4)), batch_size=1))
    assert fitted.world_size == 2
    say("lightning", fitted.global_step, watch)


def sharded(watch):
    """Parameters spread over both processes: to run the network in one of them would wait for the other."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    distributed.fsdp.fully_shard(model, mesh=distributed.init_device_mesh("cpu", (2,)))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytorch.watching(watch, model, optimiser) as watched:
        for _ in range(4):
            optimiser.zero_grad()
            model(torch.ones(2, 4)).sum().backward()
            optimiser.step()
    assert distributed.get_rank() or all("needs all parameters of the network" in said for said in watch.problems)
    assert len(watch.problems) == (0 if distributed.get_rank() else 3)
    say("sharded", watched.step, watch)


def same_bits():
    """Train with a tracker and without, and keep the weights; measuring is seen to disturb no process."""
    rank = distributed.get_rank()
    for tracked in (True, False):
        torch.manual_seed(rank)
        x = torch.randn(32, 6)
        y = (x[:, 0] > 0).long()
        torch.manual_seed(0)
        net = network()
        model = nn.parallel.DistributedDataParallel(net)
        watch = tracker(out=folder / "same", schedule=every(3)) if tracked else None
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(7):
            if watch is not None:
                watch.observe(step, model)
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        if watch is not None:
            watch.close()
            assert watch.steps == ((0, 3, 6) if rank == 0 else ())
            say("same", step + 1, watch)
        torch.save(net.state_dict(), folder / f"{'with' if tracked else 'without'}-{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    before = turning_tracker(out=folder / "run")  # made before the processes have met
    distributed.init_process_group("gloo")
    sharded(turning_tracker(strict=False, stop_when=None))
    same_bits()
    plain(before)
    accelerated(turning_tracker())
    with_hugging_face(turning_tracker())
    with_lightning(turning_tracker())
    say("end", 0, before)
