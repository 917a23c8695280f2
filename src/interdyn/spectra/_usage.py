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

    Interactions of different samples are the same if they have the same kind and the same names of players.

    Parameters
    ----------
    found
        A batch of samples, from `interdyn.measure`.
    names
        A name for each player, the same for all samples or a row for each; by default those of ``found``, or the
        numbers of the players where they have none and are the same in every sample.
    k
        Most interactions to return.
    least
        Fewest samples that must have all players of an interaction; all, if there are fewer samples.
    salience, salience_rule
        As in `salience_threshold`; weaker interactions count 0.

    Raises
    ------
    InputError
        If ``found`` is not a batch of samples, or the players were drawn for each sample and have no names.
    ShapeError
        If the names do not match the players.

    Notes
    -----
    See `Usage` for the mean and the samples that it includes. Cost ``O(samples * 2**n)``. Oracle:
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
            f"`found` must be a batch of samples; got a batch of shape {found.batch_shape}. Measure several samples, "
            "or list the interactions of one with `found.top()`."
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
        If players were drawn for each sample and have no names.
    """
    if names:
        rows: Any = [names] * len(found) if isinstance(names[0], str) else names
        return list(rows)
    if drawn_by_sample(str(found.settings.get("players", ""))) and len(found) > 1:
        raise InputError(
            f"players drawn for each sample can only be matched by names; got {found.settings['players']} without "
            "names. Pass `names`, a row for each sample."
        )
    return [tuple(f"player {i}" for i in range(found.n_players))] * len(found)


def drawn_by_sample(players: str) -> bool:
    """Return whether players of that description differ between samples.

    Examples
    --------
    >>> drawn_by_sample("patches(4, 4).choose(9, seed=0, others='keep')"), drawn_by_sample("patches(3, 3)")
    (True, False)
    """
    return ".choose(" in players
