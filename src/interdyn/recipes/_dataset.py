"""The samples of a run: a data set, split for training and testing, with some labels flipped."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from interdyn.errors import DataError, RecipeError
from interdyn.recipes._registry import call_factory, find_dataset
from interdyn.recipes._schema import DataSection
from interdyn.values import Term


@dataclass(frozen=True)
class Dataset:
    """What a data factory returns.

    Attributes
    ----------
    inputs
        Shape ``(samples, *shape)``: float32, or int64 for tokens.
    targets
        Class of each sample (integers ``0..n_classes-1``), or a number for a regression; ``(samples,)``.
    n_classes
        Number of classes; None for a regression.
    measurable
        Samples whose interactions may be measured, shape ``(samples,)``; None means all.
    planted
        The true interactions of a measurable sample, if known.
    test
        Which samples are the test part, shape ``(samples,)``, if the data have one; None: drawn at random.
    given
        Class of each sample as used in training, if some labels are wrong, shape ``(samples,)``; None: ``targets``.
    parts
        The part that each feature belongs to (word of a sentence, named part of an object), -1 for none; of a shape
        that broadcasts to ``inputs``. None: the data have no parts.
    mask_value
        What a masked feature is set to if neither a mean nor 0 makes sense, such as the token [MASK].
    names
        Name of each column, or of each part of a table with ``parts``; for display only.
    categories
        Category that each column of a one-hot code stands for, ``""`` for a number; for display only.
    vocabulary
        Text of each token; a piece that continues a word starts with ``##``; for display only.
    class_names
        Name of each class; for display only.
    """

    inputs: Num[np.ndarray, "samples *shape"]
    targets: np.ndarray
    n_classes: int | None
    measurable: Bool[np.ndarray, " samples"] | None = None
    planted: tuple[Term, ...] = ()
    test: Bool[np.ndarray, " samples"] | None = None
    given: np.ndarray | None = None
    parts: Int[np.ndarray, "samples ..."] | None = None
    mask_value: float | None = None
    names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Samples:
    """A data set as a run uses it.

    Attributes
    ----------
    inputs
        Shape ``(samples, *shape)``, float32 and standardised if the recipe says so, or int64 tokens.
    targets
        True targets, shape ``(samples,)``.
    given
        Targets as used in training: some labels of training samples are flipped; shape ``(samples,)``.
    train_ids, test_ids
        Indices of the training and the test samples.
    flipped_ids
        Indices of the training samples whose given label is not the true one.
    parts, mask_value, names, categories, vocabulary, class_names
        As in `Dataset`.
    shown
        The inputs before standardising, shape ``(samples, *shape)``; for display only.
    """

    inputs: Num[Tensor, "samples *shape"]
    targets: Tensor
    given: Tensor
    train_ids: Int[np.ndarray, " train"]
    test_ids: Int[np.ndarray, " test"]
    flipped_ids: Int[np.ndarray, " flipped"]
    n_classes: int | None
    measurable: Bool[np.ndarray, " samples"]
    planted: tuple[Term, ...]
    parts: Int[Tensor, "samples ..."] | None = None
    mask_value: float | None = None
    names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    shown: Num[np.ndarray, "samples *shape"] | None = None

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


def load_samples(section: DataSection, *, allow_code: bool = False) -> Samples:
    """Return the samples that a recipe's section describes; equal sections give equal samples.

    Raises
    ------
    RecipeError
        If the data set or an option is unknown, it is ``module:factory`` without ``allow_code``, or the split leaves
        nothing.
    DataError
        If the factory returns something that is not a data set.
    MissingExtraError
        If the data are in a package that is not installed.
    """
    factory = find_dataset(section.name, allow_code=allow_code)
    data = call_factory(factory, section.options, place="data.options", seed=section.seed)
    _check(data, section.name)
    rng = np.random.default_rng(section.seed)
    train_ids, test_ids = _divide(data, section, rng)
    given, flipped = _given(data, train_ids, section.label_noise, rng)
    tokens = np.issubdtype(data.inputs.dtype, np.integer)
    inputs = torch.from_numpy(np.ascontiguousarray(data.inputs, dtype=np.int64 if tokens else np.float32))
    if section.standardise:
        train = inputs[torch.from_numpy(train_ids)]
        spread = train.std(dim=0)
        inputs = (inputs - train.mean(dim=0)) / torch.where(spread > 0, spread, torch.ones_like(spread))
    measurable = np.ones(len(inputs), dtype=bool) if data.measurable is None else data.measurable
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
        parts=None if data.parts is None else torch.from_numpy(np.ascontiguousarray(data.parts)),
        mask_value=data.mask_value,
        names=data.names,
        categories=data.categories,
        vocabulary=data.vocabulary,
        class_names=data.class_names,
        shown=data.inputs,
    )


def _divide(data: Dataset, section: DataSection, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return training and test samples in random order: the data's own split, or a drawn one."""
    order = rng.permutation(len(data.inputs))
    if data.test is None:
        n_test = round(section.test_fraction * len(order))
        test_ids, train_ids = order[:n_test], order[n_test:]
    else:
        test_ids, train_ids = order[data.test[order]], order[~data.test[order]]
    test_ids, train_ids = test_ids[: section.n_test], train_ids[: section.n_train]
    if not len(test_ids) or not len(train_ids):
        raise RecipeError(
            f"`data.test_fraction` must leave samples for training and for testing; got {len(train_ids)} and "
            f"{len(test_ids)} of {len(order)}. Change it with --set data.test_fraction=0.3"
        )
    return train_ids, test_ids


def _targets(targets: np.ndarray, n_classes: int | None) -> Tensor:
    return torch.from_numpy(targets.astype(np.int64 if n_classes else np.float32))


def _given(
    data: Dataset, train_ids: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels used in training, a share of them moved to another class, and which are wrong."""
    given = (data.targets if data.given is None else data.given).copy()
    if share:
        if data.n_classes is None or data.n_classes < 2:
            raise RecipeError(
                f"`data.label_noise` needs a data set with at least two classes; got {share} for one without. "
                "Set it to 0: --set data.label_noise=0"
            )
        flipped = rng.permutation(train_ids)[: round(share * len(train_ids))]
        given[flipped] = (given[flipped] + rng.integers(1, data.n_classes, size=len(flipped))) % data.n_classes
        if data.given is None:
            return given, flipped
    return given, train_ids[given[train_ids] != data.targets[train_ids]]


def _check(data: Any, name: str) -> None:
    """Refuse invalid results of a user's factory."""
    if not isinstance(data, Dataset):
        raise DataError(
            f"the data {name!r} must be a `Dataset`; got {type(data).__name__}. Return one from the factory."
        )
    for field in ("inputs", "targets", "parts"):
        value = getattr(data, field)
        if value is not None and (not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf"):
            got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
            raise DataError(f"`{field}` of the data {name!r} must be a NumPy array of numbers; got {got}. Convert it.")
    _check_lengths(data, name)
    if data.parts is not None and (data.parts.dtype.kind not in "iu" or not _same_axes(data.parts, data.inputs)):
        raise DataError(
            f"`parts` of the data {name!r} must be integers that broadcast to inputs of shape "
            f"{data.inputs.shape}; got {data.parts.dtype} of shape {data.parts.shape}. Give the part of each feature."
        )
    for field in ("inputs", "targets"):
        if not np.isfinite(getattr(data, field)).all():
            raise DataError(
                f"`{field}` of the data {name!r} must be finite numbers; got NaN or infinity. Fill the gaps, or leave "
                "those samples out."
            )
    for labels in (data.targets, data.given):
        if labels is not None and data.n_classes and not ((labels >= 0) & (labels < data.n_classes)).all():
            raise DataError(
                f"the targets of {name!r} must be in 0..{data.n_classes - 1}; got values in "
                f"{labels.min()}..{labels.max()}. Number the classes from 0."
            )


def _check_lengths(data: Dataset, name: str) -> None:
    samples = len(data.inputs)
    if data.targets.shape != (samples,):
        raise DataError(
            f"the data {name!r} must have one target for each of {samples} inputs; "
            f"got targets of shape {data.targets.shape}. Correct the factory."
        )
    for field in ("measurable", "test", "given", "parts"):
        value = getattr(data, field)
        if value is not None and len(value) != samples:
            raise DataError(
                f"`{field}` of the data {name!r} must have one entry for each of {samples} inputs; got {len(value)}. "
                "Correct the factory."
            )


def _same_axes(parts: np.ndarray, inputs: np.ndarray) -> bool:
    """Return whether the axes of parts match those of inputs, each of the same length or 1."""
    pairs = zip(parts.shape[1:], inputs.shape[1:], strict=False)
    return parts.ndim <= inputs.ndim and all(a in (1, b) for a, b in pairs)
