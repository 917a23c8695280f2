"""A Ray cluster of two nodes on loopback, and a network that waits where workers measure it; no test."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from torch import nn

STORE = 80_000_000  # bytes of a node's object store, near the least that Ray takes
# a full object store refuses, and puts nothing on the disk instead
CONFIG = '{"automatic_object_spilling_enabled": false, "local_fs_capacity_threshold": 0.0001, "oom_grace_period_s": 0}'
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",  # ports are open to all of the network
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What must be set before Ray is imported, which keeps the token."""
PATIENCE = 120.0  # seconds for what takes a few on an idle machine


class Held(nn.Sequential):
    """A network that is held up in other processes than that which built it, as long as there is a file ``hold``.

    Each leaves a file there, whose name is the number of the process and of its parent.
    """

    def __init__(self, folder, *layers):
        super().__init__(*layers)
        self.folder, self.home = folder, os.getpid()

    def forward(self, x):
        if os.getpid() != self.home:
            folder = Path(self.folder)
            (folder / f"{os.getpid()}-{os.getppid()}").touch()
            while (folder / "hold").exists():
                time.sleep(0.05)
        return super().forward(x)


def held(shape, n_outputs, *, folder):
    """Return such a network; the factory of a recipe."""
    return Held(folder, nn.Linear(shape[0], 8), nn.ReLU(), nn.Linear(8, n_outputs))


def node_of(_):
    """Return the address of the node that does this call."""
    import ray

    time.sleep(0.2)  # so that calls are spread
    return ray.util.get_node_ip_address()


def measuring(folder):
    """Return the processes that have begun to measure, each with its parent: the raylet of its node."""
    return dict(map(int, path.name.split("-")) for path in Path(folder).glob("*-*"))


def soon(get, seconds=PATIENCE):
    """Return what a function returns as soon as that is true."""
    until = time.monotonic() + seconds
    while not (found := get()):
        assert time.monotonic() < until, f"not within {seconds:.0f} s"
        time.sleep(0.05)
    return found


def parents():
    """Return the processes of this machine that have not ended, each with its parent."""
    out = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended since
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            out |= {int(folder.name): int(parent)} if state != "Z" else {}
    return out


def is_alive(process):
    """Return whether there is such a process, and it has not ended."""
    return process in parents()


def family(first):
    """Return a process and all that it and its children have started."""
    known, out = parents(), [first]
    for process in out:
        out.extend(child for child, parent in known.items() if parent == process)
    return out


def send(signal_, processes):
    """Send a signal to each process that is still there."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal_)


class Node:
    """A node of a cluster, in processes of its own."""

    def __init__(self, address, *arguments, log):
        self.address = address
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
        ports = ["--min-worker-port=0", "--max-worker-port=0"]  # whichever are free
        with log.open("w") as out:
            self._process = subprocess.Popen(
                [*command, f"--node-ip-address={address}", *ports, f"--object-store-memory={STORE}", *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
            )

        self._known = set[int]()

    @property
    def processes(self):
        """All that it has started, but for what has ended."""
        self._known = (self._known | set(family(self._process.pid))) & set(parents())
        return self._known

    def kill(self):
        """End all of it at once."""
        while processes := self.processes:
            send(signal.SIGKILL, processes)
            time.sleep(0.05)
        self._process.wait()

    def begin(self, log):
        """Wait until it is there."""
        soon(lambda: "Ray runtime started" in log.read_text() or self._process.poll() is not None)
        assert self._process.poll() is None, log.read_text()


class Cluster:
    """A head, and nodes that come and go."""

    def __init__(self, folder):
        self.folder, self.nodes = Path(folder), []
        with socket.socket() as free:
            free.bind(("127.0.0.2", 0))
            self.address = f"127.0.0.2:{free.getsockname()[1]}"
        self.head = self._begin(
            "--head",
            "--include-dashboard=false",
            f"--port={self.address.rpartition(':')[2]}",
            f"--temp-dir={self.folder}",
            f"--system-config={CONFIG}",
        )

    def join(self):
        """Add a node."""
        return self._begin(f"--address={self.address}")

    def _begin(self, *arguments):
        log = self.folder / f"node-{len(self.nodes)}.log"
        node = Node(f"127.0.0.{len(self.nodes) + 2}", *arguments, log=log)
        self.nodes.append(node)
        node.begin(log)
        return node

    def close(self):
        for node in reversed(self.nodes):
            node.kill()


@contextmanager
def cluster_in(folder):
    """Give a cluster of one node, and end it."""
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()


COMMAND = (  # a shell lets commands in the background ignore Ctrl-C
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from interdyn.cli import main; main()"
)


def driver(*arguments):
    """Begin a command in a session of its own."""
    here = str(Path(__file__).parent)
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


REFUSED = """
import sys, time, ray
from interdyn.errors import EngineError
from interdyn.tracking.ray import RayExecutor
begun = time.monotonic()
try:
    RayExecutor(address=sys.argv[1])
except EngineError as error:
    print(error)
    print(time.monotonic() - begun)
"""


def refused(address):
    """Return what is said of an address, and in how many seconds, in a process of its own."""
    command = [sys.executable, "-c", REFUSED, address]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    said, seconds = done.stdout.splitlines()[-2:]
    needed = f"a Ray cluster must answer at {address}"
    assert said.startswith(needed)
    return said.removeprefix(needed), float(seconds)
