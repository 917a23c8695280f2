"""Ray Core as an executor: the nodes of a cluster measure the units of a run; needs the extra ``ray``."""

import logging
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from interdyn._arguments import instance, whole
from interdyn.errors import EngineError, missing_extra
from interdyn.tracking._pool import WorkerDiedError

__all__ = ["RayExecutor"]

_REACHED = 10.0  # seconds in which a cluster must answer
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # gRPC, which Ray uses, answers this in kind


class RayExecutor(Executor):
    """Submits calls to Ray, either started by this executor or a running cluster.

    Parameters
    ----------
    workers
        How many processes, if Ray is started here; None: one per core.
    address
        ``"host:port"`` of a cluster, or ``"auto"`` for the one this machine belongs to; None: Ray is started here,
        unless this process is already connected to a cluster.
    gpus
        Share of a GPU that each call needs.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    EngineError
        If no cluster answers at the address, or it has other versions of Ray or Python, or another token; if this
        process is connected to another cluster.

    Notes
    -----
    A call whose worker or node is lost fails with `WorkerDiedError`, and the caller may submit it again: Ray itself
    does not repeat it. The third attempt goes to the node of this process, since others may never answer. `shutdown`
    ends what was started here, and never a cluster. Usage statistics are off if Ray is started here. Tokens of Ray
    2.52 and later come from its environment variable ``RAY_AUTH_TOKEN``, or from its file in the user's home directory.
    """

    def __init__(self, workers: int | None = None, *, address: str | None = None, gpus: float = 0.0) -> None:
        workers = None if workers is None else whole(workers, "workers", least=1, do="Leave it out for all cores.")
        if address is not None:
            instance(address, "address", str, do='Pass "host:port" or "auto".')
        try:
            import ray
        except ImportError:
            raise missing_extra("ray", "ray", "a Ray cluster") from None
        self._ray, self._mine = ray, not ray.is_initialized()
        if self._mine:
            _connect(ray, workers, address)
        elif address not in (None, "auto", there := ray.get_runtime_context().gcs_address):
            raise EngineError(
                f"a process is connected to one Ray cluster at a time; got {address} besides {there}. Leave `address` "
                "out, or call ray.shutdown() first."
            )
        self._turns: Counter[int] = Counter()
        self._call = ray.remote(max_retries=0, num_cpus=1, num_gpus=gpus, scheduling_strategy="SPREAD")(_call)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in a worker of the cluster; function and arguments are pickled."""
        if not self._ray.is_initialized():  # Ray would start itself again
            raise RuntimeError("the Ray cluster was left.")
        out: Future[Any] = Future()
        out.set_running_or_notify_cancel()

        def take(done: Future[Any]) -> None:
            error = done.exception()
            if error is None:
                out.set_result(done.result())
            elif isinstance(error, self._ray.exceptions.RayTaskError):
                out.set_exception(getattr(error, "cause", error))
            else:
                out.set_exception(WorkerDiedError(f"Ray lost it: {str(error).splitlines()[0]}"))

        call = (fn, args, kwargs)
        name = hash(self._ray.cloudpickle.dumps(call))
        turn = self._turns[name]
        self._turns[name] += 1
        task = self._call.options(scheduling_strategy=self._here()) if turn > 1 else self._call
        task.remote(*call).future().add_done_callback(take)
        return out

    def _here(self) -> Any:
        """Return where a call goes that was lost twice: to the node of this process, which answers, if it has room."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002  Ray has neither
        """Leave the cluster, or end the one that was started here."""
        if self._mine:
            self._ray.shutdown()


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)


def _connect(ray: Any, workers: int | None, address: str | None) -> None:
    """Start Ray here, or connect to a cluster."""
    own = [path for path in sys.path if path and Path(path).is_dir() and not path.startswith(sys.prefix)]
    options: dict[str, Any] = {
        "runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(own)}},
        "log_to_driver": False,
        "logging_level": "ERROR",
        "configure_logging": False,
    }
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options |= {"address": "local", "num_cpus": workers, "include_dashboard": False}
    else:
        options["address"] = address
        if address != "auto":
            _reach(address)
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)  # docs/howto/clusters.md describes tokens
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        raise EngineError(
            f"a Ray cluster must answer at {address or 'this machine'}; got {str(error).splitlines()[0]}. Check with: "
            f"ray status{'' if address in (None, 'auto') else f' --address {address}'}. If it asks for a token, set "
            "RAY_AUTH_TOKEN to the cluster's token."
        ) from error
    finally:
        logger.setLevel(level)


def _reach(address: str) -> None:
    """Refuse an address at which nothing answers, where Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise EngineError(f'`address` must be "host:port" or "auto"; got {address!r}. For example: 10.0.0.1:6379')
    try:
        with socket.create_connection((host, int(port)), timeout=_REACHED) as peer:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                peer.sendall(_HELLO)
                if not peer.recv(1):
                    raise ConnectionResetError("it hung up")
    except (OSError, OverflowError) as error:  # the port may be too large a number
        raise EngineError(
            f"a Ray cluster must answer at {address} within {_REACHED:.0f} s; got "
            f"{getattr(error, 'strerror', None) or error}. Check the address that `ray start --head` printed."
        ) from error
