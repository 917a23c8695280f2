"""Running a recipe: train, measure at every checkpoint, analyse; can be stopped and resumed at any moment."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from time import perf_counter

import torch

from interdyn import store
from interdyn.measurement import Group, History, checked_device
from interdyn.recipes._dataset import Samples, load_samples
from interdyn.recipes._load import code_of
from interdyn.recipes._measuring import choose_groups, exhibits_of, numbers_of_players
from interdyn.recipes._registry import find_model
from interdyn.recipes._schema import Recipe
from interdyn.recipes._training import Trainer, measured_steps, total_steps
from interdyn.recipes._units import resolved, work_of
from interdyn.schedules import at
from interdyn.tracking import MEASURING, Engine, Record, Shard, Tracker, wait_for
from interdyn.values import Interactions, Term, subset_from_members

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``; stages are ``training`` (steps), ``measuring`` (one unit for
each group at each checkpoint) and ``analysing``."""


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


def run_recipe(
    recipe: Recipe,
    out: str | Path,
    *,
    progress: Progress = silent,
    allow_code: bool = False,
    executor: Executor | None = None,
    shard: str | None = None,
    patience: float | None = None,
) -> store.Run:
    """Run a recipe in the folder ``out``; what is already there and intact is not done again.

    Parameters
    ----------
    recipe
        A resolved recipe; see `load_recipe`.
    out
        Folder of the run: empty, new, or a run of the same recipe, whose missing or damaged parts are done.
    progress
        Called after each training step and each measured checkpoint.
    allow_code
        Import and run what the recipe names as ``module:factory``; see `code_of`. Registered factories, and the code
        of a library recipe's own provider, need no permission.
    executor
        Any ``concurrent.futures.Executor`` whose workers see the folder ``out``: they measure checkpoints in units,
        while training continues here. A run that started without one continues as it started, a group at a time.
    shard
        ``"i/N"``: measure this part of the units only; N processes with the same arguments share the run. The first
        one trains, the others wait for its checkpoints.
    patience
        Seconds without an answer after which units are resubmitted, and after which shards other than the first stop
        waiting; None: as `interdyn.tracking.Engine`, and an hour.

    Returns
    -------
    store.Run
        The run; once finished, its summary is in ``summary.json``. With a ``shard``, the last process finishes it.

    Raises
    ------
    RecipeError
        If the recipe cannot be run, names code that is not allowed, or the folder contains a run of another recipe.
    RunError
        If the folder is something else, or writing fails; what was written before is intact.
    ModelError
        If the network returns something unusable, or training diverges.
    EngineError
        If units could not be measured, once all others are; if the executor accepts no work, or its workers have other
        versions or do not see the folder; if the first shard writes no checkpoints.

    Notes
    -----
    If killed, it loses at most the current checkpoint. A second call ends with the same numbers as an uninterrupted
    one: the order of the data depends only on seed and epoch, and the optimiser and random states are saved with each
    checkpoint. Neither global random states nor thread counts are changed.
    """
    allowed, out = allow_code or not code_of(recipe), Path(out)
    part = None if shard is None else Shard.of(shard)
    find_model(recipe.model.name, allow_code=allowed)  # refused before anything is read or written
    samples = load_samples(recipe.data, allow_code=allowed)
    steps = measured_steps(recipe, total_steps(recipe.training, len(samples.train_ids)))
    follows = part is not None and part.index > 1
    if follows:
        wait_for(lambda: store.holds_a_run(out), f"no run has started in {out}", patience)
    in_units = executor is not None or part is not None
    recipe = resolved(recipe, samples, out, in_units=in_units, allow_code=allowed)
    groups = choose_groups(recipe, samples)
    record = Record(
        groups,
        out,
        recipe=recipe.plain(),
        steps=steps,
        keep_weights=True,
        exhibits=exhibits_of(groups, samples),
        device=checked_device(recipe.training.device or "cpu").type,
        strict=True,
        shared=follows,
    )
    run = record.open()
    try:
        if not _is_whole(run):
            if in_units or recipe.units is not None:
                work = work_of(recipe, samples, groups, allow_code=allowed)
                block = None if recipe.units is None else recipe.units.samples
                told = _of_units(progress, groups, block, len(steps))
                record.measure_with(
                    Engine(run, work, executor, block=block, shard=part, patience=patience, progress=told)
                )
                progress = _without_measuring(progress)
            trainer = Trainer(recipe, samples, allow_code=allowed)
            tracker = Tracker(groups, schedule=at(*steps), budget=None, out=record, losses=trainer.losses)
            if follows:
                _follow(run, trainer, tracker, patience)
            else:
                store.withdraw_results(run)
                store.drop_damaged_checkpoints(run)
                _train(run, trainer, tracker, progress)
            record.settle()
            if _is_measured(run):
                store.drop_units(run)
                _analyse(run, recipe, samples, groups, progress)
    finally:
        record.close(summary=False)
    return run


def _of_units(progress: Progress, groups: Sequence[Group], block: int | None, steps: int) -> Callable[[int], None]:
    """Return the function that reports how many units of a run are measured."""
    total = steps * sum(len(store.blocks_of(len(group), block)) for group in groups)
    return lambda done: progress("measuring", done, total)


def _without_measuring(progress: Progress) -> Progress:
    """Return the progress of training and analysing only, for runs whose units report themselves."""

    def report(stage: str, done: int, total: int) -> None:
        if stage != "measuring":
            progress(stage, done, total)

    return report


def _is_whole(run: store.Run) -> bool:
    """Return whether results, measurements and networks of a run all exist and are intact."""
    reader = store.Reader(run)
    return (
        store.has_result(run) and all(reader.checkpoint(step) is not None for step in run.steps) and _is_measured(run)
    )


def _is_measured(run: store.Run) -> bool:
    """Return whether all measurements of a run exist and are intact."""
    reader = store.Reader(run)
    return all(reader.measurement(step, group=group) is not None for step in run.steps for group in run.groups)


def _train(run: store.Run, trainer: Trainer, tracker: Tracker, progress: Progress) -> None:
    """Train and measure step by step, as far as it is not on disk yet."""
    _resume(run, trainer)
    last, groups = run.steps[-1], len(run.groups)
    for index, step in enumerate(run.steps):
        if store.read_checkpoint(run, step) is None:
            with MEASURING:  # units may be measured in other threads
                trainer.advance(step, on_step=lambda done: progress("training", done, last))
            # the checkpoint is written last: if it exists, so does the state of training
            store.write_trainer(run, step, trainer.state())
            tracker.observe(step, trainer.network)
            store.drop_trainers(run, before=step)
        else:
            progress("training", step, last)
            tracker.measure_saved(step, trainer.network)
        progress("measuring", (index + 1) * groups, len(run.steps) * groups)
    store.drop_trainers(run, before=last)


def _follow(run: store.Run, trainer: Trainer, tracker: Tracker, patience: float | None) -> None:
    """Measure what another process trains, step by step."""
    reader = store.Reader(run)
    for step in run.steps:

        def there(step: int = step) -> bool:
            return reader.entry(step) is not None

        wait_for(there, f"no checkpoint of step {step} in {run.path}", patience, meanwhile=tracker.collect)
        tracker.measure_saved(step, trainer.network)


def _resume(run: store.Run, trainer: Trainer) -> None:
    """Bring training to the latest step from which it can resume; to the beginning if there is none."""
    whole = []
    for step in run.steps:
        if store.read_checkpoint(run, step) is None:
            break
        whole.append(step)
    for step in reversed(store.trainer_steps(run)):
        state, checkpoint = store.read_trainer(run, step), store.read_checkpoint(run, step)
        if step in whole and state is not None and checkpoint is not None:
            trainer.restore(step, checkpoint.weights, state=state)
            break


def _analyse(run: store.Run, recipe: Recipe, samples: Samples, groups: Sequence[Group], progress: Progress) -> None:
    """Read everything back, analyse it, and write the results."""
    progress("analysing", 0, 1)
    begun = perf_counter()
    history = History.read(run)
    result = history.result(options=recipe.analysis.model_dump())
    told, sentences = numbers_of_players(groups, recipe, samples)
    if samples.planted and recipe.players.n is None and recipe.players.groups is None:  # the columns, in order
        told["planted"] = planted_error(history.last, samples.planted)
    rest = result.seconds["everything_else"] + perf_counter() - begun
    told |= {"verdict": (*result.verdict, *sentences), "seconds": {**result.seconds, "everything_else": rest}}
    store.write_result(run, result.model_copy(update=told))
    progress("analysing", 1, 1)


def planted_error(found: Interactions, planted: Sequence[Term]) -> dict[str, float]:
    """Return how far interactions are from the planted ones, relative to the strongest planted one.

    An interaction of one player is the same function as AND and as OR; the two are added before comparing.

    Returns
    -------
    dict[str, float]
        ``max_error``, over samples, kinds and non-empty subsets; ``mean_error``, the mean over samples of the sum of
        all absolute errors, relative to the sum of the planted strengths.

    Examples
    --------
    >>> found = torch.tensor([[0.0, 0.0, 0.0, 2.0]]).double()
    >>> zero, one = torch.zeros(1, 4).double(), torch.zeros(1).double()
    >>> import numpy as np
    >>> found = Interactions(i_and=found, i_or=zero, residual=zero, objective=one, gap=one,
    ...                      status=np.array([""]), noise_bound=one)
    >>> planted_error(found, [Term("and", (0, 1), 4.0)])
    {'max_error': 0.5, 'mean_error': 0.5}
    """
    n = found.n_players
    wanted = torch.zeros(2, 2**n, dtype=torch.float64)
    for kind, players, value in planted:
        wanted[0 if kind == "and" else 1, subset_from_members(players, n)] += value
    error = torch.stack([found.i_and, found.i_or], dim=-2) - wanted
    error[..., 0] = 0.0  # the constant is not an interaction
    single = [1 << player for player in range(n)]
    error[..., 0, single] += error[..., 1, single]
    error[..., 1, single] = 0.0
    strength = wanted.abs()
    return {
        "max_error": float(error.abs().max() / strength.max()),
        "mean_error": float(error.abs().sum(dim=(-2, -1)).mean() / strength.sum()),
    }
