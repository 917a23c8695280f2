"""When others would stop a training: five published rules by name, for comparison with `interdyn.dynamics`.

Each takes one input per evaluation, usually after an epoch, in a training loop (`Monitor.observe`) or from a record
(`Monitor.over`). None needs interactions, and only `Patience` needs held-out labels. How they perform on trainings with
a known truth, and which is best for what: ``docs/results/monitor.md``, by ``./run monitor``.

>>> monitor = named("patience", evaluations=2)
>>> for epoch, loss in enumerate([0.9, 0.5, 0.6, 0.7, 0.8]):
...     if monitor.observe(epoch, loss):
...         break
>>> monitor.stops_at, monitor.best_step
(3.0, 1.0)
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from interdyn._arguments import choice, instance, native_array, number, real_array, told, whole
from interdyn.errors import InputError, ModelError, ShapeError

__all__ = [
    "NAMES",
    "GradientDisparity",
    "InstanceStopping",
    "LabelWave",
    "Monitor",
    "Patience",
    "batch_gradients",
    "named",
]


class Monitor(ABC):
    """What all monitors share: a signal, one value per evaluation, and what follows from it.

    Attributes
    ----------
    steps, signal
        Steps of the evaluations so far, and the signal at each; NaN where it is not known yet.
    stops_at
        Step at which the monitor first signalled a stop; None before that.
    best_step
        Step whose network it would keep: final once it has signalled a stop; None before the first evaluation.
    """

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.signal: list[float] = []
        self.stops_at: float | None = None
        self.best_step: float | None = None

    def observe(self, step: float, seen: Any) -> bool:
        """Add one evaluation; return whether training should stop, now or since an earlier evaluation.

        Parameters
        ----------
        step
            Optimiser steps, or epochs, so far; larger than at the previous evaluation.
        seen
            The input that the monitor needs; see each class.

        Raises
        ------
        InputError, ShapeError
            If the step does not ascend, or ``seen`` is not what the monitor needs. The evaluation is then not counted.
        """
        at = number(step, "step", least=0)
        if self.steps and at <= self.steps[-1]:
            raise InputError(f"`step` must be above {self.steps[-1]:g}; got {at:g}. Observe each step once, in order.")
        value = self._value(seen)
        self.steps.append(at)
        self.signal.append(value)
        if self.stops_at is None:
            stops, best = self._judged(np.array(self.signal))
            self.best_step = self.steps[best]
            if stops:
                self.stops_at = at
        return self.stops_at is not None

    def over(self, steps: Sequence[float] | np.ndarray, seen: Iterable[Any]) -> Self:
        """Add a complete record, and return the monitor.

        Parameters
        ----------
        steps, seen
            A step and its input, for each evaluation.

        Raises
        ------
        InputError, ShapeError
            As in `observe`, or if their numbers differ.
        """
        at = real_array(steps, "steps", axes=1)
        rows = list(seen) if isinstance(seen, Iterable) and not isinstance(seen, str | bytes) else None
        if rows is None or len(rows) != len(at):
            got = told(seen) if rows is None else f"{len(rows)} of them"
            raise ShapeError(f"`seen` must have one entry for each of the {len(at)} steps; got {got}. Pass a list.")
        for step, row in zip(at, rows, strict=True):
            self.observe(step, row)
        return self

    @abstractmethod
    def _value(self, seen: Any) -> float:
        """Return the signal of an evaluation; refuse bad input before anything is stored."""

    @abstractmethod
    def _judged(self, signal: Float[np.ndarray, " evaluations"]) -> tuple[bool, int]:
        """Return whether training should stop at the last evaluation, and which evaluation is the best."""


class Patience(Monitor):
    r"""Stop after ``p`` evaluations without a lower held-out loss; keep the network with the lowest.

    $$t - \arg\min_{s \le t} L_s \ge p$$

    Needs the held-out loss of each evaluation, a number. Source: Prechelt (1998), docs/references.bib.

    Examples
    --------
    >>> found = Patience(evaluations=2).over([10, 20, 30, 40], [0.9, 0.5, 0.6, 0.7])
    >>> found.stops_at, found.best_step
    (40.0, 20.0)
    """

    def __init__(self, *, evaluations: int = 5) -> None:
        super().__init__()
        self.evaluations = whole(evaluations, "evaluations", least=1)

    def _value(self, seen: Any) -> float:
        return number(seen, "seen", do="Pass the held-out loss of the evaluation.")

    def _judged(self, signal: Float[np.ndarray, " evaluations"]) -> tuple[bool, int]:
        best = int(signal.argmin())
        return len(signal) - 1 - best >= self.evaluations, best


class LabelWave(Monitor):
    r"""Stop at the first local minimum of the number of training samples whose predicted class changes.

    $$P_t = \frac1k \sum_{i<k} \#\{x : \hat y_{t-i}(x) \ne \hat y_{t-i-1}(x)\}$$

    Needs the predicted class of each training sample, in a fixed order, shape ``(samples,)``. ``signal`` is $P$, the
    mean of the last ``span`` counts. A minimum is recognised one evaluation later, when $P$ has risen; the network at
    the minimum is kept. Source: Yuan, Feng and Liu (ICLR 2024), docs/references.bib.

    Examples
    --------
    >>> classes = [[0, 0, 0], [1, 1, 1], [1, 1, 0], [1, 1, 0], [0, 1, 1]]  # 3, 1, 0 and 2 changes
    >>> found = LabelWave(span=1).over(range(5), classes)
    >>> found.signal, found.stops_at, found.best_step
    ([nan, 3.0, 1.0, 0.0, 2.0], 4.0, 3.0)
    """

    def __init__(self, *, span: int = 3) -> None:
        super().__init__()
        self.span = whole(span, "span", least=1)
        self._before: np.ndarray | None = None
        self._changes: list[int] = []

    def _value(self, seen: Any) -> float:
        classes = native_array(seen, "seen")
        if classes.ndim != 1 or not len(classes) or (self._before is not None and len(self._before) != len(classes)):
            known = "one for each training sample" if self._before is None else f"{len(self._before)}, as before"
            raise ShapeError(f"`seen` must be predicted classes, {known}; got shape {classes.shape}. Pass one row.")
        if self._before is not None:
            self._changes.append(int((classes != self._before).sum()))
        self._before = classes.copy()
        return float(np.mean(self._changes[-self.span :])) if len(self._changes) >= self.span else np.nan

    def _judged(self, signal: Float[np.ndarray, " evaluations"]) -> tuple[bool, int]:
        known = np.flatnonzero(np.isfinite(signal))
        if len(known) < 2 or signal[-1] <= signal[-2]:
            return False, len(signal) - 1
        fell = len(known) > 2 and bool((np.diff(signal[known][:-1]) < 0).any())
        return fell, len(signal) - 2 if fell else len(signal) - 1


class GradientDisparity(Monitor):
    r"""Stop when the mean distance between the gradients of batches of training samples has risen ``p`` times.

    $$D = \frac{2}{m (m - 1)} \sum_{i < j} \lVert g_i - g_j \rVert_2$$

    Needs the gradients of ``m`` batches, about five, shape ``(m, parameters)``: `batch_gradients`. The rises need not
    be consecutive. Keeps the network at the stop. Source: Forouzesh and Thiran (2021), docs/references.bib, without
    their rescaling of the loss of each batch.

    Examples
    --------
    >>> found = GradientDisparity(rises=1).over([1, 2], [[[0, 0], [3, 4]], [[0, 0], [6, 8]]])
    >>> found.signal, found.stops_at
    ([5.0, 10.0], 2.0)
    """

    def __init__(self, *, rises: int = 5) -> None:
        super().__init__()
        self.rises = whole(rises, "rises", least=1)

    def _value(self, seen: Any) -> float:
        rows = real_array(seen, "seen", axes=2, finite=True)
        if len(rows) < 2:
            raise ShapeError(f"`seen` must be gradients of two batches or more; got {len(rows)}. Pass about five.")
        return float(np.mean([np.linalg.norm(a - b) for a, b in combinations(rows, 2)]))

    def _judged(self, signal: Float[np.ndarray, " evaluations"]) -> tuple[bool, int]:
        return int((np.diff(signal) > 0).sum()) >= self.rises, len(signal) - 1


class InstanceStopping(Monitor):
    r"""Stop when most training samples are learned: their loss curves no longer bend.

    $$\frac1k \sum_{i<k} |L_{t-i}(x) - 2 L_{t-i-1}(x) + L_{t-i-2}(x)| < \delta$$

    Needs the loss of each training sample, in a fixed order, shape ``(samples,)``, in nats. ``signal`` is the share of
    samples for which this holds, with the mean of the last ``span`` second differences; training stops when it reaches
    ``share``, and the network at the stop is kept. Source: Yuan et al. (ICLR 2025), docs/references.bib, with their
    ``bound`` and ``span``. They remove single samples from training; stopping all training at a share is ours.

    Examples
    --------
    >>> losses = [[2.0, 3.0], [1.0, 1.0], [0.5, 0.0], [0.0, 0.0]]  # the first falls evenly at last
    >>> found = InstanceStopping(share=0.5, span=1).over(range(4), losses)
    >>> found.signal, found.stops_at
    ([nan, nan, 0.0, 0.5], 3.0)
    """

    def __init__(self, *, share: float = 0.9, bound: float = 1e-3, span: int = 3) -> None:
        super().__init__()
        self.share = number(share, "share", least=0, most=1)
        self.bound = number(bound, "bound", least=0, open_=True)
        self.span = whole(span, "span", least=1)
        self._losses: list[np.ndarray] = []

    def _value(self, seen: Any) -> float:
        losses = real_array(seen, "seen", axes=1, finite=True)
        if not len(losses) or (self._losses and len(self._losses[-1]) != len(losses)):
            known = f"{len(self._losses[-1])}, as before" if self._losses else "one for each training sample"
            raise ShapeError(f"`seen` must be losses of samples, {known}; got {len(losses)}. Pass one row.")
        self._losses = [*self._losses[-self.span - 1 :], losses.copy()]
        if len(self._losses) < self.span + 2:
            return np.nan
        bends = np.abs(np.diff(np.stack(self._losses), n=2, axis=0))
        return float((bends.mean(axis=0) < self.bound).mean())

    def _judged(self, signal: Float[np.ndarray, " evaluations"]) -> tuple[bool, int]:
        return bool(signal[-1] >= self.share), len(signal) - 1


_KINDS: dict[str, type[Monitor]] = {
    "patience": Patience,
    "label-wave": LabelWave,
    "gradient-disparity": GradientDisparity,
    "instance-stopping": InstanceStopping,
}
NAMES = tuple(_KINDS)
"""Names of all monitors."""


def named(name: str, **options: Any) -> Monitor:
    """Return a new monitor by its name, one of `NAMES`.

    Raises
    ------
    InputError
        If no monitor has that name, or an option is unknown or out of range.

    Examples
    --------
    >>> named("label-wave", span=2).span
    2
    """
    kind = _KINDS[choice(name, "name", NAMES)]
    known = list(inspect.signature(kind).parameters)
    if strange := sorted(set(options) - set(known)):
        raise InputError(f"`{name}` takes {', '.join(known)}; got {', '.join(strange)}. Remove the unknown options.")
    return kind(**options)


def _pairs(batches: Any) -> list[tuple[Any, Any]]:
    """Return pairs of inputs and targets; refuse anything else."""
    listed = isinstance(batches, Iterable) and not isinstance(batches, str | bytes | Mapping)
    rows: list[Any] = list(batches) if listed else [None]
    if not all(isinstance(row, tuple | list) and len(row) == 2 for row in rows):
        raise InputError(f"`batches` must be pairs of inputs and targets; got {told(batches)}. Pass [(x, y), ...].")
    return [(inputs, targets) for inputs, targets in rows]


def batch_gradients(model: Any, batches: Iterable[tuple[Any, Any]], *, loss: Any = None) -> Float[np.ndarray, "m d"]:
    """Return the gradient of the loss on each batch, for `GradientDisparity`, without affecting the training.

    Parameters
    ----------
    model
        A `torch.nn.Module`. It is run in eval mode; its modes and stored gradients are unchanged afterwards.
    batches
        Pairs of inputs and targets, on the device of the model; the same ones or new ones at each evaluation.
    loss
        A function of output and targets that returns a number; by default the mean cross-entropy.

    Returns
    -------
    Float[np.ndarray, "m d"]
        Shape ``(batches, parameters)``; 0 for a parameter that does not affect the loss.

    Raises
    ------
    ModelError
        If the model has no trainable parameter.
    InputError
        If the model is not a network, or the batches are not pairs.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> batches = [(torch.tensor([[x]]), torch.tensor([[0.0]])) for x in (1.0, 2.0)]
    >>> batch_gradients(model, batches, loss=lambda output, target: output.sum())
    array([[1.],
           [2.]], dtype=float32)
    """
    import torch

    instance(model, "model", torch.nn.Module, do="Pass the network in training.")
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise ModelError("`model` must have trainable parameters; got none. Set `requires_grad` of some.")
    of_batch = torch.nn.functional.cross_entropy if loss is None else loss
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        rows = []
        for inputs, targets in _pairs(batches):
            with torch.enable_grad():
                value = of_batch(model(inputs), targets)
            found = torch.autograd.grad(value, trained, allow_unused=True, materialize_grads=True)
            rows.append(torch.cat([g.detach().reshape(-1) for g in found]).cpu().numpy())
    finally:
        for module, mode in modes.items():
            module.training = mode
    return np.stack(rows) if rows else np.zeros((0, sum(p.numel() for p in trained)), dtype=np.float32)
