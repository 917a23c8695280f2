"""How many rows go through the model at once: an initial estimate, halved when memory runs out."""

import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from interdyn.errors import BudgetWarning, InputError

_ROWS_AUTO = 2048  # more gains nothing: kernels are saturated, and larger arrays are newly allocated each time
_BYTES_AUTO = 2**29  # on the CPU; on an accelerator, an eighth of its memory
_CACHE_AUTO = 2**21  # on the CPU: a widest array far above this exceeds the cache, which takes 1.3 to 2 times as long
_ROWS_CACHE = 16  # but no fewer than these for the cache's sake: each batch reads all weights
_COPIES = 3  # of the widest array alive at once: a layer's input, its output, its kernel's workspace
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "_status_alloc_failed")


class WidestArray(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own lacks types
    """Context that records the size of the largest array created inside it, in bytes; views do not count.

    Examples
    --------
    >>> with WidestArray() as widest:
    ...     x = torch.zeros(2, 100).t().double().sum()
    >>> widest.bytes
    1600
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Prevent torch from loading its compiler, which takes seconds, because of this context."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation, and inspect its result."""
        out = func(*args, **(kwargs or {}))
        # a view of a weight, such as its transpose, is not workspace
        given = {a.untyped_storage()._cdata for a in args if isinstance(a, Tensor)}
        for made in out if isinstance(out, tuple | list) else (out,):
            if isinstance(made, Tensor) and made.untyped_storage()._cdata not in given:
                self.bytes = max(self.bytes, made.numel() * made.element_size() * _hidden(func, made, args))
        return out


def _hidden(func: Any, made: Tensor, arguments: Sequence[Any]) -> int:
    """Return how many times wider than its result an array inside a kernel is: 1 except for a whole encoder layer."""
    if func is not torch.ops.aten._transformer_encoder_layer_fwd.default:
        return 1
    outputs = max(a.shape[0] for a in arguments if isinstance(a, Tensor) and a.dim() == 2)  # of all its weights
    return -(-outputs // made.shape[-1])


def given_rows(batch_size: Any, alias: int | None) -> int | None:
    """Return the batch size that the caller passed, or ``None`` for ``"auto"``.

    Raises
    ------
    InputError
        If it is not a positive integer, or both names are passed.
    """
    if alias is not None:
        if batch_size != "auto":
            raise InputError("`perturbations_per_eval` is another name of `batch_size`; got both. Pass one of them.")
        batch_size = alias
    if isinstance(batch_size, str) and batch_size == "auto":
        return None
    try:
        rows = 0 if isinstance(batch_size, bool) else operator.index(batch_size)
    except TypeError:
        rows = 0
    if rows < 1:
        raise InputError(f'`batch_size` must be "auto" or 1 or more; got {batch_size!r}. Leave it at "auto".')
    return rows


def estimated_rows(bytes_per_row: int, device: torch.device) -> int:
    """Return how many rows fit, where ``bytes_per_row`` is the widest array that one row creates.

    The memory assumed is fixed for a machine and independent of what is free at the moment: float32 kernels round
    differently for different batch sizes, and a resumed run must end with the same numbers.

    Examples
    --------
    >>> [estimated_rows(size, torch.device("cpu")) for size in (64, 2**14, 2**20, 2**27)]
    [2048, 128, 16, 1]
    """
    bytes_per_row = max(1, bytes_per_row)
    if device.type == "cuda":
        fit = torch.cuda.get_device_properties(device).total_memory // 8 // (_COPIES * bytes_per_row)
    else:
        fit = min(_BYTES_AUTO // (_COPIES * bytes_per_row), max(_ROWS_CACHE, _CACHE_AUTO // bytes_per_row))
    return max(1, min(_ROWS_AUTO, fit))


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY)


class Batches:
    """Does work in batches of ``rows``; a size that did not fit into memory is not tried again."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._warned = False

    def run(
        self, work: Callable[[int, int], Tensor], total: int, done: Callable[[int], None] | None = None
    ) -> list[Tensor]:
        """Run ``work(start, stop)`` over ``0..total`` and return the results in order."""
        out: list[Tensor] = []
        start = 0
        while start < total:
            stop = min(start + self.rows, total)
            part = self._attempt(work, start, stop)
            if part is None:
                self._halve(stop - start)
                continue
            out.append(part)
            start = stop
            if done is not None:
                done(start)
        return out

    def _attempt(self, work: Callable[[int, int], Tensor], start: int, stop: int) -> Tensor | None:
        """Return the result, or None if memory ran out; the error, which keeps arrays alive, is dropped here."""
        try:
            return work(start, stop)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or stop - start == 1:
                raise
            return None

    def _halve(self, tried: int) -> None:
        self.rows = max(1, tried // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"memory ran out with {tried} masked inputs in a batch; continuing with {self.rows}. "
                "Pass a smaller `batch_size` to avoid the attempt.",
                BudgetWarning,
                stacklevel=5,
            )
