"""A tracker in a training loop of one's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from interdyn.errors import InputError
from interdyn.tracking._tracker import Tracker
from interdyn.tracking._watch import Watch

__all__ = ["Watch", "watching"]


@contextmanager
def watching(tracker: Tracker, model: Any, optimizer: torch.optim.Optimizer, *, steps_done: int = 0) -> Iterator[Watch]:
    """Look at ``model`` before training and after steps of ``optimizer``; the loop itself needs no other line.

    A hook on the optimiser counts its steps: with accumulated gradients, or when a gradient scaler leaves a step out,
    only those that were done. At the end the hook is gone and the tracker is closed.

    Parameters
    ----------
    tracker
        The tracker.
    model
        The network in training; `torch.compile` and data-parallel wrappers are welcome.
    optimizer
        Its optimiser; of several, the one whose steps count.
    steps_done
        Steps done before, of a training that is continued.

    Returns
    -------
    A context manager that gives a `Watch`: ``note`` takes losses, ``should_stop`` says whether to leave the loop.

    Raises
    ------
    InputError
        If the optimiser is no ``torch.optim.Optimizer``, so that its steps cannot be counted.

    Examples
    --------
    >>> from interdyn.players import columns
    >>> from interdyn.schedules import every
    >>> x, y = torch.randn(32, 3, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 2
    >>> network = torch.nn.Linear(3, 2)
    >>> optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    >>> tracker = Tracker((x[:8], y[:8]), players=columns(), schedule=every(2))
    >>> with watching(tracker, network, optimiser):
    ...     for _ in range(5):
    ...         optimiser.zero_grad()
    ...         torch.nn.functional.cross_entropy(network(x), y).backward()
    ...         optimiser.step()
    >>> tracker.steps
    (0, 2, 4)
    """
    if not hasattr(optimizer, "register_step_post_hook"):
        raise InputError(
            "`optimizer` must be a torch.optim.Optimizer, whose steps can be counted; "
            f"got {type(optimizer).__name__}. Call tracker.observe(step, model) after each step instead."
        )
    watch = Watch(tracker)
    hook = optimizer.register_step_post_hook(lambda *_: watch.look(watch.step + 1, model))
    try:
        watch.begin(steps_done, model)
        yield watch
    finally:
        hook.remove()
        watch.end()
