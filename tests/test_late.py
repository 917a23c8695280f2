"""Quantities of what happens after the training loss is spent, on results planted so that the answer is known."""

import numpy as np
import pytest

from interdyn.recipes._quantities import QUANTITIES
from interdyn.values import Band, GroupResult, RunResult

STEPS = np.array([0.0, 10, 100, 1000, 10000])
LOSS = np.array([2.0, 1.0, 0.09, 0.001, 0.0001])  # spent (below 0.1) from step 100 on
ORDER = np.array([3.0, 2.0, 5.0, 3.5, 2.0])
TRAIN = np.array([0.1, 0.5, 0.99, 1.0, 1.0])
TEST = np.array([0.1, 0.2, 0.3, 0.4, 0.95])


def of(order):
    return GroupResult(mean_order=Band(value=order, low=order, high=order))


def planted(**changes):
    told = {"train_loss": LOSS, "test_loss": LOSS, "train_accuracy": TRAIN, "test_accuracy": TEST}
    groups = {"test": of(ORDER), "train": of(ORDER + (STEPS > 1000))}
    return RunResult(**{"steps": STEPS, "n_players": 9, "groups": groups, **told, **changes})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("late_order_change", -3.0),
        ("late_train_order_change", -2.0),
        ("late_test_accuracy_change", 0.65),
        ("memorised_step", 100.0),
        ("generalised_step", 10000.0),
        ("generalisation_delay", 100.0),
        ("order_lead", 10.0),  # half of -3 is done at 1000, half of 0.65 at 10000
        ("test_error_bump", 0.0),
        ("train_end_mean_order", 3.0),
        ("mislabelled_end_mean_order", None),
    ],
)
def test_a_network_that_groks(name, value):
    assert QUANTITIES[name](planted()) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        (
            {"train_loss": np.array([2.0, 1, 1, 1, 0.1])},
            ("late_order_change", "late_test_accuracy_change", "order_lead"),
        ),
        ({"train_loss": np.array([2.0, 1, 1, 1, 0.01])}, ("late_order_change", "order_lead")),  # only at the end
        ({"train_loss": None}, ("late_order_change",)),
        ({"groups": {}}, ("late_order_change", "late_train_order_change", "order_lead", "train_end_mean_order")),
        ({"test_accuracy": None}, ("generalised_step", "generalisation_delay", "order_lead", "test_error_bump")),
        ({"test_accuracy": TEST / 2}, ("generalised_step", "generalisation_delay")),
        ({"train_accuracy": None}, ("memorised_step", "generalisation_delay")),
        ({"train_accuracy": TEST, "test_accuracy": TRAIN / 2}, ("memorised_step", "generalised_step")),
        ({"train_accuracy": np.ones(5)}, ("generalisation_delay",)),  # known at step 0: no ratio
        ({"test_accuracy": np.full(5, 0.5)}, ("order_lead",)),
        ({"groups": {"test": of(np.full(5, np.nan))}}, ("late_order_change", "order_lead")),
    ],
)
def test_what_a_run_has_not_is_none(changes, absent):
    for name in absent:
        assert QUANTITIES[name](planted(**changes)) is None, name


@pytest.mark.parametrize(
    ("error", "bump"),
    [
        ([0.9, 0.3, 0.2, 0.15, 0.1], 0.0),
        ([0.9, 0.1, 0.2, 0.3, 0.4], 0.0),  # harm is no bump
        ([0.9, 0.2, 0.35, 0.3, 0.25], 0.1),  # falls back by less than it rose
        ([0.9, 0.2, 0.35, 0.3, 0.1], 0.15),  # rose by less than it falls
    ],
)
def test_double_descent_is_a_bump_of_the_test_error(error, bump):
    told = planted(test_accuracy=1 - np.array(error), test_loss=np.array([3.0, 1, 2, 3, 4]))
    assert QUANTITIES["test_error_bump"](told) == pytest.approx(bump)


def test_an_unsteady_error_before_the_least_test_loss_is_no_bump():
    told = planted(test_accuracy=1 - np.array([0.9, 0.2, 0.4, 0.1, 0.1]))  # the loss falls to the end
    assert QUANTITIES["test_error_bump"](told) == 0
    assert QUANTITIES["test_error_bump"](planted(test_loss=None)) is None
