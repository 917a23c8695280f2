"""From a stored network to the interactions of a group of samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from interdyn.errors import RecipeError
from interdyn.game import (
    Players,
    choose_parts,
    clusters,
    columns,
    n_parts,
    part_means,
    patches,
    steps,
)
from interdyn.measurement import MeasurementConfig, recorded
from interdyn.recipes._dataset import Samples
from interdyn.recipes._schema import MeasureSection, PlayersSection, Recipe
from interdyn.store import Measurement


@dataclass(frozen=True)
class Group:
    """Samples that are followed over training, with everything that stays the same at all checkpoints.

    Attributes
    ----------
    name
        ``test``, ``mislabelled`` or ``train``.
    sample_ids
        Indices into the data set, shape ``(samples,)``.
    inputs
        Their inputs, shape ``(samples, *shape)``.
    target
        The class whose output is followed: the true one of test samples, the one given in training of
        training samples; shape ``(samples,)``; None for a regression.
    players, feature_mask
        How the inputs are cut; the draw of a sample depends on the seed and its id alone, so it stays. One of the two
        is None: parts that differ by sample are a feature mask.
    baseline
        What masked features become.
    left_out
        How many samples could not be drawn, as they have fewer parts than players are drawn.
    allow_fewer
        Whether samples with fewer parts are among these.
    """

    name: str
    sample_ids: Int[np.ndarray, " samples"]
    inputs: Tensor
    target: Tensor | None
    players: Players | None
    feature_mask: Int[Tensor, "samples ..."] | None
    baseline: Tensor | float | str
    left_out: int = 0
    allow_fewer: bool = False

    @property
    def players_of_samples(self) -> list[int] | None:
        """How many players each sample has, where it is a matter of its parts."""
        return None if self.feature_mask is None else n_parts(self.feature_mask.numpy()).tolist()


def choose_groups(recipe: Recipe, samples: Samples) -> tuple[Group, ...]:
    """Return the groups of samples of a run; the same for the same recipe.

    Raises
    ------
    RecipeError
        If the data set has fewer samples than asked for, or not the parts or the baseline that the recipe names.
    """
    section = recipe.measure
    rng = np.random.default_rng(section.seed)
    enough = _enough(recipe, samples)
    wanted = (
        ("test", samples.test_ids, section.test_samples, samples.targets),
        ("mislabelled", samples.flipped_ids, section.mislabelled_samples, samples.given),
        ("train", samples.train_ids, section.train_samples or 0, samples.given),
    )
    groups = []
    for name, candidates, count, targets in wanted:
        candidates = candidates[samples.measurable[candidates]]
        ids = _draw(candidates[enough[candidates]], count, rng, name)
        if name in recipe.groups:
            group = _group(name, ids, samples, targets, recipe)
            groups.append(replace(group, left_out=int((~enough[candidates]).sum())))
    return tuple(groups)


def _enough(recipe: Recipe, samples: Samples) -> np.ndarray:
    """Return which samples have as many parts as players are drawn, or as are needed at all."""
    section = recipe.players
    if section.kind != "parts":
        return np.ones(len(samples.inputs), dtype=bool)
    if samples.parts is None:
        raise RecipeError(
            f"players of the kind `parts` need data with parts (words, named parts); got {recipe.data.name!r}, which "
            'has none. Use another kind, for example: --set players.kind="patches"'
        )
    needed = 1 if section.fewer else section.n or 1
    return np.asarray(n_parts(samples.parts.numpy()) >= needed)


def _draw(ids: np.ndarray, count: int, rng: np.random.Generator, name: str) -> np.ndarray:
    if len(ids) < count:
        raise RecipeError(
            f"`measure.{name}_samples` must be at most the {len(ids)} {name} samples there are with enough players; "
            f"got {count}. Lower it or `players.n`, for example: --set measure.{name}_samples={len(ids)}"
        )
    return np.sort(rng.permutation(ids)[:count])


def _group(name: str, ids: np.ndarray, samples: Samples, targets: Tensor, recipe: Recipe) -> Group:
    index, section = torch.from_numpy(ids), recipe.players
    inputs = samples.inputs[index]
    players, parts = None, None
    if section.kind == "parts":
        assert samples.parts is not None
        parts = samples.parts[index]
    elif section.kind == "clusters":
        parts = clusters(inputs, section.count or 1, seed=section.seed)
    else:
        players = choose_players(section)
    baseline = _baseline(recipe, samples, inputs, parts)
    mask = None
    if parts is not None:
        chosen = choose_parts(parts, section.n, seed=section.seed, sample_ids=ids.tolist(), others=section.others)
        mask = chosen.reshape(*chosen.shape, *(1,) * (inputs.ndim - chosen.ndim))
        if recipe.measure.layer and not inputs.is_floating_point():
            mask = mask[..., None]  # an embedding makes a vector of each token
        _check_numbers(mask, recipe, name)
    target = targets[index] if samples.n_classes else None
    fewer = section.fewer is not None
    return Group(name, ids, inputs, target, players, feature_mask=mask, baseline=baseline, allow_fewer=fewer)


def _check_numbers(mask: Tensor, recipe: Recipe, name: str) -> None:
    """Refuse a group whose samples have other numbers of players than the recipe speaks of."""
    found, section = n_parts(mask.numpy()), recipe.players
    most, least = int(found.max(initial=0)), int(found.min(initial=2**31))
    if len(found) and section.n is not None and most < section.n:
        raise RecipeError(
            f"`players.n` must be at most {most}, what the longest of the {name} samples has; got {section.n}. Lower "
            f"it: --set players.n={most}"
        )
    if len(found) and section.fewer is None and least < most:
        raise RecipeError(
            f"without `players.n` all {name} samples need the same number of parts; got {least} to {most}. Draw as "
            f"many of each, --set players.n={least}, or measure them as they are: --set players.fewer=measure"
        )


def _baseline(recipe: Recipe, samples: Samples, inputs: Tensor, parts: Tensor | None) -> Tensor | float | str:
    """Return what masked features become, for the inputs of one group."""
    baseline = recipe.measure.baseline
    if baseline == "mean-embedding":
        return baseline
    if baseline == "part-mean":
        if parts is None or inputs.ndim != 3:
            raise RecipeError(
                '`measure.baseline = "part-mean"` needs point clouds with clusters or parts; got players of the kind '
                f"{recipe.players.kind!r}. Use a number: --set measure.baseline=0.0"
            )
        return part_means(inputs, parts)
    if baseline == "mask":
        if samples.mask_value is None:
            raise RecipeError(
                f'`measure.baseline = "mask"` needs data with a value for what is masked, as [MASK]; got '
                f'{recipe.data.name!r}, which has none. Use a number or "mean".'
            )
        return samples.mask_value
    if baseline == "mean":
        if not inputs.is_floating_point():
            raise RecipeError(
                'tokens have no mean; got `measure.baseline = "mean"`. Change it: --set measure.baseline=mask'
            )
        return samples.mean_input
    return float(baseline)


def numbers_of_players(groups: Sequence[Group], n: int | None) -> tuple[dict[str, Any], list[str]]:
    """Return what a summary says of samples that have fewer than ``n`` players, as numbers and in sentences.

    Returns
    -------
    ``left_out``: name of each group to the number of its candidates that were left out, where there are any;
    ``players_of_samples``: name of each group to the number of players of each sample, where they differ.
    """
    told: dict[str, Any] = {}
    sentences = []
    for group in groups:
        found = group.players_of_samples
        if group.left_out:
            told.setdefault("left_out", {})[group.name] = group.left_out
            sentences.append(
                f"{group.left_out} {group.name} samples have fewer than {n} players and could not be drawn."
            )
        if found is not None and min(found) < max(found):
            told.setdefault("players_of_samples", {})[group.name] = found
            fewer, least, most = sum(k < max(found) for k in found), min(found), max(found)
            sentences.append(
                f"{fewer} of {len(found)} {group.name} samples have fewer than {most} players, the least {least}."
            )
    return told, sentences


def choose_players(section: PlayersSection) -> Players:
    """Return the players of a recipe that are cut in the same way for all samples."""
    if section.kind == "patches" and section.rows and section.cols:
        players = patches(section.rows, section.cols)
        players = players.central(*section.central) if section.central else players
    elif section.kind == "steps" and section.count:
        players = steps(section.count)
    else:
        players = columns(section.groups)
    return players if section.n is None else players.choose(section.n, seed=section.seed, others=section.others)


def measure_group(network: nn.Module, group: Group, *, step: int, section: MeasureSection) -> Measurement:
    """Return value tables and interactions of a group of samples for the network at ``step``.

    Raises
    ------
    ModelError, NonFiniteError
        If the network returns something unusable.
    """
    return recorded(
        network,
        group.inputs,
        _config(group, section),
        step=step,
        group=group.name,
        target=group.target,
        sample_ids=group.sample_ids.tolist(),
    )


def _config(group: Group, section: MeasureSection) -> MeasurementConfig:
    """Return how a group is measured."""
    named = ("layer", "output", "batch_size", "noise_bound", "solver", "order_weight", "tol", "max_iter")
    return MeasurementConfig(
        players=group.players,
        feature_mask=group.feature_mask,
        baselines=group.baseline,
        allow_fewer=group.allow_fewer,
        merge_order_one=section.merge_order_one,
        **{name: getattr(section, name) for name in named},
    )
