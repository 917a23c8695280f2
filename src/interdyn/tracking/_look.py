"""One look: the interactions of every group of the probe, for the network as it is now."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from interdyn.errors import InputError
from interdyn.game import Players
from interdyn.measurement import MeasurementConfig, recorded
from interdyn.store import Measurement
from interdyn.tracking._plan import MIN_LOOKS, MIN_PLAYERS
from interdyn.tracking._probe import Probe
from interdyn.tracking._ranks import world_size

_TRIAL_PLAYERS = 8  # a price is found by trials with at most so many
_WARMING = 6.0  # so many times longer the first trial of all may take, which builds what is kept
_LARGER = 12.0  # times a trial of one sample with the fewest players: what those with more cost, together
_TRIAL_SHARE = 0.1  # of all that looking may take


@dataclass(frozen=True)
class Looking:
    """A measurement of a network in training."""

    config: MeasurementConfig

    def at(self, model: Any, probe: Probe, *, step: int, n_players: int | None = None) -> Measurement:
        """Return tables and interactions of a group; ``n_players`` draws so many of the players."""
        network, mask = bare(model), self.config.feature_mask
        config = replace(
            self.config,
            players=self.drawn(n_players),
            feature_mask=None if mask is None else mask[: len(probe)],
        )
        inputs = probe.inputs if len(probe.inputs) > 1 else probe.inputs[0]
        with torch.autocast(_device(network).type, enabled=False), _uncompiled():
            return recorded(
                network, inputs, config, step=step, group=probe.name, target=probe.target, sample_ids=probe.sample_ids
            )

    def drawn(self, n_players: int | None) -> Players | None:
        """Return the players with so many of them drawn; None: as they are."""
        players = self.config.players
        if players is None or n_players is None or n_players == players.n:
            return players
        return players.choose(n_players, seed=players.seed, others=players.others)

    def settings(self) -> dict[str, Any]:
        """Return what a run directory keeps of this, as plain data."""
        config = self.config
        named = config.output if isinstance(config.output, str) else getattr(config.output, "__name__", "output")
        return {
            "players": "feature_mask" if config.players is None else repr(config.players),
            "layer": config.layer or "",
            "output": named,
            "noise_bound": config.noise_bound,
            "order_weight": config.order_weight,
        }

    def most_players(self, probe: Probe) -> int:
        """Return how many players there are: as many as are to be drawn, or as a map of features holds."""
        players = self.config.players
        if players is None:
            return int(np.asarray(self.config.feature_mask).max()) + 1
        if players.n is not None:
            return players.n
        return int(players.feature_mask(probe.inputs[0].shape[1:], [0]).max()) + 1

    def price(
        self, model: Any, probe: Probe, *, most_players: int, allowance: float | None = None
    ) -> Callable[[int, int], float]:
        """Return the expected seconds of a look at ``(players, samples)``: a constant and a part for each masked input.

        Both come from trials of one and of four samples with few players, after one that is not counted. With an
        ``allowance``, seconds for all looks together, the smallest trials come first, and none follows once it is known
        that the least evidence costs more than is allowed; then the price is a lower bound.
        """

        def seconds(n: int | None, samples: int) -> tuple[float, int]:
            begun = perf_counter()
            tried = self.at(model, probe.first(samples), step=0, n_players=n)
            return perf_counter() - begun, tried.v.size

        drawn = self.config.players is not None
        n = min(most_players, MIN_PLAYERS) if drawn else None
        cold, _ = seconds(n, 1)
        if allowance is not None and MIN_LOOKS * cold > _WARMING * allowance:
            return lambda _players, _samples: cold
        one, cells = seconds(n, 1)
        if allowance is not None and MIN_LOOKS * one > allowance:
            return lambda _players, _samples: one
        larger = min(most_players, _TRIAL_PLAYERS)
        if n is not None and larger > n and (allowance is None or _LARGER * one <= _TRIAL_SHARE * allowance):
            n = larger
            seconds(n, 1)
            one, cells = seconds(n, 1)
        four, more_cells = seconds(n, 4)
        slope = max((four - one) / max(more_cells - cells, 1), 0.1 * four / more_cells)
        constant = max(one - slope * cells, 0.0)
        tried, alone = (cells - 1).bit_length(), replace(self.config, threads=1)

        def expected(players: int, samples: int) -> float:
            # a table with more players takes more steps, too
            split, counted = (alone.split_seconds(k, 1) for k in (players, tried))
            more = max(split - counted * 2.0 ** (players - tried), 0.0) if players > tried else 0.0
            return constant + samples * (slope * 2.0**players + more)

        return expected


def bare(model: Any) -> Any:
    """Return the network inside `torch.compile`, DataParallel and DistributedDataParallel: the same parameters.

    Raises
    ------
    InputError
        If several processes hold a part of the parameters each: to run it, all would have to.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> bare(nn.DataParallel(network)) is network
    True
    """
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, wrappers):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        elif world_size() > 1 and _is_sharded(model):
            raise InputError(
                "a network that is looked at must be whole in the process that looks; got one whose parameters are "
                "spread over processes (FSDP, DeepSpeed ZeRO-3 or tensor parallel). Look at its checkpoints instead."
            )
        else:
            return model


def _is_sharded(model: Any) -> bool:
    """Return whether running the network alone would wait for other processes for ever; by names, to import nothing."""
    if not isinstance(model, nn.Module):
        return False
    wrapped = any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules())
    return wrapped or any(type(p).__name__ == "DTensor" or hasattr(p, "ds_id") for p in model.parameters())


def _uncompiled() -> AbstractContextManager[Any]:
    """Run as written what `torch.compile` took hold of, in whatever way, so that looking compiles nothing anew."""
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


def _device(model: Any) -> torch.device:
    if isinstance(model, nn.Module):
        for parameter in model.parameters():
            return parameter.device
    return torch.device("cpu")
