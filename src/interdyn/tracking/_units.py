"""The unit of work for other processes: a checkpoint and a block of samples, measured into a file."""

import hashlib
import os
import pickle
import socket
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import nn

from interdyn import store
from interdyn.compiled import torch_threads
from interdyn.errors import CheckpointError, EngineError, InputError, NotARunError
from interdyn.measurement import Group, recorded
from interdyn.tracking._checkpoints import load_part, load_weights

VERSIONS = {"interdyn": store.VERSION, "torch": str(torch.__version__)}
"""What must be equal on both sides for numbers to be equal."""

MEASURING = threading.RLock()
"""Held while a network is measured or trained: both use the process's random generators and number of threads."""


@dataclass(frozen=True)
class Unit:
    """A checkpoint and a block of samples of one group.

    Attributes
    ----------
    step, group
        Optimiser step; name of the group.
    block
        Index of its first sample, and of the one after its last.
    source
        Where the weights are saved; empty for the checkpoint in the run.
    """

    step: int
    group: str
    block: tuple[int, int]
    source: str = ""

    def __str__(self) -> str:
        return f"step {self.step}, group {self.group}, samples {self.block[0]} to {self.block[1] - 1}"


@dataclass(frozen=True)
class Work:
    """What all units of a job have in common; a process loads it once.

    Attributes
    ----------
    network
        The network, into which the weights of each checkpoint are loaded.
    groups
        The samples, and how they are measured.
    device
        Where the network is measured, ``"cpu"`` or ``"cuda"``.
    dtype
        Type of its weights, such as ``"float32"``; empty: unchanged.
    threads
        Threads of PyTorch and of the split in a process.
    """

    network: nn.Module
    groups: tuple[Group, ...]
    device: str = "cpu"
    dtype: str = ""
    threads: int = 1

    def packed(self) -> bytes:
        """Return it as bytes for other processes, without the names of players, which no measurement keeps.

        Raises
        ------
        InputError
            If something in it cannot be pickled.
        """
        groups = tuple(replace(group, config=replace(group.config, names=None)) for group in self.groups)
        try:
            return pickle.dumps(replace(self, groups=groups))
        except (pickle.PicklingError, AttributeError, TypeError, RuntimeError) as error:
            raise InputError(
                f"networks and options for other processes must be picklable; got: {error}. Define their classes and "
                "functions at the top level of a module, or measure in one process."
            ) from error


@dataclass(frozen=True)
class Order:
    """What is sent with a unit: neither weights nor samples, but where they are.

    Attributes
    ----------
    unit
        What to measure.
    folder, run_id
        The run, and its identity, which distinguishes it from a folder of the same name elsewhere.
    work, file
        SHA-256 of the `Work`, and the name of its file in the folder ``units`` of the run.
    versions
        `VERSIONS` of the process that sends it.
    """

    unit: Unit
    folder: str
    run_id: str
    work: str
    file: str
    versions: tuple[tuple[str, str], ...] = tuple(VERSIONS.items())


@dataclass(frozen=True)
class Done:
    """What a unit returns: where and how it was measured, no tables.

    Attributes
    ----------
    host, process
        Which host and process measured it.
    seconds
        Wall time in that process.
    bytes_read
        Bytes of work and weights loaded for it; 0 if the process had them already.
    """

    host: str
    process: int
    seconds: float
    bytes_read: int


class _Here:
    """What this process has loaded: the last work, and its network at the last checkpoint."""

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}
        self.loaded: tuple[str, int, str] | None = None
        self.network: Any = None


_HERE = _Here()


def keep_here(name: str, work: Work) -> None:
    """Load a work into this process, for units that are measured in it."""
    _HERE.works[name] = work


def forget_here(name: str) -> None:
    """Release a work and its network."""
    _HERE.works.pop(name, None)
    _HERE.loaded = _HERE.network = None


def measure_unit(order: Order) -> Done:
    """Measure a unit and write its file, in any process; repeating it writes identical bits.

    Raises
    ------
    EngineError
        If this process has other versions, or does not see the run: no unit could be measured here.
    CheckpointError
        If the weights are missing or incomplete.
    Exception
        Errors of the measurement.
    """
    begun = perf_counter()
    with MEASURING:
        run = _run_of(order)
        work, size = _work_of(order)
        unit = order.unit
        with torch_threads(work.threads):
            network, more = _network_of(order, work, run)
            group = next(group for group in work.groups if group.name == unit.group).block(*unit.block)
            config = replace(group.config, threads=work.threads)
            measured = recorded(network, replace(group, config=config), step=unit.step)
            if store.read_measurement(run, unit.step, group=unit.group) is None:  # otherwise finished by others
                store.write_unit(run, measured, unit.block)
    return Done(socket.gethostname(), os.getpid(), perf_counter() - begun, size + more)


def _run_of(order: Order) -> store.Run:
    here = tuple(VERSIONS.items())
    where = f"process {os.getpid()} on {socket.gethostname()}"
    if here != order.versions:
        told, own = (", ".join(f"{name} {version}" for name, version in one) for one in (order.versions, here))
        raise EngineError(
            f"workers need the versions of the process that submits the work, {told}; got {own} in {where}. Install "
            "the same versions there."
        )
    try:
        run = store.open_run(order.folder)
        if run.id == order.run_id:
            return run
        other = "another run"
    except NotARunError:
        other = "no run"
    raise EngineError(
        f"workers need the folder of the run, {order.folder}, on a file system that all of them share; got {other} "
        f"there in {where}. Choose a shared folder with --out."
    )


def _work_of(order: Order) -> tuple[Work, int]:
    """Return the work, and the number of bytes read for it."""
    if order.work in _HERE.works:
        return _HERE.works[order.work], 0
    try:
        data = (Path(order.folder) / "units" / order.file).read_bytes()
    except OSError as error:
        raise EngineError(
            f"workers need the file that the units share in {order.folder}; got {error.strerror or error}. The process "
            "that submitted them has ended; finished measurements are kept."
        ) from error
    if hashlib.sha256(data).hexdigest() != order.work:  # never unpickle what the sender of the unit did not name
        raise EngineError(f"workers need the intact file that the units share in {order.folder}; its bytes differ.")
    work = pickle.loads(data)
    assert isinstance(work, Work)
    for name in list(_HERE.works):
        forget_here(name)
    keep_here(order.work, work)
    return work, len(data)


def _network_of(order: Order, work: Work, run: store.Run) -> tuple[nn.Module, int]:
    """Return the network with the weights of the unit's checkpoint, and the number of bytes read for it."""
    unit = order.unit
    wanted = (order.work, unit.step, unit.source)
    if _HERE.loaded == wanted:
        network: nn.Module = _HERE.network
        return network, 0
    _HERE.loaded = None
    if unit.source:
        load_part(Path(unit.source), work.network)
    else:
        saved = store.read_checkpoint(run, unit.step)
        if saved is None:
            raise CheckpointError(f"the checkpoint of step {unit.step} must be complete; got none in {run.path}.")
        load_weights(work.network, saved.weights)
    dtype = getattr(torch, work.dtype) if work.dtype else None
    network = work.network.to(torch.device(work.device), dtype)
    _HERE.network, _HERE.loaded = network, wanted
    state = network.state_dict().values()
    return network, sum(x.numel() * x.element_size() for x in state if isinstance(x, torch.Tensor))
