"""How far interactions generalise: between the sample groups of a run, and between two networks."""

from pathlib import Path

from interdyn import store
from interdyn.errors import IncompleteRunError, InputError
from interdyn.measurement._stored import interactions
from interdyn.spectra import OrderSimilarity, jaccard_by_order
from interdyn.store import Measurement, Run
from interdyn.values import GameRule, different_games


def generalisation(
    run: Run | str | Path,
    *,
    step: int | None = None,
    groups: tuple[str, str] = ("train", "test"),
    level: float = 0.9,
    n_draws: int = 500,
    seed: int = 0,
) -> OrderSimilarity:
    """Return how similar the interactions of training and test samples of a run are, order by order.

    Parameters
    ----------
    run
        A run or its folder, whose players are the same parts of the input for all samples: columns, or all cells of a
        grid, without a draw.
    step
        One of its steps; by default the last.
    groups
        The two groups to compare, class by class if the run records classes.
    level, n_draws, seed
        As in `interdyn.spectra.jaccard_by_order`.

    Raises
    ------
    InputError
        If the players differ by sample, or the run has no such group or step.
    IncompleteRunError
        If the step is not measured.

    Notes
    -----
    Source: paper, section 4 (generalisation power by order).
    """
    opened = store.as_run(run)
    cut = _cut(opened)
    if cut["drawn"]:
        raise InputError(
            f"comparing different samples needs players that are the same parts of the input for all of them; got "
            f"{cut['players']} in {opened.path}, which differ by sample. Run it with all cells or columns as players, "
            "without a draw, or compare two networks on the same samples with `agreement`."
        )
    a, b = (_measured(opened, step, group) for group in groups)
    classes = a.targets is not None and b.targets is not None
    return jaccard_by_order(
        interactions(a),
        interactions(b),
        a_classes=a.targets if classes else None,
        b_classes=b.targets if classes else None,
        level=level,
        n_draws=n_draws,
        seed=seed,
    )


def agreement(
    run: Run | str | Path,
    other: Run | str | Path,
    *,
    group: str = "test",
    step: int | None = None,
    other_step: int | None = None,
    level: float = 0.9,
    n_draws: int = 500,
    seed: int = 0,
) -> OrderSimilarity:
    """Return how similar the interactions of two networks on the same samples are, order by order.

    Parameters
    ----------
    run, other
        Runs or their folders (or one run twice, at two steps), with the same samples and the same players.
    group
        The group of samples.
    step, other_step
        A step of each; by default the last.
    level, n_draws, seed
        As in `interdyn.spectra.jaccard_by_order`, which compares sample by sample.

    Raises
    ------
    InputError
        If samples, players, baselines or outputs differ, or a run has no such group or step.
    IncompleteRunError
        If a step is not measured.
    """
    first, second = store.as_run(run), store.as_run(other)
    a, b = _measured(first, step, group), _measured(second, other_step, group)
    if a.sample_ids.tolist() != b.sample_ids.tolist():
        raise InputError(
            f"two networks are compared on the same samples; got different ones in group {group!r} of {first.path} and "
            f"{second.path}. Give both runs the same data and the same seed of `measure`."
        )
    cuts = _cut(first), _cut(second)
    if cuts[0] != cuts[1]:
        raise InputError(
            f"two networks are compared on the same players; got {cuts[0]['players']} and {cuts[1]['players']}. "
            "Give both runs the same players and seed."
        )
    games = [GameRule.of([m.settings], n_players=m.v.shape[-1].bit_length() - 1, unit=m.unit) for m in (a, b)]
    if differ := different_games(games):
        raise InputError(
            f"two networks are compared in the same game; got runs that differ in {', '.join(differ)}. Measure both in "
            "the same way."
        )
    return jaccard_by_order(interactions(a), interactions(b), paired=True, level=level, n_draws=n_draws, seed=seed)


def _cut(run: Run) -> dict[str, object]:
    """Return how a run partitions its samples into players, and whether that differs by sample."""
    recipe = store.read_recipe(run)
    tracker = recipe.get("tracker")
    if tracker is not None:
        players = str(tracker.get("players", ""))
        drawn = "choose(" in players or players == "feature_mask"
        return {"players": players, "layer": tracker.get("layer", ""), "drawn": drawn}
    section = dict(recipe.get("players", {}))
    differs = "n" in section or section.get("kind") in ("parts", "clusters")
    layer = recipe.get("measure", {}).get("layer", "")
    return {"players": ", ".join(f"{k}={v}" for k, v in sorted(section.items())), "layer": layer, "drawn": differs}


def _measured(run: Run, step: int | None, group: str) -> Measurement:
    if group not in run.groups:
        raise InputError(f"the group must be one of the run's, {list(run.groups)}; got {group!r}. Choose one of them.")
    if step is not None and step not in run.steps:
        raise InputError(f"`step` must be one of the run's steps, {list(run.steps)}; got {step}. Choose one.")
    for at in reversed(run.steps) if step is None else (step,):
        found = store.read_measurement(run, at, group=group)
        if found is not None:
            return found
    raise IncompleteRunError(
        f"group `{group}` must be measured; got no complete file of it in {run.path}. {store.to_measure(run)}"
    )
