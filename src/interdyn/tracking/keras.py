"""A tracker as a callback of Keras 3 on the torch backend."""

from typing import Any

from interdyn.errors import InputError, missing_extra
from interdyn.tracking._tracker import Tracker
from interdyn.tracking.pytorch import Watch

try:
    import keras
except ModuleNotFoundError as error:
    if error.name == "keras":
        raise missing_extra("keras", "keras", "the callback for Keras") from error
    raise InputError(
        f'Keras must run on the torch backend; got one that needs {error.name}. Set os.environ["KERAS_BACKEND"] = '
        '"torch" before the first import of keras.'
    ) from error
if keras.backend.backend() != "torch":
    raise InputError(
        f'Keras must run on the torch backend; got {keras.backend.backend()}. Set os.environ["KERAS_BACKEND"] = '
        '"torch" before the first import of keras.'
    )

__all__ = ["TrackerCallback"]


class TrackerCallback(keras.callbacks.Callback):
    """Measures the model before training and after steps: ``model.fit(..., callbacks=[TrackerCallback(tracker)])``.

    The latest ``interactions/mean_order`` and ``interactions/phase`` are added to the logs of each epoch, for
    ``History`` and for callbacks that monitor; all numbers go to the tracker's own loggers. The tracker's ``stop_when``
    sets ``model.stop_training``. The training loss is the running mean of the epoch that Keras reports.

    Parameters
    ----------
    tracker
        The tracker; it is closed when the training ends.
    test_loss
        Name of the validation loss among the logs of an epoch.

    Examples
    --------
    >>> import torch
    >>> from interdyn.players import columns
    >>> callback = TrackerCallback(Tracker((torch.randn(8, 4), torch.arange(8) % 2), players=columns()))
    >>> callback.tracker.steps
    ()
    """

    def __init__(self, tracker: Tracker, *, test_loss: str = "val_loss") -> None:
        super().__init__()
        self.tracker, self.test_loss = tracker, test_loss
        self._watch = Watch(tracker, logger=self)
        self._newest: dict[str, float] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        """Measure the model before training, or where an earlier training left it."""
        del logs
        done, epochs, steps = self._steps_done(), self.params.get("epochs"), self.params.get("steps")
        self._watch.begin(done, self.model, total_steps=done + epochs * steps if epochs and steps else None)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Measure if it is time to, and set whether to stop."""
        del batch
        self._watch.observe(self._steps_done(), self.model, train_loss=(logs or {}).get("loss"))
        self.model.stop_training = self._watch.should_stop or self.model.stop_training

    def _steps_done(self) -> int:
        return int(self.model.optimizer.iterations)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Remember the validation loss for the next measurement, and add the latest measurement to the logs."""
        del epoch
        if logs is not None:
            self._watch.note(test_loss=logs.get(self.test_loss))
            logs.update({name: self._newest[name] for name in _SHOWN if name in self._newest})

    def on_train_end(self, logs: Any = None) -> None:
        """Write the summary of the run."""
        del logs
        self._watch.end()

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Keep the numbers of a measurement for the logs of the epoch."""
        del step
        self._newest = metrics


_SHOWN = ("interactions/mean_order", "interactions/phase")
