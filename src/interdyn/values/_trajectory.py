"""What is followed over training: strength per order, and its trajectory over steps (NumPy)."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from interdyn._arguments import native_array, whole
from interdyn.errors import ShapeError

_LOSSES = ("train_loss", "test_loss", "test_accuracy")


@dataclass(frozen=True)
class OrderSpectrum:
    """Strength of the salient interactions of each order ``1..n``, for each sample.

    Attributes
    ----------
    positive, negative
        Sums of ``I(S)`` over salient ``S`` of that order with ``I(S) > 0``, and of ``|I(S)|`` with ``I(S) < 0``;
        shape ``(*batch, 2 kinds, n orders)``, kinds in the order AND, OR. Both are non-negative.
    unit
        Unit of the network output, or ``"share"`` after normalisation.
    salience
        The threshold used, one number for each table (shape ``(*batch,)``).
    n_salient
        Count of salient interactions, shape ``(*batch, 2 kinds, n orders)``.
    """

    positive: Float[np.ndarray, "*batch kinds orders"]
    negative: Float[np.ndarray, "*batch kinds orders"]
    unit: str
    salience: Float[np.ndarray, "*batch"]
    n_salient: Float[np.ndarray, "*batch kinds orders"]

    @property
    def n_players(self) -> int:
        """Number of players ``n``; the orders are ``1..n``."""
        return int(self.positive.shape[-1])

    @property
    def strength(self) -> Float[np.ndarray, "*batch orders"]:
        """Total strength per order, over signs and kinds."""
        return np.asarray((self.positive + self.negative).sum(axis=-2))

    def __repr__(self) -> str:
        batch = self.positive.shape[:-2]
        return f"OrderSpectrum(n={self.n_players}, batch={batch}, unit={self.unit!r})"


@dataclass(frozen=True)
class Trajectory:
    """Strength per order at each step of training, for each sample, with the losses.

    Attributes
    ----------
    steps
        Optimiser steps, strictly ascending, shape ``(steps,)``; 0 is the network before training.
    strength
        Salient strength of each order ``1..n``, shape ``(steps, samples, orders)``, non-negative, not normalised.
    train_loss, test_loss
        Mean loss on training and test samples at each step, shape ``(steps,)``, or ``None`` if not recorded.
    unit
        Unit of ``strength``.
    window
        Number of the measurement that each step belongs to, not descending, shape ``(steps,)``: equal for the nearby
        steps of one window. ``None``: every step is a measurement.
    test_accuracy
        Share of correct test samples, or another metric for which larger is better, in the form of the losses.
    """

    steps: Float[np.ndarray, " steps"]
    strength: Float[np.ndarray, "steps samples orders"]
    train_loss: Float[np.ndarray, " steps"] | None = None
    test_loss: Float[np.ndarray, " steps"] | None = None
    unit: str = field(default="")
    window: Int[np.ndarray, " steps"] | None = None
    test_accuracy: Float[np.ndarray, " steps"] | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "strength", *_LOSSES):
            if name in ("steps", "strength") or getattr(self, name) is not None:
                object.__setattr__(self, name, native_array(getattr(self, name), name))
        if self.steps.ndim != 1:
            raise ShapeError(f"`steps` must have one axis; got shape {self.steps.shape}. Pass the number of each step.")
        t = len(self.steps)
        if self.strength.ndim != 3 or self.strength.shape[0] != t:
            raise ShapeError(
                f"`strength` must have shape (steps, samples, orders) with {t} steps; got {self.strength.shape}. "
                "Stack the spectra of all steps along the first axis."
            )
        for name in _LOSSES:
            if (loss := getattr(self, name)) is not None and loss.shape != (t,):
                raise ShapeError(f"`{name}` must have one value for each of the {t} steps; got shape {loss.shape}.")
        if self.window is not None and (self.window.shape != (t,) or (np.diff(self.window) < 0).any()):
            raise ShapeError(
                f"`window` must number the measurement of each of the {t} steps, not descending; got {self.window!r}. "
                "Give the nearby steps of a window the same number, for example [0, 1, 1, 1, 2, 2, 2]."
            )

    @property
    def distribution(self) -> Float[np.ndarray, "steps orders"]:
        """Share of each order in the mean strength over samples; rows sum to 1 (0 where nothing is salient)."""
        mean = self.strength.mean(axis=1)
        total = mean.sum(axis=-1, keepdims=True)
        return np.asarray(np.divide(mean, total, out=np.zeros_like(mean), where=total > 0))

    @property
    def mean_order(self) -> Float[np.ndarray, " steps"]:
        """Strength-weighted mean order, ``sum_k k I(k) / sum_k I(k)``; NaN where nothing is salient."""
        share = self.distribution
        k = np.arange(1, share.shape[-1] + 1)
        return np.asarray(np.where(share.sum(axis=-1) > 0, share @ k, np.nan))

    def first(self, count: int) -> "Trajectory":
        """Return the first ``count`` steps: what was known then."""
        count = whole(count, "count")
        more = {name: getattr(self, name) for name in (*_LOSSES, "window")}
        first = {name: None if values is None else values[:count] for name, values in more.items()}
        return Trajectory(self.steps[:count], self.strength[:count], unit=self.unit, **first)
