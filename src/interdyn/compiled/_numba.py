"""Numba, if it is installed and works; functions that are compiled once per machine and cached on disk."""

import hashlib
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from interdyn.errors import SpeedWarning

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
# raised by importing a Numba that does not fit NumPy, the system or its own settings
_NO_FIT = (ImportError, AttributeError, OSError, RuntimeError, SystemError, TypeError, ValueError)
INNER = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""How loops that only other loops call are compiled: neither division nor an index raises, nothing for Python."""


@lru_cache(maxsize=1)
def available() -> bool:
    """Return whether loops can be compiled; warn, once in a process, if not."""
    try:
        import numba
    except _NO_FIT as error:
        warnings.warn(
            f"the package `numba` cannot be used ({type(error).__name__}: {error}); splits and transforms use the "
            "slower PyTorch form, with the same results. Install it: pip install numba",
            SpeedWarning,
            stacklevel=2,
        )
        return False
    return not numba.config.DISABLE_JIT


def source_stamp(*folders: Path) -> str:
    """Return a short hash of all Python files in ``folders`` and in this one.

    Numba's cache notices a change of the file that contains a function, but not of what the function calls. A function
    with the stamp among its closed-over variables is recompiled when any of these files changes.
    """
    out = hashlib.sha256()
    for folder in (Path(__file__).parent, *folders):
        for file in sorted(folder.glob("*.py")):
            out.update(file.read_bytes())
    return out.hexdigest()[:16]


def compiled(function: Callable[..., Any], signature: str) -> Callable[..., Any]:
    """Return ``function`` compiled for ``signature``, from the cache on disk if possible.

    The cache is next to the package or in the user's cache folder. If neither can be written, or the disk is full, the
    function is compiled for this process only.
    """
    import numba

    try:
        out = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no folder for the cache
        out = numba.njit(**_OPTIONS)(function)
    try:
        out.compile(signature)
    except OSError:  # compiled, but not kept
        if not out.signatures:
            raise
    out.disable_compile()
    return out  # type: ignore[no-any-return]
