"""The folder of data that no package ships, named by INTERDYN_DATA."""

import csv
import os
import pickle
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TypeVar

from interdyn.errors import DataError, InterdynError
from interdyn.recipes import Dataset

Factory = TypeVar("Factory", bound=Callable[..., Dataset])

DAMAGE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(
        SyntaxError,
        TypeError,
        ValueError,
        csv.Error,
        pickle.UnpicklingError,
        struct.error,
        *(tokenize.TokenError, zipfile.BadZipFile),
        zlib.error,
    ),
)
"""Errors that file-reading libraries raise for damaged files; all of them become `DataError`."""


def reads_files(factory: Factory) -> Factory:
    """Make a data factory refuse damaged files with a clear message, whatever the library that reads them raises.

    The library's own error is the cause of ours.
    """

    @wraps(factory)
    def read(**options: object) -> Dataset:
        try:
            return factory(**options)
        except InterdynError:
            raise
        except DAMAGE as error:
            place = f" under {options['path']}" if "path" in options else ""
            said = " ".join(str(error).split())[:200]
            raise DataError(
                f"the files of the data `{factory.__name__}`{place} must be complete and in their format; got "
                f"{type(error).__name__}: {said}. Download them again, or correct `data.options`."
            ) from error

    return read  # type: ignore[return-value]


def find_data(name: str, *files: str, source: str, published: str | None = None) -> tuple[Path, ...]:
    """Return the paths of a data set's files under the folder named by ``INTERDYN_DATA``.

    ``published`` is the generic data set that reads the files in the form in which the source publishes them.

    Raises
    ------
    DataError
        If the variable is not set or a file is missing; names all files and where to get the set.
    """
    root = os.environ.get("INTERDYN_DATA")
    expected = (
        f"{', '.join(files)} under the folder named by INTERDYN_DATA (or --data-root). Get the set from {source}."
    )
    if published is not None:
        expected += f" Files as published can be read with --set data.name={published} --set data.options.path=PATH"
    if not root:
        raise DataError(f"the data `{name}` come with no package; got no INTERDYN_DATA. Needed: {expected}")
    paths = tuple(Path(root) / file for file in files)
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"the data `{name}` need all their files; got no {missing[0]}. Needed: {expected}")
    return paths


def own_path(path: str, *, what: str, folder: bool = False) -> Path:
    """Return a user's file or folder: absolute, or under ``INTERDYN_DATA`` if set, or in the working directory.

    Raises
    ------
    DataError
        If it does not exist; ``what`` describes what it should contain.
    """
    if not path or "\0" in path:
        raise DataError(f"`data.options` must name {what}; got {path!r}. Pass its path.")
    found = Path(os.environ.get("INTERDYN_DATA") or ".") / Path(path).expanduser()
    if not (found.is_dir() if folder else found.is_file()):
        raise DataError(
            f"`data.options` must name {what}; got no {'folder' if folder else 'file'} {found}. A relative path starts "
            "in the folder named by INTERDYN_DATA (or --data-root), or else in the working directory."
        )
    return found
