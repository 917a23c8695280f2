"""Which samples a recipe measures, how, and how they are shown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interdyn.errors import RecipeError
from interdyn.game import (
    FeatureNames,
    Players,
    calibration_rows,
    choose_parts,
    clusters,
    columns,
    n_parts,
    part_means,
    patches,
    steps,
)
from interdyn.measurement import Group, configured, exhibit_of
from interdyn.recipes._dataset import Samples
from interdyn.recipes._schema import PlayersSection, Recipe
from interdyn.store import Exhibit


def choose_groups(recipe: Recipe, samples: Samples) -> tuple[Group, ...]:
    """Return the groups of samples of a run; equal recipes give equal groups.

    Raises
    ------
    RecipeError
        If the data set has fewer samples than requested, or not the parts or the baseline that the recipe names.
    """
    rng = np.random.default_rng(recipe.measure.seed)
    enough = _enough(recipe, samples)
    groups = []
    for name, (candidates, count, targets) in _wanted(recipe, samples).items():
        ids = _draw(candidates[enough[candidates]], count, rng, name)
        if name in recipe.groups:
            groups.append(_group(name, ids, samples, targets, recipe))
    return tuple(groups)


def _wanted(recipe: Recipe, samples: Samples) -> dict[str, tuple[np.ndarray, int, Tensor]]:
    """Return for each kind of group the candidate samples, how many are drawn, and their targets."""
    section = recipe.measure
    of = {
        "test": (samples.test_ids, section.test_samples, samples.targets),
        "mislabelled": (samples.flipped_ids, section.mislabelled_samples, samples.given),
        "train": (samples.train_ids, section.train_samples or 0, samples.given),
    }
    return {name: (ids[samples.measurable[ids]], count, targets) for name, (ids, count, targets) in of.items()}


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
            f"`measure.{name}_samples` must be at most {len(ids)}, the {name} samples with enough players; "
            f"got {count}. Lower it or `players.n`, for example: --set measure.{name}_samples={len(ids)}"
        )
    return np.sort(rng.permutation(ids)[:count])


def _group(name: str, ids: np.ndarray, samples: Samples, targets: Tensor, recipe: Recipe) -> Group:
    index, section = torch.from_numpy(ids), recipe.players
    inputs = samples.inputs[index]
    players, parts, mask = None, None, None
    if section.kind == "parts":
        assert samples.parts is not None
        parts = samples.parts[index]
    elif section.kind == "clusters":
        parts = clusters(inputs, section.count or 1, seed=section.seed)
    else:
        players = choose_players(section)
    baselines = _baseline(recipe, samples, inputs, parts)
    if parts is not None:
        chosen = choose_parts(parts, section.n, seed=section.seed, sample_ids=ids.tolist(), others=section.others)
        mask = chosen.reshape(*chosen.shape, *(1,) * (inputs.ndim - chosen.ndim))
        if recipe.measure.layer and not inputs.is_floating_point():
            mask = mask[..., None]  # an embedding makes each token a vector
        _check_numbers(mask, recipe, name)
    given = {**recipe.measure.model_dump(), **recipe.analysis.model_dump(), "allow_fewer": section.fewer is not None}
    given |= {"players": players, "feature_mask": mask, "baselines": baselines, "names": _names(samples)}
    rows = torch.from_numpy(samples.train_ids[: recipe.measure.calibrate_batch_norm or 0])
    given["calibrate_batch_norm"] = calibration_rows(samples.inputs[rows]) if len(rows) else None
    target = targets[index] if samples.n_classes else None
    about: dict[str, Any] = {"baselines": str(recipe.measure.baseline)}
    if parts is not None:
        of_each = n_parts(parts.numpy())
        draw = "" if section.n is None else f".choose({section.n}, seed={section.seed}, others={section.others!r})"
        about |= {"players": f"{section.kind}{draw}", "n_parts": [int(of_each.min()), int(of_each.max())]}
    return Group(name, (inputs,), target, tuple(ids.tolist()), configured(None, given), about=about)


def _names(samples: Samples) -> FeatureNames | None:
    """Return names of columns, of the columns of each part of a table, or the texts of tokens, if the data have any."""
    if samples.vocabulary:
        return lambda tokens: [samples.vocabulary[token] for token in tokens]
    if not samples.names or len(samples.shape) != 1:
        return None
    parts = None if samples.parts is None else np.broadcast_to(samples.parts[0].numpy(), samples.shape)
    places = range(samples.shape[0]) if parts is None else np.unique(parts[parts >= 0]).tolist()
    names = [samples.names[at] if at < len(samples.names) else f"column {at + 1}" for at in places]
    if parts is None:
        return names
    columns = {name: np.flatnonzero(parts == at).tolist() for name, at in zip(names, places, strict=True)}
    if len(samples.categories) != samples.shape[0]:
        return columns
    return {name: {samples.categories[i]: i for i in at} if len(at) > 1 else at for name, at in columns.items()}


def exhibits_of(groups: Sequence[Group], samples: Samples) -> list[Exhibit]:
    """Return how the samples of each group are shown, as they were before standardising."""
    assert samples.shown is not None
    shown = [np.asarray(samples.shown[list(group.sample_ids)]) for group in groups]
    found = [exhibit_of(g, shown=x, classes=samples.class_names) for g, x in zip(groups, shown, strict=True)]
    return [exhibit for exhibit in found if exhibit is not None]


def _check_numbers(mask: Tensor, recipe: Recipe, name: str) -> None:
    """Refuse a group whose samples have fewer players than the recipe requires."""
    found, section = n_parts(mask.numpy()), recipe.players
    most, least = int(found.max(initial=0)), int(found.min(initial=2**31))
    if len(found) and section.n is not None and most < section.n:
        raise RecipeError(
            f"`players.n` must be at most {most}, the most that any of the {name} samples has; got {section.n}. Lower "
            f"it: --set players.n={most}"
        )
    if len(found) and section.fewer is None and least < most:
        raise RecipeError(
            f"without `players.n` all {name} samples need the same number of parts; got {least} to {most}. Draw the "
            f"same number, --set players.n={least}, or allow fewer: --set players.fewer=measure"
        )


def _baseline(recipe: Recipe, samples: Samples, inputs: Tensor, parts: Tensor | None) -> Tensor | float | str:
    """Return what masked features are set to, for the inputs of one group."""
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
                f'`measure.baseline = "mask"` needs data with a mask value, such as [MASK]; got '
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


def numbers_of_players(groups: Sequence[Group], recipe: Recipe, samples: Samples) -> tuple[dict[str, Any], list[str]]:
    """Return what a summary reports about samples with fewer players than are drawn, as numbers and as sentences.

    Returns
    -------
    tuple[dict[str, Any], list[str]]
        ``left_out``: name of each group to the number of its candidates that were left out, if any;
        ``players_of_samples``: name of each group to the number of players of each sample, if they differ.
    """
    told: dict[str, Any] = {}
    sentences = []
    enough, wanted = _enough(recipe, samples), _wanted(recipe, samples)
    for group in groups:
        left_out = int((~enough[wanted[group.name][0]]).sum())
        if left_out:
            told.setdefault("left_out", {})[group.name] = left_out
            sentences.append(
                f"{left_out} {group.name} samples have fewer than {recipe.players.n} players and could not be drawn."
            )
        mask = group.config.feature_mask
        found = [] if mask is None else n_parts(mask.numpy()).tolist()
        if found and min(found) < max(found):
            told.setdefault("players_of_samples", {})[group.name] = tuple(found)
            fewer, least, most = sum(k < max(found) for k in found), min(found), max(found)
            sentences.append(
                f"{fewer} of {len(found)} {group.name} samples have fewer than {most} players; the smallest number is "
                f"{least}."
            )
    return told, sentences


def choose_players(section: PlayersSection) -> Players:
    """Return the players of a recipe whose partition is the same for all samples."""
    if section.kind == "patches" and section.rows and section.cols:
        players = patches(section.rows, section.cols)
        players = players.central(*section.central) if section.central else players
    elif section.kind == "steps" and section.count:
        players = steps(section.count)
    else:
        players = columns(section.groups)
    return players if section.n is None else players.choose(section.n, seed=section.seed, others=section.others)
