"""Arrays and a header in one safetensors file, with a checksum over the content."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from interdyn.errors import SchemaError
from interdyn.store._atomic import write_atomic

SCHEMA = 1
_DTYPES = {"F64": np.float64, "F32": np.float32, "I64": np.int64}  # by their names in the format

Arrays = Mapping[str, np.ndarray]
Header = dict[str, Any]


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


def write_arrays(path: Path, arrays: Arrays, *, header: Mapping[str, Any]) -> None:
    """Write ``arrays`` and ``header`` to ``path`` atomically.

    The header entries are JSON texts in the safetensors metadata; ``schema`` and ``sha256`` are added.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    # 0-dimensional arrays lose their shape in `ascontiguousarray`, so reshape back
    solid = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in arrays.items()}
    full = {**header, "schema": SCHEMA, "sha256": content_hash(solid)}
    write_atomic(path, save(solid, metadata={key: json.dumps(value) for key, value in full.items()}))


def read_header(path: Path) -> Header | None:
    """Return the header of a file, or None where there is no whole file.

    Raises
    ------
    SchemaError
        If a newer version of this package wrote the file.
    """
    try:
        with safe_open(path, framework="np") as file:
            return _checked(file.metadata() or {}, path)
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        if isinstance(error, SchemaError):
            raise
        return None


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], Header] | None:
    """Return arrays and header of a file, or None where there is no whole file with the right checksum.

    Raises
    ------
    SchemaError
        If a newer version of this package wrote the file.
    """
    try:
        with safe_open(path, framework="np") as file:
            header = _checked(file.metadata() or {}, path)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dictionary
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        if isinstance(error, SchemaError):
            raise
        return None
    return (arrays, header) if header.get("sha256") == content_hash(arrays) else None


def map_arrays(path: Path, names: Sequence[str]) -> tuple[np.ndarray, ...] | None:
    """Return arrays of a file whose entries are read from disk as they are looked at, or None where there is none.

    The content is not held against its checksum: this is for a file that `read_arrays` has found whole before.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")  # the format: this size, a header in JSON, the arrays
            header = json.loads(file.read(min(size, path.stat().st_size)))
        return tuple(
            np.memmap(path, _DTYPES[at["dtype"]], "r", 8 + size + at["data_offsets"][0], tuple(at["shape"]))
            for at in (header[name] for name in names)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _checked(metadata: Mapping[str, str], path: Path) -> Header:
    header = {key: json.loads(value) for key, value in metadata.items()}
    check_schema(header.get("schema"), path)
    return header


def check_schema(schema: Any, path: Path) -> None:
    """Refuse what a newer version wrote."""
    if isinstance(schema, int) and schema > SCHEMA:
        raise SchemaError(
            f"this version of interdyn reads files up to schema {SCHEMA}; got schema {schema} in {path}. "
            "Update it: pip install --upgrade interdyn"
        )
