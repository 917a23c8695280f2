"""``interdyn run``."""

from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._data_root import DataRoot, use_data_root
from interdyn.cli._engines import Address, EngineName, Patience, ShardName, Where, Workers


def run(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe (listed by interdyn recipes) or a TOML file.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run. Default: runs/NAME.", show_default=False)] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one setting: section.key=value. Can be repeated.", show_default=False),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            help="Run the recipe at another size that its file defines, for example paper.", show_default=False
        ),
    ] = None,
    data_root: DataRoot = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Scale the recipe down to a few seconds.")] = False,
    allow_code: Annotated[
        bool,
        typer.Option(
            "--allow-code", help="Allow code that the recipe names as module:factory. It is listed before it runs."
        ),
    ] = False,
    engine: EngineName = None,
    workers: Workers = None,
    address: Address = None,
    shard: ShardName = None,
    patience: Patience = None,
) -> None:
    """Run a recipe: train, measure, analyse and write the report. An unfinished run is continued.

    With --workers, other processes measure the checkpoints while the training continues. The results do not depend on
    the number of workers. See docs/howto/clusters.md.

    Example: **interdyn run digits-mlp --out runs/mlp --set training.epochs=50 --workers 4**
    """
    from interdyn.cli._execute import execute, tell

    use_data_root(data_root)
    where = Where(engine, workers, address, shard, patience)
    done = execute(
        recipe,
        out,
        overrides=set_ or (),
        scale=scale,
        smoke=smoke,
        needs_page=False,
        allow_code=allow_code,
        where=where,
    )
    tell(done)
