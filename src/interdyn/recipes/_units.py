"""What a recipe leaves open until a run starts, and the work of a run for the processes that share it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from interdyn import store
from interdyn.game import CALIBRATION_ROWS, batch_norms
from interdyn.measurement import Group, batch_rows, checked_device
from interdyn.recipes._dataset import Samples
from interdyn.recipes._measuring import choose_groups
from interdyn.recipes._schema import Recipe, UnitsSection
from interdyn.recipes._training import network_of
from interdyn.tracking import Work


def resolved(recipe: Recipe, samples: Samples, out: Path, *, in_units: bool, allow_code: bool) -> Recipe:
    """Return the recipe with open keys filled in: as the run in ``out`` has them, or new.

    Open keys are the rows on which batch norm is calibrated, if the network has some, and what determines the bits of a
    unit, if there are units. A run that started without them continues without.
    """
    if store.holds_a_run(out):
        kept = Recipe.model_validate({**recipe.plain(), **_open_keys(recipe, store.read_recipe(store.open_run(out)))})
        return recipe.model_copy(update={"measure": kept.measure, "units": kept.units})
    network = network_of(recipe, samples, allow_code=allow_code)
    if recipe.measure.calibrate_batch_norm is None and batch_norms(network):
        measure = recipe.measure.model_copy(update={"calibrate_batch_norm": CALIBRATION_ROWS})
        recipe = recipe.model_copy(update={"measure": measure})
    if not in_units and recipe.units is None:
        return recipe
    given, rows = recipe.units or UnitsSection(), recipe.measure.batch_size
    if given.batch_size is None and not isinstance(rows, int):
        group = choose_groups(recipe, samples)[0]
        rows = batch_rows(network.to(checked_device(recipe.training.device or "cpu")), group)
    types = [p.dtype for p in network.parameters() if p.is_floating_point()]
    dtype = str(types[0] if types else torch.get_default_dtype()).removeprefix("torch.")
    units = UnitsSection(
        samples=given.samples,
        batch_size=given.batch_size or int(rows),
        threads=given.threads or 1,
        dtype=given.dtype or dtype,  # type: ignore[arg-type]  # checked when it is built
    )
    return recipe.model_copy(update={"units": units})


def _open_keys(recipe: Recipe, kept: dict[str, object]) -> dict[str, object]:
    """Return the open keys by section of a recipe, from the recipe with which a run started."""
    plain = recipe.plain()
    out: dict[str, object] = {}
    for name, open_keys in (("measure", ["calibrate_batch_norm"]), ("units", list(UnitsSection.model_fields))):
        own, other = plain.get(name, {}), kept.get(name, {})
        assert isinstance(other, dict)
        filled = {**{key: other[key] for key in open_keys if key in other}, **own}
        if filled:
            out[name] = filled
    return out


def work_of(recipe: Recipe, samples: Samples, groups: Sequence[Group], *, allow_code: bool) -> Work:
    """Return what all units of a run have in common."""
    units = recipe.units or UnitsSection()
    network = network_of(recipe, samples, allow_code=allow_code)
    rows = units.batch_size
    pinned = groups if rows is None else [replace(g, config=replace(g.config, batch_size=rows)) for g in groups]
    device = str(checked_device(recipe.training.device or "cpu"))
    return Work(network, tuple(pinned), device, units.dtype or "", units.threads or torch.get_num_threads())
