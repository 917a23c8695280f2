"""Interactions in one file: arrays and a header in safetensors format."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interdyn._arguments import file_path, instance
from interdyn.errors import DataError, InputError
from interdyn.store import read_arrays, write_arrays
from interdyn.values import Identified, Interactions, Range, tensors_of

_KIND = "interdyn-interactions"
_PLAIN = ("unit", "names", "settings", "forward_passes", "seconds")


def save_interactions(found: Interactions, path: str | Path) -> None:
    """Write interactions into one file: tables, certificate, names, settings, and identified ranges.

    The file has the format safetensors, with the rest as JSON in its header; nothing in it is ever executed. It is
    written completely or not at all.

    Raises
    ------
    InputError
        If the settings contain something that is not plain data.
    StorageError
        If the file system refuses.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from interdyn.sparsify import split
    >>> found = split(torch.tensor([0.0, 1.0, 2.0, 5.0]), unit="logit")
    >>> with TemporaryDirectory() as folder:
    ...     found.save(f"{folder}/found.safetensors")
    ...     bool((Interactions.load(f"{folder}/found.safetensors").i_and == found.i_and).all())
    True
    """
    instance(found, "found", Interactions, do="Pass the result of `measure` or `split`.")
    arrays = {name: tensor.cpu().numpy() for name, tensor in tensors_of(found).items()}
    header = {"kind": _KIND, "status": np.asarray(found.status).tolist()} | {key: getattr(found, key) for key in _PLAIN}
    try:
        write_arrays(file_path(path, "path"), arrays, header=header)
    except TypeError as error:
        raise InputError(
            f"`settings` must be plain data, to be saved in a file; got {error}. Replace it: "
            "`dataclasses.replace(found, settings={})`."
        ) from error


def load_interactions(path: str | Path) -> Interactions:
    """Return the interactions of a file that `save_interactions` wrote, on the CPU.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged or contains something else.
    SchemaError
        If a newer version of this package wrote it.
    """
    read = read_arrays(file_path(path, "path"))
    if read is None or read[1].get("kind") != _KIND:
        raise DataError(
            f"a complete file of interactions is needed; got none in {path}. Write it again with `found.save(path)`."
        )
    arrays, header = read
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    content: dict[str, Any] = {**{name: header[name] for name in _PLAIN}, "names": tuple(header["names"])}
    content |= {name: tensor for name, tensor in tensors.items() if "." not in name}
    status = header["status"]
    content["status"] = status if isinstance(status, str) else np.array(status, dtype=object)
    if "identified.factor" in tensors:
        content["identified"] = _identified(tensors, header["unit"])
    return Interactions(**content)


def _identified(tensors: dict[str, torch.Tensor], unit: str) -> Identified:
    content: dict[str, Any] = {
        name: Range(**{side.name: tensors[f"identified.{name}.{side.name}"] for side in fields(Range)})
        for name in ("mean_order", "strength", "interactions")
    }
    content |= {name: tensors[f"identified.{name}"] for name in ("kinds", "subsets", "factor")}
    return Identified(**content, unit=unit)
