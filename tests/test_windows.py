"""Near-by steps of one measurement: which there are, in trackers and recipes, and what is shown of them."""

import random
from fractions import Fraction

import pytest

from interdyn.errors import InputError
from interdyn.schedules import apart, checked_window, last_begin, near_by, shortest, too_short, windows_of, with_near


def spread(step, window):
    """By definition: ``window`` steps from ``step`` to 1.1 of it, evenly, rounded down."""
    places = [step * (1 + Fraction(j, 10 * (window - 1))) for j in range(window)] if window > 1 else [step]
    return sorted({int(place) for place in places})


def numbered(steps, window):
    """By definition: each window takes, from the first step left, those within a tenth of it, at most ``window``."""
    left, groups = list(steps), []
    while left:
        taken = [s for s in left if s <= left[0] * Fraction(11, 10)][:window]
        groups.append(taken)
        left = left[len(taken) :]
    return [number for number, group in enumerate(groups) for _ in group]


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5])
def test_a_window_is_spread_over_a_tenth_of_the_training_so_far(window):
    for step in [*range(150), 10**6 + 7, 10**15 + 3]:
        assert list(near_by(step, window)) == spread(step, window)
    draw = random.Random(window)
    for _ in range(200):
        steps = sorted(draw.sample(range(300), draw.randint(1, 40)))
        assert windows_of(steps, window) == numbered(steps, window)
        for known in range(1, len(steps)):  # what comes later does not change a number
            assert windows_of(steps[:known], window) == windows_of(steps, window)[:known]


@pytest.mark.parametrize("window", [2, 3, 5])
def test_windows_do_not_run_into_one_another_and_one_ends_with_the_last_step(window):
    draw = random.Random(window)
    for _ in range(300):
        total = draw.randint(shortest(window), 2000)
        wanted = sorted({0, total, *draw.sample(range(total), draw.randint(1, min(60, total)))})
        begins = apart(wanted, window, total)
        steps = with_near(begins, window, total)
        assert begins[-1] == last_begin(total) and steps[-1] == total
        assert set(begins[:-1]) <= set(wanted)
        by_number = {}
        for step, number in zip(steps, windows_of(steps, window), strict=True):
            by_number.setdefault(number, []).append(step)
        assert [group[0] for group in by_number.values()] == begins
        assert [group[:-1] for group in by_number.values()][-1] == spread(begins[-1], window)[:-1]
        for group in list(by_number.values())[:-1]:
            assert group == spread(group[0], window)
        assert len(by_number[len(begins) - 1]) == window


def test_single_steps_stay_as_they_are():
    assert apart([0, 7, 8, 9], 1, 9) == [0, 7, 8, 9] and with_near([0, 7, 8, 9], 1, 9) == (0, 7, 8, 9)
    assert windows_of([0, 7, 8, 9], 1) == [0, 1, 2, 3]


@pytest.mark.parametrize("window", [0, 6, 2.5, True, "3", None])
def test_a_window_that_is_no_small_number_is_refused(window):
    with pytest.raises(InputError, match=r"`window` must be .* got .* Pass 3, or 1 for single steps\."):
        checked_window(window)


def test_a_window_longer_than_the_training_is_told():
    assert too_short(3, 21) == (
        "a window of 3 steps, spread over a tenth of the training so far, needs a training of 22 steps or more; got "
        "21. Train longer, or measure single steps: window = 1."
    )
    assert not too_short(3, 22) and not too_short(1, 0)
