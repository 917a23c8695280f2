"""The complete tree of errors and warnings.

::

    InterdynError(Exception)
    ├── ShapeError(ValueError)          an array has the wrong shape
    ├── InputError(ValueError)          an argument has a value that cannot be used
    │   ├── PlayersError                players, feature mask or baseline do not fit the input
    │   ├── TargetError                 the target is not an output of the model
    │   └── NonFiniteError              NaN or infinity in a value table
    ├── TooLargeError(ValueError)       more work than allowed
    ├── CertificateError(RuntimeError)  a certificate contradicts itself: a fault of this package
    ├── ModelError(RuntimeError)        the user's model failed or returned something unusable
    │   └── DisturbedError              measuring changed the network
    ├── RecipeError(ValueError)         a recipe cannot be read or run
    ├── DataError(FileNotFoundError)    a data set is missing or not as expected
    ├── CheckpointError(ValueError)     a saved network cannot be read, or belongs to another network
    ├── RunError(OSError)               a run directory cannot be read
    │   ├── NotARunError                the folder is not a run
    │   ├── SchemaError                 the run was written by a newer version
    │   ├── IncompleteRunError          the run does not have what was requested yet
    │   └── StorageError                writing or reading failed; earlier content is intact
    ├── EngineError(RuntimeError)       work in other processes failed; finished work is kept
    └── MissingExtraError(ImportError)  an optional dependency is not installed

    InterdynWarning(UserWarning)
    ├── InputWarning                    an input or output was interpreted in a way you may not intend
    ├── PrecisionWarning                a result is less precise than requested
    ├── BudgetWarning                   work was reduced to fit the machine
    └── SpeedWarning                    work is done in a slower way than usual

Every message has three clauses: what was needed, what was given, what to do. Deprecated names warn with Python's own
`DeprecationWarning`; see `deprecated`.
"""

import warnings

__all__ = [
    "BudgetWarning",
    "CertificateError",
    "CheckpointError",
    "DataError",
    "DisturbedError",
    "EngineError",
    "IncompleteRunError",
    "InputError",
    "InputWarning",
    "InterdynError",
    "InterdynWarning",
    "MissingExtraError",
    "ModelError",
    "NonFiniteError",
    "NotARunError",
    "PlayersError",
    "PrecisionWarning",
    "RecipeError",
    "RunError",
    "SchemaError",
    "ShapeError",
    "SpeedWarning",
    "StorageError",
    "TargetError",
    "TooLargeError",
]


class InterdynError(Exception):
    """Base class of all errors that this package raises deliberately."""


class ShapeError(InterdynError, ValueError):
    """An array has the wrong shape."""


class InputError(InterdynError, ValueError):
    """An argument has a value that cannot be used."""


class PlayersError(InputError):
    """Players, feature mask or baseline do not fit the input."""


class TargetError(InputError):
    """The target is not an output of the model."""


class NonFiniteError(InputError):
    """NaN or infinity in a value table."""


class TooLargeError(InterdynError, ValueError):
    """More work than allowed."""


class CertificateError(InterdynError, RuntimeError):
    """A certificate contradicts itself: a bug in this package; please report it."""


class ModelError(InterdynError, RuntimeError):
    """The user's model failed or returned something unusable."""


class DisturbedError(ModelError):
    """Measuring changed the network."""


class RecipeError(InterdynError, ValueError):
    """A recipe cannot be read or run."""


class DataError(InterdynError, FileNotFoundError):
    """A data set is missing or not as expected."""


class CheckpointError(InterdynError, ValueError):
    """A saved network cannot be read, or belongs to another network."""


class RunError(InterdynError, OSError):
    """A run directory cannot be read."""


class NotARunError(RunError):
    """The folder is not a run."""


class SchemaError(RunError):
    """The run was written by a newer version."""


class IncompleteRunError(RunError):
    """The run does not have what was requested yet."""


class StorageError(RunError):
    """Writing or reading a file failed, or another process is writing; earlier content is intact."""


class EngineError(InterdynError, RuntimeError):
    """Work in other processes failed; what they finished is kept."""


class MissingExtraError(InterdynError, ImportError):
    """An optional dependency is not installed."""


class InterdynWarning(UserWarning):
    """Base class of all warnings of this package."""


class InputWarning(InterdynWarning):
    """An input or output was interpreted in a way you may not intend."""


class PrecisionWarning(InterdynWarning):
    """A result is less precise than requested."""


class BudgetWarning(InterdynWarning):
    """Work was reduced to fit the machine."""


class SpeedWarning(InterdynWarning):
    """Work is done in a slower way than usual."""


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """Return the error for a missing optional package, with the command that installs it.

    Examples
    --------
    >>> str(missing_extra("scipy", "lp", "the LP solver"))
    "the LP solver needs the package `scipy`, which is not installed. Install it: pip install 'interdyn[lp]'"
    """
    return MissingExtraError(
        f"{purpose} needs the package `{package}`, which is not installed. Install it: pip install 'interdyn[{extra}]'"
    )


def deprecated(old: str, new: str, *, since: str, stacklevel: int = 1) -> None:
    """Warn that ``old`` works until the next minor version only, and name its successor: the one way in which we do.

    Parameters
    ----------
    old, new
        What the caller wrote, and what to write in its place, which is a clause and brings its own backticks.
    since
        Minor version that deprecates it, as ``"0.2"``; it is removed in the next, which a test enforces.
    stacklevel
        As in `warnings.warn`: 1 for the caller of the function that calls this one.

    Warns
    -----
    DeprecationWarning
        Always.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as warned:
    ...     warnings.simplefilter("always")
    ...     deprecated("budget='look'", "`budget=0.05`", since="0.2")
    >>> print(warned[0].message)
    `budget='look'` is deprecated since version 0.2 and will be removed in 0.3; write `budget=0.05`.
    """
    major, minor = since.split(".")
    message = (
        f"`{old}` is deprecated since version {since} and will be removed in {major}.{int(minor) + 1}; write {new}."
    )
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel + 2)
