"""Numbers of a finished run about what happens late, after the training samples are fitted."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from interdyn.values import RunResult

FITTED = 0.05  # share of its first value below which the training loss counts as spent
MEMORISED = 0.99  # training accuracy at which the training samples count as known
GENERALISED = 0.9  # the same for the test samples


def late_order_change(result: RunResult, group: str | None = None) -> float | None:
    r"""Return how far the mean order moves after the training loss is spent.

    $$m(t_\mathrm{end}) - m(t_f), \qquad t_f = \min\{t : L_\mathrm{train}(t) < 0.05\, L_\mathrm{train}(0)\}$$

    over measured steps ``t``; ``m`` is the mean order of a group of samples, by default the first. Negative: it falls.
    None if the loss is never spent, or only at the end.
    """
    return _moved(_mean_order(result, group), _fitted(result))


def late_test_accuracy_change(result: RunResult) -> float | None:
    """Return how far the test accuracy moves after the training loss is spent, as defined in `late_order_change`."""
    return _moved(result.test_accuracy, _fitted(result))


def memorised_step(result: RunResult) -> float | None:
    """Return the first measured step with a training accuracy of at least 0.99, None if there is none."""
    return _first(result.steps, _reached(result.train_accuracy, MEMORISED))


def generalised_step(result: RunResult) -> float | None:
    """Return the first measured step with a test accuracy of at least 0.9, None if there is none."""
    return _first(result.steps, _reached(result.test_accuracy, GENERALISED))


def generalisation_delay(result: RunResult) -> float | None:
    """Return `generalised_step` divided by `memorised_step`: large if a network groks (Power et al., 2022)."""
    late, early = generalised_step(result), memorised_step(result)
    return None if late is None or not early else late / early


def order_lead(result: RunResult) -> float | None:
    r"""Return the step of the late change of test accuracy divided by that of the mean order.

    Late means from ``t_f`` on (`late_order_change`); the step of a change is the first at which half of it is done,

    $$t_{1/2} = \min\{t \ge t_f : s\,(x(t) - x(t_f)) \ge \tfrac12\, |x(t_\mathrm{end}) - x(t_f)|\}$$

    with ``s`` the sign of the change. Above 1, interactions move before the test accuracy does. None if either does
    not move.
    """
    start = _fitted(result)
    orders, accuracies = (
        _half_way(result.steps, column, start) for column in (_mean_order(result, None), result.test_accuracy)
    )
    return None if orders is None or accuracies is None else accuracies / orders


def error_bump(result: RunResult) -> float | None:
    r"""Return how far the test error rises above two lower places, after the smallest test loss: double descent.

    $$\max_{b \ge t_\ast} \min\bigl(e(b) - \min_{a \le b} e(a),\; e(b) - \min_{c \ge b} e(c)\bigr)$$

    over measured steps, with ``e`` 1 minus the test accuracy and ``t_*`` the step of the smallest test loss: before it,
    an error that goes up and down is only unsteady. 0 for an error that falls, or falls and then rises to the end;
    noise of the test error alone gives about twice its standard error.
    Source: Nakkiran et al. (2019), Deep Double Descent, epoch-wise.
    """
    loss, accuracy = result.test_loss, result.test_accuracy
    if loss is None or accuracy is None or not np.isfinite([loss, accuracy]).all():
        return None
    error = 1 - np.asarray(accuracy)
    before, after = np.minimum.accumulate(error), np.minimum.accumulate(error[::-1])[::-1]
    return float(np.minimum(error - before, error - after)[int(np.argmin(loss)) :].max())


def end_mean_order_of(group: str) -> Callable[[RunResult], float | None]:
    """Return the quantity: the mean order at the end, on a group of samples; None if it is not measured."""

    def end(result: RunResult) -> float | None:
        order = _mean_order(result, group)
        return None if order is None or not np.isfinite(order[-1]) else float(order[-1])

    return end


def _mean_order(result: RunResult, group: str | None) -> Float[np.ndarray, " steps"] | None:
    found = result.first if group is None else result.group(group)
    return None if found is None or found.mean_order is None else np.asarray(found.mean_order.value)


def _fitted(result: RunResult) -> int | None:
    """Return the index of the first step at which the training loss is spent; None if there is none before the end."""
    loss = result.train_loss
    if loss is None:
        return None
    spent = np.flatnonzero(np.asarray(loss) < FITTED * loss[0])
    return int(spent[0]) if len(spent) and spent[0] < len(loss) - 1 else None


def _moved(column: Float[np.ndarray, " steps"] | None, start: int | None) -> float | None:
    if column is None or start is None:
        return None
    change = column[-1] - column[start]
    return float(change) if np.isfinite(change) else None


def _half_way(
    steps: Float[np.ndarray, " steps"], column: Float[np.ndarray, " steps"] | None, start: int | None
) -> float | None:
    change = _moved(column, start)
    if not change or column is None or start is None:
        return None
    done = np.sign(change) * (column - column[start]) >= abs(change) / 2
    return _first(steps[start:], done[start:])


def _reached(column: Float[np.ndarray, " steps"] | None, least: float) -> Bool[np.ndarray, " steps"]:
    return np.zeros(0, dtype=bool) if column is None else np.asarray(column) >= least


def _first(steps: Float[np.ndarray, " steps"], chosen: Bool[np.ndarray, " steps"]) -> float | None:
    found = np.flatnonzero(chosen)
    return float(steps[found[0]]) if len(found) else None
