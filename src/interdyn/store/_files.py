"""The formats of a run's files, each with a digest over all of it: arrays with a header, JSON, TOML.

A digest is the SHA-256 of the complete file with the 64 digits of the digest itself replaced by zeros. For a file of
arrays it covers the header, which contains the hash of the arrays (`content_hash`): losses can thus be read, and
checked, without the weights.
Files of earlier versions have the hash of the arrays alone, or none, and are read unchanged.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from interdyn.errors import SchemaError, StorageError
from interdyn.store._atomic import json_bytes, write_atomic

SCHEMA = 1
_DTYPES = {"F64": np.float64, "F32": np.float32, "I64": np.int64}  # by their names in the format
_UNSEALED = "0" * 64
_DIGEST = re.compile(  # at the beginning of JSON and TOML; in the header of arrays a separate key
    rb'(?:\A\{\n "digest": "|\A# digest: |"digest":"\\")([0-9a-f]{64})(?="|\\"|\n)'
)
_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")  # as JSON writes them
BROKEN = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)  # of bad content

Arrays = Mapping[str, np.ndarray]
Header = dict[str, Any]


class DamagedError(ValueError):
    """A file is incomplete, or not the one its name states. It is not raised outside this package."""


def content_hash(arrays: Arrays) -> str:
    """Return the SHA-256 of names, types, shapes and bytes of ``arrays``; independent of their order.

    Examples
    --------
    >>> a, b = np.zeros(2), np.ones(3)
    >>> content_hash({"a": a, "b": b}) == content_hash({"b": b, "a": a})
    True
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def sealed(data: bytes) -> bytes:
    """Return the bytes of a file with its digest in place of the zeros."""
    found = _DIGEST.search(data)
    assert found is not None
    assert found[1] == _UNSEALED.encode()
    return data[: found.start(1)] + hashlib.sha256(data).hexdigest().encode() + data[found.end(1) :]


def is_sealed(data: bytes) -> bool:
    """Return whether a file has a digest, which those of earlier versions do not have.

    Raises
    ------
    DamagedError
        If its digest does not match.
    """
    found = _DIGEST.search(data)
    if found is None:
        return False
    plain = data[: found.start(1)] + _UNSEALED.encode() + data[found.end(1) :]
    if hashlib.sha256(plain).hexdigest().encode() != found[1]:
        raise DamagedError("its digest does not match")
    return True


def read_bytes(path: Path) -> bytes | None:
    """Return the bytes of a file, or None if there is none.

    Raises
    ------
    DamagedError
        If it is not a file.
    StorageError
        If the system cannot read it: a disk error, no permission.
    """
    try:
        with _in_words(path):
            return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn system errors inside the block into errors of this package; a missing file passes through unchanged."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except IsADirectoryError:
        raise DamagedError("it is a folder") from None
    except OSError as error:
        raise unreadable(path, error) from error


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none if the folder does not exist.

    Raises
    ------
    StorageError
        If the system cannot read it.
    """
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(folder, error) from error


def unreadable(path: Path, error: OSError) -> StorageError:
    """Return the error for a file that exists, or may exist, and cannot be read."""
    return StorageError(
        f"a run needs readable files; got {path}: {error.strerror or error}. Nothing is lost: check the disk and the "
        "permissions, then try again."
    )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file of a run, atomically, with its name and its digest.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    write_atomic(path, sealed(json_bytes({"digest": _UNSEALED, "file": path.name, **content})))


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file, or None if there is no file.

    Raises
    ------
    DamagedError, SchemaError, StorageError
        If it is damaged, or has another name; if a newer version wrote it; if it cannot be read.
    """
    data = read_bytes(path)
    if data is None:
        return None
    try:
        content = _from_json(data)
    except BROKEN:
        raise DamagedError("it is not complete JSON") from None
    if not isinstance(content, dict):
        raise DamagedError("it is not a JSON object")
    check_schema(content.get("schema"), path)
    _check_sealed(content, is_sealed(data))
    content.pop("digest", None)
    _check_name(content.pop("file", path.name), path.name)
    return content


def _from_json(raw: bytes | str) -> Any:
    r"""Return the content of JSON, with U+FFFD for unpaired surrogates, which no other text can contain.

    Examples
    --------
    >>> _from_json(r'["\ud83d\ude00", "\ud83d"]') == ["\U0001f600", "\ufffd"]
    True
    """
    content = json.loads(raw)
    if _HALVES.search(raw if isinstance(raw, bytes) else raw.encode()):
        text = json.dumps(content, ensure_ascii=False)
        content = json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return content


def write_text(path: Path, text: str) -> None:
    """Write a TOML file of a run, atomically, with its digest in a comment at its head.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    write_atomic(path, sealed(f"# digest: {_UNSEALED}\n{text}".encode()))


def write_arrays(path: Path, arrays: Arrays, *, header: Mapping[str, Any]) -> None:
    """Write ``arrays`` and ``header`` to ``path`` atomically.

    The header entries are JSON texts in the safetensors metadata; ``schema``, ``sha256`` and ``digest`` are added.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    # 0-dimensional arrays lose their shape in `ascontiguousarray`, so reshape back
    solid = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in arrays.items()}
    full = {**header, "schema": SCHEMA, "sha256": content_hash(solid), "digest": _UNSEALED}
    data = save(solid, metadata={key: json.dumps(value) for key, value in full.items()})
    end = 8 + int.from_bytes(data[:8], "little")
    write_atomic(path, data[:8] + sealed(data[8:end]) + data[end:])


def read_header(path: Path) -> Header | None:
    """Return the header of a file, or None if there is no complete file.

    Raises
    ------
    SchemaError
        If a newer version of this package wrote the file.
    StorageError
        If it cannot be read.
    """
    try:
        return load_header(path)
    except DamagedError:
        return None


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], Header] | None:
    """Return arrays and header of a file, or None if there is no complete file with a matching digest.

    Raises
    ------
    SchemaError
        If a newer version of this package wrote the file.
    StorageError
        If it cannot be read.
    """
    try:
        return load_arrays(path)
    except DamagedError:
        return None


def load_header(path: Path) -> Header | None:
    """Return the header of a file, None if there is no file; raises `DamagedError`, else as `read_header`."""
    found = _raw_header(path)
    return None if found is None else _header_of(found[1], path)


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], Header] | None:
    """Return arrays and header, None if there is no file; raises `DamagedError`, else as `read_arrays`."""
    header = load_header(path)
    if header is None:
        return None
    try:
        with safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dictionary
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    except (SafetensorError, *BROKEN):
        raise DamagedError("it is truncated, or its header is damaged") from None
    if header.get("sha256") != content_hash(arrays):
        raise DamagedError("its numbers differ from those written")
    return arrays, header


def map_arrays(path: Path, names: Sequence[str]) -> tuple[np.ndarray, ...] | None:
    """Return arrays of a file whose entries are read from disk on access, or None if there is no file.

    The content is not checked against its hash: this is for files that `read_arrays` has checked before.
    """
    try:
        found = _raw_header(path)
        if found is None:
            return None
        size, header = found
        return tuple(
            np.memmap(path, _DTYPES[at["dtype"]], "r", 8 + size + at["data_offsets"][0], tuple(at["shape"]))
            for at in (header[name] for name in names)
        )
    except FileNotFoundError:
        return None
    except StorageError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except BROKEN:
        return None


def _raw_header(path: Path) -> tuple[int, dict[str, Any]] | None:
    """Return size and content of the stored header, with its digest checked; None if there is no file."""
    try:
        with _in_words(path), path.open("rb") as file:
            size, total = int.from_bytes(file.read(8), "little"), path.stat().st_size
            raw = file.read(min(size, total))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(raw) < size or not raw:
        raise DamagedError("it is truncated")
    new = is_sealed(raw)
    try:
        content = _from_json(raw)
        _check_sealed(content.get("__metadata__", {}), new)
        end = max((at["data_offsets"][1] for name, at in content.items() if name != "__metadata__"), default=0)
    except DamagedError:
        raise
    except BROKEN:
        raise DamagedError("its header is damaged") from None
    if total != 8 + size + end:
        raise DamagedError("its length differs from that written")
    return size, content


def _header_of(content: Mapping[str, Any], path: Path) -> Header:
    try:
        header = {str(key): _from_json(value) for key, value in content.get("__metadata__", {}).items()}
    except BROKEN:
        raise DamagedError("its header is damaged") from None
    check_schema(header.get("schema"), path)
    header.pop("digest", None)
    return header


def _check_sealed(content: Mapping[str, Any], as_written: bool) -> None:
    """Refuse a file whose digest is missing where one was written; files of earlier versions have none."""
    if not as_written and ("digest" in content or "file" in content):
        raise DamagedError("its digest does not match")


def _check_name(found: Any, wanted: str) -> None:
    if found != wanted:
        raise DamagedError(f"it is {found} under another name")


def check_schema(schema: Any, path: Path) -> None:
    """Refuse files of a newer version."""
    if isinstance(schema, int) and schema > SCHEMA:
        raise SchemaError(
            f"this version of interdyn reads files up to schema {SCHEMA}; got schema {schema} in {path}. "
            "Update it: pip install --upgrade interdyn"
        )
