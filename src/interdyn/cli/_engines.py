"""Where ``run`` and ``watch`` measure: in this process, in others, on a Ray cluster."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Annotated, NamedTuple

import typer

from interdyn.errors import InputError

PANEL = "Several processes"

EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="local: processes on this machine; ray: a Ray cluster.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Number of worker processes. Default: none; with --engine, one for each core.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Address of a Ray cluster, host:port or auto. Default: start Ray on this machine.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
ShardName = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="I/N: measure only part I of N; other processes measure the other parts.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


Patience = Annotated[
    float | None,
    typer.Option(
        help="Seconds without a sign of life from a worker before its work is reassigned. See docs/howto/clusters.md.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


class Where(NamedTuple):
    """Where to measure, from the options; by default in this process."""

    engine: str | None = None
    workers: int | None = None
    address: str | None = None
    shard: str | None = None
    patience: float | None = None


@contextmanager
def opened(where: Where, *, gpu: bool = False) -> Iterator[Executor | None]:
    """Yield the executor that the options name, or None for this process, and shut it down afterwards.

    Raises
    ------
    InputError
        If the options do not name a valid executor.
    """
    from interdyn.compiled import cores_at_hand
    from interdyn.tracking import Pool

    engine, workers, address = where.engine, where.workers, where.address
    if engine not in (None, "local", "ray"):
        raise InputError(f"`--engine` must be local or ray; got {engine!r}. Leave it out to measure in this process.")
    if address is not None and engine != "ray":
        raise InputError("`--address` needs --engine ray; got it without. Add --engine ray, or leave --address out.")
    if address is not None and workers is not None:
        raise InputError(
            "`--address` names a cluster with its own workers; got `--workers` as well. Leave one of them out."
        )
    if engine == "ray":
        from interdyn.tracking.ray import RayExecutor

        with RayExecutor(workers, address=address, gpus=1.0 if gpu else 0.0) as executor:
            yield executor
    elif engine is None and workers is None:
        yield None
    else:
        with Pool(cores_at_hand() if workers is None else workers) as pool:
            yield pool
