"""A tracker in a training loop under Hugging Face Accelerate."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from interdyn.errors import missing_extra
from interdyn.tracking import pytorch
from interdyn.tracking._tracker import Tracker
from interdyn.tracking.pytorch import Watch

try:
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer
except ModuleNotFoundError as error:
    raise missing_extra("accelerate", "accelerate", "a tracker under Accelerate") from error

__all__ = ["Watch", "watching"]


class _AcceleratorLogger:
    """Passes each measurement to the trackers that ``log_with`` names."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self._accelerator.log(metrics, step=step)


@contextmanager
def watching(
    tracker: Tracker, accelerator: Accelerator, model: Any, optimizer: Any, *, steps_done: int = 0
) -> Iterator[Watch]:
    """Measure a prepared ``model`` before training and after steps of its prepared ``optimizer``.

    As `interdyn.tracking.pytorch.watching`; in addition, results go to ``accelerator.log``. With several processes the
    main one measures, and ``should_stop``, which every process must read, is the same in all.

    Parameters
    ----------
    tracker, steps_done
        As in `interdyn.tracking.pytorch.watching`.
    accelerator
        The accelerator.
    model, optimizer
        As returned by ``accelerator.prepare``.

    Examples
    --------
    >>> import torch
    >>> from interdyn.players import columns
    >>> from interdyn.schedules import every
    >>> x, y = torch.randn(32, 3, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 2
    >>> accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    >>> network = torch.nn.Linear(3, 2)
    >>> network, optimiser = accelerator.prepare(network, torch.optim.SGD(network.parameters(), lr=0.1))
    >>> tracker = Tracker((x[:8], y[:8]), players=columns(), schedule=every(2), budget=None)
    >>> with watching(tracker, accelerator, network, optimiser):
    ...     for _ in range(8):
    ...         with accelerator.accumulate(network):
    ...             accelerator.backward(torch.nn.functional.cross_entropy(network(x), y))
    ...             optimiser.step()
    ...             optimiser.zero_grad()
    >>> tracker.steps
    (0, 2, 4)
    """
    inner = optimizer.optimizer if isinstance(optimizer, AcceleratedOptimizer) else optimizer
    bare = accelerator.unwrap_model(model, keep_fp32_wrapper=True, keep_torch_compile=False)
    logger = _AcceleratorLogger(accelerator)
    tracker.loggers.append(logger)
    try:
        with pytorch.watching(tracker, bare, inner, steps_done=steps_done) as watch:
            yield watch
    finally:
        tracker.loggers.remove(logger)
