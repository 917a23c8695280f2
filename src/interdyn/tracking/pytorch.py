"""A tracker in your own training loop; `Watch` is what the callbacks of all frameworks share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from interdyn.errors import InputError
from interdyn.tracking._measuring import Changes, agreed, device_of
from interdyn.tracking._said import Logger
from interdyn.tracking._tracker import Tracker

__all__ = ["Watch", "watching"]

_STALLED = 8  # calls in which weights changed without any step counted since the beginning


class Watch:
    """A tracker within a user's loop.

    Parameters
    ----------
    tracker
        The tracker.
    logger
        An additional logger of the tracker, from `begin` to `end`.

    Attributes
    ----------
    step
        Optimiser steps done, as last passed to `observe`.

    Examples
    --------
    >>> from interdyn.players import columns
    >>> from interdyn.schedules import every
    >>> x, y = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    >>> watch = Watch(Tracker((x, y), players=columns(), schedule=every(2), budget=None))
    >>> network = nn.Linear(3, 2)
    >>> watch.observe(0, network)
    >>> for step, loss in ((1, 4.0), (2, 2.0)):
    ...     watch.note(train_loss=loss)
    ...     watch.observe(step, network)
    >>> watch.tracker.trajectory.train_loss.tolist(), watch.should_stop
    ([nan, 3.0], False)
    """

    def __init__(self, tracker: Tracker, *, logger: Logger | None = None) -> None:
        self.tracker, self.step = tracker, 0
        self._logger = logger
        self._device = torch.device("cpu")
        self._changes, self._changed, self._stalled = Changes(), 0, 0
        self._model: Any = None
        self._begun = 0
        self._forget()

    def begin(self, step: int, model: Any, *, total_steps: float | None = None) -> None:
        """Follow a training that starts, or resumes after ``step`` steps; ``total_steps``: where it will end."""
        self.tracker.lasts(total_steps)
        self.tracker.resumes()
        if self._logger is not None and self._logger not in self.tracker.loggers:
            self.tracker.loggers.append(self._logger)
        self.observe(step, model)

    def end(self) -> None:
        """Close the tracker; another training may follow."""
        if self._logger in self.tracker.loggers:
            self.tracker.loggers.remove(self._logger)
        try:
            self._check_steps(at_the_end=True)
        finally:
            self._model = None
            self.tracker._end(between_steps=False)

    def _check_steps(self, *, at_the_end: bool = False) -> None:
        """Warn once that weights change although no step was counted yet."""
        if self._model is None or self._stalled < 0:
            return
        changed, self._changed = self._changed, self._changes.count(self._model)
        self._stalled += changed != self._changed
        if self.step == self._begun and self._stalled >= (1 if at_the_end else _STALLED):
            self._stalled = -1
            self.tracker.told(
                f"the weights change, but no optimiser step is counted after step {self.step}, so nothing is measured: "
                "the optimiser's `step` is not called; its parts are called directly, or another optimiser updates the "
                "weights. Call tracker.observe(step, model) after each step instead, or watch that optimiser."
            )

    def _forget(self) -> None:
        self._sum: Any = None
        self._count = 0
        self._test_loss: Any = None

    def note(self, *, train_loss: Any = None, test_loss: Any = None) -> None:
        """Remember losses for the next measurement: the mean training loss since the last, the latest test loss.

        They are recorded where ``losses`` of the tracker does not return them. Tensors are allowed, and are not
        synchronised before a measurement is due.
        """
        self._check_steps()
        train_loss, test_loss = (x.detach() if isinstance(x, Tensor) else x for x in (train_loss, test_loss))
        if train_loss is not None:
            self._sum = train_loss if self._sum is None else self._sum + train_loss
            self._count += 1
        if test_loss is not None:
            self._test_loss = test_loss

    def observe(self, step: int, model: Any, *, train_loss: Any = None) -> None:
        """Report to the tracker how many optimiser steps are done; it measures if it is time to.

        A ``train_loss`` overrides those passed to `note`.
        """
        if self._model is None:
            self._begun = step
        elif step == self.step:
            self._check_steps()
        if self._model is None or step != self.step:
            self._model, self._changed, self._stalled = model, self._changes.count(model), min(self._stalled, 0)
        self.step = step
        if isinstance(model, nn.Module):
            self._device = device_of(model)
        if train_loss is None and self._sum is not None:
            train_loss = self._sum / self._count
        if self.tracker.observe(step, model, train_loss=train_loss, test_loss=self._test_loss):
            self._forget()

    @property
    def should_stop(self) -> bool:
        """Whether the tracker's ``stop_when`` is fulfilled, the same in all processes: read it in every one of them."""
        if self.tracker.stop_when is None:
            return False
        return agreed(self.tracker.should_stop, self._device)


@contextmanager
def watching(tracker: Tracker, model: Any, optimizer: torch.optim.Optimizer, *, steps_done: int = 0) -> Iterator[Watch]:
    """Measure ``model`` before training and after steps of ``optimizer``; the loop itself needs no other line.

    A hook on the optimiser counts its steps; with gradient accumulation, or when a gradient scaler skips a step, only
    those that were done. At the end the hook is removed and the tracker is closed.

    Parameters
    ----------
    tracker
        The tracker.
    model
        The network in training; `torch.compile` and data-parallel wrappers are allowed.
    optimizer
        Its optimiser; of several, the one whose steps count.
    steps_done
        Steps done before, if a training is resumed.

    Returns
    -------
    Iterator[Watch]
        A context manager that returns a `Watch`: ``note`` takes losses, ``should_stop`` says whether to leave the loop.

    Raises
    ------
    InputError
        If the optimiser is not a ``torch.optim.Optimizer``, so that its steps cannot be counted.

    Examples
    --------
    >>> from interdyn.players import columns
    >>> from interdyn.schedules import every
    >>> x, y = torch.randn(32, 3, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 2
    >>> network = torch.nn.Linear(3, 2)
    >>> optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    >>> tracker = Tracker((x[:8], y[:8]), players=columns(), schedule=every(2), budget=None)
    >>> with watching(tracker, network, optimiser):
    ...     for _ in range(5):
    ...         optimiser.zero_grad()
    ...         torch.nn.functional.cross_entropy(network(x), y).backward()
    ...         optimiser.step()
    >>> tracker.steps  # the last network is always measured
    (0, 2, 4, 5)
    """
    if not hasattr(optimizer, "register_step_post_hook"):
        raise InputError(
            "`optimizer` must be a torch.optim.Optimizer, whose steps can be counted; "
            f"got {type(optimizer).__name__}. Call tracker.observe(step, model) after each step instead."
        )
    watch = Watch(tracker)
    hook = optimizer.register_step_post_hook(lambda *_: watch.observe(watch.step + 1, model))
    others = register_optimizer_step_post_hook(
        lambda *_: watch._check_steps()
    )  # of all optimisers, such as those inside
    try:
        watch.begin(steps_done, model)
        yield watch
    finally:
        others.remove()
        hook.remove()
        watch.end()
