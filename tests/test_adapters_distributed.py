"""Several processes train together: the first measures, all stop at one step, no weights change, nobody waits."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adapters_world import STOPS, same


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    command = [sys.executable, Path(__file__).with_name("distributed_training.py"), tmp_path]
    processes = []
    for rank in ("0", "1"):
        with (tmp_path / f"out{rank}").open("w") as out, (tmp_path / f"err{rank}").open("w") as err:
            there = {**meeting, "RANK": rank, "LOCAL_RANK": rank}
            processes.append(subprocess.Popen(command, env=there, stdout=out, stderr=err))
    try:
        codes = [process.wait(timeout=500) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], "".join((tmp_path / f"err{rank}").read_text()[-3000:] for rank in "01")
    for rank, looks in ((0, STOPS // 2 + 1), (1, 0)):
        said = [line.split() for line in (tmp_path / f"out{rank}").read_text().splitlines() if line.count(" ") == 2]
        assert said == [
            ["sharded", "4", "0"],
            ["same", "7", str(3 if looks else 0)],
            ["plain", str(STOPS), str(looks)],
            ["accelerate", str(STOPS), str(looks)],
            ["hugging_face", str(STOPS), str(looks)],
            ["lightning", str(STOPS), str(looks)],
            ["end", "0", str(looks)],
        ]
        seen, unseen = (torch.load(tmp_path / f"{name}-{rank}.pt", weights_only=True) for name in ("with", "without"))
        same(seen, unseen)
