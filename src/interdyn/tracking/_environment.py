"""The environment of a training."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from interdyn import store

_PACKAGES = ("torch", "numpy", "safetensors", "scikit-learn", "scipy")


def environment(device: str = "cpu") -> dict[str, Any]:
    """Return versions, platform, threads and flags that can change a number; no names of hosts or folders."""
    packages: dict[str, str | None] = {"interdyn": store.VERSION}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {
        "schema": store.SCHEMA,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "packages": packages,
        "threads": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "device": device,
    }
