"""What all adapters share: losses remembered from look to look, and one decision to stop."""

from typing import Any

import torch
from torch import Tensor, nn

from interdyn.tracking._ranks import agreed
from interdyn.tracking._scalars import Logger
from interdyn.tracking._tracker import Tracker


class Watch:
    """A tracker within somebody's loop.

    Parameters
    ----------
    tracker
        The tracker.
    logger
        One more logger of the tracker from `begin` to `end`.

    Attributes
    ----------
    step
        Optimiser steps done, as far as `look` was told.

    Examples
    --------
    >>> from interdyn.players import columns
    >>> from interdyn.schedules import every
    >>> x, y = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    >>> watch = Watch(Tracker((x, y), players=columns(), schedule=every(2)))
    >>> network = nn.Linear(3, 2)
    >>> watch.look(0, network)
    >>> for step, loss in ((1, 4.0), (2, 2.0)):
    ...     watch.note(train_loss=loss)
    ...     watch.look(step, network)
    >>> watch.tracker.trajectory.train_loss.tolist(), watch.should_stop
    ([nan, 3.0], False)
    """

    def __init__(self, tracker: Tracker, *, logger: Logger | None = None) -> None:
        self.tracker, self.step = tracker, 0
        self._logger = logger
        self._device = torch.device("cpu")
        self._forget()

    def begin(self, step: int, model: Any) -> None:
        """Look at a training that begins, or goes on after so many steps."""
        if self._logger is not None and self._logger not in self.tracker.loggers:
            self.tracker.loggers.append(self._logger)
        self.look(step, model)

    def end(self) -> None:
        """Close the tracker; another training may follow."""
        if self._logger in self.tracker.loggers:
            self.tracker.loggers.remove(self._logger)
        self.tracker.close()

    def _forget(self) -> None:
        self._sum: Any = None
        self._count = 0
        self._test_loss: Any = None

    def note(self, *, train_loss: Any = None, test_loss: Any = None) -> None:
        """Remember losses for the next look: the mean of the training losses since the last, the newest test loss.

        Tensors are welcome: they are not waited for before a look is due.
        """
        if train_loss is not None:
            loss = train_loss.detach() if isinstance(train_loss, Tensor) else train_loss
            self._sum = loss if self._sum is None else self._sum + loss
            self._count += 1
        if test_loss is not None:
            self._test_loss = test_loss

    def look(self, step: int, model: Any, *, train_loss: Any = None) -> None:
        """Tell the tracker that so many optimiser steps are done; it looks if it is time to.

        A ``train_loss`` goes before those that were noted.
        """
        self.step = step
        if isinstance(model, nn.Module):
            self._device = next((p.device for p in model.parameters()), self._device)
        if train_loss is None and self._sum is not None:
            train_loss = self._sum / self._count
        if self.tracker.observe(step, model, train_loss=train_loss, test_loss=self._test_loss):
            self._forget()

    @property
    def should_stop(self) -> bool:
        """Whether the tracker's ``stop_when`` has come about, for all processes alike: ask in every one of them."""
        if self.tracker.stop_when is None:
            return False
        return agreed(self.tracker.should_stop, self._device)
