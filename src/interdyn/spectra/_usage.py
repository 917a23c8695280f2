"""What a network uses over the samples of a result."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from interdyn._arguments import instance, told, whole
from interdyn.errors import InputError
from interdyn.spectra._matched import Matched, Usage
from interdyn.spectra._salience import SalienceRule, salience_threshold
from interdyn.values import Interactions, Names, checked_names


def usage(
    found: Interactions,
    *,
    names: Sequence[str] | Sequence[Sequence[str]] | None = None,
    k: int = 12,
    least: int = 3,
    salience: float | None = None,
    salience_rule: SalienceRule = "mean-effect",
) -> Usage:
    """Return the interactions that a network uses over all samples of a result, strongest first.

    Interactions of different samples are the same where their kind and the names of their players are.

    Parameters
    ----------
    found
        A batch of samples, from `interdyn.measure`.
    names
        A name for each player, the same for all samples or a row for each; by default those of ``found``, or the
        numbers of the players where they have none and are the same in every sample.
    k
        How many interactions at most.
    least
        In how many samples all players of an interaction must be there, at least; all, where there are fewer samples.
    salience, salience_rule
        As in `salience_threshold`: what is weaker counts 0.

    Raises
    ------
    InputError
        If this is not a batch of samples, or the players were drawn for each sample and have no names.
    ShapeError
        If names do not fit.

    Notes
    -----
    What is averaged, and over which samples: `Usage`. Cost ``O(samples * 2**n)``. Oracle:
    ``tests/oracles.py::usage_by_definition``.

    Examples
    --------
    >>> import torch
    >>> i_and = torch.tensor([[0.0, 0.1, 0.0, 6.0], [0.0, 0.0, 2.0, 4.0]], dtype=torch.float64)
    >>> zeros, one = torch.zeros_like(i_and), torch.zeros(2, dtype=torch.float64)
    >>> found = Interactions(i_and, zeros, "nat", residual=zeros, objective=one, gap=one, status="", noise_bound=one)
    >>> usage(found, names=["age", "income"])
     mean |I|  positive  negative  samples  kind  players
            5        +5         0   2 of 2   AND  age, income
            1        +1         0   1 of 2   AND  income
    """
    instance(found, "found", Interactions, do="Pass what `measure` returns.")
    k, least = whole(k, "k", least=1), whole(least, "least", least=1)
    if len(found.batch_shape) != 1 or not found.batch_shape[0]:
        raise InputError(
            f"what is used over samples needs a batch of them; got a batch of shape {found.batch_shape}. Measure "
            "several samples, or list one by `found.top()`."
        )
    if names is not None and not isinstance(names, Iterable):
        raise InputError(f"`names` must be texts, or rows of texts; got {told(names)}. Pass a list.")
    given = found.names if names is None else checked_names(names, found.n_players, found.batch_shape)
    matched = Matched(names_of_players(found, given))
    threshold = salience_threshold(found, salience=salience, rule=salience_rule)
    arrays = (np.asarray(x.detach().cpu()) for x in (found.i_and, found.i_or))
    return matched.usage(*arrays, threshold=np.asarray(threshold.cpu()), k=k, least=least, unit=found.unit)


def names_of_players(found: Interactions, names: Names) -> list[tuple[str, ...]]:
    """Return a row of names for each sample: those given, or the numbers of players that are the same in every sample.

    Raises
    ------
    InputError
        If they are drawn for each sample and have no names.
    """
    if names:
        rows: Any = [names] * len(found) if isinstance(names[0], str) else names
        return list(rows)
    if drawn_by_sample(str(found.settings.get("players", ""))) and len(found) > 1:
        raise InputError(
            f"players that are drawn for each sample need names to be matched; got {found.settings['players']} without "
            "names. Pass `names`, a row for each sample."
        )
    return [tuple(f"player {i}" for i in range(found.n_players))] * len(found)


def drawn_by_sample(players: str) -> bool:
    """Return whether players of that description are others in each sample.

    Examples
    --------
    >>> drawn_by_sample("patches(4, 4).choose(9, seed=0, others='keep')"), drawn_by_sample("patches(3, 3)")
    (True, False)
    """
    return ".choose(" in players
