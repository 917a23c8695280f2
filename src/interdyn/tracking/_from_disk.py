"""Measure the networks that a training saves, during it or after it, from another process."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path

from torch import nn

from interdyn.errors import CheckpointError, InputError
from interdyn.tracking._checkpoints import SavedFolder, SavedNetwork, load_part
from interdyn.tracking._tracker import Tracker


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
