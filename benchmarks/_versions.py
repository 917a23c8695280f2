"""The present version and version 0.1 side by side: each in a process of its own, on one thread, called in turn."""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parent.parent
VERSION_01 = "a6c956a"

_WORKER = """
import json, sys, time, warnings
import torch
warnings.simplefilter("ignore")
torch.set_num_threads(1)
from interdyn.sparsify import split
for line in sys.stdin:
    job = json.loads(line)
    v = torch.load(job["tables"])
    wall, cpu = time.perf_counter(), time.process_time()
    found = split(v, **job["options"])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    norm = found.i_and[:, 1:].abs().sum(-1) + found.i_or[:, 1:].abs().sum(-1)
    steps = [int(said.split(" after ")[1].split()[0]) for said in found.status]
    print(json.dumps({"wall": wall, "cpu": cpu, "norm": norm.tolist(), "steps": steps}), flush=True)
"""


def sources_of_version_01(folder: Path) -> Path:
    """Unpack the package of version 0.1 into ``folder`` and return what is to be put on the path."""
    archive = subprocess.run(
        ["git", "archive", VERSION_01, "src"], cwd=ROOT, capture_output=True, check=False
    )  # fmt: skip
    if archive.returncode:
        raise SystemExit(f"commit {VERSION_01} (version 0.1) is needed; got a clone without it: git fetch --unshallow")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder / "src"


def environment(path: Path) -> dict[str, str]:
    """Return the environment of a process that runs the package under ``path`` on one thread."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "INTERDYN_THREADS"), "1")
    return {**os.environ, **one, "PYTHONPATH": str(path)}


class Version:
    """A process that splits tables with one version of the package."""

    def __init__(self, path: Path) -> None:
        self._run = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(path),
            text=True,
        )

    def split(self, tables: Path, **options: Any) -> dict[str, Any]:
        """Split the tables of a file once; return seconds, plain norms without the constant, steps."""
        assert self._run.stdin is not None
        assert self._run.stdout is not None
        self._run.stdin.write(json.dumps({"tables": str(tables), "options": options}) + "\n")
        self._run.stdin.flush()
        return dict(json.loads(self._run.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._run.kill()
        self._run.wait()


def compared(new: Version, old: Version, v: torch.Tensor, *, repeats: int, **options: Any) -> dict[str, float]:
    """Split ``v`` by both versions in turn; return CPU seconds, and ratios of them, of norms and of steps."""
    with tempfile.TemporaryDirectory() as folder:
        tables = Path(folder) / "tables.pt"
        torch.save(v, tables)
        for version in (new, old):
            version.split(tables, **options)  # builds what is shared, not counted
        pairs = [(new.split(tables, **options), old.split(tables, **options)) for _ in range(repeats)]
    ours, theirs = (sorted(pair[i]["cpu"] for pair in pairs)[repeats // 2] for i in (0, 1))
    ratio = sorted(b["cpu"] / a["cpu"] for a, b in pairs)[repeats // 2]
    norms, steps = (sum(pairs[0][0][key]) / sum(pairs[0][1][key]) for key in ("norm", "steps"))
    return {"ours": ours, "theirs": theirs, "ratio": ratio, "norms": norms, "steps": steps}
