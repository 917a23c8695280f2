"""Masked inputs for many samples and subsets at once: one gather, one selection."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from interdyn.compiled import one_torch_thread
from interdyn.errors import PlayersError, ShapeError
from interdyn.game._baselines import baseline_tensors, broadcasts_to, check_mask_token
from interdyn.game._forward import Forward
from interdyn.game._players import ALWAYS_MASKED, BACKGROUND, Players, has_channels_last
from interdyn.game._samples import tensor_of

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes per feature


def presence(start: int, stop: int, n: int, device: torch.device) -> Bool[Tensor, "masks players"]:
    """Return which players are present in subsets ``start..stop-1``; bit ``i`` is player ``i``.

    Examples
    --------
    >>> presence(2, 4, 2, torch.device("cpu")).tolist()
    [[False, True], [True, True]]
    """
    subset = torch.arange(start, stop, device=device)[:, None]
    return (subset >> torch.arange(n, device=device)) & 1 == 1


@dataclass(frozen=True)
class Masking:
    """Inputs, baselines and the player ids of their features; makes any rows of the masked inputs.

    Row ``r`` is sample ``r // 2**n`` with the players of subset ``r % 2**n``.
    """

    inputs: tuple[Tensor, ...]
    baselines: tuple[Tensor, ...]
    ids: tuple[Tensor, ...]  # one per input: (1 or samples, ...), broadcasting to the input
    n: int

    @property
    def size(self) -> int:
        """Number of subsets of each sample."""
        return int(2**self.n)

    @property
    def device(self) -> torch.device:
        """The device of the inputs."""
        return self.inputs[0].device

    @property
    def always_masks(self) -> bool:
        """Whether some features are masked even if all players are present."""
        return any(bool((ids == ALWAYS_MASKED).any()) for ids in self.ids)

    def half(self) -> list[Tensor]:
        """Return the first sample with every second player."""
        return self.block(0, 1, (torch.arange(self.n, device=self.device) % 2 == 0)[None])

    @cached_property
    def _columns(self) -> list[Tensor]:
        """The column of a presence row for each feature; -2 (never) and -1 (always) follow the players."""
        return [torch.where(ids >= 0, ids, ids + self.n + 2).reshape(len(ids), -1) for ids in self.ids]

    def block(self, first: int, last: int, present: Bool[Tensor, "masks players"]) -> list[Tensor]:
        """Return the inputs of samples ``first..last-1`` with each set of players: ``(samples * masks, ...)`` each."""
        samples, masks = last - first, len(present)
        ends = present.new_tensor([[False, True]]).expand(masks, 2)
        present = torch.cat([present, ends], dim=1)
        out = []
        for x, baseline, ids, columns in zip(self.inputs, self.baselines, self.ids, self._columns, strict=True):
            # one gather for samples that share a mask, otherwise one each; samples and masks then broadcast, so
            # that nothing but the result is copied
            own = columns if len(columns) == 1 else columns[first:last]
            bits = _BITS[x.element_size()]
            keep = (-present.to(bits)).expand(len(own), -1, -1).gather(2, own[:, None].expand(-1, masks, -1))
            keep = keep.reshape(len(own), masks, *ids.shape[1:])
            off = baseline if baseline.ndim < x.ndim else baseline[:, None]
            off = off[first:last] if off.ndim > x.ndim and len(off) > 1 else off
            # a bitwise selection, all or none of a feature: exact for any number, and vectorised
            absent = off.to(x.dtype).view(bits)
            masked = (keep & (x[first:last, None].view(bits) ^ absent)).bitwise_xor_(absent).view(x.dtype)
            out.append(masked.reshape(samples * masks, *x.shape[1:]))
        return out

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        """Cut rows into at most three blocks: samples ``from..to-1`` with subsets ``from..to-1``."""
        while start < stop:
            sample, subset = divmod(start, self.size)
            whole = (stop - start) // self.size
            if subset == 0 and whole:
                yield sample, sample + whole, 0, self.size
                start += whole * self.size
            else:
                upto = min(self.size, subset + stop - start)
                yield sample, sample + 1, subset, upto
                start += upto - subset

    def rows(self, start: int, stop: int) -> tuple[list[Tensor], Tensor]:
        """Return the masked inputs of rows ``start..stop-1`` and the sample of each row."""
        with one_torch_thread(entries=(stop - start) * sum(x[0].numel() for x in self.inputs)):
            blocks = [
                self.block(first, last, presence(low, high, self.n, self.device))
                for first, last, low, high in self._pieces(start, stop)
            ]
            inputs = blocks[0] if len(blocks) == 1 else [torch.cat(parts) for parts in zip(*blocks, strict=True)]
        return inputs, torch.arange(start, stop, device=self.device) // self.size


def masked_inputs(
    forward: Forward,
    maps: tuple[Tensor, ...],
    sample_ids: Sequence[int],
    players: Players | None,
    feature_mask: Any,
    baselines: Any,
    *,
    layer: str | None = None,
    allow_fewer: bool = False,
) -> Masking:
    """Return the masking that a caller requests, of inputs, or of the feature maps of a ``layer``.

    Masks and baselines may be mappings with an entry for each masked input by name. Tokens outside the attention mask
    of the batch are background.

    Raises
    ------
    PlayersError
        If players, feature mask or baselines do not fit the inputs.
    """
    attention = forward.companions.get("attention_mask")
    channels: Literal["first", "last"] | None = None if layer is None else "first"
    if has_channels_last(forward.model, maps[0].shape[1:]):
        channels = "last"
    if players is not None and not isinstance(players, Players):
        raise PlayersError(
            f"`players` must be a partition such as patches(4, 4) or columns(); got {type(players).__name__}. "
            "Pass the player of each feature as `feature_mask`."
        )
    players = None if players is None else players.with_channels(channels)
    ids, n = feature_ids(
        players, _by_entry(feature_mask, forward.names), maps, sample_ids, allow_fewer=allow_fewer, attention=attention
    )
    blurred = channels if players is None else players.channels
    off = baseline_tensors(
        _by_entry(baselines, forward.names), maps, channels=blurred, model=forward.model, layer=layer
    )
    if layer is None:
        check_mask_token(forward, off[0], maps[0], ids[0], attention)
    return Masking(maps, off, ids, n)


def _by_entry(given: Any, names: Sequence[str]) -> Any:
    """Return a mapping with an entry for each masked input as a tuple; anything else unchanged."""
    if not isinstance(given, Mapping):
        return given
    if unknown := sorted(set(map(str, given)) - set(names)):
        raise PlayersError(
            f"masks and baselines by name must name masked inputs, {', '.join(names) or 'none of which has a name'}; "
            f"got {', '.join(unknown)}. Give `feature_mask` an entry for each input to mask."
        )
    return tuple(given.get(name) for name in names)


def feature_ids(
    players: Players | None,
    feature_mask: Any,
    inputs: tuple[Tensor, ...],
    sample_ids: Sequence[int],
    *,
    allow_fewer: bool = False,
    attention: Tensor | None = None,
) -> tuple[tuple[Tensor, ...], int]:
    """Return the player ids of the features of each input, and the number of players.

    Raises
    ------
    PlayersError
        If neither or both ways of naming players are passed, or a mask does not contain integers, does not broadcast,
        or skips an id.
    """
    if (players is None) == (feature_mask is None):
        raise PlayersError(
            "pass either `players` (for example patches(4, 4)) or `feature_mask` (ids of each feature); got "
            f"{'neither' if players is None else 'both'}."
        )
    if players is not None:
        if len(inputs) != 1:
            raise PlayersError(
                f"`players` partitions one input; got a tuple of {len(inputs)}. Pass `feature_mask` as a tuple."
            )
        ids: tuple[Tensor, ...] = (players.feature_mask(inputs[0].shape[1:], sample_ids),)
    else:
        given = feature_mask if isinstance(feature_mask, tuple) else (feature_mask,) * len(inputs)
        if len(given) != len(inputs):
            raise PlayersError(
                f"`feature_mask` must have one entry for each of {len(inputs)} inputs; got {len(given)}."
            )
        ids = tuple(_checked_mask(m, x) for m, x in zip(given, inputs, strict=True))
    ids = tuple(m.to(x.device) for m, x in zip(ids, inputs, strict=True))
    if attention is not None:
        ids = (_attended(ids[0], attention, inputs[0]), *ids[1:])
    return ids, _number_of_players(ids, allow_fewer=allow_fewer)


def _attended(ids: Tensor, attention: Tensor, x: Tensor) -> Tensor:
    """Return the ids with those of padding set to background."""
    if x.shape[:2] != attention.shape or bool((attention != 0).all()):
        return ids
    there = (attention != 0).reshape(*attention.shape, *(1,) * (ids.ndim - 2))
    return torch.where(there, ids, BACKGROUND)


def _number_of_players(ids: tuple[Tensor, ...], *, allow_fewer: bool) -> int:
    """Return ``n``; every sample must have each of the ids ``0..n-1``, in at least one of its inputs.

    With ``allow_fewer`` a sample may have only some of them, at least one.
    """
    found = sorted({int(i) for m in ids for i in torch.unique(m).tolist() if i >= 0})
    known = set(found)
    # not range(n) directly: an image passed as a mask by mistake has ids of any size
    missing = list(islice((i for i in range(found[-1] if found else 0) if i not in known), 5))
    if not found or missing:
        raise PlayersError(
            f"`feature_mask` must contain the ids 0..n-1, each at least once (-1 for background); got "
            f"{'no player' if not found else f'ids up to {found[-1]} without {missing}'}. Renumber the players."
        )
    n = len(found)
    absent = ~_held(ids, max(len(m) for m in ids), n)
    if allow_fewer:
        absent = absent.all(dim=1, keepdim=True)
    if bool(absent.any()):
        sample, player = (int(i) for i in absent.nonzero()[0])
        if allow_fewer:
            raise PlayersError(f"every sample must have a player; got sample {sample} without any. Leave it out.")
        raise PlayersError(
            f"`feature_mask` must contain the ids 0..{n - 1} in every sample; got sample {sample} without player "
            f"{player}. Give each sample the same number of players, or pass `allow_fewer=True`."
        )
    return n


def _held(ids: tuple[Tensor, ...], samples: int, n: int) -> Tensor:
    """Return which of ``n`` players each sample has, shape ``(samples, n)``."""
    held = torch.zeros(samples, n + 1, dtype=torch.bool)
    for m in ids:
        flat = m.reshape(len(m), -1).cpu()
        one = torch.zeros(len(m), n + 1, dtype=torch.bool)
        held |= one.scatter_(1, torch.where(flat >= 0, flat, n), value=True)
    return held[:, :n]


def players_of_samples(ids: tuple[Tensor, ...], samples: int) -> list[int]:
    """Return how many players each sample has.

    Examples
    --------
    >>> players_of_samples((torch.tensor([[0, 1, -1], [0, 0, -2]]),), 2)
    [2, 1]
    """
    n = max(int(m.max()) for m in ids) + 1
    return [int(k) for k in _held(ids, samples, n).sum(dim=1)]


def numbers_of(players: Players | None, masking: Masking, *, of_each: bool) -> dict[str, Any]:
    """Return the numbers of players that a table records.

    Returns
    -------
    dict[str, Any]
        ``n_players``; ``n_parts``: from how many parts they were drawn, in the samples with the fewest and the most,
        None if not known, as for a feature mask with background, which may contain parts that were not drawn; and
        ``players_of_samples``, the number of players of each sample, if requested.
    """
    first = masking.inputs[0]
    numbers, parts = players_of_samples(masking.ids, len(first)), None
    if players is not None:
        parts = [players.n_parts(first.shape[1:])] * 2
    elif not any(bool((ids < 0).any()) for ids in masking.ids):
        parts = [min(numbers), max(numbers)]
    told = {"n_players": masking.n, "n_parts": parts}
    return told | ({"players_of_samples": numbers} if of_each else {})


def _checked_mask(mask: Any, x: Tensor) -> Tensor:
    try:
        out = tensor_of(mask, "feature_mask")
    except ShapeError as error:
        raise PlayersError(str(error)) from None
    if out.is_floating_point() or out.is_complex():
        raise PlayersError(f"`feature_mask` must contain integers; got {out.dtype}. Convert it with `.long()`.")
    out = out.long()
    if x.ndim > 3 and out.ndim == 3 and out.shape == (len(x), *x.shape[-2:]) and len(x) > 1:
        if len(x) == x.shape[1] and bool((out != out[:1]).any()):
            raise PlayersError(
                f"a `feature_mask` of shape {tuple(out.shape)} for inputs of shape {tuple(x.shape)} is ambiguous: one "
                "mask for each sample, or for each channel; got masks that differ. Pass mask[:, None] for samples, "
                "mask[None] for channels."
            )
        out = out[:, None]  # a map for each image
    if not broadcasts_to(out.shape, x.shape):
        raise PlayersError(
            f"`feature_mask` must broadcast to its input of shape {tuple(x.shape)} (dim 0 = samples); got "
            f"{tuple(out.shape)}. Give it the shape of one sample, with a leading 1, or one row for each sample."
        )
    if out.numel() and int(out.min()) < ALWAYS_MASKED:
        raise PlayersError(
            f"ids of `feature_mask` must be players from 0, -1 (background) or -2 (always masked); got "
            f"{int(out.min())}."
        )
    return out.reshape(*(1,) * (x.ndim - out.ndim), *out.shape)
