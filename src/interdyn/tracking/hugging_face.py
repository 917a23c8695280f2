"""A tracker as a callback of the Hugging Face ``Trainer``."""

from typing import Any

from interdyn.errors import missing_extra
from interdyn.tracking._tracker import Tracker
from interdyn.tracking.pytorch import Watch

try:
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ModuleNotFoundError as error:
    raise missing_extra("transformers", "hf", "the callback for the Hugging Face Trainer") from error

__all__ = ["TrackerCallback"]


class TrackerCallback(TrainerCallback):
    """Measures the model before training and after optimiser steps: ``Trainer(callbacks=[TrackerCallback(tracker)])``.

    Results are kept in ``state.log_history`` under the names of `interdyn.tracking.loggers`. A callback alone does not
    reach the integrations in ``report_to``; with the trainer it does: ``trainer.add_callback(TrackerCallback(tracker,
    trainer))``. The tracker's ``stop_when`` sets ``control.should_training_stop``. With several processes rank 0
    measures, and all of them stop together. The training loss is the logged one, the test loss that of an evaluation.

    Parameters
    ----------
    tracker
        The tracker; it is closed when the training ends.
    trainer
        The trainer, to use `Trainer.log`.
    test_loss
        Name of the loss among the metrics of an evaluation; change it where ``eval_dataset`` has several.

    Examples
    --------
    >>> import torch
    >>> from interdyn.players import columns
    >>> callback = TrackerCallback(Tracker((torch.randn(8, 4), torch.arange(8) % 2), players=columns()))
    >>> callback.tracker.steps
    ()
    """

    def __init__(self, tracker: Tracker, trainer: Trainer | None = None, *, test_loss: str = "eval_loss") -> None:
        self.tracker, self.trainer, self.test_loss = tracker, trainer, test_loss
        self._watch = Watch(tracker, logger=self)
        self._state: TrainerState | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Measure the model before training, or where an earlier training left it."""
        del args, control, kwargs
        self._state = state
        self._watch.begin(state.global_step, model, total_steps=state.max_steps)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Measure if it is time to, and set whether to stop."""
        del args, kwargs
        self._watch.observe(state.global_step, model)
        control.should_training_stop = self._watch.should_stop or control.should_training_stop

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        """Remember the losses of training and of an evaluation for the next measurement."""
        del args, state, control, kwargs
        self._watch.note(train_loss=logs.get("loss"), test_loss=logs.get(self.test_loss))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the summary of the run."""
        del args, state, control, kwargs
        self._watch.end()

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Keep the numbers of a measurement where the trainer keeps its own."""
        assert self._state is not None
        if self.trainer is None:
            self._state.log_history.append({**metrics, "step": step})
            return
        now, control = self._state.global_step, self.trainer.control
        due = control.should_log  # `log` would reset it, and suppress the trainer's own line
        self._state.global_step = step
        try:
            self.trainer.log(dict(metrics))
        finally:
            self._state.global_step, control.should_log = now, due
