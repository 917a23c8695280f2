"""Masked inputs for many samples and subsets at once: one gather, one selection."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interdyn.errors import PlayersError
from interdyn.game._baselines import broadcasts_to
from interdyn.game._players import ALWAYS_MASKED, Players
from interdyn.lattice import subset_masks


def presence_table(n: int, device: torch.device) -> Tensor:
    """Return which ids are present in each subset, Boolean, shape ``(2**n, n + 2)``.

    Ids -1 (background, always present) and -2 (never) index the last two columns from the end, as in Python.
    """
    table = torch.zeros(2**n, n + 2, dtype=torch.bool)
    table[:, :n] = torch.from_numpy(subset_masks(n).copy())
    table[:, -1] = True
    return table.to(device)


@dataclass(frozen=True)
class Masking:
    """Inputs, baselines and the ids of their features; makes any rows of the masked inputs.

    Row ``r`` is sample ``r // 2**n`` with the players of subset ``r % 2**n``.
    """

    inputs: tuple[Tensor, ...]
    baselines: tuple[Tensor, ...]
    ids: tuple[Tensor, ...]  # one for each input: (1 or samples, ...), broadcasting to the input
    presence: Tensor  # (2**n, n + 2)

    @property
    def size(self) -> int:
        """Number of subsets of each sample."""
        return len(self.presence)

    def masked(self, sample: Tensor, present: Tensor) -> list[Tensor]:
        """Return the inputs of the given samples with the given players, shape ``(rows, ...)`` each.

        Parameters
        ----------
        sample
            Index of the sample of each row, shape ``(rows,)``.
        present
            Rows of a presence table, shape ``(rows, n + 2)``.
        """
        out = []
        for x, baseline, ids in zip(self.inputs, self.baselines, self.ids, strict=True):
            # index -1 and -2 count from the end of the presence row
            of_feature = torch.where(ids >= 0, ids, ids + present.shape[1])
            if len(ids) == 1:
                keep = present[:, of_feature[0].reshape(-1)]
            else:
                keep = present.gather(1, of_feature.reshape(len(ids), -1)[sample])
            keep = keep.reshape(len(sample), *ids.shape[1:])
            off = baseline if baseline.ndim < x.ndim or len(baseline) == 1 else baseline[sample]
            out.append(torch.where(keep, x[sample], off))
        return out

    def rows(self, start: int, stop: int) -> tuple[list[Tensor], Tensor]:
        """Return the masked inputs of rows ``start..stop-1`` and the sample of each row."""
        row = torch.arange(start, stop, device=self.presence.device)
        sample = row // self.size
        return self.masked(sample, self.presence[row % self.size]), sample

    def bytes_per_row(self) -> int:
        """Return the memory of one masked row of all inputs."""
        return sum(x[:1].numel() * x.element_size() for x in self.inputs)


def feature_ids(
    players: Players | None,
    feature_mask: Any,
    inputs: tuple[Tensor, ...],
    sample_ids: Sequence[int],
) -> tuple[tuple[Tensor, ...], int]:
    """Return the ids of the features of each input and the number of players.

    Raises
    ------
    PlayersError
        If neither or both ways of naming players are given, a mask is not of whole numbers, does not broadcast, or
        leaves an id between out.
    """
    if (players is None) == (feature_mask is None):
        raise PlayersError(
            "give either `players` (for example patches(4, 4)) or `feature_mask` (ids of each feature); got "
            f"{'neither' if players is None else 'both'}."
        )
    if players is not None:
        if len(inputs) != 1:
            raise PlayersError(
                f"`players` cuts one input; got a tuple of {len(inputs)}. Pass `feature_mask` as a tuple."
            )
        ids: tuple[Tensor, ...] = (players.feature_mask(inputs[0].shape[1:], sample_ids),)
    else:
        given = feature_mask if isinstance(feature_mask, tuple) else (feature_mask,) * len(inputs)
        if len(given) != len(inputs):
            raise PlayersError(
                f"`feature_mask` must have one entry for each of {len(inputs)} inputs; got {len(given)}."
            )
        ids = tuple(_checked_mask(m, x) for m, x in zip(given, inputs, strict=True))
    found = sorted({int(i) for m in ids for i in torch.unique(m).tolist() if i >= 0})
    n = found[-1] + 1 if found else 0
    missing = sorted(set(range(n)) - set(found))
    if not found or missing:
        raise PlayersError(
            f"`feature_mask` must hold the ids 0..n-1, each at least once (-1 for background); got "
            f"{'no player' if not found else f'ids up to {n - 1} without {missing}'}. Renumber the players."
        )
    return tuple(m.to(x.device) for m, x in zip(ids, inputs, strict=True)), n


def _checked_mask(mask: Any, x: Tensor) -> Tensor:
    out = torch.as_tensor(np.asarray(mask) if not isinstance(mask, Tensor) else mask)
    if out.is_floating_point() or out.is_complex():
        raise PlayersError(f"`feature_mask` must hold whole numbers; got {out.dtype}. Convert it with `.long()`.")
    out = out.long()
    if not broadcasts_to(out.shape, x.shape):
        raise PlayersError(
            f"`feature_mask` must broadcast to its input of shape {tuple(x.shape)} (dim 0 = samples); got "
            f"{tuple(out.shape)}. Give it the shape of one sample, with a leading 1, or one row for each sample."
        )
    if int(out.min()) < ALWAYS_MASKED:
        raise PlayersError(
            f"ids of `feature_mask` must be players from 0, -1 (background) or -2 (always masked); got "
            f"{int(out.min())}."
        )
    return out.reshape(*(1,) * (x.ndim - out.ndim), *out.shape)
