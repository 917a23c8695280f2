"""``interdyn trust``."""

from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._data_root import DataRoot, use_data_root
from interdyn.cli._say import say


def trust(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run whose checkpoints were kept.")],
    out: Annotated[
        Path | None, typer.Option(help="JSON file for the numbers of every choice.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or auto. Default: the device of the recipe.", show_default=False)
    ] = None,
    data_root: DataRoot = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Allow code that the recipe names as module:factory.")
    ] = False,
) -> None:
    """Measure a run again with other choices and print how much the results change.

    Measures ten checkpoints and five samples, and changes one choice at a time: baseline, players and their number,
    treatment of parts that are not drawn, noise bound, order weight, salience, window, checkpoints and samples. This
    takes about twenty times as long as one measurement of them.

    Example: **interdyn trust runs/digits-mlp**
    """
    from interdyn.cli._execute import import_from_here, stoppable
    from interdyn.recipes import trust as measured_otherwise, trust_json, trust_rows
    from interdyn.store import open_run, write_json

    use_data_root(data_root)
    if allow_code:
        import_from_here()
    with stoppable(run):
        found = measured_otherwise(
            open_run(run),
            progress=lambda done, total: say(f"measured {done} of {total} choices", err=True),
            allow_code=allow_code,
            device=device,
        )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, trust_json(found))
    say(f"{found.recipe}: {len(found.steps)} checkpoints, {found.samples} samples; 90 % intervals over samples.")
    orders, places = ("mean order at the start", "minimum", "at the end"), ("fall ends at step", "rise starts at step")
    columns = (*orders, *places, "moves one by up to", "not measured")
    for what, way, *numbers in trust_rows(found):
        say(f"\n{what}{f': {way}' if way else ''}")
        for name, text in zip(columns, numbers, strict=True):
            if text:
                say(f"  {name:<24} {text}")
