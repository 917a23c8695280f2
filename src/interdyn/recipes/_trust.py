"""How much the findings of a run move with each choice that another person would have made otherwise."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from interdyn import store
from interdyn.errors import IncompleteRunError, InputError, InterdynError
from interdyn.measurement import Group, History, recorded
from interdyn.recipes._dataset import Samples, load_samples
from interdyn.recipes._load import code_of, resolve
from interdyn.recipes._measuring import choose_groups
from interdyn.recipes._schema import Recipe
from interdyn.recipes._training import network_of
from interdyn.tracking import load_weights
from interdyn.values import Band, RunResult

SAMPLES, CHECKPOINTS = 5, 10
"""How many are measured again."""

_BASELINES = ("mean", 0.0, "part-mean", "mean-embedding", "mask")


@dataclass(frozen=True)
class Choice:
    """One choice made in one way.

    Attributes
    ----------
    what, way
        The choice, and how it is made.
    result
        What the run would have found; None where it could not be measured so.
    why
        The reason for that.
    """

    what: str
    way: str
    result: RunResult | None
    why: str = ""


@dataclass(frozen=True)
class Trust:
    """What a run finds, and what it would have found.

    Attributes
    ----------
    recipe
        Its name.
    steps, samples
        Which checkpoints and samples were measured again.
    own
        With the choices of the run.
    others
        With one choice made otherwise each.
    """

    recipe: str
    steps: tuple[int, ...]
    samples: int
    own: RunResult
    others: tuple[Choice, ...]


def trust(run: store.Run, *, progress: Callable[[int, int], None] = lambda *_: None, allow_code: bool = False) -> Trust:
    """Measure the stored networks of a run again, with one choice made otherwise at a time.

    Parameters
    ----------
    run
        A finished run of a recipe, with its networks. Ten of its checkpoints are taken, evenly by their number, and
        five samples.
    progress
        Called with how many choices are measured, and of how many.
    allow_code
        As in `run_recipe`.

    Raises
    ------
    InputError
        If the run is of a tracked training, whose recipe is not known.
    IncompleteRunError
        If a network is not there.
    RecipeError
        If the recipe names code that is not allowed, or its data are missing.
    """
    if run.open_ended:
        raise InputError(
            f"`trust` needs a run of a recipe, which can be measured again; got a tracked one, {run.path}."
        )
    recipe = resolve(store.read_recipe(run))
    allowed = allow_code or not code_of(recipe)
    steps = _chosen(run.steps)
    samples = load_samples(recipe.data, allow_code=allowed)
    few = recipe.model_copy(update={"measure": recipe.measure.model_copy(update=_few(recipe))})
    again = _Again(run, steps, samples, few, allow_code=allowed)
    own, others = again.result(few), []
    plan = list(_otherwise(few, run.steps))
    for count, (what, way, sections, at) in enumerate(plan, start=1):
        changed = few.model_copy(
            update={name: getattr(few, name).model_copy(update=changes) for name, changes in sections.items()}
        )
        try:
            others.append(Choice(what, way, again.result(changed, steps=at)))
        except InterdynError as error:
            others.append(Choice(what, way, None, str(error)))
        progress(count, len(plan))
    return Trust(run.recipe_name, steps, few.measure.test_samples, own, tuple(others))


def _few(recipe: Recipe) -> dict[str, Any]:
    return {
        "test_samples": min(SAMPLES, recipe.measure.test_samples),
        "mislabelled_samples": 0,
        "train_samples": None,
    }


def _chosen(steps: tuple[int, ...], *, shift: int = 0) -> tuple[int, ...]:
    """Return evenly chosen checkpoints, both ends among them; with a ``shift`` their neighbours."""
    if len(steps) <= CHECKPOINTS:
        return steps
    places = np.linspace(0, len(steps) - 1, CHECKPOINTS).round().astype(int)
    return tuple(steps[at] for at in sorted({int(np.clip(at + shift, 0, len(steps) - 1)) for at in places}))


_Sections = Mapping[str, Mapping[str, Any]]


def _otherwise(recipe: Recipe, steps: tuple[int, ...]) -> Iterator[tuple[str, str, _Sections, tuple[int, ...] | None]]:
    """Yield choice, way, changes of the recipe's sections, and other checkpoints, two of each where there are two."""
    measured, players, analysis = recipe.measure, recipe.players, recipe.analysis
    for baseline in [one for one in _BASELINES if one != measured.baseline]:
        yield "baseline", str(baseline), {"measure": {"baseline": baseline}}, None
    if players.n is not None:
        for seed in (players.seed + 1, players.seed + 2):
            yield "players drawn", f"seed {seed}", {"players": {"seed": seed}}, None
        for n in (players.n - 2, players.n + 2):
            yield "number of players", str(n), {"players": {"n": n}}, None
        others = "mask" if players.others == "keep" else "keep"
        yield "players not drawn", {"mask": "masked", "keep": "kept"}[others], {"players": {"others": others}}, None
    for factor in (0.5, 2.0):
        bound = measured.noise_bound * factor
        yield "noise bound", f"{bound:g}", {"measure": {"noise_bound": bound}}, None
    for weight in (0.0, 2 * measured.order_weight or 0.02):
        yield "order weight", f"{weight:g}", {"measure": {"order_weight": weight}}, None
    for factor in (0.5, 2.0):
        salience = analysis.salience * factor
        yield "salience", f"{salience:g}", {"analysis": {"salience": salience}}, None
    for shift in (1, -1):
        if len(steps) > 2 * CHECKPOINTS:
            word = "next" if shift > 0 else "last"
            yield "checkpoints", f"the {word} ones", {}, _chosen(steps, shift=shift)
    for seed in (measured.seed + 1, measured.seed + 2):
        yield "samples", f"seed {seed}", {"measure": {"seed": seed}}, None


class _Again:
    """Measures the stored networks of a run by changed recipes."""

    def __init__(
        self, run: store.Run, steps: tuple[int, ...], samples: Samples, recipe: Recipe, *, allow_code: bool
    ) -> None:
        self._run, self._steps, self._samples = run, steps, samples
        self._network = network_of(recipe, samples, allow_code=allow_code)

    def result(self, recipe: Recipe, *, steps: tuple[int, ...] | None = None) -> RunResult:
        """Return what a run by the recipe would have found at these checkpoints."""
        group: Group = choose_groups(recipe, self._samples)[0]
        analysis = recipe.analysis
        history = History([group.name], salience=analysis.salience, salience_rule=analysis.salience_rule)
        with torch.random.fork_rng(devices=[]):
            for step in self._steps if steps is None else steps:
                saved = store.read_checkpoint(self._run, step)
                if saved is None:
                    raise IncompleteRunError(
                        f"measuring again needs the network of step {step}; got none in {self._run.path}. Give the "
                        "run's command again."
                    )
                load_weights(self._network, saved.weights)
                history.add([recorded(self._network, group, step=step)], {**saved.losses, "seconds": saved.seconds})
        return history.result(options=analysis.model_dump())


def trust_rows(found: Trust) -> list[tuple[str, ...]]:
    """Return what is found by each choice in words: choice, way, mean orders, end of the fall, start of the rise."""
    named = [Choice("as the run has it", "", found.own), *found.others]
    return [(one.what, one.way, *(_told(one.result) if one.result else (one.why, "", "", "", ""))) for one in named]


def _told(result: RunResult) -> tuple[str, ...]:
    order = None if result.first is None else result.first.mean_order
    if order is None or np.isnan(order.value).all():
        orders: tuple[str, ...] = ("nothing is salient", "", "")
    else:
        orders = tuple(_with_interval(order, at) for at in (0, int(np.nanargmin(order.value)), -1))
    phases = result.phases
    if phases is None:
        return (*orders, "", "")
    return (
        *orders,
        _place(phases.fall_ends, phases.fall_ends_interval),
        _place(phases.rise_starts, phases.rise_starts_interval),
    )


def _with_interval(band: Band, at: int) -> str:
    told = f"{band.value[at]:.2f}"
    return told if band.low is None or band.high is None else f"{told} ({band.low[at]:.2f} to {band.high[at]:.2f})"


def _place(step: float | None, interval: tuple[float, float] | None) -> str:
    if step is None:
        return "not established"
    return f"{step:.0f}" if interval is None else f"{step:.0f} ({interval[0]:.0f} to {interval[1]:.0f})"
