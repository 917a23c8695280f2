"""Arrays in users' own npz files."""

from typing import Any

import numpy as np
from jaxtyping import Num

from interdyn.errors import DataError, RecipeError
from interdyn.recipes import Dataset, dataset
from interdyn_zoo.data._classes import numbered
from interdyn_zoo.data._root import DAMAGE, own_path, reads_files


@dataset("npz")
@reads_files
def npz(
    *,
    seed: int,  # noqa: ARG001
    path: str,
    pictures: bool = False,
    regression: bool = False,
    mask_value: float | None = None,
) -> Dataset:
    """Return the arrays ``x_train, y_train, x_test, y_test`` of a file, or ``x, y`` without a test part.

    Parameters
    ----------
    path
        The file. An array ``parts`` (``parts_train`` and ``parts_test``), of a shape that broadcasts to ``x``, gives
        the part of each feature, -1 for none.
    pictures
        ``x`` contains bytes 0..255, channels last or one channel; they become [0, 1], channels first.
    regression
        ``y`` contains numbers instead of classes.
    mask_value
        What a masked feature is set to if neither a mean nor 0 makes sense, such as the token [MASK].

    Raises
    ------
    DataError
        If an array is missing, or a test sample has a class that training does not have.
    RecipeError
        If ``pictures`` is set and the arrays do not have the shape of images.
    """
    file = own_path(path, what="an .npz file")
    try:
        with np.load(file) as opened:
            arrays = {name: opened[name] for name in opened.files}
        odd = next((name for name, array in arrays.items() if not isinstance(array, np.ndarray)), None)
        if odd is not None:
            raise ValueError(f"no array under the name {odd}")
    except DAMAGE as error:
        raise DataError(
            f"{file} must be an .npz file of plain arrays; got {error}. Save it with numpy.savez."
        ) from error
    ends = ("_train", "_test") if "x_train" in arrays else ("",)
    missing = [f"{name}{end}" for end in ends for name in "xy" if f"{name}{end}" not in arrays]
    if missing:
        raise DataError(
            f"{file} must contain x_train, y_train, x_test and y_test, or x and y; got "
            f"{', '.join(arrays) or 'nothing'}. Add {', '.join(missing)}."
        )
    x, y = ([arrays[f"{name}{end}"] for end in ends] for name in "xy")
    for end, rows, wanted in zip(ends, x, y, strict=True):
        if not rows.ndim or not wanted.ndim or len(rows) != len(wanted):
            raise DataError(
                f"{file} must have one row of `x{end}` for each entry of `y{end}`; got shapes {rows.shape} and "
                f"{wanted.shape}. Save them again."
            )
    if [part.shape[1:] for part in x[1:]] not in ([], [x[0].shape[1:]]):
        raise DataError(f"x_train and x_test of {file} must have rows of one shape; got {x[0].shape} and {x[1].shape}.")
    inputs = np.concatenate(x)
    answers: dict[str, Any]
    if regression:
        is_test = np.arange(len(inputs)) >= len(x[0]) if len(ends) == 2 else None
        answers = {"targets": np.concatenate(y), "n_classes": None, "test": is_test}
    else:
        answers = numbered(*(part.tolist() for part in y), place=str(file))
    parts = [arrays[f"parts{end}"] for end in ends if f"parts{end}" in arrays]
    return Dataset(
        _channels_first(inputs) if pictures else inputs,
        parts=np.concatenate(parts) if len(parts) == len(ends) else None,
        mask_value=mask_value,
        **answers,
    )


def _channels_first(pictures: Num[np.ndarray, "samples ..."]) -> Num[np.ndarray, "samples channels height width"]:
    if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4):
        raise RecipeError(
            "`data.options.pictures` needs bytes of shape (samples, height, width) or (samples, height, width, "
            f"channels); got {pictures.dtype} of shape {pictures.shape}. Set it to false and scale them yourself."
        )
    inputs = pictures.astype(np.float32) / np.float32(255)
    return inputs[:, None] if inputs.ndim == 3 else np.ascontiguousarray(np.moveaxis(inputs, 3, 1))
