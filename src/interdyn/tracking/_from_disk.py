"""Measure the networks that a training saves, during it or after it, from another process."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from interdyn.errors import CheckpointError, InputError, ModelError
from interdyn.game import isolated
from interdyn.tracking._checkpoints import SavedFolder, SavedNetwork, load_part
from interdyn.tracking._measuring import device_of
from interdyn.tracking._tracker import Tracker

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
    executor: Executor | None = None,
    block: int | None = None,
    patience: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[int, ...]:
    """Measure every network saved in a folder, including new ones, until none has appeared for ``idle`` seconds.

    Parameters
    ----------
    folder
        Where the training saves; see `find_checkpoints` for names and formats.
    network
        The network that is trained; the weights are loaded into it one after the other.
    tracker
        What measures; with ``out``, a watch that was stopped resumes where it was. Pass it ``schedule=every(1)`` and
        ``budget=None``: no training runs in this process, so measuring cannot be a share of its time.
    losses
        As in `Tracker`; replaces the tracker's own.
    once
        Measure what is there now and return.
    idle, poll
        Seconds without a new network after which the training counts as finished; seconds between checks of the folder.
    executor
        Any ``concurrent.futures.Executor`` whose workers see the folder of the tracker and that of the checkpoints.
        They measure; this process finds networks and computes losses. The networks must stay on disk until they are
        measured. The network is pickled.
    block
        Samples per unit of work; by default all of a group. With the same ``block``, any number of processes gives
        the same numbers as one process, to the last bit.
    patience
        Seconds without an answer from the executor after which units are resubmitted; see docs/howto/clusters.md.
    say
        Called with the step, source and weights used of each network, in one text before they are measured; then with
        one sentence per measurement and per skipped file.

    Returns
    -------
    tuple[int, ...]
        The measured steps, including those of an earlier watch.

    Raises
    ------
    CheckpointError
        If the folder does not exist, or contains nothing that could be measured when the watch ends.
    EngineError
        If units could not be measured; raised at the end, when all others are.
    InputError
        If ``network`` is not a module, or the tracker uses windows of nearby steps, which a folder does not have.
    """
    if tracker.window > 1:
        raise InputError(
            f"saved networks are measured one by one, without windows; got a tracker with window={tracker.window}. "
            "Leave `window` out, or track the training itself."
        )
    if not isinstance(network, nn.Module):
        raise InputError(f"`network` must be a torch.nn.Module, to load weights into; got {type(network).__name__}.")
    tracker.losses = losses or tracker.losses
    handed = executor is not None or block is not None or tracker.shard is not None
    if handed:
        tracker.hand_out(network, executor, block=block, patience=patience)
    saved_there, shown = SavedFolder(folder, network), set[SavedNetwork]()
    last_news, problem = time.monotonic(), ""
    while True:
        over = once or time.monotonic() - last_news >= idle
        found = saved_there.look(settled=over)
        new = [one for one in found if one not in shown and one.step not in tracker.steps]
        shown.update(found)
        if any(one.step is not None for one in new):
            say("\n".join(_mapping(one) for one in new if one.step is not None))
        for saved in new:
            if saved.problem:
                problem = saved.problem
                say(f"skipped: {problem}")
            if saved.step is None:
                continue
            try:
                load_part(saved.path, network)
            except CheckpointError as error:
                problem = str(error)
                saved_there.failed(saved, problem)
                shown.discard(saved)
                if over:
                    say(f"skipped: {problem}")
                continue
            last_news = time.monotonic()
            tracker.observe_saved(saved.step, network, saved.path)
            say(_said(saved.step, tracker, handed=handed))
        if over:
            break
        time.sleep(poll)
        tracker.collect()
    tracker.settle()
    if not tracker.steps:
        why = problem or (tracker.problems[-1] if tracker.problems else "no file of saved weights.")
        raise CheckpointError(f"{folder} must contain a network to measure; got none. Last problem: {why}")
    return tracker.steps


def _mapping(saved: SavedNetwork) -> str:
    return f"step {saved.step}: {saved.path.name} ({saved.source}; {saved.part})"


def _said(step: int, tracker: Tracker, *, handed: bool) -> str:
    if step not in tracker.steps:
        if handed:
            return f"step {step}: submitted."
        late = bool(tracker.steps) and step < tracker.steps[-1]
        why = "it appeared after later ones; watch again to measure it" if late else "see the warning"
        return f"step {step} was not measured: {why}."
    return tracker.verdict.sentence


def mean_losses(network: Any, groups: Mapping[str, Any], *, rows: int = _ROWS) -> dict[str, float]:
    """Return the loss, and the accuracy of a classifier, on the groups ``train`` and ``test``, in eval mode.

    Parameters
    ----------
    network
        The network; its device and state are unchanged.
    groups
        Name to ``(inputs, targets)``, or to ``(inputs, targets, ids)`` to use only some samples. Inputs are a tensor,
        or a tuple of tensors that are passed together. Class targets give the mean cross-entropy, other numbers the
        mean squared error; a group without targets is ignored.
    rows
        Samples per forward pass.

    Returns
    -------
    dict[str, float]
        ``train_loss``, ``test_loss`` in nats or the squared unit of the output; ``train_accuracy``, ``test_accuracy``
        of a classifier.

    Raises
    ------
    ModelError
        If the network does not return one row for each sample.

    Examples
    --------
    >>> network = nn.Linear(2, 2)
    >>> _ = nn.init.zeros_(network.weight), nn.init.zeros_(network.bias)
    >>> losses = mean_losses(network, {"test": (torch.ones(3, 2), torch.tensor([0, 1, 1]))})
    >>> {name: round(number, 3) for name, number in losses.items()}
    {'test_accuracy': 0.333, 'test_loss': 0.693}
    """
    out = {}
    for name in ("train", "test"):
        inputs, target, *ids = groups.get(name, (None, None))
        if target is None:
            continue
        tensors, device = inputs if isinstance(inputs, tuple) else (inputs,), device_of(network)
        chosen = torch.as_tensor(ids[0]) if ids else torch.arange(len(target))
        with isolated(network) as private:
            parts = [private(*(t[part].to(device) for t in tensors)) for part in torch.split(chosen, rows)]
        output, wanted = torch.cat([_logits(part) for part in parts]).double(), target[chosen].to(device)
        if not wanted.is_floating_point():
            output = _scores(output, int(wanted.max()) + 1)
            out[f"{name}_accuracy"] = float((output.argmax(dim=-1) == wanted).double().mean())
        out[f"{name}_loss"] = float(loss_of(output, wanted))
    return out


def _logits(output: Any) -> Tensor:
    found = getattr(output, "logits", output)
    if not isinstance(found, Tensor):
        raise ModelError(f"the network must return a tensor of logits; got {type(output).__name__}. Wrap it.")
    return found


def _scores(output: Tensor, classes: int) -> Tensor:
    """Return a score for each class; a single logit is that of class 1 against class 0."""
    single = output.reshape(-1, 1) if output.ndim == 1 or output.shape[1:] == (1,) else None
    scores = output if single is None else torch.cat([torch.zeros_like(single), single], dim=1)
    if scores.ndim != 2 or scores.shape[1] < classes:
        raise ModelError(
            f"the network must return a score for each of {classes} classes; got an output of shape "
            f"{tuple(output.shape)}. Correct its `forward`."
        )
    return scores


def loss_of(output: Tensor, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of classes, or the mean squared error of other targets; differentiable.

    ``label_smoothing`` is the share of each class's target that is spread over all classes (Szegedy et al., 2016,
    section 7), as in `torch.nn.functional.cross_entropy`.

    Raises
    ------
    ModelError
        If there is not one row per sample, with an entry for each class.

    Examples
    --------
    >>> loss_of(torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 1.0]))
    tensor(2.)
    """
    classes = not target.is_floating_point()
    if output.shape[:1] != target.shape or (output.ndim != 2 if classes else output.numel() != len(target)):
        wanted = f"({len(target)}, classes)" if classes else f"({len(target)},)"
        raise ModelError(
            f"the network must return an output of shape {wanted}, one row per sample; got {tuple(output.shape)}. "
            "Correct its `forward`."
        )
    if classes:
        return nn.functional.cross_entropy(output, target, label_smoothing=label_smoothing)
    return nn.functional.mse_loss(output.reshape(len(target), -1).squeeze(-1), target.to(output.dtype))
