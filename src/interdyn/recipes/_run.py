"""The main job: train, measure at every checkpoint, analyse; stop at any moment and go on."""

import copy
import platform
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import nn

from interdyn import store
from interdyn.measurement import History
from interdyn.recipes._dataset import Samples, load_samples
from interdyn.recipes._exhibits import exhibit_of
from interdyn.recipes._measuring import Group, choose_groups, measure_group, numbers_of_players
from interdyn.recipes._planted import planted_error
from interdyn.recipes._schema import Recipe
from interdyn.recipes._training import Trainer, load_weights, log_spaced, total_steps

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``; stages are ``training`` (steps), ``measuring`` (one unit for
each group at each checkpoint) and ``analysing``."""

_PACKAGES = ("interdyn", "torch", "numpy", "safetensors", "scikit-learn", "scipy")


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


def run_recipe(recipe: Recipe, out: str | Path, *, progress: Progress = silent) -> store.Run:
    """Do everything a recipe says, in the folder ``out``; what is there already is not done again.

    Parameters
    ----------
    recipe
        A resolved recipe; see `load_recipe`.
    out
        Folder of the run: empty, absent, or an unfinished run of the same recipe, which is continued.
    progress
        Called after each training step and each measured group.

    Returns
    -------
    The finished run; its summary is in ``summary.json``.

    Raises
    ------
    RecipeError
        If the recipe cannot be run, or the folder holds a run of another recipe.
    RunError
        If the folder is something else, or writing fails; what was written before is intact.
    ModelError
        If the network returns something unusable, or training diverges.

    Notes
    -----
    Killed at any moment it loses at most the checkpoint in work. A second call ends with the same numbers as
    an uninterrupted one: the order of the data depends on seed and epoch alone, and the optimiser and the
    random numbers are kept with each checkpoint. Neither global random numbers nor thread counts are changed.
    """
    folder = Path(out)
    samples = load_samples(recipe.data)
    total = total_steps(recipe.training, len(samples.train_ids))
    steps = log_spaced(total, recipe.checkpoints.count, first=recipe.checkpoints.first)
    groups = choose_groups(recipe, samples)
    with ExitStack() as stack:
        stack.enter_context(store.writing(folder))
        run = store.begin_run(folder, recipe.plain(), steps=steps, groups=recipe.groups, environment=environment())
        if not (folder / "summary.json").exists():
            _Engine(run, recipe, samples=samples, groups=groups, progress=progress).work()
    return run


def environment() -> dict[str, Any]:
    """Return versions, platform, threads and flags that can change a number; no names of hosts or folders."""
    packages: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {
        "schema": store.SCHEMA,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "packages": packages,
        "threads": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "device": "cpu",
    }


class _Engine:
    """One pass over the plan of a run that does whatever is not on disk yet."""

    def __init__(
        self,
        run: store.Run,
        recipe: Recipe,
        *,
        samples: Samples,
        groups: tuple[Group, ...],
        progress: Progress,
    ) -> None:
        self._run, self._recipe, self._samples, self._groups = run, recipe, samples, groups
        self._progress = progress
        self._network: nn.Module  # measured, not trained

    def work(self) -> None:
        """Train and measure checkpoint by checkpoint, then analyse."""
        for group in self._groups:
            if store.read_exhibit(self._run, group.name) is None:
                store.write_exhibit(self._run, exhibit_of(group, self._samples, self._recipe))
        trainer = self._resume()
        self._network = copy.deepcopy(trainer.network)
        for index, step in enumerate(self._run.steps):
            checkpoint = store.read_checkpoint(self._run, step)
            if checkpoint is None:
                checkpoint = self._train(trainer, step)
            else:
                self._progress("training", step, self._run.steps[-1])
            self._measure(checkpoint, index)
        self._analyse()

    def _resume(self) -> Trainer:
        """Return training at the newest step from which it can go on, the beginning if there is none."""
        trainer = Trainer(self._recipe, self._samples)
        whole = []
        for step in self._run.steps:
            if store.read_checkpoint(self._run, step) is None:
                break
            whole.append(step)
        for step in reversed(store.trainer_steps(self._run)):
            state, checkpoint = store.read_trainer(self._run, step), store.read_checkpoint(self._run, step)
            if step in whole and state is not None and checkpoint is not None:
                trainer.restore(step, checkpoint.weights, state=state)
                break
        return trainer

    def _train(self, trainer: Trainer, step: int) -> store.Checkpoint:
        """Train up to ``step`` and keep the network there."""
        last = self._run.steps[-1]
        begun = perf_counter()
        trainer.advance(step, on_step=lambda done: self._progress("training", done, last))
        trained = perf_counter()
        losses = trainer.losses()
        seconds = {"training": trained - begun, "evaluation": perf_counter() - trained}
        checkpoint = store.Checkpoint(step, trainer.weights(), losses=losses, seconds=seconds)
        # the checkpoint comes last: where it is, the state of training is too
        store.write_trainer(self._run, step, trainer.state())
        store.write_checkpoint(self._run, checkpoint)
        store.drop_trainers(self._run, before=step)
        return checkpoint

    def _measure(self, checkpoint: store.Checkpoint, index: int) -> None:
        """Measure every group at one checkpoint, unless it has been."""
        load_weights(self._network, checkpoint.weights)
        units = len(self._run.steps) * len(self._groups)
        for place, group in enumerate(self._groups):
            if store.read_measurement(self._run, checkpoint.step, group=group.name) is None:
                measurement = measure_group(self._network, group, step=checkpoint.step, section=self._recipe.measure)
                store.write_measurement(self._run, measurement)
            self._progress("measuring", index * len(self._groups) + place + 1, units)

    def _analyse(self) -> None:
        """Read everything back, analyse it, and write the results."""
        self._progress("analysing", 0, 1)
        begun = perf_counter()
        history = History.read(self._run)
        result = history.result(options=self._recipe.analysis.model_dump())
        players = self._recipe.players
        told, sentences = numbers_of_players(self._groups, players.n)
        if self._samples.planted and players.n is None and players.groups is None:  # the columns, in order
            told["planted"] = planted_error(history.last, self._samples.planted)
        rest = result.seconds["everything_else"] + perf_counter() - begun
        told |= {"verdict": (*result.verdict, *sentences), "seconds": {**result.seconds, "everything_else": rest}}
        store.write_result(self._run, result.model_copy(update=told))
        self._progress("analysing", 1, 1)
