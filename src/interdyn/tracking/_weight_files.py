"""Files of weights: their header is read first, and their tensors when they are needed."""

import io
import json
import math
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from interdyn.errors import CheckpointError
from interdyn.tracking._pickled import Stub, fields_of, interpreted

_STORAGES = {
    f"{name}Storage": dtype
    for name, dtype in {
        "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
        "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
        "Bool": torch.bool, "ComplexDouble": torch.complex128, "ComplexFloat": torch.complex64, "Untyped": torch.uint8,
    }.items()
}  # fmt: skip
_LEGACY = 0x1950A86A20F9469CFC6C  # the magic number of torch's files before they were zip archives
_LEGACY_START = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the same as stored in a file, after a few bytes
_FEW = 32
_AXES = 64  # torch's limit
_ZIP_START = b"PK\x03\x04"
_LOCAL = struct.Struct("<4s22xHH")  # header of a zip record: signature, lengths of name and extra field


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor on disk.

    Attributes
    ----------
    shape
        Its shape.
    read
        Reads the tensor into new memory.
    place
        Equal for tensors that share storage on disk.
    """

    shape: tuple[int, ...]
    read: Callable[[], Tensor]
    place: Any = None


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn errors while ``path`` is read into a `CheckpointError`."""
    try:
        yield
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        file = path if error.filename is None else Path(error.filename)
        gone = "no longer exists" if file == path else f"is missing {file.name}"
        raise CheckpointError(
            f"a complete checkpoint was needed; got {path.name}, which {gone}. If it is still being written, try again."
        ) from error
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, SafetensorError, zipfile.BadZipFile) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(
            f"a complete checkpoint was needed; got {path.name}, which cannot be read: {said[0].rstrip('.')}. If it is "
            "still being written, try again."
        ) from error


class Window:
    """A part of a file, as a file of its own: a read returns at most what is there."""

    def __init__(self, file: io.BufferedReader, start: int, size: int) -> None:
        self._file, self.start, self.size = file, start, size
        self.seek(0)

    def tell(self) -> int:
        return self._file.tell() - self.start

    def seek(self, offset: int, whence: int = 0) -> int:
        at = offset + (0, self.tell(), self.size)[whence] if whence else offset
        if at < 0:
            raise OSError("it ends before it begins")
        self._file.seek(self.start + at)
        return at

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        left = max(self.size - self.tell(), 0)
        return self._file.read(left if size is None or size < 0 else min(size, left))

    def readline(self) -> bytes:
        return self._file.readline(max(self.size - self.tell(), 0))


def read_file(path: Path) -> Any:
    """Return the content of a file of weights: numbers, strings, containers, `Stored` tensors and `Stub` objects.

    Parameters
    ----------
    path
        A safetensors file; or one that ``torch.save`` wrote, as a zip archive or in the format before PyTorch 1.6.

    Raises
    ------
    ValueError, OSError, SafetensorError, zipfile.BadZipFile
        If it is neither, or damaged; `in_words` makes a `CheckpointError` of them.
    """
    if path.suffix != ".safetensors":
        return read_torch(path)
    file: Any = safe_open(path, framework="pt")  # open as long as its tensors are
    told = {key: int(text) for key, text in (file.metadata() or {}).items() if re.fullmatch(r"\d{1,18}", text)}
    return told | {name: _of_safetensors(file, name) for name in file.keys()}  # noqa: SIM118


def _of_safetensors(file: Any, name: str) -> Stored:
    return Stored(tuple(file.get_slice(name).get_shape()), lambda: file.get_tensor(name), (id(file), name))


def read_torch(path: Path, start: int = 0, size: int | None = None) -> Any:
    """Return what ``torch.save`` wrote into a file, or into ``size`` bytes of it from ``start``."""
    with path.open("rb") as file:
        whole = os.fstat(file.fileno()).st_size
        if start < 0 or start + (size or 0) > whole:
            raise ValueError(f"it has {whole} bytes and should have {start + (size or 0)}")
        window = Window(file, start, whole - start if size is None else size)
        if zipfile.is_zipfile(window):
            return _read_zip(path, window)
        window.seek(0)
        if _LEGACY_START not in window.read(_FEW):
            raise ValueError("it is not a file of `torch.save`, or not a complete one")
        window.seek(0)
        return _read_legacy(path, window)


def read_pickle(path: Path) -> Any:
    """Return the content of a file that is one pickle, without tensors."""
    return interpreted(io.BytesIO(path.read_bytes()), _MAKES, lambda _: Stub("torch.storage", ()))


def looks_saved(path: Path) -> bool:
    """Return whether a file starts like those of ``torch.save``, for extensions that other programs use, too."""
    try:
        with path.open("rb") as file:
            start = file.read(_FEW)
            return start.startswith(_ZIP_START) or _LEGACY_START in start
    except OSError:
        return True  # to be reported


class _Storage:
    """The numbers of one or more tensors: a range of a file."""

    def __init__(self, dtype: torch.dtype, numel: int) -> None:
        if numel < 0:
            raise ValueError("a tensor has a negative number of entries")
        self.dtype, self.nbytes = dtype, numel * dtype.itemsize
        self.path, self.start, self.crc, self.swapped = Path(), -1, 0, False
        self._kept: torch.UntypedStorage | None = None

    def put(self, path: Path, start: int, nbytes: int, *, crc: int = 0, swapped: bool = False) -> None:
        if nbytes != self.nbytes:
            raise ValueError(f"a tensor has {nbytes} bytes instead of {self.nbytes}")
        self.path, self.start, self.crc, self.swapped = path, start, crc, swapped

    def read(self) -> torch.UntypedStorage:
        """Return the numbers, and cache them for other tensors of the same file."""
        if self._kept is None:
            room = bytearray(self.nbytes)
            with self.path.open("rb") as file:
                file.seek(self.start)
                if file.readinto(room) != self.nbytes:
                    raise ValueError("it ends within a tensor")
            if self.crc and zlib.crc32(room) != self.crc:
                raise ValueError("a tensor is damaged: its checksum differs")
            self._kept = (
                torch.frombuffer(room, dtype=torch.uint8).untyped_storage()
                if room
                else torch.empty(0).untyped_storage()
            )
            if self.swapped:
                self._kept.byteswap(self.dtype)  # type: ignore[no-untyped-call]
        return self._kept


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> Any:
    """Replace ``torch._utils._rebuild_tensor`` and its second form."""
    return _view(storage, offset, shape, stride, None)


def _tensor_v3(storage: Any, offset: Any, shape: Any, stride: Any, *more: Any) -> Any:
    """Replace the third form, which names the type of the numbers."""
    dtype = more[2] if len(more) > 2 else None
    found = getattr(torch, dtype.name.removeprefix("torch."), None) if isinstance(dtype, Stub) else None
    return _view(storage, offset, shape, stride, found) if isinstance(found, torch.dtype) else Stub("torch.Tensor", ())


def is_shape(value: Any) -> TypeGuard[tuple[int, ...]]:
    """Return whether something is the shape of a tensor, with no more axes than torch allows."""
    return isinstance(value, tuple) and len(value) <= _AXES and all(type(size) is int and size >= 0 for size in value)


def _view(storage: Any, offset: Any, shape: Any, stride: Any, dtype: torch.dtype | None) -> Stored:
    numbers = [offset, *shape, *stride]
    if not isinstance(storage, _Storage) or len(shape) != len(stride) or not all(type(x) is int for x in numbers):
        raise ValueError("a tensor is made of something other than numbers")
    if len(shape) > _AXES:
        raise ValueError(f"a tensor has {len(shape):,} axes")
    if min(numbers) < 0:
        raise ValueError("a tensor has a negative shape")
    kind = dtype or storage.dtype
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) + 1
    if math.prod(shape) and last * kind.itemsize > storage.nbytes:
        raise ValueError("a tensor extends beyond its storage")

    def read() -> Tensor:
        return torch.empty(0, dtype=kind).set_(storage.read(), offset, tuple(shape), tuple(stride))

    return Stored(tuple(shape), read, (id(storage), offset, tuple(shape), tuple(stride)))


def _first(value: Any, *_: Any) -> Any:
    """Replace a wrapper of a tensor, such as a parameter."""
    return value


def _subclass(make: Any, kind: Any, args: Any, state: Any) -> Any:
    """Replace a tensor subclass; a distributed tensor counts if all of it is local."""
    name = make.name if isinstance(make, Stub) else ""
    if name in _MAKES and name != "torch._tensor._rebuild_from_type_v2":
        return _MAKES[name](*args)
    local = fields_of(Stub(name, (), state)).get("_local_tensor")
    whole = args[2] if name == "torch._utils._rebuild_wrapper_subclass" and len(args) > 2 else None
    if isinstance(local, Stored):
        return local if local.shape == whole else Stub("a shard of a distributed tensor", ())
    return Stub(kind.name if isinstance(kind, Stub) else "torch.Tensor", ())


def _dictionary(pairs: Any = (), *_: Any) -> dict[Any, Any]:
    if isinstance(pairs, dict):
        return dict(pairs)
    return {key: value for key, value in pairs if isinstance(key, str | int)}


def _encoded(text: Any, coding: Any = "utf-8") -> bytes:
    if not isinstance(text, str):
        raise ValueError("it has bytes that do not encode text")
    return text.encode("latin-1" if coding == "latin1" else "utf-8")


def _scalar(kind: Any, raw: Any = b"") -> Any:
    """Replace a NumPy scalar."""
    code = kind.args[0] if isinstance(kind, Stub) and kind.args else None
    if not isinstance(raw, bytes) or not isinstance(code, str) or not re.fullmatch(r"[iuf][1248]", code):
        return Stub("numpy.generic", ())
    order = ">" if isinstance(kind.state, tuple) and ">" in kind.state else "<"
    return np.frombuffer(raw, dtype=np.dtype(order + code), count=1)[0].item()


_MAKES: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": lambda *_: {},
    "torch.Size": lambda shape=(): tuple(shape),
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch.nn.parameter.Buffer": _first,
    "_codecs.encode": _encoded,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}


class _Storages:
    """The storages that a pickle refers to, by key."""

    def __init__(self) -> None:
        self.by_key: dict[str, _Storage] = {}

    def __call__(self, said: Any) -> Any:
        if isinstance(said, tuple) and said[:1] == ("module",) and len(said) > 1:
            return said[1]  # a class, with its source, before PyTorch 1.6
        if not isinstance(said, tuple) or len(said) < 5 or said[0] != "storage" or not isinstance(said[1], Stub):
            raise ValueError("its pickle refers to something that is not a storage")
        _, kind, key, _, numel, *view = said
        dtype = _STORAGES.get(kind.name.rpartition(".")[2])
        if dtype is None or not isinstance(key, str | int) or type(numel) is not int or any(view):
            return Stub(kind.name, ())
        found = self.by_key.setdefault(str(key), _Storage(dtype, numel))
        return found if found.dtype == dtype else Stub(kind.name, ())


def _read_zip(path: Path, window: Window) -> Any:
    archive = zipfile.ZipFile(window)
    records = {record.filename: record for record in archive.infolist()}
    checked = any(record.CRC for record in records.values())  # `torch.save` can be set to omit checksums
    said = [name for name in records if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(said) != 1:
        raise ValueError("it is a zip archive of something else")
    folder, storages = said[0].removesuffix("data.pkl"), _Storages()
    text = _record(window, records[said[0]], checked=checked)
    tree = interpreted(io.BytesIO(text), _MAKES, storages)
    order = records.get(f"{folder}byteorder")
    swapped = order is not None and _record(window, order, checked=checked).decode("ascii") != sys.byteorder
    for key, storage in storages.by_key.items():
        record = records.get(f"{folder}data/{key}")
        if record is None:
            raise ValueError(f"its tensor {key!r} is missing")
        at = _begin(window, record)
        storage.put(path, window.start + at, record.file_size, crc=record.CRC if checked else 0, swapped=swapped)
    return tree


def _begin(window: Window, record: zipfile.ZipInfo) -> int:
    """Return the offset of a record's bytes."""
    window.seek(record.header_offset)
    head = window.read(_LOCAL.size)
    if (
        len(head) < _LOCAL.size
        or record.compress_type != zipfile.ZIP_STORED
        or record.file_size != record.compress_size
    ):
        raise ValueError("its archive is compressed, or damaged")
    signature, name, extra = _LOCAL.unpack(head)
    if signature != _ZIP_START or window.read(name) != record.orig_filename.encode("utf-8"):
        raise ValueError("its archive is damaged")
    at: int = record.header_offset + _LOCAL.size + name + extra
    if at + record.file_size > window.size:
        raise ValueError("its archive is truncated")
    return at


def _record(window: Window, record: zipfile.ZipInfo, *, checked: bool) -> bytes:
    window.seek(_begin(window, record))
    found = window.read(record.file_size)
    if checked and zlib.crc32(found) != record.CRC:
        raise ValueError("its archive is damaged: a checksum differs")
    return found


def _read_legacy(path: Path, window: Window) -> Any:
    """Read three header pickles, the content, the keys of the storages, and the storages one after the other."""
    storages = _Storages()
    number, version, system, tree, keys = (interpreted(window, _MAKES, storages) for _ in range(5))
    if number != _LEGACY or version != 1001 or not isinstance(keys, list):
        raise ValueError("it is not a file of `torch.save`")
    little = not isinstance(system, dict) or system.get("little_endian", True) is True
    at = window.tell()
    for key in keys:
        storage = storages.by_key.get(str(key))
        window.seek(at)
        head = window.read(8)
        if storage is None or len(head) < 8:
            raise ValueError("it ends before its tensors do")
        count = int.from_bytes(head, "little" if little else "big", signed=True)
        nbytes = count * storage.dtype.itemsize
        if at + 8 + nbytes > window.size:
            raise ValueError("it ends within a tensor")
        swapped = (sys.byteorder == "little") != little
        storage.put(path, window.start + at + 8, nbytes, swapped=swapped)
        at += 8 + nbytes
    if missing := set(storages.by_key) - {str(key) for key in keys}:
        raise ValueError(f"its tensor {min(missing)!r} is missing")
    return tree


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file.

    Raises
    ------
    ValueError, OSError
        If it does not contain an object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} does not contain an object")
    return found
