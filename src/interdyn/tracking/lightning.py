"""A tracker as a callback of Lightning."""

from collections.abc import Mapping
from typing import Any

import torch

from interdyn.errors import missing_extra
from interdyn.tracking._tracker import Tracker
from interdyn.tracking.pytorch import Watch

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise missing_extra("lightning", "lightning", "the callback for Lightning") from error

__all__ = ["TrackerCallback"]


class TrackerCallback(Callback):
    """Measures the module before training and after optimiser steps: ``Trainer(callbacks=[TrackerCallback(tracker)])``.

    Results go to the trainer's loggers, and into ``trainer.callback_metrics`` for callbacks that monitor, under the
    names of `interdyn.tracking.loggers`; ``step`` is ``trainer.global_step``. The tracker's ``stop_when`` sets
    ``trainer.should_stop``. With several processes rank 0 measures, and all of them stop together.

    Parameters
    ----------
    tracker
        The tracker; it is closed when the training ends.
    test_loss
        Name under which the module logs its validation loss. The training loss is what ``training_step`` returns.

    Examples
    --------
    >>> from interdyn.players import columns
    >>> callback = TrackerCallback(Tracker((torch.randn(8, 4), torch.arange(8) % 2), players=columns()))
    >>> callback.tracker.steps
    ()
    """

    def __init__(self, tracker: Tracker, *, test_loss: str = "val_loss") -> None:
        self.tracker, self.test_loss = tracker, test_loss
        self._watch = Watch(tracker, logger=self)
        self._trainer: Trainer | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the module before training, or where an earlier training left it."""
        self._trainer = trainer
        self._watch.begin(trainer.global_step, pl_module, total_steps=trainer.estimated_stepping_batches)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure if it is time to, and set whether to stop."""
        del batch, batch_idx
        self._watch.note(train_loss=outputs.get("loss") if isinstance(outputs, Mapping) else outputs)
        self._watch.observe(trainer.global_step, pl_module)
        trainer.should_stop = self._watch.should_stop or trainer.should_stop

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the validation loss for the next measurement."""
        del pl_module
        if not trainer.sanity_checking:
            self._watch.note(test_loss=trainer.callback_metrics.get(self.test_loss))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the summary of the run."""
        del trainer, pl_module
        self._watch.end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write the summary of the run so far."""
        del trainer, pl_module, exception
        self._watch.end()

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Pass the numbers of a measurement to the trainer."""
        assert self._trainer is not None
        self._trainer.callback_metrics.update({name: torch.tensor(value) for name, value in metrics.items()})
        for logger in self._trainer.loggers:
            logger.log_metrics(metrics, step)
