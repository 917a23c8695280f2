"""What every benchmark shares: timing, the one CSV, the printed table."""

import csv
import platform
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

RESULTS = Path(__file__).with_name("results.csv")
COLUMNS = ("benchmark", "quantity", "value", "unit", "n", "batch", "dtype", "device", "threads", "torch", "commit")


def seconds(work: Callable[[], object], *, repeats: int = 5, warm_up: int = 1) -> float:
    """Return the median wall time of ``work`` over ``repeats`` runs after ``warm_up`` uncounted ones."""
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def commit() -> str:
    """Return the short commit of the checkout, with ``+`` when it has changes."""
    here = Path(__file__).parent
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=here, capture_output=True, text=True, check=False
    )
    return run.stdout.strip() or "unknown"


def device_name() -> str:
    """Return the name of the graphics card in use, or of the processor with its widest vector instructions."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.is_file() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


class Record:
    """Rows of one benchmark: printed as they come, written to the CSV at the end in place of its older rows.

    Rows of another device stay: a ratio may depend on it.
    """

    def __init__(self, benchmark: str) -> None:
        self.benchmark = benchmark
        self.rows: list[dict[str, object]] = []
        print(f"{benchmark}: torch {torch.__version__}, {torch.get_num_threads()} threads, {device_name()}")

    def add(self, quantity: str, value: float, unit: str, *, n: int, batch: int = 1, dtype: str = "float64") -> None:
        """Print and keep one figure."""
        print(f"  {quantity:<64} {value:>12.4g} {unit}")
        self.rows.append(
            {
                "benchmark": self.benchmark,
                "quantity": quantity,
                "value": f"{value:.6g}",
                "unit": unit,
                "n": n,
                "batch": batch,
                "dtype": dtype,
                "device": device_name(),
                "threads": torch.get_num_threads(),
                "torch": version("torch"),
                "commit": commit(),
            }
        )

    def write(self) -> None:
        """Replace this benchmark's rows of this device in the CSV."""
        old: list[dict[str, object]] = []
        here = (self.benchmark, device_name())
        if RESULTS.exists():
            with RESULTS.open(newline="") as file:
                old = [row for row in csv.DictReader(file) if (row["benchmark"], row["device"]) != here]
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows([*old, *self.rows])
