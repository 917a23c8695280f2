"""Point clouds under INTERDYN_DATA: ten objects of ShapeNet, classes of ModelNet, MNIST as points."""

import numpy as np

from interdyn.errors import RecipeError
from interdyn.recipes import Dataset, dataset
from interdyn_zoo.data._root import find_data, reads_files
from interdyn_zoo.data.pictures import mnist


def _thinned(points: np.ndarray, n_points: int, name: str) -> np.ndarray:
    """Return the first ``n_points`` of each cloud; their order is random or that of farthest points."""
    if not 1 <= n_points <= points.shape[1]:
        raise RecipeError(
            f"`data.options.n_points` of `{name}` must be 1 to {points.shape[1]}; got {n_points}. Use 256, for example."
        )
    return np.ascontiguousarray(points[:, :n_points], dtype=np.float32)


@dataset("shapenet10")
@reads_files
def shapenet10(*, seed: int, n_points: int = 1024) -> Dataset:  # noqa: ARG001
    """Return 83 objects of ten classes of ShapeNet, shape ``(83, n_points, 3)``: 63 for training, 20 for testing.

    File ``pointclouds/shapenet10_mini.npz``: ``points, y, split``. Source: Chang et al. (2015); non-commercial research
    only.

    Raises
    ------
    DataError
        If the file is missing.
    RecipeError
        If there are not that many points.
    """
    file = "pointclouds/shapenet10_mini.npz"
    (path,) = find_data("shapenet10", file, source="https://shapenet.org", published="point-clouds")
    with np.load(path) as arrays:
        points, targets, test = arrays["points"], arrays["y"].astype(np.int64), arrays["split"] == "test"
    return Dataset(_thinned(points, n_points, "shapenet10"), targets, 10, test=test)


def _modelnet(name: str, file: str, n_classes: int, n_points: int) -> Dataset:
    (path,) = find_data(name, file, source="https://modelnet.cs.princeton.edu", published="point-clouds")
    with np.load(path) as arrays:
        points = np.concatenate([arrays["x_train"], arrays["x_test"]])
        targets = np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64)
        train = len(arrays["x_train"])
    return Dataset(_thinned(points, n_points, name), targets, n_classes, test=np.arange(len(targets)) >= train)


@dataset("modelnet4")
@reads_files
def modelnet4(*, seed: int, n_points: int = 1024) -> Dataset:  # noqa: ARG001
    """Return four classes of ModelNet, shape ``(924, n_points, 3)``: 706 for training, 218 for testing.

    File ``pointclouds/modelnet4_vox32.npz``. Source: Wu et al. (2015); academic use only.

    Raises
    ------
    DataError
        If the file is missing.
    RecipeError
        If there are not that many points.
    """
    return _modelnet("modelnet4", "pointclouds/modelnet4_vox32.npz", 4, n_points)


@dataset("modelnet2")
@reads_files
def modelnet2(*, seed: int, n_points: int = 1024) -> Dataset:  # noqa: ARG001
    """Return aeroplanes and bathtubs of ModelNet, shape ``(424, n_points, 3)``: 306 for training, 118 for testing.

    File ``pointclouds/modelnet_airplane_bathtub.npz``. Source: Wu et al. (2015); Qi et al. (2017); academic use only.

    Raises
    ------
    DataError
        If the file is missing.
    RecipeError
        If there are not that many points.
    """
    return _modelnet("modelnet2", "pointclouds/modelnet_airplane_bathtub.npz", 2, n_points)


@dataset("mnist-points")
@reads_files
def mnist_points(*, seed: int, n_points: int = 128) -> Dataset:
    """Return MNIST as flat point clouds, shape ``(69000, n_points, 3)``: 60,000 for training, 9,000 for testing.

    A point is drawn from the pixels of a digit in proportion to their ink, and placed at random inside its pixel;
    ``seed`` is that of the draw. x to the right, y upwards, z = 0, all within [-1, 1]. File and source as for
    ``mnist``.

    Raises
    ------
    DataError
        If the file is missing.
    RecipeError
        If there are no points.
    """
    if n_points < 1:
        raise RecipeError(f"`data.options.n_points` of `mnist-points` must be 1 or more; got {n_points}. Use 128.")
    digits = mnist(seed=seed)
    rng = np.random.default_rng(seed)
    size = digits.inputs.shape[2]
    share = np.cumsum(digits.inputs.reshape(len(digits.inputs), -1), axis=1, dtype=np.float64)
    clouds = np.zeros((len(share), n_points, 3), dtype=np.float32)
    for cloud, total in zip(clouds, share, strict=True):
        pixel = np.searchsorted(total, rng.random(n_points) * total[-1], side="right")
        row, column = np.divmod(pixel, size)
        cloud[:, 0] = 2 * (column + rng.random(n_points)) / size - 1
        cloud[:, 1] = 1 - 2 * (row + rng.random(n_points)) / size
    return Dataset(clouds, digits.targets, 10, test=digits.test)
