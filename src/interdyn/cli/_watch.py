"""``interdyn watch``."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interdyn.cli._engines import PANEL, Address, EngineName, Patience, ShardName, Where, Workers, opened
from interdyn.cli._say import say
from interdyn.errors import InputError

if TYPE_CHECKING:
    from interdyn.game import Players

_ENOUGH = 10  # players


def watch(
    checkpoints: Annotated[Path, typer.Argument(help="Folder in which the training saves its checkpoints.")],
    model: Annotated[
        str, typer.Option(help="Function that returns the network, as module:function; called without arguments.")
    ],
    data: Annotated[
        str,
        typer.Option(
            help="Function that returns the samples, as module:function: (x, y), groups {'test': (x, y), "
            "'train': (x, y)}, or (groups, options of the tracker). Or the name of a data set, as in recipes."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run. Default: runs/watch-NAME.", show_default=False)
    ] = None,
    players: Annotated[
        str | None,
        typer.Option(
            help="columns, 'patches ROWSxCOLS' or 'steps COUNT'. Default: depends on the input shape.",
            show_default=False,
        ),
    ] = None,
    n: Annotated[int, typer.Option(help="Number of players of each sample, drawn at random.")] = _ENOUGH,
    samples: Annotated[int, typer.Option(help="Number of samples of each group, drawn at random.")] = 24,
    baseline: Annotated[
        str | None, typer.Option(help="Value of masked inputs: mean (the default) or a number.", show_default=False)
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Mask the output of this layer instead of the input.")] = None,
    output: Annotated[
        str | None,
        typer.Option(help="log-odds, logit, log-probability, loss or regression. Default: depends on the targets."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows in a forward pass. Default: chosen automatically.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device of tables and interactions. Default: the device of the network.")
    ] = None,
    noise_bound: Annotated[
        float | None,
        typer.Option(help="Noise bound: largest residual, relative to the effect of all players. Default: 0.02."),
    ] = None,
    solver: Annotated[str | None, typer.Option(help="admm (the default), lp or sgd-paper.")] = None,
    tol: Annotated[
        float | None, typer.Option(help="Certified relative gap to reach. Default: depends on the order weight.")
    ] = None,
    max_iter: Annotated[int | None, typer.Option(help="Most iterations of the solver.")] = None,
    order_weight: Annotated[
        float | None, typer.Option(help="Extra cost of an interaction for each player beyond the first. Default: 0.02.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Worker threads of the split. Default: all cores.")] = None,
    salience: Annotated[
        float | None, typer.Option(help="Threshold above which interactions are salient. Default: 0.03.")
    ] = None,
    salience_rule: Annotated[
        str | None, typer.Option(help="What the threshold refers to: mean-effect (the default), max or absolute.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws of players and samples.")] = 0,
    once: Annotated[bool, typer.Option("--once", help="Measure the checkpoints that exist now, then end.")] = False,
    idle: Annotated[float, typer.Option(help="End after this many seconds without a new checkpoint.")] = 600.0,
    engine: EngineName = None,
    workers: Workers = None,
    address: Address = None,
    shard: ShardName = None,
    patience: Patience = None,
    block: Annotated[
        int | None,
        typer.Option(
            help="Samples in a unit of work. Default: all samples of a group.",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = None,
) -> None:
    """Measure the checkpoints that a training saves, during the training or afterwards. A stopped watch is continued.

    Reads safetensors, files of torch.save, and folders of Hugging Face, torch.distributed and DeepSpeed, and executes
    no code from them. Lists the step of each checkpoint before it measures.

    Each step is measured separately. For windows of nearby steps, use a tracker in the training; see
    docs/choosing/windows.md.

    Example: **interdyn watch checkpoints --model project:network --data project:data --once**
    """
    given = {**locals(), "players": None}
    from interdyn.cli._execute import stoppable, tell
    from interdyn.measurement import configured
    from interdyn.tracking import Tracker, every, mean_losses, watch as watch_folder

    network = _call(model, "--model")
    groups, options = _groups(data, seed)
    config = configured(configured(None, options), given)
    probe: Any = groups
    if config.feature_mask is None:  # whose rows are those of the samples
        probe = {name: _drawn(pair, samples, seed) for name, pair in groups.items()}
        if config.players is None:
            config = configured(config, {"players": _players(players, next(iter(groups.values()))[0], n, seed)})
    if baseline is not None or config.baselines is None:
        config = configured(config, {"baselines": "mean" if baseline in (None, "mean") else _number(baseline)})
    more = {"budget": None} | {name: value for name, value in options.items() if not hasattr(config, name)}
    known = {name: pair for name, pair in groups.items() if name in ("train", "test")}
    say(f"watching {checkpoints}", err=True)
    folder = out or Path("runs") / f"watch-{checkpoints.resolve().name}"
    where = Where(engine, workers, address, shard, patience)
    with (
        stoppable(folder),
        opened(where, gpu=config.device not in (None, "cpu")) as executor,
        Tracker(probe, config=config, schedule=every(1), out=folder, shard=shard, **more) as tracker,
    ):
        watch_folder(
            checkpoints,
            network,
            tracker,
            losses=(lambda net: mean_losses(net, known)) if known else None,
            once=once,
            idle=idle,
            executor=executor,
            block=block,
            patience=patience,
            say=say,
        )
    from interdyn.store import open_run

    tell(open_run(folder))


def _call(name: str, option: str) -> Any:
    from interdyn.cli._execute import import_from_here
    from interdyn.recipes import imported

    import_from_here()
    if ":" not in name:
        raise InputError(f"`{option}` must name a function as module:function; got {name!r}. For example: project:make")
    factory: Callable[[], Any] = imported(name)
    return factory()


def _groups(data: str, seed: int) -> tuple[dict[str, tuple[Any, Any]], dict[str, Any]]:
    """Return all samples of each group, and the options of a tracker that come with them."""
    if ":" not in data:
        return _named(data, seed), {}
    options: dict[str, Any] = {}
    found = _call(data, "--data")
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], Mapping):
        found, options = found
    groups = found if isinstance(found, Mapping) else {"test": found}
    for name, pair in groups.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(
                f"`--data` must return pairs (inputs, targets); got {type(pair).__name__} for {name!r}. For a "
                "regression return (x, None)."
            )
    return {name: (pair[0], pair[1]) for name, pair in groups.items()}, dict(options)


def _named(name: str, seed: int) -> dict[str, tuple[Any, Any]]:
    import torch

    from interdyn.recipes import load_samples
    from interdyn.recipes._schema import DataSection

    loaded = load_samples(DataSection(name=name, options={}, seed=seed))
    if loaded.parts is not None:
        raise InputError(
            f"`--data` needs a data set with the same players in every sample; those of {name!r} differ. Pass a "
            "function that returns ({'test': (x, y)}, {'feature_mask': ..., 'baselines': ...}): see "
            "docs/howto/sentences.md."
        )
    ids = {"test": loaded.test_ids, "train": loaded.train_ids}
    regression = loaded.n_classes is None
    rows = {group: torch.from_numpy(index) for group, index in ids.items()}
    return {g: (loaded.inputs[i], None if regression else loaded.given[i]) for g, i in rows.items()}


def _drawn(pair: tuple[Any, Any], count: int, seed: int) -> tuple[Any, Any]:
    """Return ``count`` samples drawn at random."""
    import torch

    inputs, target = pair
    total = len(inputs[0] if isinstance(inputs, tuple) else inputs)
    chosen = torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:count]
    picked = tuple(x[chosen] for x in inputs) if isinstance(inputs, tuple) else inputs[chosen]
    return picked, None if target is None else torch.as_tensor(target)[chosen]


def _players(text: str | None, inputs: Any, n: int, seed: int) -> "Players":
    from interdyn.game import columns, patches, steps

    shape = tuple((inputs[0] if isinstance(inputs, tuple) else inputs).shape[1:])
    if text is None:
        text = {1: "columns", 3: "patches 4x4"}.get(len(shape), "")
    match = re.fullmatch(r"(columns)|patches (\d+)x(\d+)|steps (\d+)", text)
    if not match:
        raise InputError(
            f"`--players` must be columns, patches ROWSxCOLS or steps COUNT; got {text!r} for inputs of shape {shape}. "
            "For example: --players 'patches 4x4'"
        )
    if match[1]:
        found, total = columns(), shape[0]
    elif match[4]:
        found, total = steps(int(match[4])), int(match[4])
    else:
        found, total = patches(int(match[2]), int(match[3])), int(match[2]) * int(match[3])
    return found.choose(min(n, total), seed=seed)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"`--baseline` must be mean or a number; got {text!r}. For black: --baseline 0") from None
