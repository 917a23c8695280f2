"""``interdyn run``."""

from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._data_root import DataRoot, use_data_root
from interdyn.cli._engines import Address, EngineName, Patience, ShardName, Where, Workers


def run(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe (see: interdyn recipes) or a TOML file.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default: runs/NAME.", show_default=False)] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key: section.key=value; can be repeated.", show_default=False),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(help="The recipe at another size it names, as `paper`; see its file.", show_default=False),
    ] = None,
    data_root: DataRoot = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Scale the recipe down to a few seconds.")] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run what the recipe names as module:factory; it is named first.")
    ] = False,
    engine: EngineName = None,
    workers: Workers = None,
    address: Address = None,
    shard: ShardName = None,
    patience: Patience = None,
) -> None:
    """Do everything a recipe says; an unfinished run of it is continued.

    With workers checkpoints are measured elsewhere while training goes on; the numbers are the same, however many there
    are. See docs/howto/clusters.md.

    Example: [bold]interdyn run digits-mlp --out runs/mlp --set training.epochs=50 --workers 4[/bold]
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
