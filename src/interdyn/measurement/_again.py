"""The prediction of a finished run, recomputed from the tables it keeps."""

from collections.abc import Mapping
from typing import Any

from interdyn.dynamics import find_phases
from interdyn.measurement._history import History
from interdyn.measurement._predicted import predicted
from interdyn.measurement._result import chosen_options
from interdyn.values import PredictionResult


def prediction_again(history: History, *, options: Mapping[str, Any] | None = None) -> PredictionResult:
    """Return which mechanism predicts the tables of earlier checkpoints from the last, without distances of orders.

    Parameters
    ----------
    history
        The measurements of a finished training.
    options
        As in `History.result`.

    Raises
    ------
    IncompleteRunError
        If nothing is measured yet.

    Examples
    --------
    >>> prediction_again(History(["test"]))
    Traceback (most recent call last):
    interdyn.errors.IncompleteRunError: verdicts need a measured step; got no complete files of group `test` in \
memory. Measure a step first.
    """
    trajectory, chosen = history.trajectory(), chosen_options(options) | history.salience
    inside = find_phases(trajectory, seed=chosen["seed"]).in_phase_2
    return predicted(
        history.tables(), history.last, trajectory.strength, inside, trajectory.steps, chosen, with_distances=False
    )
