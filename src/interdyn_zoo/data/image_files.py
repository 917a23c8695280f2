"""Images in users' own files: folders of files, idx, the batches of CIFAR."""

import codecs
import gzip
import io
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Num

from interdyn.errors import DataError, RecipeError, missing_extra
from interdyn.recipes import Dataset, dataset
from interdyn_zoo.data._classes import numbered
from interdyn_zoo.data._root import DAMAGE, own_path, reads_files

_TEST = ("test", "val", "valid", "validation")
_LARGEST = 4096  # pixels a side
_FORMATS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")


@dataset("image-folder")
@reads_files
def image_folder(*, seed: int, path: str, size: int | None = None, grey: bool = False) -> Dataset:  # noqa: ARG001
    """Return images in one folder for each class, as ``torchvision.datasets.ImageFolder`` reads them.

    Parameters
    ----------
    path
        Folder with ``CLASS/*.png``, or with ``train/CLASS/*.png`` and ``test`` (or ``val``) next to it. Without a test
        part one is drawn, see `data.test_fraction`.
    size
        Images are cropped to their central square and scaled to ``size x size``; None: they must all have one size.
    grey
        One channel instead of three.

    Returns
    -------
    Dataset
        Shape ``(samples, 3 or 1, height, width)``, pixels in [0, 1]; classes in the order of their folders' names.

    Raises
    ------
    DataError
        If there are no images, one cannot be read, one has another size, or a test class is not in training.
    MissingExtraError
        If pillow is not installed.
    """
    root = own_path(path, what="a folder of images", folder=True)
    test_part = next((root / name for name in _TEST if (root / name).is_dir()), None)
    folders = [root / "train", test_part] if (root / "train").is_dir() and test_part else [root]
    parts = [_files(folder) for folder in folders]
    pictures = np.stack(_one_size([(file, picture(file, size, grey=grey)) for part in parts for file, _ in part]))
    return Dataset(pictures, **numbered(*([label for _, label in part] for part in parts), place=str(root)))


def _files(root: Path) -> list[tuple[Path, str]]:
    """Return the images of a folder and their classes: the names of the first folders below it."""
    folders = sorted(p for p in root.iterdir() if p.is_dir())
    found = [
        (file, folder.name)
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in _FORMATS
    ]
    if not found:
        raise DataError(
            f"a folder of images needs one folder for each class with files {', '.join(_FORMATS)}; got none in "
            f"{root}. Put each class into a separate folder."
        )
    return found


def picture(source: Any, size: int | None, *, grey: bool) -> Float32[np.ndarray, "channels height width"]:
    """Return one image, pixels in [0, 1]; ``source`` is a path, an open file or a pillow image.

    Raises
    ------
    DataError
        If it cannot be read.
    MissingExtraError
        If pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise missing_extra("pillow", "images", "images from files") from error
    try:
        image = source if isinstance(source, Image.Image) else Image.open(source)
        image = image.convert("L" if grey else "RGB")
    except (OSError, SyntaxError, ValueError, TypeError, MemoryError, Image.DecompressionBombError) as error:
        raise DataError(f"an image must be a file that pillow reads; got {source}: {error}. Remove it.") from error
    if size is not None and not 1 <= size <= _LARGEST:
        raise RecipeError(f"`data.options.size` must be 1 to {_LARGEST} pixels; got {size}. Use 64, for example.")
    if size is not None:
        image = ImageOps.fit(image, (size, size))
    pixels = np.asarray(image, dtype=np.float32) / np.float32(255)
    return pixels[None] if grey else np.ascontiguousarray(np.moveaxis(pixels, 2, 0))


def _one_size(pictures: Iterable[tuple[Path, np.ndarray]]) -> list[np.ndarray]:
    rows: list[np.ndarray] = []
    for file, pixels in pictures:
        if rows and pixels.shape != rows[0].shape:
            raise DataError(
                f"all images must have one size, here {rows[0].shape[1]}x{rows[0].shape[2]}; got "
                f"{pixels.shape[1]}x{pixels.shape[2]} in {file}. Scale them all: --set data.options.size=64"
            )
        rows.append(pixels)
    return rows


@dataset("idx")
@reads_files
def idx(*, seed: int, path: str, train: str = "train", test: str = "t10k") -> Dataset:  # noqa: ARG001
    """Return images in the format of MNIST, Fashion-MNIST, KMNIST, EMNIST, with or without gzip.

    Parameters
    ----------
    path
        Folder with ``TRAIN-images-idx3-ubyte``, ``TRAIN-labels-idx1-ubyte`` and the same for ``TEST``; for
        torchvision's own files that is ``MNIST/raw``.
    train, test
        Prefixes of those names, such as ``"emnist-letters-train"``.

    Returns
    -------
    Dataset
        Shape ``(samples, 1, height, width)``, pixels in [0, 1].

    Raises
    ------
    DataError
        If a file is missing or not in this format, or the test part has a class that training does not have.
    """
    root = own_path(path, what="a folder of idx files", folder=True)
    parts = [
        (_idx(root, f"{part}-images-idx3-ubyte"), _idx(root, f"{part}-labels-idx1-ubyte")) for part in (train, test)
    ]
    for images, labels in parts:
        if len(images) != len(labels):
            raise DataError(f"idx files need a label for each image; got {len(labels)} for {len(images)} in {root}.")
    (x_train, y_train), (x_test, y_test) = parts
    answers = numbered(y_train.tolist(), y_test.tolist(), place=str(root))
    return Dataset(np.concatenate([x_train, x_test])[:, None].astype(np.float32) / np.float32(255), **answers)


def _idx(root: Path, name: str) -> Num[np.ndarray, "..."]:
    """Return the bytes of an idx file: two zeros, the type (8: bytes), the number of axes, their sizes, the data."""
    path = next((p for p in (root / name, root / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise DataError(
            f"the folder {root} must contain {name} or {name}.gz; got neither. Download it, or change `data.options`."
        )
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    n_axes = content[3] if len(content) > 3 else 0
    start = 4 + 4 * n_axes
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], dtype=">u4"))
    if content[:3] != b"\0\0\x08" or not n_axes or len(content) - start != int(np.prod(shape)):
        raise DataError(
            f"{path} must be an idx file of bytes; got one that does not start or end like one. Download it again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


@dataset("cifar-batches")
@reads_files
def cifar_batches(*, seed: int, path: str, labels: str = "labels") -> Dataset:  # noqa: ARG001
    """Return CIFAR-10 or CIFAR-100 from the batches for Python, as torchvision unpacks them.

    Parameters
    ----------
    path
        Folder ``cifar-10-batches-py`` (``data_batch_1`` to ``5``, ``test_batch``) or ``cifar-100-python`` (``train``,
        ``test``).
    labels
        Key of the classes: ``"labels"``; ``"fine_labels"`` or ``"coarse_labels"`` of CIFAR-100.

    Returns
    -------
    Dataset
        Shape ``(60000, 3, 32, 32)``, pixels in [0, 1].

    Raises
    ------
    DataError
        If a batch is missing, contains anything but arrays, or has no such labels.

    Notes
    -----
    The batches are pickles; nothing but arrays, lists, numbers and text is unpickled.
    """
    root = own_path(path, what="a folder of CIFAR batches", folder=True)
    train = sorted(root.glob("data_batch_*")) or [root / "train"]
    test = [root / ("test" if train[0].name == "train" else "test_batch")]
    missing = next((file for file in train + test if not file.is_file()), None)
    if missing is not None:
        raise DataError(f"a folder of CIFAR batches needs all of them; got no {missing}. Unpack the archive again.")
    read = [_batch(file, labels) for file in train + test]
    inputs = np.concatenate([pixels for pixels, _ in read]).reshape(-1, 3, 32, 32).astype(np.float32) / np.float32(255)
    known = [label for _, batch in read[:-1] for label in batch]
    return Dataset(inputs, **numbered(known, read[-1][1], place=str(root)))


_PLAIN = {
    "_reconstruct": np.zeros(1).__reduce__()[0],
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "encode": codecs.encode,
}


class _Arrays(pickle._Unpickler):  # the one in C crashes on some damaged files
    """Reads arrays and plain data; a pickle that names anything else is refused before it can run."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] not in ("numpy", "_codecs") or name not in _PLAIN:
            raise pickle.UnpicklingError(f"{module}.{name} in it")
        return _PLAIN[name]


def _batch(file: Path, labels: str) -> tuple[np.ndarray, list[int]]:
    try:
        content = _Arrays(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        pixels, classes = np.asarray(content[b"data"]), list(content[labels.encode()])
    except DAMAGE as error:
        raise DataError(
            f"{file} must contain arrays `data` and `{labels}`; got {error}. Name the key: "
            "--set data.options.labels=fine_labels"
        ) from error
    if pixels.ndim != 2 or pixels.shape != (len(classes), 3072):
        raise DataError(f"{file} must have 3072 bytes per image; got shape {pixels.shape} for {len(classes)} labels.")
    return pixels, classes
