"""A shortcut: a feature that predicts the class of most training samples, and nothing about test samples."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from interdyn.errors import RecipeError
from interdyn.recipes import Dataset, dataset, find_dataset


@dataset("shortcut")
def shortcut(
    *,
    seed: int,
    of: str,
    options: Mapping[str, Any] | None = None,
    rate: float = 0.9,
    test_rate: float | None = None,
    size: int = 2,
    test_fraction: float = 0.3,
) -> Dataset:
    """Return other data with an added feature that names a class: the correct one at a rate, otherwise any other.

    Images get a bright square in the upper left corner, whose position in a small grid, ``ceil(sqrt(n_classes))``
    squares wide, is the class that it names. Tables get a last column, the number of that
    class, which is a separate part.

    Parameters
    ----------
    seed
        Draws which samples it misleads and, if the data have no split, the split; it is also the seed of ``of``.
    of
        Name of the other data, images ``(C, H, W)`` or a table, with classes.
    options
        Their options.
    rate
        Share of the training samples for which it names the correct class.
    test_rate
        The same for the test samples; None: 1 / ``n_classes``, so that it carries no information. 0: always wrong.
    size
        Side of the square, in pixels.
    test_fraction
        Share of test samples, if the data have no test part.

    Raises
    ------
    RecipeError
        If there are no such data or options, they have no classes, are neither images nor a table, the grid does not
        fit the images, or a rate is invalid.

    Notes
    -----
    Labels stay correct: a network that reads the digit, or the other columns, loses nothing. Source of the idea:
    Geirhos et al. (2020), Shortcut Learning in Deep Neural Networks.

    Examples
    --------
    >>> data = shortcut(seed=0, of="wine", rate=1.0, test_rate=0.0)
    >>> named = data.inputs[:, -1]
    >>> bool((named == data.targets)[~data.test].all()), bool((named == data.targets)[data.test].any())
    (True, False)
    """
    data = _other(of, {} if options is None else options, seed)
    if data.n_classes is None or data.n_classes < 2 or not np.issubdtype(data.inputs.dtype, np.floating):
        raise RecipeError(
            f"`data.options.of` of `shortcut` must be images or a table with at least two classes; got {of!r}. Use "
            '"digits" or "wine", for example.'
        )
    chance = 1 / data.n_classes if test_rate is None else test_rate
    if not (0 <= rate <= 1 and 0 <= chance <= 1 and 0 < test_fraction < 1):
        raise RecipeError(
            "`data.options` of `shortcut` must have `rate` and `test_rate` from 0 to 1 and `test_fraction` between; "
            f"got {rate}, {test_rate} and {test_fraction}. Correct them."
        )
    rng = np.random.default_rng([seed, 1])
    test = data.test
    if test is None:
        test = np.zeros(len(data.inputs), dtype=bool)
        test[rng.permutation(len(test))[: round(test_fraction * len(test))]] = True
    right = rng.random(len(test)) < np.where(test, chance, rate)
    others = (data.targets + rng.integers(1, data.n_classes, size=len(test))) % data.n_classes
    named = np.where(right, data.targets, others)
    if data.inputs.ndim == 4:
        return replace(data, inputs=_marked(data.inputs, named, data.n_classes, size), test=test)
    if data.inputs.ndim != 2:
        raise RecipeError(
            f"`data.options.of` of `shortcut` must be images (C, H, W) or a table; got {of!r} with inputs of shape "
            f'{data.inputs.shape[1:]}. Use "digits" or "wine", for example.'
        )
    return replace(_with_column(data, named), test=test)


def _other(of: str, options: Mapping[str, Any], seed: int) -> Dataset:
    factory = find_dataset(of)
    try:
        inspect.signature(factory).bind(seed=seed, **options)
    except TypeError as error:
        raise RecipeError(
            f"`data.options.options` of `shortcut` must be those of {of!r}; got {dict(options)}: {error}. Correct them."
        ) from None
    data: Dataset = factory(seed=seed, **options)
    return data


def _marked(
    pictures: Float32[np.ndarray, "samples channels height width"],
    named: Int[np.ndarray, " samples"],
    n_classes: int,
    size: int,
) -> Float32[np.ndarray, "samples channels height width"]:
    """Return images with a square of brightness 1 at the position of the named class, and 0 in the rest of the grid."""
    wide = math.ceil(math.sqrt(n_classes))
    high = math.ceil(n_classes / wide)
    if size < 1 or high * size > pictures.shape[2] or wide * size > pictures.shape[3]:
        raise RecipeError(
            f"`data.options.size` of `shortcut` must leave room for {high} x {wide} squares in images of "
            f"{pictures.shape[2]} x {pictures.shape[3]} pixels; got {size}. Use 1, for example."
        )
    out = pictures.copy()
    out[:, :, : high * size, : wide * size] = 0
    for value in range(n_classes):
        row, column = divmod(value, wide)
        chosen = np.flatnonzero(named == value)
        out[chosen, :, row * size : (row + 1) * size, column * size : (column + 1) * size] = 1
    return out


def _with_column(data: Dataset, named: Int[np.ndarray, " samples"]) -> Dataset:
    """Return a table with the number of the named class as its last column, and as its last part."""
    inputs = np.concatenate([data.inputs, named[:, None].astype(data.inputs.dtype)], axis=1)
    parts = None
    if data.parts is not None:
        known = np.broadcast_to(data.parts, data.inputs.shape)
        parts = np.concatenate([known, np.full((len(known), 1), known.max() + 1, dtype=known.dtype)], axis=1)
    return replace(data, inputs=inputs, parts=parts, names=(*data.names, "shortcut") if data.names else ())
