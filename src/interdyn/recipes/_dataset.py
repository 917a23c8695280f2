"""The samples of a run: a data set, divided for training and testing, with some labels flipped."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interdyn.errors import DataError, RecipeError
from interdyn.recipes._options import call_factory
from interdyn.recipes._registry import find_dataset
from interdyn.recipes._schema import DataSection
from interdyn.values import Term


@dataclass(frozen=True)
class Dataset:
    """What a factory of data returns.

    Attributes
    ----------
    inputs
        float32, shape ``(samples, *shape)``.
    targets
        Class of each sample (integers ``0..n_classes-1``), or a number for a regression; ``(samples,)``.
    n_classes
        Number of classes; None for a regression.
    measurable
        Samples whose interactions may be measured, shape ``(samples,)``; None means all.
    planted
        The true interactions of a measurable sample, where they are known.
    """

    inputs: Float[np.ndarray, "samples *shape"]
    targets: np.ndarray
    n_classes: int | None
    measurable: Bool[np.ndarray, " samples"] | None = None
    planted: tuple[Term, ...] = ()


@dataclass(frozen=True)
class Samples:
    """A data set as a run uses it.

    Attributes
    ----------
    inputs
        float32, shape ``(samples, *shape)``, standardised if the recipe says so.
    targets
        True targets, shape ``(samples,)``.
    given
        Targets as training sees them: some labels of training samples are flipped; shape ``(samples,)``.
    train_ids, test_ids
        Indices of the training and the test samples.
    flipped_ids
        Indices of the training samples whose label was flipped.
    """

    inputs: Float[Tensor, "samples *shape"]
    targets: Tensor
    given: Tensor
    train_ids: Int[np.ndarray, " train"]
    test_ids: Int[np.ndarray, " test"]
    flipped_ids: Int[np.ndarray, " flipped"]
    n_classes: int | None
    measurable: Bool[np.ndarray, " samples"]
    planted: tuple[Term, ...]

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the network: one per class, or one for a regression."""
        return self.n_classes or 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.inputs.shape[1:])

    @property
    def mean_input(self) -> Float[Tensor, "*shape"]:
        """Mean of the training inputs."""
        return self.inputs[torch.from_numpy(self.train_ids)].mean(dim=0)


def load_samples(section: DataSection) -> Samples:
    """Return the samples that the section of a recipe describes; the same for the same section.

    Raises
    ------
    RecipeError
        If the data set or an option is unknown, or the division leaves nothing.
    DataError
        If the factory returns something that is not a data set.
    MissingExtraError
        If the data are in a package that is not installed.
    """
    factory = find_dataset(section.name)
    data = call_factory(factory, section.options, place="data.options", seed=section.seed)
    _check(data, section.name)
    rng = np.random.default_rng(section.seed)
    order = rng.permutation(len(data.inputs))
    n_test = round(section.test_fraction * len(order))
    test_ids, train_ids = order[:n_test], order[n_test:][: section.n_train]
    if not len(test_ids) or not len(train_ids):
        raise RecipeError(
            f"`data.test_fraction` must leave samples for training and for testing; got {len(train_ids)} and "
            f"{len(test_ids)} of {len(order)}. Change it with --set data.test_fraction=0.3"
        )
    given, flipped = _flip(data, train_ids, section.label_noise, rng)
    inputs = torch.from_numpy(np.ascontiguousarray(data.inputs, dtype=np.float32))
    if section.standardise:
        train = inputs[torch.from_numpy(train_ids)]
        spread = train.std(dim=0)
        inputs = (inputs - train.mean(dim=0)) / torch.where(spread > 0, spread, torch.ones_like(spread))
    measurable = np.ones(len(order), dtype=bool) if data.measurable is None else data.measurable
    return Samples(
        inputs=inputs,
        targets=_targets(data.targets, data.n_classes),
        given=_targets(given, data.n_classes),
        train_ids=train_ids,
        test_ids=test_ids,
        flipped_ids=flipped,
        n_classes=data.n_classes,
        measurable=measurable,
        planted=data.planted,
    )


def _targets(targets: np.ndarray, n_classes: int | None) -> Tensor:
    return torch.from_numpy(targets.astype(np.int64 if n_classes else np.float32))


def _flip(
    data: Dataset, train_ids: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the targets with a share of the training labels moved to another class, and whose they are."""
    given = data.targets.copy()
    if not share:
        return given, train_ids[:0]
    if data.n_classes is None or data.n_classes < 2:
        raise RecipeError(
            f"`data.label_noise` needs a data set with two or more classes; got {share} for one without. "
            "Set it to 0: --set data.label_noise=0"
        )
    flipped = rng.permutation(train_ids)[: round(share * len(train_ids))]
    given[flipped] = (given[flipped] + rng.integers(1, data.n_classes, size=len(flipped))) % data.n_classes
    return given, flipped


def _check(data: Any, name: str) -> None:
    """Refuse what a user's factory must not return."""
    if not isinstance(data, Dataset):
        raise DataError(
            f"the data {name!r} must be a `Dataset`; got {type(data).__name__}. Return one from the factory."
        )
    samples = len(data.inputs)
    if data.targets.shape != (samples,):
        raise DataError(
            f"the data {name!r} must have one target for each of {samples} inputs; "
            f"got targets of shape {data.targets.shape}. Correct the factory."
        )
    if not np.isfinite(data.inputs).all():
        raise DataError(f"the data {name!r} must be finite numbers; got NaN or infinity. Fill the gaps in the factory.")
    if data.n_classes and not ((data.targets >= 0) & (data.targets < data.n_classes)).all():
        raise DataError(
            f"the targets of {name!r} must lie in 0..{data.n_classes - 1}; got values in "
            f"{data.targets.min()}..{data.targets.max()}. Number the classes from 0."
        )
