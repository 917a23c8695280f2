"""Look at the networks that a training leaves on disk, during it or after it, from another process."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from interdyn.errors import CheckpointError, ModelError
from interdyn.game import undisturbed
from interdyn.tracking._checkpoints import SavedNetwork, find_checkpoints, load_network
from interdyn.tracking._tracker import Tracker

_TRIES = 3  # of a file that cannot be read, before it is passed over until it changes
_ROWS = 256


def watch(
    folder: str | Path,
    network: nn.Module,
    tracker: Tracker,
    *,
    losses: Callable[[nn.Module], Mapping[str, float]] | None = None,
    once: bool = False,
    idle: float = 600.0,
    poll: float = 5.0,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[int, ...]:
    """Look at every network saved in a folder, and at those that appear, until none has appeared for ``idle`` seconds.

    Parameters
    ----------
    folder
        Where the training saves; see `find_checkpoints` for names and formats.
    network
        The network that is trained; weights are loaded into it one after the other.
    tracker
        What looks; with ``out`` a watch that was stopped goes on where it was. Give it ``schedule=every(1)``.
    losses
        Called with the network of each step, returns ``train_loss`` and ``test_loss``; see `mean_losses`.
    once
        Look at what is there now and return.
    idle, poll
        Seconds without a new network after which the training counts as over; seconds between glances at the folder.
    say
        Called with one sentence after each look, and about each file that is passed over.

    Returns
    -------
    The steps looked at, those of an earlier watch among them.

    Raises
    ------
    CheckpointError
        If there is no such folder, or there is nothing in it that could be looked at when the watch ends.
    """
    tries: dict[tuple[Path, int], int] = {}
    last_news = time.monotonic()
    problem = ""
    while True:
        for saved in find_checkpoints(folder):
            stamp = (saved.path, saved.path.stat().st_mtime_ns if saved.path.exists() else 0)
            if saved.step in tracker.steps or tries.get(stamp, 0) >= (1 if once else _TRIES):
                continue
            tries[stamp] = tries.get(stamp, 0) + 1
            try:
                step = _look(saved, network, tracker, losses)
            except CheckpointError as error:
                problem = str(error)
                if once or tries[stamp] == _TRIES:
                    say(f"passed over: {problem}")
                continue
            tries[stamp] = _TRIES
            last_news = time.monotonic()
            say(_said(step, tracker))
        if once or time.monotonic() - last_news >= idle:
            break
        time.sleep(poll)
    if not tracker.steps:
        why = problem or (tracker.problems[-1] if tracker.problems else "nothing that is saved weights.")
        raise CheckpointError(f"there must be a network to look at in {folder}; got none. Last seen: {why}")
    return tracker.steps


def _look(
    saved: SavedNetwork,
    network: nn.Module,
    tracker: Tracker,
    losses: Callable[[nn.Module], Mapping[str, float]] | None,
) -> int:
    told = load_network(saved.path, network)
    step = told if told is not None else saved.step
    if step is None:
        raise CheckpointError(
            f"a checkpoint must tell its step; got {saved.path.name}, which does not. Put it in the name: step_1200.pt"
        )
    known = {} if losses is None or step in tracker.steps else losses(network)
    tracker.observe(step, network, train_loss=known.get("train_loss"), test_loss=known.get("test_loss"))
    return step


def _said(step: int, tracker: Tracker) -> str:
    if step not in tracker.steps:
        late = bool(tracker.steps) and step < tracker.steps[-1]
        why = "it came after later ones; watch again to have it" if late else "see the warning"
        return f"step {step} was not looked at: {why}."
    verdict = tracker.verdict
    return f"step {step}: measured." if verdict is None else verdict.sentence


def mean_losses(
    network: nn.Module, groups: Mapping[str, tuple[Tensor | tuple[Tensor, ...], Tensor | None]]
) -> dict[str, float]:
    """Return the mean cross-entropy of the groups ``train`` and ``test``, in eval mode, as ``NAME_loss``.

    ``groups`` maps names to inputs (a tensor, or several that go in together) and classes; a group of a regression,
    whose targets are not whole numbers, counts by its squared error, and one without targets not at all.

    Raises
    ------
    ModelError
        If the network does not return one row for each sample.

    Examples
    --------
    >>> network = nn.Linear(2, 2)
    >>> _ = nn.init.zeros_(network.weight), nn.init.zeros_(network.bias)
    >>> losses = mean_losses(network, {"test": (torch.ones(3, 2), torch.tensor([0, 1, 1]))})
    >>> {name: round(loss, 3) for name, loss in losses.items()}
    {'test_loss': 0.693}
    """
    out = {}
    for name in ("train", "test"):
        inputs, target = groups.get(name, (torch.zeros(0), None))
        if target is None:
            continue
        tensors = inputs if isinstance(inputs, tuple) else (inputs,)
        with undisturbed(network):
            parts = [network(*(t[at : at + _ROWS] for t in tensors)) for at in range(0, len(target), _ROWS)]
        out[f"{name}_loss"] = _loss(torch.cat([_logits(part) for part in parts]).double(), target)
    return out


def _logits(output: Any) -> Tensor:
    found = getattr(output, "logits", output)
    if not isinstance(found, Tensor):
        raise ModelError(f"the network must return a tensor of logits; got {type(output).__name__}. Wrap it.")
    return found


def _loss(output: Tensor, target: Tensor) -> float:
    if len(output) != len(target):
        raise ModelError(f"the network must return one row for each of {len(target)} samples; got {len(output)}.")
    if target.is_floating_point():
        return float(nn.functional.mse_loss(output.reshape(len(target), -1).squeeze(-1), target.double()))
    return float(nn.functional.cross_entropy(output, target))
