"""From a stored network to the interactions of a group of samples, and back from the disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from interdyn.errors import RecipeError
from interdyn.game import Players, columns, patches, value_table
from interdyn.recipes._dataset import Samples
from interdyn.recipes._schema import MeasureSection, PlayersSection, Recipe
from interdyn.sparsify import split
from interdyn.store import Measurement
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Interactions


@dataclass(frozen=True)
class Group:
    """Samples that are followed over training, with everything that stays the same at all checkpoints.

    Attributes
    ----------
    name
        ``test`` or ``mislabelled``.
    sample_ids
        Indices into the data set, shape ``(samples,)``.
    inputs
        Their inputs, shape ``(samples, *shape)``.
    target
        The class whose output is followed: the true one of test samples, the one given in training of
        mislabelled samples; shape ``(samples,)``; None for a regression.
    players
        How the inputs are cut; the draw of a sample depends on the seed and its id alone, so it stays.
    """

    name: str
    sample_ids: Int[np.ndarray, " samples"]
    inputs: Tensor
    target: Tensor | None
    players: Players


def choose_groups(recipe: Recipe, samples: Samples) -> tuple[Group, ...]:
    """Return the groups of samples of a run; the same for the same recipe.

    Raises
    ------
    RecipeError
        If the data set has fewer samples than asked for.
    """
    section = recipe.measure
    rng = np.random.default_rng(section.seed)
    ids = {
        "test": _draw(samples.test_ids[samples.measurable[samples.test_ids]], section.test_samples, rng, "test"),
        "mislabelled": _draw(samples.flipped_ids, section.mislabelled_samples, rng, "mislabelled"),
    }
    targets = {"test": samples.targets, "mislabelled": samples.given}
    return tuple(_group(name, ids[name], samples, targets[name], recipe.players) for name in recipe.groups)


def _draw(ids: np.ndarray, count: int, rng: np.random.Generator, name: str) -> np.ndarray:
    if len(ids) < count:
        raise RecipeError(
            f"`measure.{name}_samples` must be at most the {len(ids)} {name} samples there are; got {count}. "
            f"Lower it: --set measure.{name}_samples={len(ids)}"
        )
    return np.sort(rng.permutation(ids)[:count])


def _group(name: str, ids: np.ndarray, samples: Samples, targets: Tensor, section: PlayersSection) -> Group:
    index = torch.from_numpy(ids)
    return Group(
        name=name,
        sample_ids=ids,
        inputs=samples.inputs[index],
        target=targets[index] if samples.n_classes else None,
        players=choose_players(section),
    )


def choose_players(section: PlayersSection) -> Players:
    """Return the players of a recipe."""
    if section.kind == "patches" and section.rows and section.cols:
        players = patches(section.rows, section.cols)
        players = players.central(*section.central) if section.central else players
    else:
        players = columns(section.groups)
    return players if section.n is None else players.choose(section.n, seed=section.seed, others=section.others)


def measure_group(
    network: nn.Module, group: Group, *, step: int, section: MeasureSection, baseline: Tensor | float
) -> Measurement:
    """Return value tables and interactions of a group of samples for the network at ``step``.

    Raises
    ------
    ModelError, NonFiniteError
        If the network returns something unusable.
    """
    table = value_table(
        network,
        group.inputs,
        target=group.target,
        players=group.players,
        sample_ids=group.sample_ids.tolist(),
        baselines=baseline,
        batch_size=section.batch_size,
        output=section.output,
        layer=section.layer,
    )
    begun = perf_counter()
    found = split(
        table.values,
        noise_bound=section.noise_bound,
        solver=section.solver,
        tol=section.tol,
        max_iter=section.max_iter,
        unit=table.unit,
    )
    return Measurement(
        step=step,
        group=group.name,
        v=_array(table.values),
        i_and=_array(found.i_and),
        i_or=_array(found.i_or),
        objective=_array(found.objective),
        gap=_array(found.gap),
        noise_bound=_array(found.noise_bound),
        sample_ids=group.sample_ids,
        status=tuple(str(sentence) for sentence in found.status),
        unit=table.unit,
        settings=_plain(found.settings),
        forward_passes=table.forward_passes,
        seconds={"forward": table.seconds, "split": perf_counter() - begun},
    )


def interactions(measurement: Measurement) -> Interactions:
    """Return what was stored as `Interactions`; the residual is computed again from the tables.

    Examples
    --------
    >>> zero, one = np.zeros((1, 2)), np.zeros(1)
    >>> stored = Measurement(0, "test", zero, zero, zero, one, one, one, np.array([7]), status=("solved",))
    >>> interactions(stored).batch_shape
    (1,)
    """
    v, i_and, i_or = (torch.from_numpy(x) for x in (measurement.v, measurement.i_and, measurement.i_or))
    return Interactions(
        i_and=i_and,
        i_or=i_or,
        unit=measurement.unit,
        residual=v - values_from_and(i_and) - values_from_or(i_or),
        objective=torch.from_numpy(measurement.objective),
        gap=torch.from_numpy(measurement.gap),
        status=np.array(measurement.status),
        noise_bound=torch.from_numpy(measurement.noise_bound),
        settings=measurement.settings,
        forward_passes=measurement.forward_passes,
        seconds=measurement.seconds,
    )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as plain data; a tensor of bounds is in the tables already."""
    return {key: value for key, value in settings.items() if isinstance(value, str | bool | int | float)}
