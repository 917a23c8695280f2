"""One way to write: a temporary name, fsync, rename, fsync of the folder.

A reader sees the old file, the new file or no file, never a partial one; a process killed at any moment leaves
at most a temporary file, which readers ignore and the next writer removes.
"""

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from interdyn.errors import StorageError

TEMP_PREFIX = ".tmp-"


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that readers see all of it or nothing.

    Raises
    ------
    StorageError
        If the file system refuses (disk full, no permission); the temporary file is removed and whatever was
        at ``path`` before is intact.

    Notes
    -----
    Cost: one fsync of the file and one of its folder.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_atomic(Path(folder) / "a.txt", b"all of it")
    ...     (Path(folder) / "a.txt").read_bytes()
    b'all of it'
    """
    if path.exists() and not path.is_file():  # a folder or a device, which a rename would replace
        raise StorageError(f"`{path}` must be a file or not exist yet; got something else. Choose another name.")
    temp = path.with_name(f"{TEMP_PREFIX}{os.getpid()}-{token_hex(4)}-{path.name}")  # unique over hosts, too
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_synced(temp, data)
        temp.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temp.unlink(missing_ok=True)
        raise StorageError(
            f"writing `{path.name}` needs {len(data):,} bytes in a writable folder; got: "
            f"{error.strerror or error}. Everything written before is intact; "
            f"make room in {path.parent}, then run the same command again."
        ) from error


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power failure, if the system can open a folder."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_bytes(content: Mapping[str, Any]) -> bytes:
    r"""Return ``content`` as JSON text; a number that is not finite becomes ``null``, as JSON has no such number.

    Examples
    --------
    >>> json_bytes({"mean_order": [2.0, float("nan")]})
    b'{\n "mean_order": [\n  2.0,\n  null\n ]\n}\n'
    """
    return (json.dumps(_finite(content), indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _finite(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {str(key): _finite(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [_finite(value) for value in item]
    if isinstance(item, float) and not math.isfinite(item):
        return None
    return item
