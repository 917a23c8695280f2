"""How much the findings of a run change with each choice that could have been made differently."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from interdyn import store
from interdyn.errors import IncompleteRunError, InputError, InterdynError
from interdyn.measurement import History, checked_device, recorded
from interdyn.recipes._dataset import Samples, load_samples
from interdyn.recipes._load import code_of, resolve
from interdyn.recipes._measuring import choose_groups
from interdyn.recipes._otherwise import DRAWN, begins_of, chosen, otherwise
from interdyn.recipes._schema import Recipe
from interdyn.recipes._training import network_of
from interdyn.store import Measurement
from interdyn.tracking import load_weights
from interdyn.values import Band, RunResult

SAMPLES = 5
"""How many samples are measured again."""


@dataclass(frozen=True)
class Choice:
    """One choice with its findings.

    Attributes
    ----------
    what, way
        The choice, and its alternative.
    result
        What the run would have found, without `identified`; None if it could not be measured that way.
    why
        The reason for that.
    """

    what: str
    way: str
    result: RunResult | None
    why: str = ""


@dataclass(frozen=True)
class Trust:
    """What a run finds, and what it would have found with other choices.

    Attributes
    ----------
    recipe
        Its name.
    steps, samples
        Which checkpoints and samples were measured again.
    own
        With the choices of the run.
    others
        With one choice changed at a time.
    """

    recipe: str
    steps: tuple[int, ...]
    samples: int
    own: RunResult
    others: tuple[Choice, ...]


def trust(
    run: store.Run,
    *,
    progress: Callable[[int, int], None] = lambda *_: None,
    allow_code: bool = False,
    device: str | None = None,
) -> Trust:
    """Measure the stored networks of a run again, with one choice changed at a time.

    Parameters
    ----------
    run
        A finished run of a recipe, with its networks. Ten of its checkpoints are used, evenly spaced by index, and five
        samples; of a window, its first step.
    progress
        Called with the number of measured choices and the number of all choices.
    allow_code
        As in `run_recipe`.
    device
        ``"cpu"``, ``"cuda"`` or ``"auto"``; None: the recipe's device.

    Raises
    ------
    InputError
        If the run is of a tracked training, which has no recipe to repeat; if there is no such device.
    IncompleteRunError
        If a network is missing.
    RecipeError
        If the recipe names code that is not allowed, or its data are missing.
    """
    if run.open_ended:
        raise InputError(
            f"`trust` needs a run of a recipe, which can be measured again; got a tracked one, {run.path}."
        )
    recipe = resolve(store.read_recipe(run))
    allowed = allow_code or not code_of(recipe)
    steps = chosen(begins_of(run.steps, recipe.checkpoints.window))
    samples = load_samples(recipe.data, allow_code=allowed)
    few = recipe.model_copy(update=_few(recipe))
    again = _Again(run, samples, few, allow_code=allowed, device=device or recipe.training.device or "cpu")
    own, others = again.result(few, steps), []
    plan = list(otherwise(few, run.steps, samples, again.network, own.n_players))
    for count, change in enumerate(plan, start=1):
        result, why = None, change.why
        if not why:
            try:
                result = again.result(change.applied(few), change.steps or steps, window=change.window)
            except InterdynError as error:
                why = str(error)
        others.append(Choice(change.what, change.way, result, why))
        progress(count, len(plan))
    return Trust(run.recipe_name, steps, few.measure.test_samples, own, tuple(others))


def _few(recipe: Recipe) -> dict[str, Any]:
    """Return the sections that measure a few test samples, without the ranges that nothing here compares."""
    measured = {
        "test_samples": min(SAMPLES, recipe.measure.test_samples),
        "mislabelled_samples": 0,
        "train_samples": None,
    }
    return {
        "measure": recipe.measure.model_copy(update=measured),
        "analysis": recipe.analysis.model_copy(update={"ranges": False}),
    }


class _Again:
    """Measures the stored networks of a run with changed recipes; nothing is measured twice.

    Attributes
    ----------
    network
        Interactions of the last step measured.
    """

    def __init__(self, run: store.Run, samples: Samples, recipe: Recipe, *, allow_code: bool, device: str) -> None:
        self._run, self._samples = run, samples
        self.network = network_of(recipe, samples, allow_code=allow_code).to(checked_device(device))
        self._known: dict[tuple[str, int], Measurement] = {}

    def result(self, recipe: Recipe, steps: Sequence[int], *, window: int = 1) -> RunResult:
        """Return what a run with the recipe would have found at these checkpoints."""
        analysis = recipe.analysis
        group = choose_groups(recipe, self._samples)[0]
        history = History([group.name], window=window, salience=analysis.salience, salience_rule=analysis.salience_rule)
        game = f"{recipe.measure.model_dump()} {recipe.players.model_dump()}"
        with torch.random.fork_rng(devices=[]):
            for step in steps:
                saved = store.read_checkpoint(self._run, step)
                if saved is None:
                    raise IncompleteRunError(
                        f"measuring again needs the network of step {step}; got none in {self._run.path}. Run "
                        "the recipe's command again."
                    )
                if (game, step) not in self._known:
                    load_weights(self.network, saved.weights)
                    self._known[game, step] = recorded(self.network, group, step=step)
                history.add([self._known[game, step]], {**saved.losses, "seconds": saved.seconds})
        return history.result(options=analysis.model_dump())


Found = tuple[float, float | None, float | None]
"""A number with the ends of its interval, of `RunResult.phases` or over samples; None if there is none."""

_ORDERS = ("start", "least", "end")
_PLACES = ("fall_ends", "rise_starts")


def trust_numbers(result: RunResult) -> dict[str, Found | None]:
    """Return the numbers of a result that `trust` compares; None where missing.

    Returns
    -------
    dict[str, Found | None]
        ``start``, ``least``, ``end``: mean orders, of windows where measurements are windows; ``fall_ends``,
        ``rise_starts``: the two places, in steps.
    """
    order = result.mean_order
    found: dict[str, Found | None] = dict.fromkeys((*_ORDERS, *_PLACES))
    if order is not None and not np.isnan(order.value).all():
        places = (0, int(np.nanargmin(order.value)), -1)
        found |= {name: _at(order, at) for name, at in zip(_ORDERS, places, strict=True)}
    for name in _PLACES if result.phases is not None else ():
        step, interval = getattr(result.phases, name), getattr(result.phases, f"{name}_interval")
        if step is not None:
            found[name] = (float(step), *(map(float, interval) if interval else (None, None)))
    return found


def _at(order: Band, at: int) -> Found | None:
    if np.isnan(order.value[at]):
        return None
    ends = (None, None) if order.low is None or order.high is None else (float(order.low[at]), float(order.high[at]))
    return (float(order.value[at]), *ends)


def trust_json(found: Trust) -> dict[str, Any]:
    """Return what was found as plain data: recipe, steps, samples, and the numbers of each choice."""

    def told(one: Choice) -> dict[str, Any]:
        out: dict[str, Any] = {"what": one.what, "way": one.way}
        if one.result is None:
            return {**out, "why": one.why}
        phases = one.result.phases
        return {**out, **trust_numbers(one.result), "two_phases": phases is not None and phases.found}

    own = told(Choice("as in the run", "", found.own))
    return {
        "recipe": found.recipe,
        "steps": list(found.steps),
        "samples": found.samples,
        "own": own,
        "others": [told(one) for one in found.others],
    }


def moved(own: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, str]:
    """Return the change of the mean order that changes most, and its name; NaN and nothing without any.

    Both are numbers of `trust_json`.
    """
    known = {name: other[name][0] - own[name][0] for name in _ORDERS if own.get(name) and other.get(name)}
    if not known:
        return float("nan"), ""
    name = max(known, key=lambda key: abs(known[key]))
    return known[name], name


def ranked(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the choices of `trust_json` that could be changed, the largest movers first."""
    made = [one for one in told["others"] if "why" not in one]
    return sorted(made, key=lambda one: -np.nan_to_num(abs(moved(told["own"], one)[0]), nan=-1.0))


def yardstick(told: Mapping[str, Any]) -> float:
    """Return how far other samples move a mean order at most, with the same choices; NaN without any."""
    changes = [abs(moved(told["own"], one)[0]) for one in ranked(told) if one["what"] == DRAWN]
    return max(changes, default=float("nan"))


def trust_rows(found: Trust) -> list[tuple[str, ...]]:
    """Return the findings of each choice as text, the largest movers first.

    Returns
    -------
    list[tuple[str, ...]]
        Choice, way, mean order at the start, its minimum and at the end, end of the fall, start of the rise, the
        largest change of a mean order with that by other samples, and why the choice could not be changed; empty
        where it does not apply.
    """
    told = trust_json(found)
    own, drawn = told["own"], yardstick(told)
    rows = [("as in the run", "", *_texts(own), "", "")]
    for one in ranked(told):
        change = moved(own, one)[0]
        beside = "" if one["what"] == DRAWN or np.isnan(drawn) else f" (other samples: up to {drawn:.2f})"
        rows.append((one["what"], one["way"], *_texts(one), f"{change:+.2f}{beside}", ""))
    failed = [one for one in told["others"] if "why" in one]
    return rows + [(one["what"], one["way"], *[""] * 6, one["why"]) for one in failed]


def _texts(numbers: Mapping[str, Any]) -> tuple[str, ...]:
    orders = tuple(_words(numbers[name], 2) if numbers[name] else "nothing is salient" for name in _ORDERS)
    return (*orders, *(_words(numbers[name], 0) for name in _PLACES))


def _words(found: Found | None, digits: int) -> str:
    if found is None:
        return "not established"
    value, low, high = found
    told = f"{value:.{digits}f}"
    return told if low is None or high is None else f"{told} ({low:.{digits}f} to {high:.{digits}f})"
