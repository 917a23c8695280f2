"""Samples as users pass them: tensors, arrays, lists, batches by name, data sets and loaders; and their labels."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, default_collate, default_convert

from interdyn._arguments import whole
from interdyn.errors import InputError, ShapeError, TargetError

OF_A_DATASET = 64
"""How many samples of a ``Dataset`` or ``DataLoader`` are taken: its first."""

_LABELS = ("labels", "label")  # entries of a batch that are not inputs
_MAIN = ("input_ids", "inputs_embeds", "pixel_values", "input_values", "input_features")
_NATIVE = {"u": np.int64, "i": np.int64, "f": np.float64}

Inputs: TypeAlias = Any
"""A tensor, an array, nested lists of numbers; a tuple of these for several inputs; a mapping of names to these;
a ``Dataset`` or ``DataLoader``; or `Samples`."""


@dataclass(frozen=True)
class Samples:
    """Samples in the form that a network takes.

    Attributes
    ----------
    inputs
        Tensors with the samples along dim 0; the first is the one whose features are players.
    keywords
        The name by which the network takes each input; empty if by position.
    target
        Class of each sample, shape ``(samples,)``; floating-point values of a regression; None if not given.
    numpy
        Whether they were passed as arrays or lists; a function, unlike a module, then gets arrays.

    Examples
    --------
    >>> batch = samples_of({"attention_mask": [[1, 1], [1, 0]], "input_ids": [[5, 6], [7, 0]], "labels": [1, 0]})
    >>> batch.keywords, batch.target.tolist(), len(batch)
    (('input_ids', 'attention_mask'), [1, 0], 2)
    """

    inputs: tuple[Tensor, ...]
    keywords: tuple[str, ...] = ()
    target: Tensor | None = None
    numpy: bool = False

    def __len__(self) -> int:
        return len(self.inputs[0])

    def first(self, count: int) -> "Samples":
        """Return the first ``count`` samples."""
        target = None if self.target is None else self.target[:count]
        return replace(self, inputs=tuple(x[:count] for x in self.inputs), target=target)


def samples_of(inputs: Inputs, target: Any = None, *, most: int = OF_A_DATASET) -> Samples:
    """Return samples, and their labels if there are any, from an object that contains them.

    Parameters
    ----------
    inputs
        A tensor, NumPy array or nested list of numbers with samples along its first axis; a tuple of these for a
        network with several inputs; a mapping of names to these, as a tokenizer returns it, for one that takes them by
        name. Its ``input_ids``, ``inputs_embeds``, ``pixel_values``, ``input_values`` or ``input_features`` are cut
        into players, otherwise its first floating-point entry, otherwise its first. Token lists of different length are
        padded if there is an ``attention_mask``. Of a ``Dataset`` or ``DataLoader`` the first ``most`` samples are
        taken, in the order of the data set; a last entry after the inputs, or one called ``labels``, is the target.
    target
        The label or value of each sample, if it is not in ``inputs``; see `labels_of`.
    most
        Largest number of samples taken from a data set.

    Raises
    ------
    ShapeError, InputError
        If it is none of these, an entry is not numeric, or the numbers of samples differ or are 0.
    TargetError
        If labels do not fit.

    Examples
    --------
    >>> samples_of([[0.5, 1.0], [2.0, 3.0]], [0, 1]).inputs
    (tensor([[0.5000, 1.0000],
            [2.0000, 3.0000]], dtype=torch.float64),)
    """
    most = whole(most, "most", least=1, do=f"Leave it at {OF_A_DATASET}.")
    if isinstance(inputs, Samples):
        return inputs if target is None else replace(inputs, target=labels_of(target, len(inputs), values=True))
    if _is_data_set(inputs):
        inputs, own = _first_of(inputs, most)
        target = own if target is None else target
    keywords: tuple[str, ...] = ()
    if isinstance(inputs, Mapping):
        own, entries = _entries(inputs)
        target = own if target is None else target
        keywords, given = tuple(entries), tuple(entries.values())
    else:
        given = inputs if isinstance(inputs, tuple) else (inputs,)
    tensors = tuple(_input(x) for x in given)
    lengths = {len(x) for x in tensors}
    if len(lengths) != 1 or not lengths.pop():
        raise ShapeError(
            f"`inputs` must all have the same number of samples, at least one; got {[len(x) for x in tensors]}. Pass "
            "the same number of each."
        )
    labels = labels_of(target, len(tensors[0]), values=True)
    return Samples(tensors, keywords, labels, not any(isinstance(x, Tensor) for x in given))


def is_batch(given: Mapping[str, Any]) -> bool:
    """Return whether a mapping is one batch by name, not groups of samples.

    Examples
    --------
    >>> is_batch({"input_ids": [[1, 2]]}), is_batch({"test": (torch.ones(2, 3), [0, 1])})
    (True, False)
    """
    known = (*_MAIN, *_LABELS, "attention_mask")
    return any(name in known or isinstance(value, Tensor | np.ndarray) for name, value in given.items())


def tensor_of(value: Any, name: str) -> Tensor:
    """Return an array, tensor, pandas table or nested lists of numbers as a tensor of a type that torch computes with.

    Raises
    ------
    ShapeError
        If it is ragged or empty, or contains anything but numbers; names the argument.

    Examples
    --------
    >>> tensor_of(np.array([1, 2], dtype=">i2")[::-1], "x")
    tensor([2, 1])
    """
    if value is None:
        raise ShapeError(f"`{name}` must be a tensor, an array or nested lists of numbers; got None. Pass samples.")
    if isinstance(value, Tensor):
        if value.is_nested:
            raise _ragged(name)
        if value.is_meta:
            raise ShapeError(f"`{name}` must contain numbers; got a tensor on the device meta. Pass its values.")
        return value.to_dense() if value.layout is not torch.strided else value
    if isinstance(value, list | tuple) and value and all(isinstance(x, Tensor) for x in value):
        if len({x.shape for x in value}) == 1:
            return torch.stack(list(value))
        value = [x.tolist() for x in value]
    if np.ma.is_masked(value):
        raise ShapeError(f"`{name}` must have a number in every entry; got masked entries. Fill them.")
    if hasattr(value, "toarray"):  # sparse, of SciPy
        value = value.toarray()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):
        raise _ragged(name) from None
    if array.dtype.kind == "O":  # of pandas, with columns of several types
        try:
            array = np.asarray("?") if any(x is None for x in array.flat) else array.astype(np.float64)
        except (ValueError, TypeError):
            array = np.asarray("?")
    if array.dtype.kind not in "biufc":
        got = f"an array of {array.dtype}" if array.ndim else type(value).__name__
        raise ShapeError(
            f"`{name}` must be a tensor, an array or nested lists of numbers, with samples along dim 0; got {got}. "
            "Encode anything else as numbers, such as words by a tokenizer."
        )
    wide = _NATIVE.get(array.dtype.kind, array.dtype)
    keep = array.dtype in (np.uint8, np.float16, np.float32)
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("=") if keep else wide, copy=True))


def _ragged(name: str) -> ShapeError:
    return ShapeError(
        f"`{name}` must have samples of one shape along dim 0; got rows of different lengths. Pad them, as a tokenizer "
        "does with padding=True, or measure them one by one."
    )


def _input(value: Any) -> Tensor:
    out = tensor_of(value, "inputs").detach()
    if out.ndim < 1:
        raise ShapeError(
            f"`inputs` must be tensors with samples along dim 0; got {type(value).__name__} of shape "
            f"{tuple(out.shape)}. Pass a batch, such as x[None] for one sample."
        )
    return out


def _entries(batch: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the labels of a batch and its numeric entries, starting with the one that is cut into players."""
    own = next((batch[name] for name in _LABELS if batch.get(name) is not None), None)
    entries = {
        str(name): value
        for name, value in batch.items()
        if name not in _LABELS and value is not None and not _text(value)
    }
    if not entries:
        raise InputError(
            f"a batch must contain numeric inputs; got the entries {', '.join(map(str, batch)) or 'none'}. Pass the "
            "output of a tokenizer or processor."
        )
    entries = _padded(entries)
    found = [name for name in _MAIN if name in entries]
    found += [name for name, value in entries.items() if tensor_of(value, name).is_floating_point()]
    main = (found or list(entries))[0]
    return own, {main: entries[main], **entries}


def _text(value: Any) -> bool:
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, str | bytes) or getattr(getattr(value, "dtype", None), "kind", "") in ("U", "S", "T")


def _padded(entries: dict[str, Any]) -> dict[str, Any]:
    """Return rows of tokens padded by 0 to the longest, if an attention mask marks the padding."""
    mask = entries.get("attention_mask")
    if not isinstance(mask, list | tuple) or len({len(row) for row in mask}) < 2:
        return entries
    lengths = [len(row) for row in mask]

    def padded(rows: Any) -> Any:
        if (
            not isinstance(rows, list | tuple)
            or [len(row) if hasattr(row, "__len__") else -1 for row in rows] != lengths
        ):
            return rows
        return [[*np.asarray(row).tolist(), *(0,) * (max(lengths) - len(row))] for row in rows]

    return {name: padded(rows) for name, rows in entries.items()}


def _is_data_set(value: Any) -> bool:
    if isinstance(value, DataLoader | torch.utils.data.Dataset):
        return True
    array = isinstance(value, Tensor | np.ndarray | Mapping | Sequence) or hasattr(value, "__array__")
    return not array and hasattr(value, "__getitem__") and hasattr(value, "__len__") and not hasattr(value, "toarray")


def _first_of(source: Any, most: int) -> tuple[Any, Any]:
    """Return inputs and labels of the first samples of a data set or loader, without changing random generators."""
    data, collate = source, cast(Callable[[list[Any]], Any], _columns)
    if isinstance(source, DataLoader):
        data = source.dataset
        collate = _columns if source.collate_fn in (default_collate, default_convert) else source.collate_fn
    with _generators_kept():
        if isinstance(data, IterableDataset) or not hasattr(data, "__len__"):
            rows = list(islice(iter(data), most))
        else:
            rows = [data[i] for i in range(min(most, len(data)))]
        if not rows:
            raise InputError("a data set must contain samples; got an empty one.")
        batch = collate(rows)
    if not isinstance(batch, tuple | list):
        return batch, None
    parts = tuple(batch)
    if len(parts) == 1:
        return parts[0], None
    return (parts[0] if len(parts) == 2 else parts[:-1]), parts[-1]


def _columns(rows: Sequence[Any]) -> Any:
    """Return rows of a data set as one value per entry; rows that are neither a mapping nor a tuple are inputs."""
    if isinstance(rows[0], Mapping):
        return {name: [row[name] for row in rows] for name in rows[0]}
    plain = isinstance(rows[0], list) and all(isinstance(x, int | float) for x in rows[0])
    if plain or not isinstance(rows[0], tuple | list):
        return (list(rows),)
    return tuple(_columns(part) if isinstance(part[0], Mapping) else list(part) for part in zip(*rows, strict=True))


@contextmanager
def _generators_kept() -> Iterator[None]:
    """Restore the generators of Python, NumPy and torch after the samples of a data set have drawn from them."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002  # the global one is what is kept
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


def labels_of(target: Any, samples: int, *, classes: Sequence[Any] = (), values: bool = False) -> Tensor | None:
    """Return the target of each sample: classes as integers, or the values of a regression.

    Parameters
    ----------
    target
        A class for all samples or for each: integers in a list, an array, a tensor or a pandas Series, of shape
        ``(samples,)`` or ``(samples, 1)``; 0 and 1 as floating point; one-hot rows; a categorical Series, whose order
        of categories is that of the classes; names, if ``classes`` are known.
    samples
        Number of samples.
    classes
        The class of each column of the network's output, as ``classes_`` of scikit-learn.
    values
        Accept floating-point values of any shape, unchanged.

    Raises
    ------
    TargetError
        If it is none of these.

    Examples
    --------
    >>> labels_of(["dog", "cat"], 2, classes=["cat", "dog"]).tolist(), labels_of([[0.0, 1.0], [1.0, 0.0]], 2).tolist()
    ([1, 0], [1, 0])
    """
    if target is None:
        return None
    codes = getattr(getattr(target, "cat", None), "codes", None)  # a categorical Series
    if codes is not None and not len(classes):
        target = np.asarray(codes)
    out = _labels_by_name(target, classes) if len(classes) or _text(_plain(target)) else _numbers(target)
    if out.ndim == 2 and out.shape[1] == 1:
        out = out[:, 0]
    if out.ndim == 2 and len(out) == samples and bool(((out == 0) | (out == 1)).all() & (out.sum(1) == 1).all()):
        out = out.argmax(1)
    if out.is_floating_point() and not values and bool(((out == 0) | (out == 1)).all()):
        out = out.long()
    whole = not (out.is_floating_point() or out.is_complex())
    if whole or not values:
        if not whole or out.ndim > 1 or (out.ndim == 1 and len(out) not in (1, samples)):
            raise TargetError(
                f"`target` must be one class index, or one for each of {samples} samples; got {out.dtype} of shape "
                f"{tuple(out.shape)}. Pass labels as integers (of several labels or outputs, the index of one), or "
                'output="regression" if they are values.'
            )
        return out.long().expand(samples)
    if not out.ndim or len(out) != samples:
        raise TargetError(f"`target` must have a value for each of {samples} samples; got shape {tuple(out.shape)}.")
    return out


def _plain(target: Any) -> Any:
    return target.tolist() if hasattr(target, "tolist") else target


def _numbers(target: Any) -> Tensor:
    try:
        return tensor_of(target, "target").detach()
    except (ShapeError, OverflowError, TypeError, ValueError):
        raise TargetError(
            f"`target` must be class indices; got {target!r:.60}. Pass labels as integers from 0."
        ) from None


def _labels_by_name(target: Any, classes: Sequence[Any]) -> Tensor:
    names = np.asarray(_plain(target))
    if not len(classes):
        shown = ", ".join(map(repr, np.unique(names)[:3].tolist()))
        raise TargetError(
            f"`target` must be class indices, as the output of each name is not known; got {shown}. Pass "
            "[classes.index(name) for name in target], with `classes` in the order of the network's outputs."
        )
    known = {name: i for i, name in enumerate(np.asarray(classes).tolist())}
    if unknown := [name for name in names.reshape(-1).tolist() if name not in known]:
        raise TargetError(
            f"`target` must be among the model's classes {', '.join(map(str, list(known)[:5]))}; got {unknown[0]!r}. "
            "Pass the labels it was trained with."
        )
    return torch.tensor([known[name] for name in names.reshape(-1).tolist()]).reshape(names.shape)
