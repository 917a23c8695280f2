"""Point clouds and meshes in users' own files: .off, .ply, .npy."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from interdyn.errors import DataError, RecipeError, missing_extra
from interdyn.recipes import Dataset, dataset
from interdyn_zoo.data._classes import numbered
from interdyn_zoo.data._root import DAMAGE, own_path, reads_files

_MOST = 1_000_000  # points per cloud
_FORMATS = (".npy", ".off", ".ply")


@dataset("point-clouds")
@reads_files
def point_clouds(*, seed: int, path: str, n_points: int = 1024) -> Dataset:
    """Return clouds from files in one folder for each class, centred and scaled to the unit sphere.

    Parameters
    ----------
    seed
        Seed of the selection of points.
    path
        Folder with ``CLASS/*.off`` (or .ply, .npy), or with the parts ``train`` and ``test``, above the classes
        or, as in ModelNet, below them.
    n_points
        Points of each cloud: drawn from the points of a file, or uniformly on the surface of its mesh.

    Returns
    -------
    Dataset
        Shape ``(samples, n_points, 3)``; classes in the order of their folders' names.

    Raises
    ------
    DataError
        If there are no files, one cannot be read, or a cloud has fewer points.
    MissingExtraError
        If trimesh is not installed (.off and .ply only).
    """
    if not 1 <= n_points <= _MOST:
        raise RecipeError(f"`data.options.n_points` must be 1 to {_MOST:,}; got {n_points}. Use 1024, for example.")
    root = own_path(path, what="a folder of point clouds", folder=True)
    train: list[tuple[Path, str]] = []
    test: list[tuple[Path, str]] = []
    for file in sorted(file for file in root.rglob("*") if file.suffix.lower() in _FORMATS):
        folders = file.relative_to(root).parts[:-1]
        labels = [name for name in folders if name not in ("train", "test")]
        if labels:
            (test if "test" in folders else train).append((file, labels[0]))
    if not train:
        raise DataError(
            f"a folder of clouds needs one folder for each class with files {', '.join(_FORMATS)}; got none in {root}. "
            "Put each class into a separate folder."
        )
    rng = np.random.default_rng(seed)
    clouds = np.stack([_unit(_points(file, n_points, rng)) for file, _ in train + test])
    return Dataset(
        clouds, **numbered(*([label for _, label in part] for part in (train, test) if part), place=str(root))
    )


def _points(file: Path, n_points: int, rng: np.random.Generator) -> Float[np.ndarray, "points 3"]:
    """Return points of a file: a selection of its points, or new ones on the surface of its mesh."""
    if file.suffix.lower() == ".npy":
        try:
            points = np.load(file)
        except DAMAGE as error:
            raise DataError(f"a cloud must be an array that NumPy reads; got {file}: {error}. Remove it.") from error
    else:
        try:
            import trimesh
        except ImportError as error:
            raise missing_extra("trimesh", "clouds", "point clouds from .off and .ply files") from error
        try:
            read = trimesh.load(file, process=False)
        except DAMAGE as error:
            raise DataError(f"a cloud must be a file that trimesh reads; got {file}: {error}. Remove it.") from error
        if isinstance(read, trimesh.Trimesh) and len(read.faces):
            return _real(read.sample(n_points, seed=int(rng.integers(2**31))), file)
        points = np.asarray(getattr(read, "vertices", np.empty((0, 3))))
    points = _real(points, file)
    if points.ndim != 2 or points.shape[1] < 3 or len(points) < n_points:
        raise DataError(
            f"each cloud needs {n_points} points of three coordinates; got shape {points.shape} in {file}. "
            "Use fewer: --set data.options.n_points=256"
        )
    return np.asarray(points[rng.permutation(len(points))[:n_points], :3])


def _real(points: object, file: Path) -> np.ndarray:
    """Return coordinates as numbers, all of them finite."""
    if not isinstance(points, np.ndarray) or points.dtype.kind not in "fiu" or not np.isfinite(points).all():
        raise DataError(f"each point of a cloud must be finite numbers; got others in {file}. Remove it.")
    return np.asarray(points, dtype=np.float64)


def _unit(points: Float[np.ndarray, "points 3"]) -> Float32[np.ndarray, "points 3"]:
    """Return a cloud centred on its mean and scaled so that the farthest point has distance 1."""
    centred = points - points.mean(axis=0)
    return np.asarray(centred / max(np.linalg.norm(centred, axis=1).max(), 1e-12), dtype=np.float32)
