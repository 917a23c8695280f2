"""One conversion for each kind of argument: what a caller passes is converted, or refused with a clear message.

Public functions take their counts, seeds, numbers, choices, arrays, labels and files through these functions, so that
each kind is refused in the same way everywhere: integers by `whole` and `seed`, real numbers by `number`, options by
`choice`, arrays by `real_array`, one label per sample by `labels_row`, files by `file_path`, results of other
functions by `instance`. Labels of a network's samples are checked by `interdyn.game.labels_of`.
"""

import errno
import math
import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from interdyn.errors import InputError, InterdynError, ShapeError

T = TypeVar("T")

MOST_DRAWS = 100_000
"""Largest number of bootstrap draws: more would exhaust memory without changing a digit that is shown."""


def told(value: object) -> str:
    """Return a value for an error message, shortened.

    Examples
    --------
    >>> told(3), told("x" * 100)
    ('3', "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...")
    """
    if isinstance(value, np.ndarray) or hasattr(value, "detach"):
        return f"an array of {getattr(value, 'dtype', '?')} of shape {tuple(getattr(value, 'shape', ()))}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**15:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value) if isinstance(value, str | bytes | int | float | complex | type(None)) else _plain_repr(value)
    return text if len(text) <= 60 else f"{text[:59]}..."


def _plain_repr(value: object) -> str:
    if isinstance(value, list | tuple | set | frozenset | dict) and len(value) <= 8:
        return repr(value)
    return f"a {type(value).__name__}"


def _scalar(value: Any) -> Any:
    """Return the number in an array or tensor without axes; anything else unchanged."""
    if isinstance(value, np.generic) or (getattr(value, "shape", None) == () and hasattr(value, "item")):
        try:
            return value.item()
        except (RuntimeError, ValueError, NotImplementedError):  # a tensor without data
            return value
    return value


def whole(
    value: Any,
    name: str,
    *,
    least: int = 0,
    most: int = 2**63 - 1,
    do: str = "Pass an integer.",
    error: type[InterdynError] = InputError,
) -> int:
    """Return an integer in ``least .. most``: of Python, NumPy or torch, or a float without a fraction, such as 3.0.

    Raises
    ------
    InputError
        If it is not one (Booleans are not), or out of range; raised as ``error``.

    Examples
    --------
    >>> whole(np.int32(3), "k"), whole(3.0, "k")
    (3, 3)
    """
    given = _scalar(value)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, int) and not isinstance(given, bool) and least <= given <= most:
        return given
    top = "" if most >= 2**32 else f", at most {most:,}"
    span = f"in {least}..{most}" if most < 1000 else f"{least} or more{top}"
    raise error(f"`{name}` must be an integer, {span}; got {told(value)}. {do}")


def seed(value: Any, name: str = "seed") -> int:
    """Return the seed of a random generator: an integer in ``0 .. 2**63 - 1``.

    Raises
    ------
    InputError
        If it is not one.
    """
    return whole(value, name, do="Pass 0, for example.")


def draws(value: Any, name: str, *, least: int = 1) -> int:
    """Return the number of bootstrap draws, from ``least`` to 100,000.

    Raises
    ------
    InputError
        If it is not one.
    """
    return whole(value, name, least=least, most=MOST_DRAWS, do=f"Pass {max(500, least)}, for example.")


def number(
    value: Any,
    name: str,
    *,
    least: float | int = -math.inf,
    most: float | int = math.inf,
    open_: bool = False,
    do: str = "Pass a number.",
    error: type[InterdynError] = InputError,
) -> float:
    """Return a finite real number in ``least .. most``, excluding the ends if ``open_``.

    Raises
    ------
    InputError
        If it is not one, or out of range; raised as ``error``.

    Examples
    --------
    >>> number(np.float32(0.5), "level", least=0, most=1, open_=True)
    0.5
    """
    given = _scalar(value)
    real = isinstance(given, numbers.Real) and not isinstance(given, bool)
    try:
        out = float(given) if real else math.nan
    except OverflowError:
        out = math.inf
    if math.isfinite(out) and (least < out < most if open_ else least <= out <= most):
        return out
    from_ = f", above {least:g}" if open_ else f", {least:g} or more"
    span = f" between {least:g} and {most:g}" if most < math.inf else from_
    free = (least, most) == (-math.inf, math.inf)
    raise error(f"`{name}` must be a finite number{'' if free else span}; got {told(value)}. {do}")


def choice(value: Any, name: str, options: Sequence[str | None], *, error: type[InterdynError] = InputError) -> Any:
    """Return one of the options, which are strings or None.

    Raises
    ------
    InputError
        If it is not an option; raised as ``error``.

    Examples
    --------
    >>> choice("mean", "normalize", ("sum", "mean", None))
    'mean'
    """
    if (value is None or isinstance(value, str)) and value in options:
        return value
    *first, last = map(repr, options)
    words = f"{', '.join(first)} or {last}" if first else last
    raise error(f"`{name}` must be one of {words}; got {told(value)}. Choose one of them.")


def instance(value: Any, name: str, kind: type[T] | tuple[type[T], ...], *, do: str) -> T:
    """Return an object of the given type, made by another function; ``do`` names that function.

    Raises
    ------
    InputError
        If it has another type.
    """
    if isinstance(value, kind):
        return value
    kinds = kind if isinstance(kind, tuple) else (kind,)
    named = " or ".join(f"`{each.__name__}`" for each in kinds)
    raise InputError(f"`{name}` must be of type {named}; got {told(value)}. {do}")


def native_array(value: Any, name: str) -> np.ndarray:
    """Return real numbers as an array of a type that both NumPy and torch compute with; integers stay integers.

    Accepts arrays of any layout and byte order, tensors, nested lists and pandas tables. An array that is already
    suitable is not copied.

    Raises
    ------
    InputError
        If it contains masked entries or anything but real numbers.
    ShapeError
        If its rows are of different lengths.

    Examples
    --------
    >>> native_array([[1, 2], [3, 4]], "x").shape, native_array(np.ones(2, dtype=">f4"), "x").dtype.isnative
    ((2, 2), True)
    """
    if np.ma.isMaskedArray(value):
        if np.ma.is_masked(value):
            raise InputError(
                f"`{name}` must have a number in every entry; got masked entries. Fill them, or leave them out."
            )
        value = value.data
    if hasattr(value, "detach"):
        value = _off_tensor(value, name)
    if isinstance(value, str | bytes | dict | set | frozenset | type) or value is None:
        raise InputError(f"`{name}` must be an array of real numbers; got {told(value)}. Pass numbers.")
    try:
        out = np.asarray(value)
        if out.dtype.kind == "O":
            out = out.astype(np.float64) if all(_is_real(x) for x in out.flat) else out
    except (ValueError, TypeError, RuntimeError, OverflowError):
        raise ShapeError(
            f"`{name}` must be an array of numbers whose rows have one length; got {told(value)}. Pad them."
        ) from None
    if out.dtype.kind not in "fiub":
        got = told(value) if out.dtype.kind == "O" else f"dtype {out.dtype}"
        raise InputError(
            f"`{name}` must be a real numeric array or tensor; got {got}. "
            "Pass numbers, for example `np.asarray(values, dtype=float)`."
        )
    if out.dtype.kind == "f" and out.dtype.itemsize > 8:
        out = out.astype(np.float64)
    out = out if out.dtype.isnative else out.astype(out.dtype.newbyteorder("="))
    return out if min(out.strides, default=0) >= 0 else out.copy()  # torch cannot read negative strides


def _is_real(value: object) -> bool:
    return isinstance(_scalar(value), numbers.Real)


def _off_tensor(value: Any, name: str) -> Any:
    """Return the numbers of a tensor as an array, whatever its device, layout and type."""
    if getattr(value, "is_nested", False):
        raise ShapeError(f"`{name}` must have rows of one length; got a nested tensor. Pad it.")
    if value.is_complex():
        raise InputError(f"`{name}` must be real; got {value.dtype}. Pass the real part or the magnitude.")
    try:
        plain = (value.dequantize() if value.is_quantized else value).detach().to("cpu").to_dense()
        return (plain.double() if plain.is_floating_point() else plain).resolve_neg().numpy()
    except (NotImplementedError, RuntimeError, TypeError):
        raise InputError(
            f"`{name}` must contain numbers; got a tensor on the device {value.device}, without data. Pass its values."
        ) from None


def real_array(
    value: Any,
    name: str,
    *,
    axes: int | tuple[int, ...] | None = None,
    finite: bool = False,
    least: float | int | None = None,
) -> np.ndarray:
    """Return an array of float64.

    Parameters
    ----------
    value, name
        See `native_array`; the name of the argument.
    axes
        How many axes it must have.
    finite
        Whether NaN and infinity are refused.
    least
        Smallest allowed entry; NaN is ignored unless ``finite``.

    Raises
    ------
    InputError, ShapeError
        If it is not such an array.

    Examples
    --------
    >>> real_array([1, 2], "steps", axes=1)
    array([1., 2.])
    >>> real_array(np.array([2.0, 1.0])[::-1], "steps").strides
    (8,)
    """
    out = native_array(value, name)
    with np.errstate(all="ignore"):
        out = out.astype(np.float64, copy=False)
    allowed = (axes,) if isinstance(axes, int) else axes
    if allowed is not None and out.ndim not in allowed:
        wanted = " or ".join(f"{n} {'axis' if n == 1 else 'axes'}" for n in allowed)
        raise ShapeError(f"`{name}` must have {wanted}; got shape {out.shape}. Reshape it.")
    if finite and not np.isfinite(out).all():
        raise InputError(f"`{name}` must be finite; got NaN or infinity. Leave out what failed.")
    if least is not None and bool((out < least).any()):
        raise InputError(f"`{name}` must be {least:g} or more; got {np.nanmin(out):.3g}. Correct it.")
    return out


def labels_row(value: Any, name: str, samples: int) -> np.ndarray:
    """Return one label for each sample: integers, numbers or strings, all of one kind.

    Raises
    ------
    InputError, ShapeError
        If there is not one label for each sample, or some are of another kind.

    Examples
    --------
    >>> labels_row(["cat", "dog"], "classes", 2).tolist()
    ['cat', 'dog']
    """
    out = None
    if not isinstance(value, str | bytes | dict | set | frozenset) and value is not None:
        try:
            out = np.asarray(_off_tensor(value, name) if hasattr(value, "detach") else value)
        except (ValueError, TypeError, RuntimeError):
            out = None
    if out is not None and out.dtype.kind == "O":
        kinds = {str if isinstance(x, str) else float if _is_real(x) else type(x) for x in out.flat}
        out = np.asarray(out.tolist()) if kinds in ({str}, {float}) else None
    if out is None or out.dtype.kind not in "biufU" or (out.dtype.kind == "f" and bool(np.isnan(out).any())):
        raise InputError(
            f"`{name}` must be labels, all numbers or all strings; got {told(value)}. Pass one for each sample."
        )
    if out.shape != (samples,):
        raise ShapeError(f"`{name}` must have one label for each of {samples} samples; got shape {out.shape}.")
    return out if out.dtype.isnative else out.astype(out.dtype.newbyteorder("="))


def whole_row(value: Any, name: str, *, error: type[InterdynError] = ShapeError) -> list[int]:
    """Return one integer for each sample, such as ids, from a list, an array, a tensor or a Series.

    Raises
    ------
    ShapeError
        If it is not a row of integers; raised as ``error``.

    Examples
    --------
    >>> whole_row(np.array([3, 4]), "sample_ids")
    [3, 4]
    """
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | set | frozenset | type):
        do = "Pass a number for each sample."
        return [whole(each, name, least=-(2**63), do=do, error=error) for each in value]
    raise error(f"`{name}` must be one number for each sample; got {told(value)}. Pass a list.")


def file_path(value: Any, name: str, *, error: type[InterdynError] = InputError) -> Path:
    """Return the path of a file or folder, which need not be there.

    Raises
    ------
    InputError
        If it is neither a string nor a path, or no file system accepts it; raised as ``error``.

    Examples
    --------
    >>> file_path("runs/mine", "run").name
    'mine'
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if isinstance(text, str) and text and "\0" not in text:
        try:
            os.lstat(text)
        except UnicodeEncodeError:
            text = None
        except OSError as problem:
            text = None if problem.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL) else text
        if text is not None:
            return Path(text)
    raise error(f"`{name}` must be the path of a file or folder; got {told(value)}. Pass its name.")
