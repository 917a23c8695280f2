"""Images under INTERDYN_DATA: MNIST, CIFAR-10, ten classes of Tiny-ImageNet, twelve species of CUB-200."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from interdyn.errors import RecipeError
from interdyn.recipes import Dataset, dataset
from interdyn_zoo.data._root import find_data, reads_files

_PEOPLE = {
    "clean": None,
    "aggre": "aggre_label",
    "worse": "worse_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
}


def _pictures(path: Path, n_classes: int, given: np.ndarray | None = None) -> Dataset:
    """Return the images of an npz file, pixels in [0, 1], channels first; its test part stays the test part."""
    with np.load(path) as file:
        train, test = file["x_train"], file["x_test"]
        targets = np.concatenate([file["y_train"], file["y_test"]]).astype(np.int64)
    inputs = np.empty((len(targets), *train.shape[1:]), dtype=np.float32)
    np.divide(train, 255, out=inputs[: len(train)])
    np.divide(test, 255, out=inputs[len(train) :])
    inputs = inputs[:, None] if inputs.ndim == 3 else np.moveaxis(inputs, 3, 1)
    is_test = np.arange(len(targets)) >= len(train)
    labels = None if given is None else np.concatenate([given, targets[len(train) :]])
    return Dataset(inputs, targets, n_classes, test=is_test, given=labels)


def _smaller(data: Dataset, size: int | None, name: str) -> Dataset:
    """Return square images reduced to ``size x size`` by averaging blocks of pixels."""
    full = data.inputs.shape[-1]
    if size is None or size == full:
        return data
    if size < 1 or full % size:
        raise RecipeError(
            f"`data.options.size` of `{name}` must divide {full}; got {size}. Use {full // 2}, for example."
        )
    block = full // size
    blocks = data.inputs.reshape(*data.inputs.shape[:2], size, block, size, block)
    return replace(data, inputs=blocks.mean(axis=(3, 5)))


@dataset("mnist")
@reads_files
def mnist(*, seed: int) -> Dataset:  # noqa: ARG001  the same images for every seed
    """Return MNIST, shape ``(69000, 1, 28, 28)``: 60,000 images for training, 9,000 for testing, ten digits.

    File ``mnist/mnist.npz``: ``x_train, y_train, x_test, y_test``. Source: LeCun, Cortes and Burges.

    Raises
    ------
    DataError
        If the file is missing.
    """
    (path,) = find_data("mnist", "mnist/mnist.npz", source="http://yann.lecun.com/exdb/mnist", published="idx")
    return _pictures(path, 10)


@dataset("cifar10")
@reads_files
def cifar10(*, seed: int, labels: str = "clean") -> Dataset:  # noqa: ARG001
    """Return a part of CIFAR-10, shape ``(12000, 3, 32, 32)``: 10,000 for training, 2,000 for testing, ten classes.

    ``labels`` are those used in training: ``"clean"``, or those given by people (CIFAR-10N), ``"aggre"`` (9 %
    wrong), ``"random1"`` to ``"random3"`` (18 %) or ``"worse"`` (40 %). Files ``cifar10/cifar10_10k2k.npz`` (``x_train,
    y_train, train_index, x_test, y_test``) and ``cifar10/cifar10n_labels_all50k.npz``. Source: Krizhevsky (2009); Wei
    et al. (2022), Learning with Noisy Labels Revisited.

    Raises
    ------
    DataError
        If a file is missing.
    RecipeError
        If there are no such labels.
    """
    if labels not in _PEOPLE:
        raise RecipeError(f"`data.options.labels` must be one of {', '.join(_PEOPLE)}; got {labels!r}.")
    files = ("cifar10/cifar10_10k2k.npz", "cifar10/cifar10n_labels_all50k.npz")
    source = "https://www.cs.toronto.edu/~kriz/cifar.html and http://noisylabels.com"
    pictures, people = find_data("cifar10", *files, source=source, published="cifar-batches")
    key = _PEOPLE[labels]
    if key is None:
        return _pictures(pictures, 10)
    with np.load(pictures) as file:
        index = file["train_index"]
    with np.load(people) as file:
        given = file[key][index].astype(np.int64)
    return _pictures(pictures, 10, given)


@dataset("tiny-imagenet10")
@reads_files
def tiny_imagenet10(*, seed: int, size: int | None = None) -> Dataset:  # noqa: ARG001
    """Return ten classes of Tiny-ImageNet, shape ``(2400, 3, 64, 64)``: 2,000 for training, 400 for testing.

    A ``size`` that divides 64 reduces them. File ``tiny_imagenet10/tiny_imagenet10.npz``. Source: Stanford CS231n,
    from ImageNet (Russakovsky et al., 2015); non-commercial research only.

    Raises
    ------
    DataError
        If the file is missing.
    RecipeError
        If ``size`` does not divide 64.
    """
    file = "tiny_imagenet10/tiny_imagenet10.npz"
    source = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
    (path,) = find_data("tiny-imagenet10", file, source=source, published="image-folder")
    return _smaller(_pictures(path, 10), size, "tiny-imagenet10")


@dataset("cub12")
@reads_files
def cub12(*, seed: int, size: int | None = None) -> Dataset:  # noqa: ARG001
    """Return twelve species of CUB-200-2011, shape ``(645, 3, 96, 96)``: 345 for training, 300 for testing.

    A ``size`` that divides 96 reduces them. File ``cub12/cub12_96px.npz``. Source: Wah et al. (2011);
    non-commercial research only.

    Raises
    ------
    DataError
        If the file is missing.
    RecipeError
        If ``size`` does not divide 96.
    """
    source = "https://www.vision.caltech.edu/datasets/cub_200_2011"
    (path,) = find_data("cub12", "cub12/cub12_96px.npz", source=source, published="image-folder")
    return _smaller(_pictures(path, 12), size, "cub12")
