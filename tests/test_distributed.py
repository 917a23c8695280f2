"""Training in several processes: rank 0 looks, nobody waits for it in vain, and all end with the same weights."""

import os
import subprocess
import sys

import pytest
import torch

WORKER = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

torch.set_num_threads(1)
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
from interdyn.players import columns
from interdyn.tracking import Tracker, every

for tracked in ("with", "without"):
    torch.manual_seed(rank)
    x = torch.randn(32, 4)
    y = (x[:, 0] > 0).long()
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    model = DistributedDataParallel(network)
    tracker = None
    if tracked == "with":
        options = {"schedule": every(3), "budget": None, "out": f"{folder}/run", "strict": True}
        tracker = Tracker((x[:8], y[:8]), players=columns(), **options)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(7):
        if tracker is not None:
            tracker.observe(step, model)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    if tracker is not None:
        tracker.close()
        print("looked", tracker.steps, tracker.problems)
    torch.save(network.state_dict(), f"{folder}/{tracked}-{rank}.pt")
dist.destroy_process_group()
"""


def train(folder):
    """Train twice in two processes and return what each of them printed."""
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in (0, 1)
    ]
    said = [rank.communicate(timeout=120) for rank in ranks]
    for rank, (_, error) in zip(ranks, said, strict=True):
        assert rank.returncode == 0, error
    return [out.strip() for out, _ in said]


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs the gloo backend of torch")
def test_rank_0_looks_and_all_weights_are_those_of_a_training_without(tmp_path):
    first, second = train(tmp_path)
    assert first == "looked (0, 3, 6) []"
    assert second == "looked () []"
    for rank in (0, 1):
        seen, unseen = (torch.load(tmp_path / f"{name}-{rank}.pt", weights_only=True) for name in ("with", "without"))
        for key, weights in unseen.items():
            assert torch.equal(seen[key], weights), key
