"""How networks are measured, and on what: one record of every option, and the groups of samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from interdyn._arguments import instance, whole_row
from interdyn._typing import Solver
from interdyn.errors import InputError, ShapeError
from interdyn.game import (
    OF_CLASSES,
    FeatureNames,
    Output,
    OutputKey,
    Players,
    Samples,
    calibration_rows,
    is_batch,
    labels_of,
    output_for,
    refuse_impossible,
    samples_of,
)
from interdyn.sparsify import ORDER_WEIGHT, expected_seconds, first_tolerance
from interdyn.spectra import SalienceRule
from interdyn.store import content_hash


@dataclass(frozen=True, kw_only=True)
class MeasurementConfig:
    """How a network is measured: everything except the network, the samples and the step.

    `interdyn.measure`, `interdyn.Tracker`, the section ``[measure]`` of a recipe and ``interdyn watch`` take the same
    options; the first two also take a config, which arguments passed in addition override.

    Attributes
    ----------
    players, feature_mask, baselines, layer, output_key, batch_size, allow_fewer, names, calibrate_batch_norm
        As in `interdyn.value_table`; the pages of a run show names of columns and tokens. A tracker copies the
        calibration rows of batch norm when it is created; in a recipe it is their number (`docs/howto/recipes.md`).
    output
        As in `interdyn.value_table`; None: ``"log-odds"``, or ``"regression"`` for samples without target.
    device
        Where tables and interactions are stored, ``"cpu"`` or ``"cuda"``; None: the network's device.
    noise_bound, solver, tol, max_iter, merge_order_one, order_weight, rates, threads
        As in `interdyn.sparsify.split`.
    salience, salience_rule
        As in `interdyn.spectra.order_spectrum`: what counts in the spectra and verdicts of a training.

    Examples
    --------
    >>> from interdyn.players import columns
    >>> MeasurementConfig(players=columns(), noise_bound=0.05).tol
    'auto'
    """

    players: Players | None = None
    feature_mask: Any = None
    baselines: Any = None
    layer: str | None = None
    output: Output | None = None
    output_key: OutputKey | None = None
    batch_size: int | str = "auto"
    allow_fewer: bool = False
    device: str | torch.device | None = None
    noise_bound: float | Tensor | np.ndarray = 0.02
    solver: Solver = "admm"
    tol: float | Literal["auto"] = "auto"
    max_iter: int | None = None
    merge_order_one: bool = True
    order_weight: float = ORDER_WEIGHT
    rates: Sequence[float] = (1e-4, 1e-5, 1e-6)
    threads: int | None = None
    salience: float | None = None
    salience_rule: SalienceRule = "mean-effect"
    names: FeatureNames | None = None
    calibrate_batch_norm: Any = None

    def split_seconds(self, n: int, samples: int) -> float:
        """Return roughly how long splitting the tables of that many samples of ``n`` players takes; 0: not known."""
        if self.solver != "admm":
            return 0.0
        finest = first_tolerance(self.tol, self.order_weight, n)
        return expected_seconds(n, samples, tol=finest, threads=self.threads)

    def settings(self) -> dict[str, Any]:
        """Return the options that determine what is measured, as plain data; some only if not at their default."""
        named = self.output if isinstance(self.output, str) else getattr(self.output, "__name__", "output")
        out = {
            "players": "feature_mask" if self.players is None else repr(self.players),
            "layer": self.layer or "",
            "output": named,
            "noise_bound": self.noise_bound if isinstance(self.noise_bound, float | int) else "absolute",
            "order_weight": self.order_weight,
        }
        default = MeasurementConfig()
        more = {name: getattr(self, name) for name in ("solver", "tol", "max_iter", "merge_order_one")}
        more = {name: value for name, value in more.items() if value != getattr(default, name)}
        rates = {} if tuple(self.rates) == default.rates else {"rates": list(self.rates)}
        rows = self.calibrate_batch_norm
        calibrated = {} if rows is None else {"calibrate_batch_norm": _content(calibration_rows(rows).inputs)}
        return {**out, **more, **rates, **calibrated}


_FIELDS = tuple(one.name for one in fields(MeasurementConfig))


def configured(config: MeasurementConfig | None, given: Mapping[str, Any]) -> MeasurementConfig:
    """Return ``config`` with its fields replaced by those options that are not None.

    ``players`` and ``feature_mask`` are alternatives: passing one removes the other from ``config``.

    Examples
    --------
    >>> configured(MeasurementConfig(noise_bound=0.1), {"tol": 1e-4, "noise_bound": None, "step": 3}).noise_bound
    0.1
    """
    changes = {name: given[name] for name in _FIELDS if given.get(name) is not None}
    if "players" in changes or "feature_mask" in changes:
        changes = {"players": None, "feature_mask": None, **changes}
    if config is not None:
        instance(config, "config", MeasurementConfig, do="Pass a `MeasurementConfig`.")
    return replace(MeasurementConfig() if config is None else config, **changes)


@dataclass(frozen=True)
class Group:
    """One group of samples, the same at every measurement, and how it is measured.

    Attributes
    ----------
    name
        ``"test"``, ``"train"`` or another name of letters, digits and ``_``.
    inputs
        Tensors with samples along dim 0, on the CPU or another device.
    target
        Class of each sample, or the label or output that is read, shape ``(samples,)``; None for a regression with one
        output, but its values if ``output`` is a function.
    sample_ids
        A number for each sample, which with the seed fixes the draw of its players.
    config
        How it is measured.
    keywords
        The name by which the network takes each input; empty if by position.
    about
        What feature masks and numbers do not state about the game: ``players``, ``baselines``, ``n_parts``.
    """

    name: str
    inputs: tuple[Tensor, ...]
    target: Tensor | None
    sample_ids: tuple[int, ...]
    config: MeasurementConfig
    keywords: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs[0])

    @property
    def samples(self) -> Samples:
        """The inputs in the form `interdyn.value_table` takes."""
        return Samples(self.inputs, self.keywords)

    @property
    def n_players(self) -> int:
        """How many players a sample has: as many as are drawn, or as a feature mask has."""
        players = self.config.players
        if players is None:
            mask = self.config.feature_mask
            given = mask.values() if isinstance(mask, Mapping) else mask if isinstance(mask, tuple) else (mask,)
            return max(int(np.asarray(m).max()) for m in given if m is not None) + 1
        return players.count(self.inputs[0].shape[1:])

    def check_players(self, *, fewer: bool) -> None:
        """Refuse more players than can be measured, as far as that is known without a network.

        Parameters
        ----------
        fewer
            Whether fewer will be drawn where there are too many, as a budget does.

        Raises
        ------
        PlayersError, TooLargeError
            If the players do not fit the samples, or are too many.
        """
        mask = self.config.feature_mask
        known = self.config.players is not None or isinstance(mask, Tensor | np.ndarray)
        if known and self.config.layer is None and not (fewer and self.config.players is not None):
            refuse_impossible(self.n_players)

    def drawn(self, n_players: int | None) -> "Group":
        """Return the group with that many of its players drawn; unchanged for None or explicitly given players."""
        players = self.config.players
        if players is None or n_players is None or n_players == players.n:
            return self
        chosen = players.choose(n_players, seed=players.seed, others=players.others)
        return replace(self, config=replace(self.config, players=chosen))

    def first(self, count: int) -> "Group":
        """Return the first ``count`` samples, with their own rows of feature mask and baselines."""
        return self.block(0, count)

    def block(self, start: int, stop: int) -> "Group":
        """Return samples ``start`` to ``stop``, with their own rows of feature mask, baselines and noise bound."""
        if start == 0 and stop >= len(self):
            return self

        def cut(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(cut(part) for part in value)
            if isinstance(value, Mapping):
                return {name: cut(part) for name, part in value.items()}
            axes = {x.ndim for x in self.inputs}
            of_each = isinstance(value, Tensor | np.ndarray) and value.ndim > 1 and len(value) == len(self)
            of_pictures = of_each and any(
                x.ndim > 3 == value.ndim and value.shape[1:] == x.shape[-2:] for x in self.inputs
            )
            by_axes = of_each and (value.ndim in axes or self.config.layer is not None)
            return value[start:stop] if by_axes or of_pictures else value

        mask, baselines, bound = cut(self.config.feature_mask), cut(self.config.baselines), self.config.noise_bound
        if isinstance(bound, Tensor | np.ndarray) and bound.ndim:
            bound = bound[start:stop]
        return replace(
            self,
            inputs=tuple(x[start:stop] for x in self.inputs),
            target=None if self.target is None else self.target[start:stop],
            sample_ids=self.sample_ids[start:stop],
            config=replace(self.config, feature_mask=mask, baselines=baselines, noise_bound=bound),
        )

    def identity(self) -> dict[str, Any]:
        """Return numbers and a hash of the samples, which distinguish this group from another."""
        parts = (*self.inputs, *(() if self.target is None else (self.target,)))
        return {"ids": list(self.sample_ids), "sha256": _content(parts)}


def _content(parts: Sequence[Tensor]) -> str:
    """Return a hash of the bytes of tensors: not every torch type is a NumPy type."""
    content = {
        f"{i} {part.dtype} {tuple(part.shape)}": part.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        for i, part in enumerate(parts)
    }
    return content_hash(content)


def checked_groups(
    probe: Any, config: MeasurementConfig, *, sample_ids: Sequence[int] | Mapping[str, Sequence[int]] | None = None
) -> tuple[Group, ...]:
    """Return the groups of a probe ``(x, y)``, or of several, ``{"test": (x, y), "train": (x, y, own_config)}``.

    ``(x, y)`` may be replaced by a ``Dataset``, a ``DataLoader`` or a batch by name that contains its ``labels``; ``x``
    and ``y`` may have any form that `interdyn.game.samples_of` takes.

    Samples are taken in the order given; if that is not random, the first few are a poor choice. Existing `Group`
    objects are kept.

    Raises
    ------
    InputError, ShapeError
        If it is neither, a group is empty, targets do not fit, all samples of a group have one class where classes are
        compared, or a group does not have exactly one of players and feature mask.
    """
    if isinstance(probe, tuple) and probe and all(isinstance(group, Group) for group in probe):
        return probe
    groups = probe if isinstance(probe, Mapping) and not is_batch(probe) else {"test": probe}
    if not groups:
        raise InputError("`probe` must contain samples; got an empty mapping. Pass (x, y), or {'test': (x, y)}.")
    each = sample_ids if isinstance(sample_ids, Mapping) else dict.fromkeys(groups, sample_ids)
    return tuple(
        _checked(name, given, _of_group(config, name, groups), each.get(name)) for name, given in groups.items()
    )


def _kept(given: Any) -> Samples:
    """Return a copy of rows that later changes of the caller's data do not affect."""
    rows = calibration_rows(given)
    return replace(rows, inputs=tuple(x.detach().clone() for x in rows.inputs))


def _of_group(config: MeasurementConfig, name: Any, groups: Mapping[str, Any]) -> MeasurementConfig:
    """Return the config with the options that are given by group, as ``feature_mask={"test": ..., "train": ...}``."""
    given = {option: getattr(config, option) for option in ("players", "feature_mask", "baselines")}
    by_group = {k: v for k, v in given.items() if isinstance(v, Mapping) and v and set(v) <= set(groups)}
    own: dict[str, Any] = {option: value.get(name) for option, value in by_group.items()}
    return replace(config, **own)


def _checked(name: Any, given: Any, config: MeasurementConfig, sample_ids: Sequence[int] | None) -> Group:
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        raise InputError(f"a group of `probe` needs a name of letters, digits and `_`; got {name!r}. Rename it.")
    own = isinstance(given, tuple | list) and len(given) == 3 and isinstance(given[2], MeasurementConfig)
    pair = isinstance(given, tuple | list) and (len(given) == 2 or own)
    if isinstance(given, tuple | list | Tensor | np.ndarray) and not pair:
        raise InputError(
            f"`probe` must be a pair (inputs, targets); got {type(given).__name__} for {name!r}. For a regression pass "
            "(x, None); for a group with its own options, (x, y, MeasurementConfig(...))."
        )
    samples = samples_of(given[0], given[1]) if pair else samples_of(given)
    ids = _ids(name, sample_ids, len(samples))
    config = given[2] if own else config
    if config.calibrate_batch_norm is not None:
        config = replace(config, calibrate_batch_norm=_kept(config.calibrate_batch_norm))
    output = config.output or output_for(samples.target)
    target = _targets(name, samples.target, len(samples), output)
    if not callable(output) and target is not None and target.is_floating_point():
        target = None
    config = replace(config, output=output)
    if (config.players is None) == (config.feature_mask is None):
        raise InputError("a tracker needs `players` or a `feature_mask`; got both or neither. Pass columns().")
    return Group(name, tuple(t.detach().clone() for t in samples.inputs), target, ids, config, samples.keywords)


def _ids(name: str, sample_ids: Any, samples: int) -> tuple[int, ...]:
    if sample_ids is None:
        return tuple(range(samples))
    ids = whole_row(sample_ids, "sample_ids")
    if len(ids) != samples:
        raise ShapeError(
            f"`sample_ids` must have one number for each of {samples} samples of {name!r}; got {sample_ids!r:.60}. "
            "Pass them by group, as {'test': [...]}."
        )
    return tuple(ids)


def _targets(name: str, given: Tensor | None, samples: int, output: Output) -> Tensor | None:
    target = labels_of(given, samples, values=callable(output) or output == "regression")
    if target is None or target.is_floating_point():
        return None if target is None else target.cpu().clone()
    if samples > 1 and output in OF_CLASSES and len(torch.unique(target)) == 1:
        raise InputError(
            f"the probe {name!r} must have samples of at least two classes; got class {int(target[0])} only, whose "
            "trajectory is not that of the network. Draw the probe at random from all classes."
        )
    return target.cpu().clone()
